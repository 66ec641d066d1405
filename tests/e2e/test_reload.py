"""What can be changed while the service runs, and what happens when the change is bad."""

import os
import signal
import smtplib
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bouncer.app import RESTART_KEYS
from tests.letters import OWN_RULE
from tests.reference import keys
from tests.servers.bouncer import Bouncer, running, wait_until

EXAMPLE = (Path(__file__).parents[2] / "docs/examples/first-bounce.eml").read_text()
GOOD = "bouncer_config_last_reload_successful"
EXPIRY = "bouncer_tls_certificate_expiry_timestamp_seconds"


def reload(bouncer: Bouncer, **changes: Any) -> None:
    """Writes the configuration with these sections changed, and sends SIGHUP."""
    config = yaml.safe_load(bouncer.config_file.read_text())
    bouncer.config_file.write_text(yaml.safe_dump({**config, **changes}))
    os.kill(bouncer.pid, signal.SIGHUP)


def said(bouncer: Bouncer, text: str) -> Callable[[], bool]:
    return lambda: text in bouncer.log_file.read_text()


def bounce_of(bouncer: Bouncer, address: str, to: str = "x@bounces.test") -> dict[str, Any]:
    """Sends a bounce of this address; its event."""
    with smtplib.SMTP("127.0.0.1", bouncer.smtp_port, timeout=20) as client:
        client.sendmail("", [to], EXAMPLE.replace("gone@receiver.example", address))
    wait_until(lambda: bouncer.events(recipient=address), seconds=20)
    (event,) = bouncer.events(recipient=address)
    return event


def test_rules_domains_and_keys_change_without_a_restart(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    domain = {"bounce_domain": "bounces.test", "sending_domains": ["one.test"]}
    config = {"domains": [domain], "rules": {"directories": [str(rules)]}}
    with running(Bouncer(tmp_path, free_port(), free_port(), config)) as bouncer:
        before = bounce_of(bouncer, "first@receiver.example")
        (rules / "own.toml").write_text(OWN_RULE)
        other = {"bounce_domain": "other.test", "sending_domains": ["two.test"]}
        reload(bouncer, domains=[domain, other])
        wait_until(said(bouncer, "was read again"), seconds=30)
        after = bounce_of(bouncer, "second@receiver.example", to="x@other.test")
        assert (before["category"], before["sending_domain"]) == ("recipient_unknown", "one.test")
        assert (after["category"], after["sending_domain"]) == ("recipient_moved", "two.test")
        assert after["rule"] == "own.gone"
        assert after["ruleset"] != before["ruleset"]
        assert bouncer.metric(GOOD) == 1
        assert bouncer.stop() == 0


def test_a_bad_change_leaves_everything_as_it_was(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    domain = {"bounce_domain": "bounces.test", "sending_domains": ["one.test"]}
    rules = tmp_path / "rules"
    rules.mkdir()
    config = {"domains": [domain], "rules": {"directories": [str(rules)]}}
    with running(Bouncer(tmp_path, free_port(), free_port(), config)) as bouncer:
        (rules / "own.toml").write_text(OWN_RULE.replace("there is", "there (is"))
        reload(bouncer, domains=[{**domain, "sending_domains": ["changed.test"]}])
        wait_until(lambda: bouncer.metric(GOOD) == 0, seconds=30)
        assert "own.toml" in bouncer.log_file.read_text()
        assert bounce_of(bouncer, "a@receiver.example")["sending_domain"] == "one.test"
        (rules / "own.toml").write_text(OWN_RULE)
        reload(bouncer)
        wait_until(lambda: bouncer.metric(GOOD) == 1, seconds=30)
        assert bounce_of(bouncer, "b@receiver.example")["sending_domain"] == "changed.test"


def test_no_rule_file_that_cannot_be_read_ends_the_service(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    bad = rules / "x.toml"
    domain = {"bounce_domain": "bounces.test", "sending_domains": ["one.test"]}
    config = {"domains": [domain], "rules": {"directories": [str(rules)]}}
    with running(Bouncer(tmp_path, free_port(), free_port(), config)) as bouncer:
        wait_until(said(bouncer, "holds no rule file"), seconds=30)
        (rules / ".#own.toml").symlink_to("root@host.1:17")
        for make, remove, told in (
            (lambda: bad.symlink_to("nowhere"), bad.unlink, "it links to nowhere"),
            (lambda: bad.write_text("a = " + "[" * 3000), bad.unlink, "nested too deeply"),
            (bad.mkdir, bad.rmdir, "it is a directory"),
            (lambda: os.mkfifo(bad), bad.unlink, "it is no regular file"),
        ):
            make()
            assert_refused(bouncer, told)
            remove()
        (rules / "own.toml").write_text(OWN_RULE)
        os.kill(bouncer.pid, signal.SIGHUP)
        wait_until(lambda: bouncer.metric(GOOD) == 1, seconds=30)
        assert bounce_of(bouncer, "a@receiver.example")["rule"] == "own.gone"
        assert "Traceback" not in bouncer.log_file.read_text()
        assert bouncer.stop() == 0


def test_no_configuration_that_cannot_be_read_ends_the_service(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with running(Bouncer(tmp_path, free_port(), free_port(), {})) as bouncer:
        file = bouncer.config_file
        file.unlink()
        for make, remove, told in (
            (lambda: file.symlink_to("nowhere"), file.unlink, "it links to nowhere"),
            (lambda: file.write_text("a: " + "[" * 3000), file.unlink, "nested too deeply"),
            (lambda: file.write_bytes(b"\x00\xff"), file.unlink, "not text"),
            (lambda: file.write_text(alias_bomb()), file.unlink, "aliases"),
            (file.mkdir, file.rmdir, "it is a directory"),
            (lambda: os.mkfifo(file), file.unlink, "it is no regular file"),
        ):
            make()
            assert_refused(bouncer, told)
            remove()
        assert "Traceback" not in bouncer.log_file.read_text()
        assert bouncer.stop() == 0


def assert_refused(bouncer: Bouncer, told: str) -> None:
    """What is there now is refused for this reason, and the service goes on."""
    os.kill(bouncer.pid, signal.SIGHUP)
    wait_until(said(bouncer, told), seconds=30)
    assert bouncer.metric(GOOD) == 0


def alias_bomb() -> str:
    """A small file that stands for ten billion values."""
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]", *levels])


def test_a_reload_does_not_open_what_listens_to_everybody(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    smtp_port, http_port = free_port(), free_port()
    domain = {"bounce_domain": "bounces.test", "sending_domains": ["one.test"]}
    config = {"domains": [domain], "smtp": {"listen": [f"0.0.0.0:{smtp_port}"]}}
    with running(Bouncer(tmp_path, smtp_port, http_port, config)) as bouncer:
        inner = {"listen": [f"127.0.0.1:{smtp_port}"], "drain_accept": "0s"}
        reload(bouncer, domains=[], smtp=inner)
        wait_until(lambda: bouncer.metric(GOOD) == 0, seconds=30)
        assert "can be reached from outside" in bouncer.log_file.read_text()
        with smtplib.SMTP("127.0.0.1", smtp_port, timeout=20) as client:
            client.helo()
            client.mail("")
            assert client.rcpt("x@elsewhere.test")[0] == 550


# What a reload goes on with; a section or key stands for all that it holds.
APPLIED = {
    "smtp.hostname", "smtp.max_message_bytes", "smtp.tls", "smtp.proxy_protocol_from",
    "smtp.limits", "smtp.drain_accept", "smtp.drain_finish", "domains", "store.url_file",
    "store.reserve_bytes", "dnsbl", "webhooks", "retention", "api.keys", "pipeline.readers",
    "pipeline.reader_memory_bytes", "pipeline.reader_timeout", "pipeline.reader_cpu_time",
    "pipeline.lease",
    "rules.directories", "log.level",
}  # fmt: skip


def test_a_key_is_applied_by_a_reload_or_named_as_needing_a_restart() -> None:
    known = APPLIED | set(RESTART_KEYS)
    names = [name for name, _ in keys()]
    for name in names:
        holds_others = any(other.startswith(f"{name}.") for other in names)
        parts = name.replace("[]", "").split(".")
        whole = {".".join(parts[: n + 1]) for n in range(len(parts))}
        assert whole & known or holds_others, f"{name}: what does a reload do with it?"
    assert not APPLIED & set(RESTART_KEYS)


def test_the_level_of_the_log_and_the_reserve_change_without_a_restart(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with running(Bouncer(tmp_path, free_port(), free_port(), {})) as bouncer:
        store = yaml.safe_load(bouncer.config_file.read_text())["store"]
        silent = {"format": "json", "level": "error"}
        reload(bouncer, log=silent, store={**store, "reserve_bytes": "1000000GiB"})
        wait_until(lambda: bouncer.http.get("/readyz").status_code == 503)
        assert "disk" in bouncer.http.get("/readyz").text
        before = bouncer.log_file.read_text()
        with smtplib.SMTP("127.0.0.1", bouncer.smtp_port, timeout=20) as client:
            client.helo()
            assert client.mail("")[0] == 452
        assert bouncer.log_file.read_text() == before
        reload(bouncer, store=store, log={"format": "json", "level": "info"})
        wait_until(said(bouncer, "was read again"))
        wait_until(lambda: bouncer.ready())


def test_where_metrics_are_answered_stays_until_a_restart(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with running(Bouncer(tmp_path, free_port(), free_port(), {})) as bouncer:
        reload(bouncer, metrics={"listen": f"127.0.0.1:{free_port()}"})
        wait_until(said(bouncer, "metrics.listen has changed: that needs a restart"))
        wait_until(said(bouncer, "was read again"))
        assert bouncer.metric(GOOD) == 1


def test_a_renewed_certificate_is_served_and_a_broken_one_is_not(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    make_certificate(certificate, key)
    config = {"smtp": {"tls": {"certificate": str(certificate), "key": str(key)}}}
    with running(Bouncer(tmp_path, free_port(), free_port(), config)) as bouncer:
        first = serial_of(bouncer.smtp_port)
        make_certificate(certificate, key)
        wait_until(lambda: serial_of(bouncer.smtp_port) != first, seconds=60)  # the file is watched
        renewed = serial_of(bouncer.smtp_port)
        key.write_text("nonsense")
        os.kill(bouncer.pid, signal.SIGHUP)
        wait_until(lambda: bouncer.metric(GOOD) == 0, seconds=30)
        assert serial_of(bouncer.smtp_port) == renewed


def test_a_missing_certificate_stops_no_mail_and_is_taken_up_when_it_is_there(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    config = {"smtp": {"tls": {"certificate": str(certificate), "key": str(key)}}}
    with running(Bouncer(tmp_path, free_port(), free_port(), config)) as bouncer:
        assert "TLS is not offered" in bouncer.log_file.read_text()
        assert bouncer.metric(EXPIRY) == 0
        bounce_of(bouncer, "clear@receiver.example")
        make_certificate(certificate, key)
        os.kill(bouncer.pid, signal.SIGHUP)
        wait_until(lambda: bouncer.metric(EXPIRY) > 0, seconds=30)
        assert serial_of(bouncer.smtp_port)


def make_certificate(certificate: Path, key: Path) -> None:
    if not any((Path(folder) / "openssl").exists() for folder in os.environ["PATH"].split(":")):
        pytest.skip("openssl is missing: install the Debian package openssl")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=mx.bounces.test",
            "-keyout", str(key), "-out", str(certificate),
        ],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip


def serial_of(port: int) -> bytes:
    """What tells one certificate of the SMTP door from another."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        octets = client.sock.getpeercert(binary_form=True)
        assert octets
        return octets
