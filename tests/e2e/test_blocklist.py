"""A blocklist server that lists, refuses, falls silent and delists: two webhooks, no more."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from bouncer.config import Dnsbl
from bouncer.dnsbl import monitor
from bouncer.events import ListingState
from bouncer.metrics import Metrics
from bouncer.records import Subscriber
from bouncer.store.store import Store
from tests.servers.rbldnsd import Rbldnsd, rbldnsd

ZONE, EMPTY, WORLD = "good.test", "empty.test", "world.test"
TARGET = "198.51.100.7"
OTHER = "198.51.100.8"
TEST_POINT = "127.0.0.2"
HEAD = (":127.0.0.4:Exploited host, see https://good.test/?ip=$", TEST_POINT)
REFUSED = f"{TARGET} :127.255.255.254:Open resolver"
SWEEPS = 4  # enough for a zone to be quarantined, and to recover


@pytest.fixture
def server() -> Iterator[Rbldnsd]:
    with rbldnsd({ZONE: "ip4trie", EMPTY: "ip4trie", WORLD: "ip4trie"}) as running:
        running.serve(WORLD, ":127.0.0.2:This list is closed", "0.0.0.0/0")
        running.serve(ZONE, *HEAD)
        yield running


class Watching:
    """A monitor that runs in this process on a store of its own."""

    def __init__(self, server: Rbldnsd, url: str) -> None:
        self._url = url
        self._config = Dnsbl.model_validate(
            {
                "targets": ["198.51.100.6/31", OTHER],
                "zones": [
                    {
                        "zone": ZONE,
                        "kind": ["ip4"],
                        "severity": "critical",
                        "codes": {"127.0.0.4": "exploited host"},
                        "lookup": "https://good.test/lookup/{target}",
                    },
                    {"zone": EMPTY, "kind": ["ip4"]},
                    {"zone": WORLD, "kind": ["ip4"]},
                ],
                "resolvers": [server.resolver],
                "interval": timedelta(milliseconds=50),
                "timeout": timedelta(milliseconds=200),
                "queries_per_second": 10_000,
                "zone_queries_per_second": 10_000,
            }
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Watching"]:
        self.metrics = Metrics(CollectorRegistry())
        self.store = await Store.open(self._url, (Subscriber("ops", ("dnsbl.*",)),))
        worker = asyncio.create_task(
            monitor.run(self.store.listings, self._config, self.metrics), name="dnsbl"
        )
        try:
            yield self
        finally:
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker
            await self.store.close()

    async def webhooks(self) -> list[dict[str, Any]]:
        page = await self.store.outbox.find(100, None)
        bodies = [json.loads(delivery.body) for delivery in page.items]
        return sorted(bodies, key=lambda body: str(body["timestamp"]))

    async def types(self) -> list[str]:
        return [body["type"] for body in await self.webhooks()]

    async def state(self, target: str = TARGET) -> ListingState | None:
        page = await self.store.listings.find(1, None, target=target, zone=ZONE)
        return page.items[0].state if page.items else None

    def shows(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"bouncer_dnsbl_{name}", labels) or 0

    async def sweeps(self) -> None:
        """Returns when every zone has been swept a few times more."""
        done = self.shows("sweep_duration_seconds_count") + SWEEPS
        await until(lambda: self.shows("sweep_duration_seconds_count") >= done)


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while True:
            holds = condition()
            if holds if isinstance(holds, bool) else await holds:
                return
            await asyncio.sleep(0.01)


async def test_a_listing_and_its_end_are_two_webhooks_whatever_lies_between(
    server: Rbldnsd, tmp_path: Path
) -> None:
    watching = Watching(server, f"sqlite:///{tmp_path}/bouncer.db")

    async with watching.running() as now:
        await until(lambda: is_(now.state(), ListingState.CLEAR))
        assert await now.types() == []

        server.serve(ZONE, *HEAD, TARGET)
        await until(lambda: is_(now.types(), ["dnsbl.listed"]))
        assert now.shows("listing", zone=ZONE, target=TARGET, severity="critical") == 1
        assert await now.state(OTHER) is ListingState.CLEAR

        server.serve(ZONE, *HEAD, REFUSED)
        await now.sweeps()
        assert now.shows("queries_total", zone=ZONE, outcome="error_code") > 0
        assert await now.state() is ListingState.LISTED

    async with watching.running() as now:  # after a restart
        await now.sweeps()

        server.stop()
        await until(
            lambda: (
                now.shows("zone_health", zone=ZONE, state="quarantined") == 1
                and now.shows("targets", zone=ZONE, state="unknown") == 3
            )
        )
        assert await now.state() is ListingState.LISTED
        assert await now.types() == ["dnsbl.listed"]

    async with watching.running() as now:  # after another, while the server is silent
        await now.sweeps()
        server.resume()
        server.serve(ZONE, *HEAD)
        await until(lambda: is_(now.state(), ListingState.CLEAR))
        await now.sweeps()

        listed, delisted = await now.webhooks()

    assert listed["type"] == "dnsbl.listed"
    assert listed["data"] == {
        "target": TARGET,
        "range": "198.51.100.6/31",
        "zone": ZONE,
        "codes": ["127.0.0.4"],
        "meaning": "exploited host",
        "severity": "critical",
        "text": f"Exploited host, see https://good.test/?ip={TARGET}",
        "lookup_url": f"https://good.test/lookup/{TARGET}",
        "first_seen": listed["timestamp"],
        "delisted_at": None,
        "baseline": False,
    }
    assert delisted["type"] == "dnsbl.delisted"
    assert delisted["data"]["first_seen"] == listed["data"]["first_seen"]
    assert delisted["data"]["delisted_at"] == delisted["timestamp"]


async def test_what_is_listed_at_the_first_look_is_one_webhook_that_says_so(
    server: Rbldnsd, tmp_path: Path
) -> None:
    server.serve(ZONE, *HEAD, TARGET)
    watching = Watching(server, f"sqlite:///{tmp_path}/bouncer.db")
    for _ in range(2):
        async with watching.running() as now:
            await now.sweeps()
            [listed] = await now.webhooks()
    assert (listed["type"], listed["data"]["baseline"]) == ("dnsbl.listed", True)


async def test_a_list_of_everything_and_an_empty_list_tell_nothing(
    server: Rbldnsd, tmp_path: Path
) -> None:
    watching = Watching(server, f"sqlite:///{tmp_path}/bouncer.db")
    async with watching.running() as now:
        await now.sweeps()
        for zone in (WORLD, EMPTY):
            assert now.shows("zone_health", zone=zone, state="quarantined") == 1
            assert now.shows("targets", zone=zone, state="unknown") == 3
        assert now.shows("targets", zone=ZONE, state="clear") == 3
        assert await now.types() == []


async def is_(answer: Awaitable[object], expected: object) -> bool:
    return await answer == expected
