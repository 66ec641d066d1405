"""An outbox in memory that keeps the promises of the store's."""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from bouncer.errors import StoreUnavailable
from bouncer.records import Delivery, DeliveryState
from bouncer.webhooks.retry import given_up

BODY = '{"type":"webhook.test","timestamp":"2026-03-01T12:00:00Z","data":{"endpoint":"ops"}}'


def delivery(number: int = 1, endpoint: str = "ops", body: str = BODY) -> Delivery:
    at = datetime.now(UTC)
    message_id = f"msg_{number:032d}"
    return Delivery(
        id=f"{message_id}.{endpoint}",
        message_id=message_id,
        endpoint=endpoint,
        type="webhook.test",
        body=body,
        created_at=at,
        next_attempt_at=at,
    )


class MemoryOutbox:
    """Deliveries by id, claims beside them. `history` is every result in order."""

    def __init__(self, *deliveries: Delivery) -> None:
        self.waiting = asyncio.Event()
        self.deliveries: dict[str, Delivery] = {}
        self.history: list[Delivery] = []
        self.away = False
        self._refusals = 0  # calls while it was away
        self._claimed: dict[str, datetime] = {}
        self._changed = asyncio.Event()
        for item in deliveries:
            self.add(item)

    def add(self, item: Delivery) -> None:
        self.deliveries[item.id] = item
        self.waiting.set()

    async def due(
        self, endpoint: str, limit: int, now: datetime, lease: timedelta
    ) -> list[Delivery]:
        self._check()
        found = [
            item
            for item in sorted(self.deliveries.values(), key=lambda d: d.next_attempt_at)
            if item.endpoint == endpoint
            and item.state is DeliveryState.PENDING
            and item.next_attempt_at <= now
            and self._claimed.get(item.id, now) <= now
        ][:limit]
        self._claimed |= {item.id: now + lease for item in found}
        return found

    async def record(self, delivery: Delivery) -> None:
        self._check()
        self.deliveries[delivery.id] = delivery
        self.history.append(delivery)
        self._claimed.pop(delivery.id, None)
        self._changed.set()

    async def abandon(
        self, configured: Sequence[str], reason: str, limit: int, now: datetime
    ) -> dict[str, int]:
        self._check()
        counts: Counter[str] = Counter()
        for key, item in list(self.deliveries.items()):
            if item.endpoint not in configured and item.state is DeliveryState.PENDING:
                self.deliveries[key] = given_up(item, reason, now)
                counts[item.endpoint] += 1
                if counts.total() == limit:
                    break
        self._changed.set()
        return dict(counts)

    def release(self) -> None:
        """As if every lease had run out."""
        self._claimed.clear()

    def make_due(self) -> None:
        """As if the time of every next attempt had come."""
        at = datetime.now(UTC)
        for key, item in self.deliveries.items():
            self.deliveries[key] = dataclasses.replace(item, next_attempt_at=at)
        self.waiting.set()

    async def results(self, count: int) -> list[Delivery]:
        """The history when it has grown to this length."""
        await self._until(lambda: len(self.history) >= count)
        return self.history

    async def finished(self) -> list[Delivery]:
        """All deliveries, when none is pending."""
        await self._until(
            lambda: all(d.state is not DeliveryState.PENDING for d in self.deliveries.values())
        )
        return list(self.deliveries.values())

    async def refusals(self, count: int) -> None:
        """Returns when it was asked so many times while it was away."""
        await self._until(lambda: self._refusals >= count)

    async def _until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not reached():
                self._changed.clear()
                await self._changed.wait()

    def _check(self) -> None:
        if self.away:
            self._refusals += 1
            self._changed.set()
            raise StoreUnavailable("the database is away")
