"""One zone: when it is asked again, how fast, and what its test points say."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bouncer.config import ZoneEntry
from bouncer.dnsbl.client import Cause, ZoneClient, unobserved
from bouncer.dnsbl.lookup import Lookup, RecordType, Reply, Server, Status, query_name
from bouncer.dnsbl.rate import TokenBucket
from bouncer.dnsbl.zones import Outcome, Zone, resolve

FIRST, SECOND = ("192.0.2.1", 53), ("192.0.2.2", 53)
TARGET = "198.51.100.7"
NOTHING = Reply(Status.ANSWERED)
LISTED = Reply(Status.ANSWERED, ("127.0.0.2",))
Answering = Callable[[str, Server], Reply]


def a_zone(name: str = "list.test", **fields: Any) -> Zone:
    return resolve(ZoneEntry.model_validate({"zone": name, **fields}))


class Resolvers:
    """Answers by a function, and remembers who was asked for what."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self.asked: list[tuple[str, Server]] = []

    async def __call__(
        self, name: str, type_: RecordType, server: Server, timeout: float, /
    ) -> Reply:
        self.asked.append((name, server))
        return self._answering(name, server)

    def client(self, zone: Zone, *paces: TokenBucket) -> ZoneClient:
        lookup = Lookup([FIRST, SECOND], timedelta(seconds=1), self)
        return ZoneClient(zone, lookup, paces, unobserved)


def table(zone: Zone, otherwise: Reply = NOTHING, **points: Reply) -> Resolvers:
    names = {query_name(point.replace("_", "."), zone.query): r for point, r in points.items()}
    return Resolvers(lambda name, _: names.get(name, otherwise))


@pytest.mark.parametrize("status", [Status.SERVFAIL, Status.REFUSED, Status.TIMEOUT, Status.OTHER])
async def test_no_answer_is_asked_for_at_the_other_resolver(status: Status) -> None:
    resolvers = Resolvers(lambda _, server: Reply(status) if server == FIRST else LISTED)
    answer = await resolvers.client(a_zone(kind=["ip4"])).ask(TARGET)
    assert answer.outcome is Outcome.LISTED
    assert [server for _, server in resolvers.asked] == [FIRST, SECOND]


@pytest.mark.parametrize("status", [Status.SERVFAIL, Status.REFUSED, Status.TIMEOUT, Status.OTHER])
async def test_two_failures_are_unknown_with_the_reason(status: Status) -> None:
    resolvers = Resolvers(lambda _, __: Reply(status))
    answer = await resolvers.client(a_zone(kind=["ip4"])).ask(TARGET)
    assert answer.outcome == status.value
    assert answer.reason
    assert len(resolvers.asked) == 2


async def test_an_answer_is_not_asked_for_twice() -> None:
    resolvers = Resolvers(lambda _, __: NOTHING)
    await resolvers.client(a_zone(kind=["ip4"])).ask(TARGET)
    assert len(resolvers.asked) == 1


@pytest.mark.parametrize(
    ("points", "otherwise", "cause"),
    [
        ({"127.0.0.2": LISTED}, NOTHING, None),
        ({}, NOTHING, Cause.EMPTY),
        ({}, LISTED, Cause.LISTS_ALL),
        ({"127.0.0.1": NOTHING}, LISTED, Cause.LISTS_ALL),
        ({}, Reply(Status.ANSWERED, ("91.195.240.117",)), Cause.PARKED),
        ({}, Reply(Status.ANSWERED, ("127.255.255.254",)), Cause.RESOLVER_BLOCKED),
        ({}, Reply(Status.ANSWERED, ("127.255.255.250",)), Cause.KEY_REJECTED),
        ({}, Reply(Status.REFUSED), Cause.RESOLVER_BLOCKED),
        ({}, Reply(Status.TIMEOUT), Cause.UNREACHABLE),
        ({}, Reply(Status.SERVFAIL), Cause.UNREACHABLE),
        ({"127.0.0.2": LISTED}, Reply(Status.SERVFAIL), Cause.UNREACHABLE),
        ({"127.0.0.2": Reply(Status.ANSWERED, ("127.0.0.99",))}, NOTHING, None),
    ],
)
async def test_the_test_points_name_what_is_wrong(
    points: dict[str, Reply], otherwise: Reply, cause: Cause | None
) -> None:
    zone = a_zone(kind=["ip4"])
    assert await table(zone, otherwise, **points).client(zone).fault("ip4") is cause


@pytest.mark.parametrize("blocked", [NOTHING, LISTED, Reply(Status.ANSWERED, ("127.255.255.254",))])
async def test_a_list_that_is_well_at_the_other_resolver_is_not_dead(blocked: Reply) -> None:
    zone = a_zone(kind=["ip4"])
    listed = query_name("127.0.0.2", zone.query)

    def answering(name: str, server: Server) -> Reply:
        if server == FIRST:
            return blocked
        return LISTED if name == listed else NOTHING

    resolvers = Resolvers(answering)
    assert await resolvers.client(zone).fault("ip4") is Cause.RESOLVER_BLOCKED


async def test_a_zone_may_say_what_its_test_point_answers() -> None:
    zone = a_zone("bl.suomispam.net")
    right = table(zone, **{"127.0.0.2": Reply(Status.ANSWERED, ("127.0.0.99",))})
    wrong = table(zone, **{"127.0.0.2": LISTED})
    assert await right.client(zone).fault("ip4") is None
    assert await wrong.client(zone).fault("ip4") is Cause.WRONG_TEST_ANSWER


async def test_a_zone_that_lists_127_0_0_1_on_purpose_passes() -> None:
    zone = a_zone("hostkarma.junkemailfilter.com")
    white = Reply(Status.ANSWERED, ("127.0.0.1",))
    resolvers = table(zone, **{"127.0.0.2": LISTED, "127.0.0.1": white})
    assert await resolvers.client(zone).fault("ip4") is None


async def test_each_kind_has_its_own_test_points() -> None:
    zone = a_zone(kind=["ip6", "domain"])
    resolvers = table(zone, **{"::ffff:7f00:2": LISTED, "test": LISTED})
    client = resolvers.client(zone)
    assert await client.fault("ip6") is None
    assert await client.fault("domain") is None


class Watchmaker:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def bucket(self, rate: float, burst: int) -> TokenBucket:
        return TokenBucket(rate, burst, seconds=self, sleep=self.sleep)


async def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    time = Watchmaker()
    bucket = time.bucket(0.5, burst=5)
    passed = []
    for _ in range(8):
        await bucket.take()
        passed.append(time.seconds - 1000)
    assert passed == [0, 0, 0, 0, 0, 2, 4, 6]
    time.seconds += 3600
    for _ in range(5):
        await bucket.take()
    assert time.seconds == 1000 + 6 + 3600


async def test_every_packet_is_within_both_paces() -> None:
    time = Watchmaker()
    resolvers = Resolvers(lambda _, __: Reply(Status.TIMEOUT))
    client = resolvers.client(a_zone(kind=["ip4"]), time.bucket(1, 1), time.bucket(0.5, 1))
    for _ in range(3):
        await client.ask(TARGET)
    assert len(resolvers.asked) == 6
    assert time.seconds - 1000 == pytest.approx(10)


async def test_a_cancelled_wait_makes_nobody_faster() -> None:
    bucket = TokenBucket(0.01, burst=1)
    await bucket.take()
    waiting = asyncio.create_task(bucket.take())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await bucket.take()
