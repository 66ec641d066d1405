"""`bouncer replay`, as it is called."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bouncer.store.store import Store
from tests.cli.test_commands import run
from tests.letters import bounce
from tests.test_replay import DEAD, SOFTER, mail, processed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a store that has two bounces in it, a directory of rules, and their configuration."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "bouncer.yaml").write_text(
        f"store: {{url: 'sqlite:///{tmp_path}/bouncer.db'}}\n"
        f"rules: {{directories: ['{tmp_path}/rules']}}\n"
        "domains: [{bounce_domain: bounces.example.com, sending_domains: [example.com]}]\n"
    )

    async def fill() -> None:
        store = await Store.open(f"sqlite:///{tmp_path}/bouncer.db")
        mails = [mail(bounce(DEAD, f"{name}@receiver.example")) for name in "ab"]
        await processed(store, *mails)
        await store.close()

    asyncio.run(fill())
    return tmp_path


def _replay(folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    done = run("replay", "--config", "bouncer.yaml", *arguments, folder=folder)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def test_what_would_change_is_printed_and_then_done(folder: Path) -> None:
    (folder / "rules/own.toml").write_text(SOFTER)
    code, foreseen, stderr = _replay(folder, "--dry-run", "--since", "2026-02-01", "--until", "1d")
    assert (code, foreseen["dry_run"], stderr) == (0, True, "")
    [change] = foreseen["changes"]
    assert change["from"] == {"kind": "bounce", "class": "hard", "category": "recipient_unknown"}
    assert (change["to"]["class"], change["count"]) == ("soft", 2)
    code, done, _ = _replay(folder, "--format", "jsonl")
    assert (code, done) == (0, foreseen | {"dry_run": False})
    assert len(done["suppressions_removed"]) == 2


def test_a_table_names_the_suppressions_that_fall_away(folder: Path) -> None:
    (folder / "rules/own.toml").write_text(SOFTER)
    done = run("replay", "--dry-run", "--format", "table", "--config", "bouncer.yaml",
               folder=folder, environ={"COLUMNS": "200"})  # fmt: skip
    assert done.returncode == 0
    assert "bounce hard recipient_unknown" in done.stdout
    assert "bounce soft mailbox_full" in done.stdout
    assert "Suppressions that fall away (2)" in done.stdout
    assert "a@receiver.example" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "yesterday"), "--since: 'yesterday' is neither a time"),
        (("--config", "missing.yaml"), "missing.yaml"),
    ],
)
def test_a_wrong_call_is_exit_2_and_a_line(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = run("replay", *arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_rules_change_nothing(folder: Path) -> None:
    (folder / "rules/own.toml").write_text("nonsense")
    code, _, stderr = _replay(folder)
    assert (code, "own.toml" in stderr, "Traceback" in stderr) == (2, True, False)
