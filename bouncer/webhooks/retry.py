"""What follows from an attempt: delivered, another one later, or the end."""

import dataclasses
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

from bouncer.records import Delivery, DeliveryState

GONE = 410
MAX_RETRY_AFTER = timedelta(hours=24)
JITTER = 0.2
_WAIT_AS_TOLD = (429, 503)


class Outcome(StrEnum):
    """What an attempt came to, as the metric counts it."""

    DELIVERED = "delivered"
    RETRIED = "retried"
    FAILED = "failed"  # and there will be no other
    REFUSED = "refused"  # by us: the URL leads to a forbidden address. It will be tried again


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered; or, with no status, why there is no answer."""

    status: int | None = None
    error: str | None = None
    retry_after: timedelta | None = None
    refused: bool = False

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def after(
    delivery: Delivery,
    answer: Answer,
    schedule: Sequence[timedelta],
    now: datetime,
    chance: Callable[[], float] = random.random,
) -> tuple[Delivery, Outcome]:
    """The delivery as it is to be stored after this answer."""
    tried = dataclasses.replace(
        delivery,
        attempts=delivery.attempts + 1,
        last_status=answer.status,
        last_error=answer.error,
    )
    if answer.delivered:
        return _finished(tried, DeliveryState.DELIVERED, now), Outcome.DELIVERED
    if answer.status == GONE or tried.attempts > len(schedule):
        return _finished(tried, DeliveryState.FAILED, now), Outcome.FAILED
    delay = schedule[tried.attempts - 1] * (1 - JITTER + 2 * JITTER * chance())
    # Later than asked is allowed (RFC 9110, 10.2.3); sooner would use up the schedule in seconds.
    later = dataclasses.replace(
        tried, next_attempt_at=now + max(delay, answer.retry_after or timedelta())
    )
    return later, Outcome.REFUSED if answer.refused else Outcome.RETRIED


def given_up(delivery: Delivery, reason: str, now: datetime) -> Delivery:
    """The delivery, failed without another attempt."""
    failed = dataclasses.replace(delivery, last_error=reason)
    return _finished(failed, DeliveryState.FAILED, now)


def retry_after(status: int, header: str | None, now: datetime) -> timedelta | None:
    """How long the receiver asks us to wait: seconds or a date (RFC 9110, 10.2.3), or None."""
    if status not in _WAIT_AS_TOLD or header is None or len(header) > 64:
        return None
    if re.fullmatch(r"[0-9]+", header.strip()):
        seconds = min(int(header), int(MAX_RETRY_AFTER.total_seconds()))
        return timedelta(seconds=seconds)
    try:
        moment = parsedate_to_datetime(header)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC)
        return min(max(moment - now, timedelta()), MAX_RETRY_AFTER)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _finished(delivery: Delivery, state: DeliveryState, now: datetime) -> Delivery:
    return dataclasses.replace(delivery, state=state, finished_at=now)
