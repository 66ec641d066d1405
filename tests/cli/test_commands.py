"""What every command has in common: help, exit status, one line for each fault."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bouncer.cli.main import app
from bouncer.store.store import Store
from tests.store.samples import NOW, claimed, hard_bounce, received

COMMANDS = (
    (), ("serve",), ("classify",), ("check-config",), ("dnsbl",), ("dnsbl", "check"),
    ("events",), ("events", "list"), ("replay",), ("suppressions",), ("suppressions", "list"),
    ("suppressions", "check"), ("suppressions", "add"), ("suppressions", "remove"),
    ("suppressions", "import"), ("suppressions", "export"), ("db", "upgrade"), ("api-key", "new"),
    ("webhooks",), ("webhooks", "list"), ("webhooks", "test"), ("webhooks", "retry"),
)  # fmt: skip


def run(
    *arguments: str | Path, folder: Path | None = None, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("BOUNCER")}
    return subprocess.run(
        [sys.executable, "-m", "bouncer", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env={**clean, **(environ or {})},
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*command, "--help"])
    assert done.exit_code == 0
    assert "Usage:" in done.output


@pytest.mark.parametrize("command", ["check-config", "serve", "classify", "replay", "check-rules"])
def test_a_rule_file_that_cannot_be_read_is_exit_2_and_a_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "own.toml").symlink_to("nowhere")
    arguments = [command, "-"] if command == "classify" else [command]
    done = run(*arguments, folder=tmp_path, environ={"BOUNCER__RULES__DIRECTORIES": str(tmp_path)})
    fault = "cannot be read: it links to nowhere, which is not there"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"bouncer: {tmp_path}/own.toml: {fault}\n"


def test_a_bad_configuration_is_exit_2_and_a_line_for_each_fault(tmp_path: Path) -> None:
    path = tmp_path / "bouncer.yaml"
    path.write_text("smtp: {listen: ['0.0.0.0:25']}\nretention: {raw_days: 0}\n")
    for command in ("check-config", "serve"):
        arguments = [command, path] if command == "check-config" else [command, "--config", path]
        done = run(*arguments, folder=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 2
        assert all(line.startswith(f"bouncer: {path}: ") for line in done.stderr.splitlines())


def test_a_good_configuration_says_so(tmp_path: Path) -> None:
    path = tmp_path / "bouncer.yaml"
    path.write_text("retention: {raw_days: 3}\n")
    assert run("check-config", path).returncode == 0
    assert run("check-config", environ={"BOUNCER_CONFIG": str(path)}).returncode == 0


def test_check_config_knows_what_is_wrong_with_targets_and_zones(tmp_path: Path) -> None:
    path = tmp_path / "bouncer.yaml"
    path.write_text("dnsbl: {targets: ['not an address'], zones: [dnsbl.sorbs.net]}\n")
    done = run("check-config", path)
    assert done.returncode == 2
    assert "not an address" in done.stderr
    assert "dnsbl.sorbs.net" in done.stderr


def test_check_config_says_that_a_certificate_cannot_be_used(tmp_path: Path) -> None:
    done = run("check-config", _without_certificate(tmp_path))
    assert done.returncode == 2
    assert "smtp.tls: /nowhere/tls.crt, /nowhere/tls.key: " in done.stderr


@pytest.mark.parametrize(("key", "value"), [("TLS__REQUIRE", "true"), ("LISTEN", "[]")])
def test_a_door_that_would_take_no_mail_without_its_certificate_is_not_opened(
    key: str, value: str, tmp_path: Path
) -> None:
    path, environ = _without_certificate(tmp_path), {f"BOUNCER__SMTP__{key}": value}
    done = run("serve", "--config", path, folder=tmp_path, environ=environ)
    assert done.returncode == 2
    assert done.stderr.startswith("bouncer: smtp.tls: /nowhere/tls.crt, /nowhere/tls.key: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_certificate_that_cannot_be_used_stops_no_command_that_needs_none(tmp_path: Path) -> None:
    path = _without_certificate(tmp_path)
    assert run("db", "upgrade", "--config", path, folder=tmp_path).returncode == 0


def _without_certificate(folder: Path) -> Path:
    path = folder / "bouncer.yaml"
    tls = "{certificate: /nowhere/tls.crt, key: /nowhere/tls.key}"
    path.write_text(f"smtp: {{tls_listen: ['127.0.0.1:0'], tls: {tls}}}\n")
    return path


def test_the_schema_is_json() -> None:
    schema = json.loads(run("check-config", "--schema").stdout)
    assert schema["properties"]["smtp"]


def test_a_role_that_is_not_there_is_a_wrong_call(tmp_path: Path) -> None:
    done = run("serve", "--only", "smtp,pipelines", folder=tmp_path)
    assert done.returncode == 2
    assert "there is no role 'pipelines'" in done.stderr
    assert not list(tmp_path.iterdir())


def test_suppressions_go_out_and_come_back(tmp_path: Path) -> None:
    store = {"BOUNCER__STORE__URL": f"sqlite:///{tmp_path}/one.db"}
    assert run("suppressions", "add", "A@b.test", environ=store).returncode == 0
    assert (
        run(
            "suppressions", "add", "c@b.test", "--sending-domain", "x.test", environ=store
        ).returncode
        == 0
    )
    exported = run("suppressions", "export", environ=store).stdout
    (tmp_path / "list.csv").write_text(exported)
    other = {"BOUNCER__STORE__URL": f"sqlite:///{tmp_path}/two.db"}
    assert "2 added" in run("suppressions", "import", tmp_path / "list.csv", environ=other).stderr
    found = json.loads(run("suppressions", "list", environ=other).stdout)
    assert {(s["address"], s["sending_domain"]) for s in found} == {
        ("a@b.test", None),
        ("c@b.test", "x.test"),
    }


def test_an_import_restores_what_was_exported_and_harms_nothing_in_force(tmp_path: Path) -> None:
    lines = [
        "address,sending_domain,reason,source,since,until",
        "a@b.test,x.test,hard_bounce,pipeline,2026-01-02T03:04:05Z,",
        "a@b.test,,complaint,pipeline,2026-01-03T03:04:05Z,",
        "c@b.test,,unsubscribe,api,2026-01-04T03:04:05Z,2999-01-01T00:00:00Z",
    ]
    (tmp_path / "list.csv").write_text("".join(f"{line}\r\n" for line in lines))
    (tmp_path / "plain.csv").write_text("A@b.test\nc@b.test\nc@b.test\n\nnew@b.test\n")
    assert "3 added, 0 there already" in _imported(tmp_path, "list.csv")
    assert _exported(tmp_path) == sorted(lines)
    assert "0 added, 3 there already" in _imported(tmp_path, "list.csv")
    assert "2 added, 2 there already" in _imported(tmp_path, "plain.csv")
    kept = _exported(tmp_path)
    assert {*lines[:3]} <= {*kept}
    assert next(line for line in kept if line.startswith("c@")).startswith("c@b.test,,manual,cli,")


def test_columns_of_an_import_are_found_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("created,Email,sending_domain\n1767,a@b.test,X.test\n")
    assert "1 added" in _imported(tmp_path, "list.csv")
    assert _exported(tmp_path)[0].startswith("a@b.test,x.test,manual,cli,")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("@b.test,,", "address: '@b.test': write a whole address"),
        (",x.test,", "address: there is none"),
        ("a@b.test,not a domain,", "sending_domain: 'not a domain': write a domain name"),
        ("a@b.test,,2001-01-01T00:00:00Z", "until: 2001-01-01T00:00:00Z: write a time to come"),
        ("a@b.test,,soon", "until: 'soon': write a date and time with its zone"),
    ],
)
def test_an_import_is_judged_as_the_api_judges(tmp_path: Path, line: str, fault: str) -> None:
    (tmp_path / "list.csv").write_text(f"address,sending_domain,until\nok@b.test,,\n{line}\n")
    done = run("suppressions", "import", tmp_path / "list.csv", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"bouncer: {tmp_path}/list.csv:3: {fault}")
    assert not (tmp_path / "bouncer.db").exists()


def test_an_added_entry_is_judged_as_the_api_judges(tmp_path: Path) -> None:
    for arguments in (["@b"], ["a@b.test", "--until", "2001-01-01"],
                      ["a@b.test", "--sending-domain", "no domain"]):  # fmt: skip
        done = run("suppressions", "add", *arguments, folder=tmp_path)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def _imported(folder: Path, name: str) -> str:
    return run("suppressions", "import", folder / name, folder=folder).stderr


def _exported(folder: Path) -> list[str]:
    return sorted(run("suppressions", "export", folder=folder).stdout.splitlines())


def test_a_bad_line_of_a_csv_is_named(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("address\na@b.test\nnonsense\n")
    done = run("suppressions", "import", tmp_path / "list.csv", folder=tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path}/list.csv:3: address: 'nonsense': write a whole address" in done.stderr


def test_a_store_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    done = run("events", "list", environ={"BOUNCER__STORE__URL": "sqlite:////nowhere/at/all.db"})
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("bouncer: ")


@pytest.mark.parametrize(
    "command",
    [("events", "list"), ("suppressions", "list"), ("suppressions", "check", "a@b.test"),
     ("suppressions", "export"), ("replay", "--dry-run")],
    ids=" ".join,
)  # fmt: skip
def test_a_command_that_reads_makes_no_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("BOUNCER__STORE__URL", f"sqlite:///{tmp_path}/none.db")
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert done.stderr == f"bouncer: store.url: there is no database {tmp_path}/none.db\n"
    assert not list(tmp_path.iterdir())


def test_events_fit_on_a_narrow_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fill() -> None:
        store = await Store.open(url)
        await store.inbox.receive([received()])
        [item] = await claimed(store)
        await store.inbox.finish(hard_bounce(item), NOW)
        await store.close()

    url = f"sqlite:///{tmp_path}/bouncer.db"
    asyncio.run(fill())
    monkeypatch.setenv("BOUNCER__STORE__URL", url)
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(app, ["events", "list", "--format", "table"])
    _, line = done.stdout.splitlines()
    expected = "03-01 12:00 bounce hard recipient_unknown Dead@example.org - 550 5.1.1 No…"
    assert " ".join(line.split()) == expected


def test_a_new_api_key_fits_the_configuration(tmp_path: Path) -> None:
    entry = run("api-key", "new", "ops", "--scope", "admin").stdout
    path = tmp_path / "bouncer.yaml"
    path.write_text(f"api:\n  listen: 0.0.0.0:8025\n  keys:\n    {entry}")
    assert run("check-config", path).returncode == 0
