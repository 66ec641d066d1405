"""What follows from an answer."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer.config import WebhookEndpoint
from bouncer.records import DeliveryState
from bouncer.webhooks.retry import MAX_RETRY_AFTER, Answer, Outcome, after, given_up, retry_after
from tests.webhooks.outbox import delivery

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SCHEDULE: tuple[timedelta, ...] = WebhookEndpoint.model_fields["retry_schedule"].default
FAILED = Answer(500, "answered 500")


def test_the_schedule_is_followed_within_a_fifth_and_then_it_has_failed() -> None:
    item = delivery()
    least = most = timedelta()
    for step in SCHEDULE:
        early, outcome = after(item, FAILED, SCHEDULE, NOW, lambda: 0.0)
        late, _ = after(item, FAILED, SCHEDULE, NOW, lambda: 1.0)
        assert outcome is Outcome.RETRIED
        assert early.next_attempt_at - NOW == step * 0.8
        assert late.next_attempt_at - NOW == step * 1.2
        least += step * 0.8
        most += step * 1.2
        item = early
    assert least < timedelta(hours=72) < most
    item, outcome = after(item, FAILED, SCHEDULE, NOW)
    assert outcome is Outcome.FAILED
    assert item.state is DeliveryState.FAILED
    assert item.attempts == len(SCHEDULE) + 1
    assert item.finished_at == NOW


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_delivered(status: int) -> None:
    done, outcome = after(delivery(), Answer(status), SCHEDULE, NOW)
    assert (done.state, outcome) == (DeliveryState.DELIVERED, Outcome.DELIVERED)


@pytest.mark.parametrize("status", [None, 100, 199, 300, 304, 400, 401, 404, 429, 500, 599])
def test_everything_else_is_tried_again(status: int | None) -> None:
    later, outcome = after(delivery(), Answer(status, "why"), SCHEDULE, NOW)
    assert (later.state, outcome) == (DeliveryState.PENDING, Outcome.RETRIED)
    assert (later.last_status, later.last_error) == (status, "why")


def test_410_is_the_end_at_once() -> None:
    done, outcome = after(delivery(), Answer(410), SCHEDULE, NOW)
    assert (done.state, outcome) == (DeliveryState.FAILED, Outcome.FAILED)


def test_a_refused_attempt_counts_as_refused_and_is_tried_again() -> None:
    later, outcome = after(delivery(), Answer(error="refused", refused=True), SCHEDULE, NOW)
    assert (later.state, outcome) == (DeliveryState.PENDING, Outcome.REFUSED)


def test_retry_after_is_never_undercut_and_never_uses_up_the_schedule_faster() -> None:
    long, _ = after(delivery(), Answer(429, "", timedelta(hours=3)), SCHEDULE, NOW)
    short, _ = after(delivery(), Answer(429, "", timedelta(0)), SCHEDULE, NOW, lambda: 0.5)
    assert long.next_attempt_at == NOW + timedelta(hours=3)
    assert short.next_attempt_at == NOW + SCHEDULE[0]


def test_a_delivery_that_is_given_up_was_not_attempted() -> None:
    done = given_up(delivery(), "the endpoint is gone", NOW)
    assert (done.state, done.attempts, done.finished_at) == (DeliveryState.FAILED, 0, NOW)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("86400", 86400),
        ("999999999999999999999999", 86400),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120),
        ("Sunday, 01-Mar-26 12:02:00 GMT", 120),
        ("Sun Mar  1 12:02:00 2026", 120),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("Sun, 01 Mar 2099 11:00:00 GMT", 86400),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: int) -> None:
    assert retry_after(503, header, NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "header", ["", "soon", "-5", "1.5", "1e9", "٣", "Sun, 01 Mar 99999 11:00:00 GMT", "9" * 65]
)
def test_a_retry_after_that_cannot_be_read_is_as_if_it_were_not_there(header: str) -> None:
    assert retry_after(503, header, NOW) is None


def test_other_answers_do_not_ask_to_wait() -> None:
    assert retry_after(500, "120", NOW) is None
    assert retry_after(429, None, NOW) is None


@given(st.text(max_size=80))
def test_no_retry_after_raises_or_exceeds_a_day(header: str) -> None:
    wait = retry_after(429, header, NOW)
    assert wait is None or timedelta() <= wait <= MAX_RETRY_AFTER
