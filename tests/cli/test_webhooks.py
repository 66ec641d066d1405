"""`bouncer webhooks`: what is owed, seen and tried again."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bouncer.cli.main import app
from bouncer.clock import now
from bouncer.store.store import Store

Run = Callable[..., Result]
_CONFIG = """
store: {{url: "sqlite:///{folder}/bouncer.db"}}
webhooks:
  - {{name: ops, url: "https://ops.example.com/hook", events: ["bounce.hard"],
     secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}
"""


@pytest.fixture
def webhooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    path = tmp_path / "bouncer.yaml"
    path.write_text(_CONFIG.format(folder=tmp_path))
    monkeypatch.setenv("BOUNCER_CONFIG", str(path))
    return lambda *arguments: CliRunner().invoke(app, ["webhooks", *arguments])


def _listed(webhooks: Run, *filters: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(webhooks("list", *filters).stdout)
    return found


def test_each_test_of_an_endpoint_is_owed_to_it_whatever_it_wants(webhooks: Run) -> None:
    ids = {webhooks("test", "ops").stdout.strip() for _ in range(2)}
    listed = _listed(webhooks)
    assert {found["id"] for found in listed} == ids
    assert len(ids) == 2
    assert {(found["type"], found["state"]) for found in listed} == {("webhook.test", "pending")}


def test_an_endpoint_that_is_not_configured_is_a_wrong_call(webhooks: Run, tmp_path: Path) -> None:
    done = webhooks("test", "other")
    assert done.exit_code == 2
    assert done.stderr == "bouncer: 'other' is none of the configured endpoints: ops\n"
    assert not (tmp_path / "bouncer.db").exists()


def test_what_has_failed_is_found_and_tried_again(webhooks: Run, tmp_path: Path) -> None:
    webhooks("test", "ops")
    asyncio.run(_fail_all(f"sqlite:///{tmp_path}/bouncer.db"))
    assert _listed(webhooks, "--state", "pending") == []
    [failed] = _listed(webhooks, "--state", "failed", "--endpoint", "ops")
    assert _listed(webhooks, "--endpoint", "other") == []
    assert webhooks("retry", failed["id"]).exit_code == 0
    [again] = _listed(webhooks)
    assert (again["id"], again["state"], again["attempts"]) == (failed["id"], "pending", 0)


def test_what_is_not_there_is_not_tried_again(webhooks: Run) -> None:
    webhooks("test", "ops")
    done = webhooks("retry", "msg_nothing.ops")
    assert done.exit_code == 1
    assert done.stderr == "msg_nothing.ops: there is no such delivery\n"


async def _fail_all(url: str) -> None:
    store = await Store.open(url)
    await store.outbox.abandon([], "gone", 10, now())
    await store.close()
