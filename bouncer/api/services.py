"""What the routes call: handed in by `bouncer.app`, so that HTTP knows no other worker."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from bouncer.api.checks import CheckResult
from bouncer.clock import Clock
from bouncer.config import Config
from bouncer.explaining import Explanation
from bouncer.metrics import Metrics
from bouncer.records import InboxItem
from bouncer.store.store import Store


@dataclass(frozen=True, slots=True)
class Services:
    """`readiness` names what is not ready (empty: all is); `check_dnsbl` asks every zone once.

    `explain` has a reader process judge a message again, and raises ReaderDied.
    """

    store: Store
    readiness: Callable[[], Awaitable[dict[str, str]]]
    explain: Callable[[InboxItem], Awaitable[Explanation]]
    render_metrics: Callable[[], Awaitable[bytes]]
    check_dnsbl: Callable[[Sequence[str]], Awaitable[Sequence[CheckResult]]]
    metrics: Metrics
    config: Config
    clock: Clock


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Use = Annotated[Services, Depends(_services)]
