"""What a process of bouncer does, and where it listens once it does."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a process does; all of it by default."""

    SMTP = "smtp"
    PIPELINE = "pipeline"
    WEBHOOKS = "webhooks"
    DNSBL = "dnsbl"
    API = "api"


@dataclass(frozen=True, slots=True)
class Started:
    """Where a service listens."""

    smtp: tuple[tuple[str, int], ...]
    http: tuple[str, int]
