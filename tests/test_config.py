"""The configuration: what it takes, and how it says what is wrong with it."""

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

from bouncer.config import Config, is_loopback, parse_listen
from bouncer.config_file import load
from bouncer.errors import ConfigurationError
from tests.reference import keys

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

FULL = f"""
smtp:
  listen: ["0.0.0.0:25", "[::]:25"]
  hostname: mx.bounces.example.com
  max_message_bytes: 10MiB
domains: [{{bounce_domain: Bounces.Example.com., sending_domains: [example.com]}}]
store: {{url: "postgresql://bouncer@db/bouncer"}}
dnsbl:
  targets: ["192.0.2.10", "2001:db8::25", "example.com"]
  interval: 15m
  zones: [zen.spamhaus.org, {{zone: list.example.org, kind: [ip4], codes: {{"127.0.0.2": "spam"}}}}]
webhooks: [{{url: "https://ops.example.com/hook", secret: "{SECRET}", events: ["dnsbl.*"]}}]
retention: {{raw_days: 7}}
api: {{listen: "0.0.0.0:8025", keys: [{{name: ops, sha256: "{"a" * 64}", scope: admin}}]}}
"""

NUMBERS = [
    key
    for key, field in keys()
    if "[]" not in key and re.search(r"\b(int|float|timedelta)\b", str(field.annotation))
]


def written(folder: Path, text: str) -> Path:
    path = folder / "bouncer.yaml"
    path.write_text(text)
    return path


def faults(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(written(folder, text), environ or {})
    return [fault.removeprefix(f"{folder}/") for fault in caught.value.faults]


def test_without_a_file_everything_is_on_loopback() -> None:
    config = load(None, {})
    assert config.smtp.listen == ("127.0.0.1:2525",)
    assert config.api.listen == "127.0.0.1:8025"
    assert config.store.url.get_secret_value() == "sqlite:///bouncer.db"
    assert (config.domains, config.dnsbl.targets, config.webhooks) == ((), (), ())


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    config = load(written(tmp_path, FULL), {})
    assert config.smtp.max_message_bytes == 10 * 2**20
    assert config.domains[0].bounce_domain == "bounces.example.com"
    assert config.dnsbl.interval == timedelta(minutes=15)
    assert [zone.zone for zone in config.dnsbl.zones] == ["zen.spamhaus.org", "list.example.org"]
    assert config.endpoints()[0][0] == "ops.example.com-1"
    assert config.retention.event_days == 365


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    environ = {
        "BOUNCER__RETENTION__RAW_DAYS": "9",
        "BOUNCER__DNSBL__TARGETS": '["192.0.2.77"]',
        "BOUNCER__LOG__LEVEL": "debug",
        "BOUNCER_CONFIG": "not a key",
    }
    config = load(written(tmp_path, FULL), environ)
    assert config.retention.raw_days == 9
    assert config.dnsbl.targets == ("192.0.2.77",)
    assert config.dnsbl.interval == timedelta(minutes=15)
    assert config.log.level == "debug"


def test_every_fault_is_said_at_once_with_its_key(tmp_path: Path) -> None:
    text = """
smtp: {listen: ["0.0.0.0:25"], limits: {idle: 30}}
smpt: {}
retention: {raw_days: 0}
webhooks: [{url: "http://169.254.169.254/", secret: x, events: ["nope.*"]}]
dnsbl: {intervall: 1h}
api: {listen: "0.0.0.0:80"}
"""
    found = faults(tmp_path, text, {"BOUNCER__DNSBLS__X": "1", "BOUNCER__LOG__LEVEL": "loud"})
    expected = [
        "BOUNCER__DNSBLS__X: there is no section 'dnsbls': did you mean dnsbl?",
        "BOUNCER__LOG__LEVEL: input should be",
        'bouncer.yaml: smtp.limits.idle: write a duration with its unit, such as "30s"',
        "bouncer.yaml: dnsbl.intervall: there is no such key: did you mean interval?",
        "bouncer.yaml: retention.raw_days: input should be greater than or equal to 1",
        "bouncer.yaml: smpt: there is no such key: did you mean smtp?",
        "bouncer.yaml: webhooks.0: url: ",
        "bouncer.yaml: webhooks.0: events: 'nope.*' matches no event",
        "bouncer.yaml: webhooks.0: secret: write whsec_",
        "bouncer.yaml: api.listen: 0.0.0.0:80 can be reached from outside",
    ]
    for start in expected:
        assert any(fault.startswith(start) for fault in found), (start, found)
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("smtp: [", "bouncer.yaml:"),
        ("- a", "bouncer.yaml: write keys"),
        ("smtp: {listen: ['0.0.0.0:25']}", "bouncer.yaml: smtp.listen: 0.0.0.0:25 can be reached"),
        ("smtp: {listen: ['nonsense']}", 'bouncer.yaml: smtp.listen.0: write an address and'),
        ("smtp: {listen: ['::1:25']}", "bouncer.yaml: smtp.listen.0: write an IPv6 address in br"),
        ("api: {listen: '192.0.2.1:80'}", "bouncer.yaml: api.listen: 192.0.2.1:80 can be reached"),
        ("store: {url: 'mysql://x'}", 'bouncer.yaml: store: url: write "sqlite:'),
        ("store: {url: a, url_file: b}", "bouncer.yaml: store: write url or url_file, not both"),
        ("store: {url_file: /nowhere}", "bouncer.yaml: store: url_file: /nowhere: No such file"),
        ("smtp: {max_message_bytes: 3 MB}", 'bouncer.yaml: smtp.max_message_bytes: write a size'),
        ("domains: [{bounce_domain: 'a b'}]", "bouncer.yaml: domains.0.bounce_domain: write a do"),
        ("domains: [{}]", "bouncer.yaml: domains.0.bounce_domain: has to be set"),
        (
            "domains: [{bounce_domain: a.test}, {bounce_domain: A.test}]",
            "bouncer.yaml: domains: a.test is there twice",
        ),
        (
            "api: {keys: [{name: a, sha256: short}]}",
            "bouncer.yaml: api.keys.0.sha256: string should match pattern",
        ),
        (
            f"webhooks: [{{url: 'https://a.example/', secret: {SECRET}, events: ['bounce.hrad']}}]",
            "bouncer.yaml: webhooks.0: events: 'bounce.hrad' matches no event",
        ),
        (
            "webhooks: [{url: 'https://a.example/', secret: short, events: ['*']}]",
            "bouncer.yaml: webhooks.0: secret: write whsec_",
        ),
    ],
)  # fmt: skip
def test_a_fault_names_the_file_the_key_and_what_to_write(
    tmp_path: Path, text: str, fault: str
) -> None:
    (found,) = faults(tmp_path, text)
    assert found.startswith(fault)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)
)
MERGED = "a0: &a0 {k: 1, l: 2}\n" + "\n".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 10)
)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: " + "[" * 3000, "bouncer.yaml: is nested too deeply"),
        ("a: " + "{a: " * 3000, "bouncer.yaml: is nested too deeply"),
        ("a: 2026-13-45", "bouncer.yaml: a value is not what it looks like: month must be"),
        ("a: 0b_", "bouncer.yaml: a value is not what it looks like"),
        ("a: !!timestamp x", "bouncer.yaml: a value is not what it looks like"),
        ("a: !!bool x", "bouncer.yaml: a value is not what it looks like"),
        ('a: "\\UFFFFFFFF"', "bouncer.yaml: a value is not what it looks like"),
        (BOMB, "bouncer.yaml: its aliases stand for too many values"),
        (MERGED, "bouncer.yaml: its aliases stand for too many values"),
        ("a: &a [*a]", "bouncer.yaml:1: an alias is part of what it stands for"),
        ("a: &a {b: *a}", "bouncer.yaml:1: an alias is part of what it stands for"),
        ("store: {url_file: 5}", "bouncer.yaml: store: url_file: 5: No such file"),
    ],
)
def test_what_cannot_be_read_is_a_fault_of_one_line(tmp_path: Path, text: str, fault: str) -> None:
    (found,) = faults(tmp_path, text)
    assert found.startswith(fault)


def test_aliases_are_taken(tmp_path: Path) -> None:
    text = """
domains:
- {bounce_domain: a.test, sending_domains: &ours [one.test, two.test]}
- {bounce_domain: b.test, sending_domains: *ours}
"""
    config = load(written(tmp_path, text), {})
    assert config.domains[1].sending_domains == ("one.test", "two.test")


@pytest.mark.timeout(20)
def test_a_file_that_is_none_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "binary").write_bytes(b"\x00\xff")
    os.mkfifo(tmp_path / "pipe")
    for name, fault in (
        ("link", "it links to nowhere, which is not there"),
        ("binary", "is not text: "),
        ("pipe", "it is no regular file"),
        (".", "it is a directory"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            load(tmp_path / name, {})
        assert caught.value.faults[0].startswith(f"{tmp_path / name}: {fault}")


@pytest.mark.timeout(20)
def test_a_pipe_in_place_of_a_secret_is_a_fault(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (found,) = faults(tmp_path, f"store: {{url_file: {tmp_path}/pipe}}")
    assert found.endswith("pipe: it is no regular file")


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("pipeline.reader_timeout", "0s", 'write a duration longer than "0s"'),
        ("smtp.limits.session", "999999999d", 'write a duration of "30d" at most'),
        ("smtp.limits.recipients", "99", "input should be greater than or equal to 100"),
        ("smtp.max_message_bytes", "99999999GiB", "input should be less than or equal to 5368709"),
        ("pipeline.reader_memory_bytes", "1", "input should be greater than or equal to 67108864"),
    ],
)
def test_a_value_out_of_bounds_is_told_them(key: str, value: str, fault: str) -> None:
    assert fault in _fault_of(key, value)


@pytest.mark.parametrize("key", NUMBERS)
def test_nothing_is_unlimited(key: str) -> None:
    for too_much in ("999999999d", "999999999GiB", "9" * 18):
        assert _fault_of(key, too_much)


@pytest.mark.parametrize("key", NUMBERS)
def test_zero_is_taken_only_where_it_means_not_at_all(key: str) -> None:
    assert _fault_of(key, "0")
    assert bool(_fault_of(key, "0s")) == (key not in ("smtp.drain_accept", "smtp.drain_finish"))


def _fault_of(key: str, value: str) -> str:
    try:
        load(None, {"BOUNCER__" + key.replace(".", "__").upper(): value})
    except ConfigurationError as error:
        return str(error)
    return ""


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml: No such file"):
        load(tmp_path / "nowhere.yaml", {})


def test_secrets_come_from_files_and_are_never_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "url").write_text("postgresql://bouncer:hunter2@db/bouncer\n")
    text = f"""
store: {{url_file: {tmp_path}/url}}
webhooks: [{{url: "https://a.example/", secret_file: {tmp_path}/secret, events: ["*"]}}]
"""
    config = load(written(tmp_path, text), {})
    assert config.webhooks[0].secret.get_secret_value() == SECRET
    assert config.store.url.get_secret_value().endswith("hunter2@db/bouncer")
    for shown in (repr(config), str(config), config.model_dump_json()):
        assert "hunter2" not in shown
        assert SECRET not in shown


def test_a_wrong_secret_is_not_repeated_in_the_fault(tmp_path: Path) -> None:
    text = "webhooks: [{url: 'https://a.example/', secret: hunter2, events: ['*']}]"
    assert "hunter2" not in "".join(faults(tmp_path, text))


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("BOUNCER__WEBHOOKS", "notjson", "BOUNCER__WEBHOOKS: input should be"),
        ("BOUNCER__SMTP__LISTEN", "0.0.0.0:25", "configuration: smtp.listen: 0.0.0.0:25 can be"),
        ("BOUNCER__SMTP__LISTEN", "nonsense", "BOUNCER__SMTP__LISTEN: write an address"),
        ("BOUNCER__SMTP", "nonsense", "BOUNCER__SMTP: input should be"),
        ("BOUNCER__API__KEYS", "[{", "BOUNCER__API__KEYS: input should be"),
    ],
)
def test_an_environment_variable_that_is_no_json_is_a_value_or_a_fault(
    variable: str, value: str, fault: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(None, {variable: value})
    assert caught.value.faults[0].startswith(fault)


def test_a_bare_value_in_the_environment_is_a_list_of_one() -> None:
    environ = {
        "BOUNCER__SMTP__LISTEN": "127.0.0.1:26",
        "BOUNCER__DNSBL__TARGETS": "192.0.2.1, example.com",
        "BOUNCER__DNSBL__ZONES": "bl.spamcop.net",
    }
    config = load(None, environ)
    assert config.smtp.listen == ("127.0.0.1:26",)
    assert config.dnsbl.targets == ("192.0.2.1", "example.com")
    assert config.dnsbl.zones[0].zone == "bl.spamcop.net"


def test_a_key_that_is_there_twice_is_a_fault(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, "smtp: {}\nsmtp: {}\n")
    assert found == "bouncer.yaml:2: smtp is there twice"


@pytest.mark.parametrize(
    ("listen", "loopback"),
    [
        ("127.0.0.1:25", True),
        ("127.9.9.9:25", True),
        ("[::1]:25", True),
        ("localhost:25", True),
        ("0.0.0.0:25", False),
        ("[::]:25", False),
        (":25", False),
        ("192.0.2.1:25", False),
        ("mx.example.com:25", False),
    ],
)
def test_loopback_is_told_from_what_others_can_reach(listen: str, loopback: bool) -> None:
    assert is_loopback(listen) is loopback


def test_an_empty_host_is_every_address() -> None:
    assert parse_listen(":25") == ("0.0.0.0", 25)


def test_the_schema_takes_what_the_models_take() -> None:
    schema = Draft202012Validator(Config.model_json_schema())
    schema.validate({"smtp": {"max_message_bytes": "25MiB"}, "dnsbl": {"interval": "1h"}})
    with pytest.raises(ValidationError):
        schema.validate({"smtp": {"max_message_byte": 1}})
    with pytest.raises(ValidationError):
        schema.validate({"dnsbl": {"interval": "1 hour"}})
