"""Every conversation of dialogs/*.smtp, in clear and over TLS, whole and octet by octet."""

import asyncio
import logging
import re
from pathlib import Path

import pytest

from bouncer.config import Tls
from bouncer.metrics import Metrics
from tests.ingest.client import until
from tests.ingest.conftest import Opening
from tests.ingest.dialog import Dialog, Player
from tests.ingest.inbox import MemoryInbox

DIALOGS = [Dialog.read(path) for path in sorted(Path(__file__).parent.glob("dialogs/*.smtp"))]
RUNS = [
    pytest.param(dialog, transport, cut, id=f"{dialog.path.stem}-{transport}-{cut}")
    for dialog in DIALOGS
    for transport in ("plain", "tls")
    for cut in ("whole", "cut")
    if dialog.fits(transport, cut)
]

# 2 needs a connection that speaks before it is served, 31 a hundred recipients: test_smtp.py.
ELSEWHERE = {2, 31}


def test_every_session_of_the_plan_has_its_dialog() -> None:
    numbers: set[int] = set()
    for dialog in DIALOGS:
        named = re.match(r"# ([\d, ]+)\.", dialog.path.read_text())
        assert named, dialog.path
        about = {int(number) for number in named[1].split(",")}
        assert int(dialog.path.name[:2]) in about, dialog.path
        numbers |= about
    assert numbers | ELSEWHERE == set(range(1, 69))
    assert not numbers & ELSEWHERE


@pytest.mark.parametrize(("dialog", "transport", "cut"), RUNS)
async def test_the_door_answers_as_the_dialog_says(
    dialog: Dialog,
    transport: str,
    cut: str,
    door: Opening,
    certificate: Tls,
    metrics: Metrics,
    caplog: pytest.LogCaptureFixture,
) -> None:
    inbox = MemoryInbox(dialog.settings.get("inbox", "well"))
    tls = {
        "none": None,
        "required": certificate.model_copy(update={"require": True}),
    }.get(dialog.settings.get("tls", ""), certificate)
    async with door(inbox, dialog.config(tls=tls), has_room=inbox.has_room) as opened:
        player = Player(opened, inbox, transport == "tls", cut == "cut", [], [])
        try:
            await player.play(dialog)
        finally:
            for client in player.clients:
                client.close()
            await asyncio.gather(*player.tasks)
        await until(lambda: metrics.registry.get_sample_value("bouncer_smtp_sessions") == 0)
    loud = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert bool(loud) == (inbox.mood == "broken")
    assert all(record.getMessage().isprintable() for record in caplog.records)
