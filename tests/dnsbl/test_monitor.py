"""A monitor against a real blocklist server: what is told, and what never is."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from bouncer.config import Dnsbl, ZoneEntry
from bouncer.dnsbl.lookup import Ask, RecordType, Reply, Server, ask_dns, query_name
from bouncer.dnsbl.monitor import Monitor, run
from bouncer.errors import ConfigurationError
from bouncer.events import DnsblDelisted, DnsblListed, ListingState
from bouncer.metrics import Metrics
from tests.dnsbl.memory import MemoryListings
from tests.fakes import FakeClock
from tests.servers.rbldnsd import Rbldnsd, rbldnsd

ZONE = "good.test"
TARGET = "198.51.100.7"
TEST_POINT = "127.0.0.2"
LISTED = (":127.0.0.4:Exploited, see https://good.test/$", TEST_POINT, TARGET)
CLEAR = (":127.0.0.4:Exploited, see https://good.test/$", TEST_POINT)
EVERYTHING = (":127.0.0.4:This list is closed", "0.0.0.0/0")
REFUSING = (":127.255.255.254:Open resolver", TEST_POINT, TARGET)


@pytest.fixture
def server() -> Iterator[Rbldnsd]:
    with rbldnsd({ZONE: "ip4trie", "six.test": "ip6trie", "names.test": "dnset"}) as running:
        yield running


class World:
    """A monitor that sweeps when it is told, a store in memory, a clock that stands."""

    def __init__(self, server: Rbldnsd, **settings: Any) -> None:
        zone = {"zone": ZONE, "kind": ["ip4"], "severity": "critical", "operator": "Good"}
        self.config = Dnsbl.model_validate(
            {
                "targets": [TARGET],
                "zones": [{**zone, "codes": {"127.0.0.4": "exploited host"}}],
                "resolvers": [server.resolver],
                "timeout": timedelta(milliseconds=300),
                "queries_per_second": 10_000,
                "zone_queries_per_second": 10_000,
                **settings,
            }
        )
        self.clock = FakeClock()
        self.listings = MemoryListings()
        self.restart()

    def restart(self, ask: Ask = ask_dns) -> None:
        self.metrics = Metrics(CollectorRegistry())
        self.monitor = Monitor(self.listings, self.config, self.metrics, self.clock, ask)

    async def sweep(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.advance(self.config.interval)
            await self.monitor.sweep()

    def told(self) -> list[str]:
        return [message.type for message in self.listings.messages]

    def shows(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"bouncer_dnsbl_{name}", labels)

    def shown(self) -> str:
        """The one state that the one target is counted under."""
        states = [s for s in ListingState if self.shows("targets", zone=ZONE, state=s) == 1]
        assert len(states) == 1
        return states[0]


async def test_a_listing_and_its_end_are_told_once_each(server: Rbldnsd) -> None:
    world = World(server)
    server.serve(ZONE, *CLEAR)
    await world.sweep(2)
    assert world.told() == []
    server.serve(ZONE, *LISTED)
    await world.sweep(3)
    assert world.told() == ["dnsbl.listed"]
    server.serve(ZONE, *CLEAR)
    await world.sweep(3)
    assert world.told() == ["dnsbl.listed", "dnsbl.delisted"]

    listed, delisted = world.listings.messages
    assert isinstance(listed, DnsblListed)
    assert isinstance(delisted, DnsblDelisted)
    assert listed.data.codes == ("127.0.0.4",)
    assert listed.data.meaning == "exploited host"
    assert listed.data.severity == "critical"
    assert listed.data.text == f"Exploited, see https://good.test/{TARGET}"
    assert not listed.data.baseline
    assert delisted.data.first_seen == listed.data.first_seen
    assert delisted.data.delisted_at is not None
    assert delisted.data.codes == listed.data.codes


async def test_a_second_listing_is_another_episode(server: Rbldnsd) -> None:
    world = World(server)
    for lines in (CLEAR, LISTED, CLEAR, LISTED):
        server.serve(ZONE, *lines)
        await world.sweep()
    assert world.told() == ["dnsbl.listed", "dnsbl.delisted", "dnsbl.listed"]
    assert world.listings.kept[TARGET, ZONE].episode == 2


async def test_what_is_listed_at_the_first_look_is_told_as_baseline(server: Rbldnsd) -> None:
    world = World(server)
    server.serve(ZONE, *LISTED)
    await world.sweep(2)
    assert world.listings.told() == [("dnsbl.listed", TARGET, ZONE, True)]


async def test_a_restart_repeats_nothing(server: Rbldnsd) -> None:
    world = World(server)
    server.serve(ZONE, *CLEAR)
    await world.sweep()
    server.serve(ZONE, *LISTED)
    await world.sweep()
    world.restart()
    await world.sweep(2)
    assert world.told() == ["dnsbl.listed"]


async def test_two_monitors_tell_once(server: Rbldnsd) -> None:
    world = World(server)
    other = Monitor(world.listings, world.config, Metrics(CollectorRegistry()), world.clock)
    for lines in (CLEAR, LISTED, CLEAR):
        server.serve(ZONE, *lines)
        await asyncio.gather(world.monitor.sweep(), other.sweep())
    assert world.told() == ["dnsbl.listed", "dnsbl.delisted"]


async def test_a_code_that_changes_is_kept_and_not_told(server: Rbldnsd) -> None:
    world = World(server)
    world.config = world.config.model_copy(
        update={"zones": (ZoneEntry(zone=ZONE, kind=("ip4",), codes={"127.0.0.4-5": "found"}),)}
    )
    world.restart()
    server.serve(ZONE, *LISTED)
    await world.sweep()
    server.serve(ZONE, ":127.0.0.4:x", TEST_POINT, f"{TARGET} :127.0.0.5:Another reason")
    await world.sweep()
    assert world.told() == ["dnsbl.listed"]
    kept = world.listings.kept[TARGET, ZONE]
    assert (kept.codes, kept.text) == (("127.0.0.5",), "Another reason")
    assert (kept.episode, kept.first_seen) == (1, kept.checked_at - world.config.interval)


async def test_a_zone_that_lists_everything_raises_no_alert(server: Rbldnsd) -> None:
    world = World(server)
    server.serve(ZONE, *EVERYTHING)
    await world.sweep(3)
    assert world.told() == []
    assert world.shows("zone_health", zone=ZONE, state="quarantined") == 1
    assert world.shown() == "unknown"


async def test_an_emptied_zone_ends_no_listing(server: Rbldnsd) -> None:
    world = World(server)
    server.serve(ZONE, *LISTED)
    await world.sweep()
    server.serve(ZONE)
    await world.sweep(3)
    assert world.told() == ["dnsbl.listed"]
    assert world.listings.kept[TARGET, ZONE].state is ListingState.LISTED
    assert world.shown() == "unknown"


async def test_a_zone_that_closes_while_targets_are_asked_raises_no_alert(
    server: Rbldnsd,
) -> None:
    world = World(server)
    server.serve(ZONE, *CLEAR)
    await world.sweep()

    async def closing(name: str, type_: RecordType, resolver: Server, timeout: float) -> Reply:
        if name == query_name(TARGET, ZONE):
            server.serve(ZONE, *EVERYTHING)
        return await ask_dns(name, type_, resolver, timeout)

    world.restart(closing)
    await world.sweep()
    assert world.told() == []


async def test_a_day_of_broken_answers_tells_nothing(server: Rbldnsd) -> None:
    world = World(server)
    server.serve(ZONE, *CLEAR)
    await world.sweep()
    answers = f"{TARGET} :"
    for broken in (
        EVERYTHING,
        (),  # empty
        (":91.195.240.117:Parked", "0.0.0.0/0"),
        (":127.255.255.254:Refused", "0.0.0.0/0"),
        ("$TIMESTAMP 2020:01:01:00:00:00 2020:01:02:00:00:00", *LISTED),  # SERVFAIL
        (*CLEAR, answers + "10.0.0.1:x"),
        (*CLEAR, answers + "127.0.0.1:x"),
        (*CLEAR, answers + "127.255.255.255:x"),
    ):
        for lines in (broken, CLEAR, broken):
            server.serve(ZONE, *lines)
            await world.sweep()
    assert world.told() == []
    assert world.listings.kept[TARGET, ZONE].state is ListingState.CLEAR


@pytest.mark.parametrize("was", [LISTED, CLEAR])
async def test_a_refusal_changes_nothing(server: Rbldnsd, was: tuple[str, ...]) -> None:
    world = World(server)
    server.serve(ZONE, *was)
    await world.sweep()
    before = world.told()
    for refusal in (
        REFUSING,
        (":127.0.0.4:x", TEST_POINT, f"{TARGET} :127.255.255.255:Too many"),
        (":127.0.0.4:x", TEST_POINT, f"{TARGET} :127.0.0.77:No such code"),
        (":127.0.0.4:x", TEST_POINT, f"{TARGET} :192.0.2.1:Parked"),
        (":127.0.0.4:x", TEST_POINT, f"{TARGET} :127.0.0.1:Never a listing"),
    ):
        server.serve(ZONE, *refusal)
        await world.sweep(2)
    assert world.told() == before


@pytest.mark.parametrize("was", [LISTED, CLEAR])
async def test_a_silent_server_changes_nothing_and_is_seen(
    server: Rbldnsd, was: tuple[str, ...]
) -> None:
    world = World(server)
    server.serve(ZONE, *was)
    await world.sweep()
    before = world.told()
    answered = world.shows("last_definitive_answer_timestamp_seconds", zone=ZONE)
    server.stop()
    await world.sweep(2)
    assert world.told() == before
    assert world.shown() == "unknown"
    assert world.shows("zone_health", zone=ZONE, state="quarantined") == 1
    assert world.shows("sweep_coverage_ratio", zone=ZONE) == 0
    assert world.shows("last_definitive_answer_timestamp_seconds", zone=ZONE) == answered
    server.resume()
    await world.sweep(3)
    assert world.told() == before
    assert world.shows("zone_health", zone=ZONE, state="healthy") == 1
    assert world.shown() == ("listed" if was is LISTED else "clear")


async def test_a_listing_is_a_series_only_while_it_lasts(server: Rbldnsd) -> None:
    world = World(server)
    labels = {"zone": ZONE, "target": TARGET, "severity": "critical"}
    server.serve(ZONE, *LISTED)
    await world.sweep()
    assert world.shows("listing", **labels) == 1
    assert world.shows("transitions_total", zone=ZONE, kind="listed") == 1
    server.serve(ZONE, *CLEAR)
    await world.sweep()
    assert world.shows("listing", **labels) is None
    assert world.shows("targets", zone=ZONE, state="clear") == 1


async def test_the_metrics_are_there_before_the_first_answer_after_a_restart(
    server: Rbldnsd,
) -> None:
    world = World(server)
    server.serve(ZONE, *LISTED)
    await world.sweep()
    server.stop()
    world.restart()
    await world.sweep()
    assert world.shows("listing", zone=ZONE, target=TARGET, severity="critical") == 1
    assert world.shows("zone_info", zone=ZONE, operator="Good", kind="ip4", severity="critical")


async def test_what_is_no_longer_configured_leaves_the_metrics(server: Rbldnsd) -> None:
    world = World(server)
    server.serve(ZONE, *LISTED)
    await world.sweep()
    elsewhere = world.config.model_copy(update={"targets": ("192.0.2.1",)})
    world.monitor = Monitor(world.listings, elsewhere, world.metrics, world.clock)
    await world.sweep()
    assert world.shows("listing", zone=ZONE, target=TARGET, severity="critical") is None
    assert world.shown() == "clear"


async def test_every_address_of_a_range_is_asked_and_named_with_it(server: Rbldnsd) -> None:
    world = World(server, targets=["198.51.100.0/24"])
    server.serve(ZONE, *CLEAR, "198.51.100.0", "198.51.100.255")
    await world.sweep()
    assert {told[1] for told in world.listings.told()} == {"198.51.100.0", "198.51.100.255"}
    assert {x.range for x in world.listings.kept.values()} == {"198.51.100.0/24"}
    assert world.shows("targets", zone=ZONE, state="clear") == 254
    assert world.shows("sweep_coverage_ratio", zone=ZONE) == 1


async def test_each_kind_of_zone_is_asked_only_what_it_takes(server: Rbldnsd) -> None:
    world = World(
        server,
        targets=["2001:db8::25", "listed.example", TARGET],
        zones=[
            {"zone": "six.test", "kind": ["ip6"]},
            {"zone": "names.test", "kind": ["domain"], "codes": {"127.0.1.2": "spam"}},
        ],
    )
    server.serve("six.test", ":127.0.0.2:x", "::ffff:7f00:2/128", "2001:db8::/48")
    server.serve("names.test", ":127.0.1.2:x", "test", ".listed.example")
    await world.sweep()
    assert world.listings.told() == [
        ("dnsbl.listed", "2001:db8::25", "six.test", True),
        ("dnsbl.listed", "listed.example", "names.test", True),
    ]


async def test_one_listing_answer_that_is_not_repeated_is_not_told(server: Rbldnsd) -> None:
    world = World(server)
    server.serve(ZONE, *CLEAR)
    await world.sweep()

    async def once(name: str, type_: RecordType, resolver: Server, timeout: float) -> Reply:
        reply = await ask_dns(name, type_, resolver, timeout)
        if name == query_name(TARGET, ZONE):
            server.serve(ZONE, *CLEAR)
        return reply

    server.serve(ZONE, *LISTED)
    world.restart(once)
    await world.sweep()
    assert world.told() == []


async def test_a_store_that_is_away_is_waited_for(server: Rbldnsd) -> None:
    world = World(server)
    server.serve(ZONE, *LISTED)
    world.listings.away = True
    assert await world.monitor.sweep() is False
    world.listings.away = False
    assert await world.monitor.sweep() is True
    assert world.told() == ["dnsbl.listed"]


async def test_the_key_of_a_zone_is_shown_nowhere(
    server: Rbldnsd, caplog: pytest.LogCaptureFixture
) -> None:
    key = "abcdefghij0123456789klmnop"
    zone = f"{key}.zen.dq.spamhaus.net"
    with rbldnsd({zone: "ip4set"}) as keyed:
        keyed.serve(zone, f":127.0.0.2:See https://x.example/{key}/$", TEST_POINT, TARGET)
        world = World(keyed, zones=[zone])
        caplog.set_level("DEBUG")
        await world.sweep()
        keyed.serve(zone)
        await world.sweep(2)
    assert world.listings.told() == [("dnsbl.listed", TARGET, "zen.dq.spamhaus.net", True)]
    for output in (
        generate_latest(world.metrics.registry).decode(),
        repr(world.listings.kept),
        *(message.model_dump_json() for message in world.listings.messages),
        caplog.text,
        repr(world.monitor._watches[0].zone),
    ):
        assert key not in output


async def test_the_worker_sweeps_until_it_is_cancelled(
    server: Rbldnsd, eventually: Callable[[Callable[[], bool]], Any]
) -> None:
    world = World(server, interval=timedelta(milliseconds=50))
    server.serve(ZONE, *CLEAR)
    worker = asyncio.create_task(run(world.listings, world.config, world.metrics))
    await eventually(lambda: bool(world.listings.kept))
    server.serve(ZONE, *LISTED)
    await eventually(lambda: world.told() == ["dnsbl.listed"])
    worker.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await worker
    assert worker.cancelled()


async def test_a_bad_configuration_stops_the_worker_before_it_asks(server: Rbldnsd) -> None:
    world = World(server)
    bad = world.config.model_copy(update={"targets": ("300.1.1.1",)})
    with pytest.raises(ConfigurationError, match=r"300\.1\.1\.1"):
        await run(world.listings, bad, world.metrics)
