"""How often a network may knock, and how little we keep to know it."""

import logging

import pytest

from bouncer.ingest.pace import Pace, Seldom


def admitted(pace: Pace, network: str, now: float, times: int) -> int:
    return sum(pace.admits(network, now) for _ in range(times))


def test_a_burst_comes_in_and_then_so_many_a_minute() -> None:
    pace = Pace(600, 200)
    assert admitted(pace, "192.0.2.1", 1000.0, 5000) == 200
    assert admitted(pace, "192.0.2.1", 1001.0, 5000) == 10
    assert sum(admitted(pace, "192.0.2.1", 1001 + n / 10, 9) for n in range(1, 601)) == 600


def test_who_was_refused_is_let_in_again_and_others_never_notice() -> None:
    pace = Pace(60, 2)
    assert admitted(pace, "192.0.2.1", 0.0, 100_000) == 2
    assert admitted(pace, "192.0.2.2", 0.0, 100) == 2
    assert admitted(pace, "192.0.2.1", 1.0, 100) == 1
    assert admitted(pace, "192.0.2.1", 100.0, 100) == 2


def test_networks_that_were_seen_long_ago_are_forgotten() -> None:
    pace = Pace(600, 200)
    for number in range(100_000):
        assert pace.admits(f"network {number}", number / 1000)
    assert len(pace._due) < 5000


def test_the_log_tells_of_a_subject_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    seldom = Seldom(logging.getLogger("bouncer.test"))
    for second in range(180):
        for subject in ("192.0.2.1", "192.0.2.2"):
            for _ in range(50):
                seldom.warn(subject, float(second), "turned away %s", subject)
    assert len(caplog.records) == 2 * 3


def test_subjects_without_end_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    seldom = Seldom(logging.getLogger("bouncer.test"))
    for number in range(5000):
        seldom.warn(str(number), 1.0, "turned away %d", number)
    assert len(caplog.records) == 1000
