"""What a one-off blocklist check answers, as the routes see it."""

from collections.abc import Sequence
from typing import Protocol

from bouncer.events import ListingState, Severity


class CheckResult(Protocol):
    """What one zone says of one target."""

    @property
    def target(self) -> str: ...
    @property
    def zone(self) -> str: ...
    @property
    def state(self) -> ListingState: ...
    @property
    def codes(self) -> Sequence[str]: ...
    @property
    def meaning(self) -> str | None: ...
    @property
    def severity(self) -> Severity: ...
    @property
    def text(self) -> str | None: ...
    @property
    def lookup_url(self) -> str | None: ...
