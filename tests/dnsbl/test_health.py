"""When a zone is believed, and what is shown of an answer that grows old."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bouncer.config import ZoneEntry
from bouncer.dnsbl.client import Cause
from bouncer.dnsbl.episode import shown_state, step
from bouncer.dnsbl.health import Health, HealthState
from bouncer.dnsbl.targets import Target
from bouncer.dnsbl.zones import resolve
from bouncer.events import ListingState
from tests.fakes import FakeClock

FAIL, PASS = Cause.EMPTY, None
ZONE = resolve(ZoneEntry(zone="bl.spamcop.net"))
TARGET = Target("192.0.2.10", "ip4")


@pytest.mark.parametrize(
    ("tests", "state"),
    [
        ([PASS], HealthState.HEALTHY),
        ([FAIL], HealthState.DEGRADED),
        ([FAIL, PASS], HealthState.HEALTHY),
        ([FAIL, FAIL], HealthState.QUARANTINED),
        ([FAIL, FAIL, PASS], HealthState.QUARANTINED),
        ([FAIL, FAIL, PASS, FAIL, PASS], HealthState.QUARANTINED),
        ([FAIL, FAIL, PASS, PASS], HealthState.HEALTHY),
        ([FAIL, FAIL, PASS, PASS, FAIL], HealthState.DEGRADED),
    ],
)
def test_two_failures_quarantine_and_two_passes_free(
    tests: list[Cause | None], state: HealthState
) -> None:
    health = Health()
    for fault in tests:
        health = health.after(fault)
    assert health.state is state
    assert health.believed is (state is HealthState.HEALTHY)


@pytest.mark.parametrize("state", [ListingState.LISTED, ListingState.CLEAR])
def test_an_answer_older_than_three_intervals_is_shown_as_unknown(state: ListingState) -> None:
    clock, interval = FakeClock(), timedelta(hours=1)
    answer = ZONE.read(["127.0.0.2"] if state is ListingState.LISTED else [])
    listing, _ = step(None, ZONE, TARGET, answer, None, clock())
    assert shown_state(listing, interval, clock() + 3 * interval) is state
    late = clock() + 3 * interval + timedelta(seconds=1)
    assert shown_state(listing, interval, late) is ListingState.UNKNOWN


def test_a_clear_look_keeps_what_the_last_episode_was() -> None:
    clock = FakeClock()
    listed, _ = step(None, ZONE, TARGET, ZONE.read(["127.0.0.2"]), "why", clock())
    ended, message = step(listed, ZONE, TARGET, ZONE.read([]), None, clock())
    assert message is not None
    clock.advance(timedelta(hours=1))
    later, nothing = step(ended, ZONE, TARGET, ZONE.read([]), None, clock())
    assert nothing is None
    assert later == replace(ended, checked_at=clock())
    assert (later.codes, later.text, later.episode) == (("127.0.0.2",), "why", 1)
