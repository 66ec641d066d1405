"""Stored messages read again, by real readers, in real stores."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bouncer.classify import rules
from bouncer.clock import now
from bouncer.events import Event, Source
from bouncer.reader import Reader, ReaderLimits, ReaderPool
from bouncer.reading import Arrival, read_arrival
from bouncer.records import Finished, ItemState, MediaType, Received, digest_of, event_id
from bouncer.replay import Replay, Replayed, Scope
from bouncer.reports.report import Kind
from bouncer.store.events import EventFilter
from bouncer.store.store import Store
from bouncer.suppression import suppression_for
from tests.letters import bounce
from tests.store.samples import EVERYTHING, claimed, event

DOMAINS = {"bounces.example.com": ("example.com",)}
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEAD = "550 5.1.1 no such user here"
SOFTER = """
[[rule]]
id = "own.full"
category = "mailbox_full"
pattern = "no such user here"
examples = ["550 5.1.1 no such user here"]
source = "our own postmaster"
"""
HARDER = """
[[rule]]
id = "own.gone"
category = "recipient_unknown"
pattern = "quibbling prevents acceptance"
examples = ["550 quibbling prevents acceptance"]
source = "our own postmaster"
"""
RULES = rules.load()


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """One with a webhook endpoint that wants everything."""
    opened = await Store.open(store_url, EVERYTHING)
    yield opened
    await opened.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Of the operator's rules, empty."""
    folder = tmp_path / "rules"
    folder.mkdir()
    return folder


@asynccontextmanager
async def _readers(directory: Path, count: int = 1, seconds: int = 30) -> AsyncIterator[ReaderPool]:
    limits = ReaderLimits(512 * 2**20, timedelta(seconds=seconds))
    pool = ReaderPool(count, DOMAINS, limits, [directory])
    try:
        yield pool
    finally:
        await pool.close()


def mail(octets: bytes, minutes: int = 0, media_type: MediaType = MediaType.MAIL) -> Received:
    return Received(
        source=Source.SMTP,
        recipient="bounce@bounces.example.com",
        sender="",
        octets=octets,
        digest=digest_of(octets),
        received_at=AT + timedelta(minutes=minutes),
        media_type=media_type,
    )


async def processed(store: Store, *mails: Received) -> None:
    """Received, read by the packaged rules and finished, as the pipeline does it."""
    if mails:
        await store.inbox.receive(mails)
    for item in await claimed(store, now=now()):
        arrival = Arrival(item.id, item.recipient, item.source, item.received_at, item.media_type)
        events = read_arrival(item.octets, arrival, DOMAINS, RULES).events
        suppressions = tuple(s for e in events if (s := suppression_for(e)))
        await store.inbox.finish(Finished(item, events, suppressions), now())


async def _replay(
    store: Store,
    directory: Path,
    *,
    dry_run: bool = False,
    scope: Scope | None = None,
    count: int = 1,
    batch: int = 100,
) -> Replayed:
    async with _readers(directory, count) as readers:
        replay = Replay(
            store.stored, store.history, readers, parallel=count, batch=batch, dry_run=dry_run
        )
        return await replay.run(scope or Scope(now()))


async def _everything(store: Store) -> tuple[list[Event], list[object], list[str]]:
    events = (await store.events.find(EventFilter(), 1000)).items
    suppressed = (await store.suppressions.find(1000)).items
    deliveries = (await store.outbox.find(1000)).items
    return events, list(suppressed), [delivery.id for delivery in deliveries]


def _short(replayed: Replayed) -> list[tuple[str, str, int]]:
    return [
        (
            f"{each.from_.class_} {each.from_.category}" if each.from_ else "none",
            f"{each.to.class_} {each.to.category}" if each.to else "none",
            each.count,
        )
        for each in replayed.changes
    ]


async def test_a_rule_that_changes_its_mind_takes_events_and_suppressions_along(
    store: Store, directory: Path
) -> None:
    await processed(
        store,
        mail(bounce(DEAD, "a@receiver.example", "b@receiver.example")),
        mail(bounce("quibbling prevents acceptance", "c@receiver.example"), 1),
    )
    at_first = await _everything(store)
    assert len(at_first[1]) == 2

    (directory / "own.toml").write_text(SOFTER)
    foreseen = await _replay(store, directory, dry_run=True)
    assert await _everything(store) == at_first
    done = await _replay(store, directory)
    assert done == foreseen.model_copy(update={"dry_run": False})
    assert _short(done) == [("hard recipient_unknown", "soft mailbox_full", 2)]
    assert (done.messages, done.changed, done.complete) == (2, 1, True)
    assert {"class_", "category", "rule"} <= set(done.changes[0].fields)
    fallen = [(s.address, s.events) for s in done.suppressions_removed]
    assert fallen == [
        (f"{name}@receiver.example", (id_,))
        for name, id_ in zip("ab", sorted(done.changes[0].events), strict=True)
    ]
    softer = await _everything(store)
    assert {e.id for e in softer[0]} == {e.id for e in at_first[0]}
    assert {e.ruleset for e in softer[0] if e.category == "mailbox_full"} == {done.ruleset}
    assert softer[1] == []

    again = await _replay(store, directory)
    assert (again.messages, again.changed, again.changes) == (2, 0, ())
    assert await _everything(store) == softer

    (directory / "own.toml").write_text(HARDER)
    back = await _replay(store, directory)
    assert [s.address[0] for s in back.suppressions_added] == ["a", "b", "c"]
    assert back.suppressions_removed == ()
    assert len((await store.suppressions.find(10)).items) == 3
    types = sorted(id_.type for id_ in (await store.outbox.find(100)).items)
    assert types.count("suppression.added") == 2 + 3
    assert types.count("suppression.removed") == 2
    assert sum(t.startswith("bounce.") for t in types) == 3  # as they were when they came


async def test_what_is_foreseen_of_evidence_on_many_pages_is_what_happens(
    store: Store, directory: Path
) -> None:
    mails = [
        mail(bounce(DEAD, f"r{n % 5}@receiver.example", number=n), minutes=n) for n in range(13)
    ]
    stays = mail(bounce("550 5.1.1 user unknown", "r0@receiver.example"), minutes=20)
    await processed(store, *mails, stays)
    (directory / "own.toml").write_text(SOFTER)
    foreseen = await _replay(store, directory, dry_run=True, count=2, batch=2)
    done = await _replay(store, directory, count=2, batch=2)
    assert done == foreseen.model_copy(update={"dry_run": False})
    assert (done.messages, done.changed) == (14, 13)
    assert [s.address[:2] for s in done.suppressions_removed] == ["r1", "r2", "r3", "r4"]
    assert [s.address[:2] for s in (await store.suppressions.find(10)).items] == ["r0"]


async def test_a_quarantined_message_is_read_at_last(store: Store, directory: Path) -> None:
    await processed(store, mail(bounce(DEAD, "done@receiver.example"), 1))
    await store.inbox.receive([mail(bounce(DEAD, "a@receiver.example"))])
    [item] = await claimed(store, now=now())
    nothing = event(
        event_id(item.id, 0), None, at=AT, kind=Kind.UNRECOGNISED, class_=None, category=None
    )
    await store.inbox.finish(Finished(item, (nothing,), (), ItemState.QUARANTINED), now())
    (directory / "own.toml").write_text(SOFTER.replace("no such user", "nobody of that name"))
    done = await _replay(store, directory, scope=Scope(now(), quarantined_only=True))
    assert (done.messages, done.released) == (1, 1)
    assert _short(done) == [("None None", "hard recipient_unknown", 1)]
    assert [s.address for s in done.suppressions_added] == ["a@receiver.example"]
    assert (await store.inbox.counts())[ItemState.QUARANTINED] == 0
    [version] = await store.history.versions(nothing.id)
    assert version.event == nothing
    everything = await _replay(store, directory)
    assert (everything.messages, everything.changed, everything.released) == (2, 0, 0)


async def test_replies_that_senders_saw_are_read_again_and_human_mail_never(
    store: Store, directory: Path
) -> None:
    reply = (
        b'{"recipient": "a@receiver.example", "smtp_reply": "550 5.1.1 no such user here", '
        b'"sender": "news@example.com"}'
    )
    human = Received(Source.SMTP, "postmaster@bounces.example.com", "x@y.test",
                     bounce(DEAD, "h@receiver.example"), "d", AT, human=True)  # fmt: skip
    await processed(store, mail(reply, 0, MediaType.SMTP_REPLY), human)
    (directory / "own.toml").write_text(SOFTER)
    done = await _replay(store, directory)
    assert done.messages == 1
    assert _short(done) == [("hard recipient_unknown", "soft mailbox_full", 1)]


async def test_what_was_received_at_another_time_is_left_as_it_is(
    store: Store, directory: Path
) -> None:
    mails = [mail(bounce(DEAD, f"r{n}@receiver.example"), minutes=n) for n in range(3)]
    await processed(store, *mails)
    (directory / "own.toml").write_text(SOFTER)
    minute = timedelta(minutes=1)
    done = await _replay(store, directory, scope=Scope(AT + 2 * minute, AT + minute))
    assert (done.messages, done.changed) == (1, 1)
    assert [s.address for s in done.suppressions_removed] == ["r1@receiver.example"]


async def test_a_message_that_kills_its_reader_is_named_and_the_others_are_read(
    store: Store, directory: Path
) -> None:
    mails = [mail(bounce(DEAD, f"r{n}@receiver.example"), minutes=n) for n in range(4)]
    await processed(store, *mails)
    (directory / "own.toml").write_text(SOFTER)
    async with _readers(directory) as readers:
        for reader in readers._readers:
            _dying(reader, mails[2].id)
        replay = Replay(store.stored, store.history, readers)
        done = await replay.run(Scope(now()))
    assert [unread.id for unread in done.unread] == [mails[2].id]
    assert "died" in done.unread[0].cause
    assert (done.messages, done.changed) == (4, 3)
    left = await store.events.get(event_id(mails[2].id, 0))
    assert left is not None
    assert left.category == "recipient_unknown"


def _dying(reader: Reader, poison: str) -> None:
    """Has it die over a message, as over one that takes all memory: we know none that does."""
    ask: Callable[..., None] = reader._ask

    def killed(request: bytes, *octets: bytes) -> None:
        if poison.encode() in request:
            assert reader._process is not None
            os.kill(reader._process.pid, signal.SIGKILL)
        ask(request, *octets)

    reader._ask = killed  # type: ignore[method-assign]  # see above


async def test_it_stops_after_the_page_it_is_at_and_goes_on_when_run_again(
    store: Store, directory: Path
) -> None:
    mails = [mail(bounce(DEAD, f"r{n}@receiver.example"), minutes=n) for n in range(4)]
    await processed(store, *mails)
    (directory / "own.toml").write_text(SOFTER)
    heard: list[tuple[int, int]] = []
    async with _readers(directory) as readers:
        replay = Replay(store.stored, store.history, readers, batch=1)

        def progress(done: int, total: int) -> None:
            heard.append((done, total))
            if done == 2:
                replay.stop.set()

        stopped = await replay.run(Scope(now()), progress)
    assert (stopped.complete, stopped.changed, heard) == (False, 2, [(1, 4), (2, 4)])
    rest = await _replay(store, directory)
    assert (rest.complete, rest.messages, rest.changed) == (True, 4, 2)


async def test_bounces_go_on_arriving_while_another_process_replays(
    store_url: str, store: Store, directory: Path
) -> None:
    before = [mail(bounce(DEAD, f"r{n}@receiver.example"), minutes=n) for n in range(50)]
    await processed(store, *before)
    (directory / "own.toml").write_text(SOFTER)
    beside = await Store.open(store_url, EVERYTHING)
    meanwhile = [mail(bounce(DEAD, f"n{n}@receiver.example"), 60 + n) for n in range(50)]

    async def arrive() -> None:
        for one in meanwhile:
            await processed(store, one)

    done, _ = await asyncio.gather(
        _replay(beside, directory, scope=Scope(AT + timedelta(hours=1))), arrive()
    )
    await beside.close()
    assert (done.messages, done.changed) == (50, 50)
    found = (await store.events.find(EventFilter(), 1000)).items
    assert len(found) == 100
    assert len((await store.suppressions.find(1000)).items) == 50
