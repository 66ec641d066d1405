"""The kinds of values that callers write: text, addresses, domains, moments, pages."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from bouncer.config import Domain
from bouncer.mail.address import domain_of

MAX_ADDRESS = 1024
MAX_LIMIT = 1000

_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:[Zz]|[+-]\d\d:?\d\d)", re.ASCII
)


def clean(value: str) -> str:
    """The text, if a store can keep it; ValueError otherwise."""
    if "\0" in value:
        raise ValueError("may hold no NUL")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("has to be valid Unicode") from error
    return value


def _plus(value: object) -> object:
    """A space in an address that is not quoted was a "+" that nobody encoded as %2B."""
    if isinstance(value, str) and '"' not in value:
        return value.strip().replace(" ", "+")
    return value


def _whole(value: str) -> str:
    address = value.strip()
    local, _, _ = address.rpartition("@")
    if not local or domain_of(address) is None:
        raise ValueError("write a whole address, such as user@example.com")
    return address


def _moment(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("write a date and time as text")
    # "+02:00" in a query that nobody encoded arrives with a space.
    text = re.sub(r" (\d\d:?\d\d)\Z", r"+\1", value.strip())
    if not _MOMENT.fullmatch(text):
        raise ValueError("write a date and time with its zone, such as 2026-03-01T12:00:00Z")
    try:
        return datetime.fromisoformat(text.upper().replace(",", ".")).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("there is no such date and time") from error


Text = Annotated[str, Field(min_length=1, max_length=MAX_ADDRESS), AfterValidator(clean)]
Address = Annotated[Text, Field(examples=["user@example.com"])]
QueryAddress = Annotated[Address, BeforeValidator(_plus)]
WholeAddress = Annotated[Address, AfterValidator(_whole)]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-01T12:00:00Z"]}),
]
SendingDomain = Annotated[Domain, Field(max_length=253, examples=["example.com"])]


class Asked(BaseModel):
    """What a caller writes: a typing error is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageQuery(Asked):
    """Which part of a list."""

    limit: int = Field(default=100, ge=1, le=MAX_LIMIT, description="at most this many items")
    cursor: Text | None = Field(
        default=None, description="`next` of the page before; none for the first page"
    )


class Listed(BaseModel):
    """One page of a list."""

    next: str | None = Field(description="`cursor` of the next page; null on the last one")
