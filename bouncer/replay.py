"""Stored messages, read again under the rules of today: what changes, and making it so.

Page by page, the oldest first: readers read, the store compares, and what differs is amended in
short transactions beside a service that runs. Started again it begins anew and finds amended what
it amended: twice is the same as once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from bouncer.amendment import Amended, Amendment, Change, Evidence
from bouncer.classify.category import BounceClass, Category
from bouncer.clock import Clock, now
from bouncer.errors import ReaderDied, StoreUnavailable
from bouncer.events import Event, SuppressionEntry, SuppressionReason
from bouncer.reader import Reader, ReaderPool
from bouncer.records import InboxItem, ItemState, Suppression
from bouncer.reports.report import Kind
from bouncer.store.history import History
from bouncer.store.stored import Stored

log = logging.getLogger(__name__)

T = TypeVar("T")

BATCH_ITEMS = 100  # for one reader at once, and in one transaction
BATCH_OCTETS = 8 * 2**20
EXAMPLES = 5
_STORE_TRIES = 5
_STORE_WAIT_SECONDS = 1.0

_Key = tuple[str, str, SuppressionReason]


class _Printed(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)


class Said(_Printed):
    """What an event says, in short."""

    kind: Kind
    class_: Annotated[BounceClass | None, Field(alias="class")] = None
    category: Category | None = None


class Difference(_Printed):
    """Events that change in the same way; `from` null: new ones, `to` null: vanished ones."""

    from_: Annotated[Said | None, Field(alias="from")]
    to: Said | None
    count: int
    fields: tuple[str, ...] = Field(description="of the event that differ in any of them")
    events: tuple[str, ...] = Field(description="ids of some of them")


class Unread(_Printed):
    """A message that no reader survived. Its events stay as they were."""

    id: str
    cause: str


class Replayed(_Printed):
    """What a replay changed, or would change."""

    dry_run: bool
    complete: bool = Field(description="false: stopped before the end")
    ruleset: str
    messages: int = Field(description="read again")
    changed: int = Field(description="of them, those with an event that changes")
    released: int = Field(description="of them, those that were quarantined and are not any more")
    changes: tuple[Difference, ...]
    suppressions_removed: tuple[SuppressionEntry, ...]
    suppressions_added: tuple[SuppressionEntry, ...]
    unread: tuple[Unread, ...]
    store_lost: int = Field(
        description="times the store went away while it was written: what it had committed just "
        "then is missing above"
    )


@dataclass(frozen=True, slots=True)
class Scope:
    """Which messages: received from `since` on and before `until`."""

    until: datetime
    since: datetime | None = None
    quarantined_only: bool = False

    @property
    def states(self) -> tuple[ItemState, ...]:
        """In this order: what is quarantined no more is not read a second time."""
        quarantined = (ItemState.QUARANTINED,)
        return quarantined if self.quarantined_only else (ItemState.DONE, *quarantined)


class Tally:
    """Adds up what pages changed. What is named grows with what changes, not with what is read."""

    def __init__(self) -> None:
        self.messages = self.changed = self.released = self.store_lost = 0
        self.unread: list[Unread] = []
        self.lost: list[Evidence] = []
        self.gained: list[Evidence] = []
        self._rows: dict[tuple[Said | None, Said | None], _Row] = {}
        self._removed: dict[_Key, Suppression] = {}
        self._added: dict[_Key, Suppression] = {}

    def add(self, amended: Amended) -> None:
        """Counts what became of some messages."""
        self.changed += len(amended.items)
        for change in amended.changes:
            key = _said(change.before), _said(change.after)
            self._rows.setdefault(key, _Row()).add(change)
        self.follow(amended.removed, amended.added)

    def follow(self, removed: Sequence[Suppression], added: Sequence[Suppression]) -> None:
        """Notes suppressions; one that fell away and came back, or the other way, is neither."""
        for each in removed:
            if self._added.pop(_key(each), None) is None:
                self._removed[_key(each)] = each
        for each in added:
            if self._removed.pop(_key(each), None) is None:
                self._added[_key(each)] = each

    def replayed(self, *, dry_run: bool, complete: bool, ruleset: str) -> Replayed:
        """All of it, the most frequent change first."""
        rows = sorted(self._rows.items(), key=lambda row: (-row[1].count, str(row[0])))
        return Replayed(
            dry_run=dry_run,
            complete=complete,
            ruleset=ruleset,
            messages=self.messages,
            changed=self.changed,
            released=self.released,
            changes=tuple(row.difference(*key) for key, row in rows),
            suppressions_removed=tuple(s.entry() for _, s in sorted(self._removed.items())),
            suppressions_added=tuple(s.entry() for _, s in sorted(self._added.items())),
            unread=tuple(self.unread),
            store_lost=self.store_lost,
        )


@dataclass(slots=True)
class _Row:
    count: int = 0
    fields: set[str] = field(default_factory=set)
    events: list[str] = field(default_factory=list)

    def add(self, change: Change) -> None:
        self.count += 1
        self.fields.update(change.fields)
        if len(self.events) < EXAMPLES:
            self.events.append(change.id)

    def difference(self, before: Said | None, after: Said | None) -> Difference:
        fields = tuple(name for name in Event.model_fields if name in self.fields)
        return Difference(
            from_=before, to=after, count=self.count, fields=fields, events=tuple(self.events)
        )


class Replay:
    """One replay. `stop` set: it ends after the page it is at."""

    def __init__(
        self,
        stored: Stored,
        history: History,
        readers: ReaderPool,
        *,
        parallel: int = 1,
        batch: int = BATCH_ITEMS,
        dry_run: bool = False,
        clock: Clock = now,
    ) -> None:
        self._stored = stored
        self._history = history
        self._readers = readers
        self._parallel = parallel
        self._batch = batch
        self._dry_run = dry_run
        self._clock = clock
        self._tally = Tally()
        self.stop = asyncio.Event()

    async def run(
        self, scope: Scope, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Replayed:
        """Replays what is in scope; `progress` hears how many messages are done, of how many."""
        ruleset = await self._readers.start()
        total = await self._stored.count(scope.states, scope.since, scope.until)
        async for state, items in self._pages(scope):
            await self._replay(state, items, ruleset)
            progress(self._tally.messages, total)
        if self._dry_run:
            tally, at = self._tally, self._clock()
            followed = await self._history.would_follow(tally.lost, tally.gained, at)
            tally.follow(followed.removed, followed.added)
        complete = not self.stop.is_set()
        return self._tally.replayed(dry_run=self._dry_run, complete=complete, ruleset=ruleset)

    async def _pages(self, scope: Scope) -> AsyncIterator[tuple[ItemState, list[InboxItem]]]:
        """As many messages as all readers take at once, and so on until there are no more."""
        items, octets = self._batch * self._parallel, BATCH_OCTETS * self._parallel
        for state in scope.states:
            cursor: str | None = None
            while not self.stop.is_set():
                load = partial(
                    self._stored.page, state, scope.since, scope.until, items, octets, cursor
                )
                page = await _patiently(load)
                if page.items:
                    yield state, page.items
                cursor = page.next
                if cursor is None:
                    break

    async def _replay(self, state: ItemState, items: Sequence[InboxItem], ruleset: str) -> None:
        parts = _parts(items, self._parallel, alone=state is ItemState.QUARANTINED)
        read = await asyncio.gather(*(self._read(part) for part in parts))
        amendments = [amendment for part in read for amendment in part]
        found = await _patiently(partial(self._history.compare, amendments))
        self._tally.messages += len(items)
        if state is ItemState.QUARANTINED:
            self._tally.released += len(amendments)
        if self._dry_run:
            self._tally.add(found)
            self._tally.lost += found.lost
            self._tally.gained += found.gained
            return
        differing = [
            each
            for each in amendments
            if each.item.id in found.items or state is ItemState.QUARANTINED
        ]
        for start in range(0, len(differing), self._batch):
            await self._amend(differing[start : start + self._batch], ruleset)

    async def _amend(self, amendments: Sequence[Amendment], ruleset: str) -> None:
        """Amends them, all in one transaction."""

        def lost() -> None:
            self._tally.store_lost += 1

        amend = partial(self._history.amend, amendments, ruleset, self._clock())
        self._tally.add(await _patiently(amend, lost))

    async def _read(self, items: Sequence[InboxItem]) -> list[Amendment]:
        """What these are today. A message that no reader survives is noted, and left out."""
        async with self._readers.reader() as reader:
            try:
                return await _amendments(reader, items)
            except ReaderDied as death:
                if len(items) == 1:
                    self._note(items[0], death)
                    return []
            read = []
            for item in items:
                try:
                    read += await _amendments(reader, [item])
                except ReaderDied as death:
                    self._note(item, death)
            return read

    def _note(self, item: InboxItem, death: ReaderDied) -> None:
        log.warning("%s is left as it was: %s", item.id, death)
        self._tally.unread.append(Unread(id=item.id, cause=str(death)))


async def _amendments(reader: Reader, items: Sequence[InboxItem]) -> list[Amendment]:
    readings = await reader.read(items)
    return [Amendment(i, reading.events) for i, reading in zip(items, readings, strict=True)]


def _parts(items: Sequence[InboxItem], parallel: int, *, alone: bool) -> list[Sequence[InboxItem]]:
    """One part for each reader; what killed a reader before takes no neighbour along."""
    each = 1 if alone else -(-len(items) // parallel)
    return [items[start : start + each] for start in range(0, len(items), each)]


async def _patiently(
    call: Callable[[], Awaitable[T]], lost: Callable[[], None] = lambda: None
) -> T:
    """What the call gives; a store that goes away for a moment is waited for."""
    for _ in range(_STORE_TRIES):
        try:
            return await call()
        except StoreUnavailable:
            lost()
            log.warning("the store is away, the replay waits", exc_info=True)
            await asyncio.sleep(_STORE_WAIT_SECONDS)
    return await call()


def _said(event: Event | None) -> Said | None:
    return Said(kind=event.kind, class_=event.class_, category=event.category) if event else None


def _key(entry: Suppression) -> _Key:
    return entry.address, entry.sending_domain or "", entry.reason
