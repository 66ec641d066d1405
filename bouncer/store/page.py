"""Pages of a list: what came, and an opaque cursor for what follows.

A cursor holds the sort key of the last item, so pages stay whole while rows are added.
"""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, literal, tuple_

from bouncer.store.schema import moment
from bouncer.store.text import clean

T = TypeVar("T")
_MAX_CURSOR = 4096
_MAX_INTEGER = 2**63


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items, and where to go on; `next` None: that was all."""

    items: list[T]
    next: str | None = None


def page_of(
    rows: Sequence[Any],
    limit: int,
    item: Callable[[Any], T],
    key: Callable[[Any], tuple[str | int, ...]],
) -> Page[T]:
    """The page of rows that were asked for with one more than the limit."""
    more = len(rows) > limit
    kept = rows[:limit]
    return Page([item(row) for row in kept], cursor_of(key(kept[-1])) if more else None)


def checked_limit(limit: int) -> int:
    """The limit, if a page can have it; ValueError otherwise."""
    if limit < 1:
        raise ValueError("a page has at least one item")
    return limit


def cursor_of(key: tuple[str | int, ...]) -> str:
    """An opaque string for a sort key."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def key_of(cursor: str, *types: type[str] | type[int]) -> tuple[Any, ...]:
    """The sort key in a cursor; ValueError if we cannot have made it."""
    try:
        if len(cursor) > _MAX_CURSOR:
            raise ValueError("too long")
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise ValueError("this is not a cursor of ours") from error
    if not isinstance(key, list) or [type(part) for part in key] != list(types):
        raise ValueError("this is not a cursor of ours")
    if not all(_storable(part) for part in key):
        raise ValueError("this is not a cursor of ours")
    return tuple(key)


def older_than(cursor: str, at: Column[Any], id_: Column[Any]) -> ColumnElement[bool]:
    """What follows a cursor where these columns are sorted with the newest first."""
    return tuple_(at, id_) < _place(cursor, at)


def newer_than(cursor: str, at: Column[Any], id_: Column[Any]) -> ColumnElement[bool]:
    """What follows a cursor where these columns are sorted with the oldest first."""
    return tuple_(at, id_) > _place(cursor, at)


def _place(cursor: str, at: Column[Any]) -> ColumnElement[Any]:
    key = key_of(cursor, int, str)
    try:
        since = moment(key[0])
    except OverflowError as error:
        raise ValueError("this is not a cursor of ours") from error
    return tuple_(literal(since, at.type), literal(key[1]))


def _storable(part: str | int) -> bool:
    return clean(part) == part if isinstance(part, str) else abs(part) < _MAX_INTEGER
