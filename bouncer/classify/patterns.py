"""Patterns that foreign text is searched with, many at once (RE2: linear time, whatever they are).

Rule patterns, the operators' too, are seen by RE2 only, never by Python's `re`. They are searched
for anywhere in the text, without regard to case; `.` matches any character.

One pass for the literal parts of all patterns says which of them can match at all; those few are
then searched for one by one. One automaton for all whole patterns is faster on a text it has seen,
and a hundred times slower on one it has not: their gaps multiply its states.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Protocol, cast

import re2

# What one pattern may spend on its automaton. When it is spent, RE2 drops states and starts anew.
MAX_PATTERN_MEMORY_BYTES = 1024 * 1024
_PROBE = "probe of the filter"


class Match(Protocol):
    """What RE2 found."""

    def group(self, group: int | str) -> bytes | None: ...

    def groups(self) -> tuple[bytes | None, ...]: ...


class Pattern(Protocol):
    """One compiled pattern."""

    def search(self, text: bytes) -> Match | None: ...


def _options() -> re2.Options:
    options = re2.Options()
    options.case_sensitive = False
    options.dot_nl = True
    options.log_errors = False
    options.max_mem = MAX_PATTERN_MEMORY_BYTES
    return options


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> Pattern:
    """One pattern alone; ValueError says what is wrong with it."""
    try:
        return cast("Pattern", re2.compile(pattern.encode(), _options()))
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0] if error.args else error
        raise ValueError(
            reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        ) from error


def fault_in(pattern: str) -> str | None:
    """Why the pattern cannot be used, None if it can."""
    try:
        compiled(pattern)
        _matcher(pattern)
    except ValueError as error:
        return str(error)
    except re2.error:
        return "pattern too large"
    return None


class PatternSet:
    """Many patterns, searched for together; built when the first text comes."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = tuple(patterns)
        self._matchers: list[re2.Set | None] = [None] * len(self._patterns)
        self._filters: tuple[_Filter, ...] | None = None

    def matching(self, text: bytes) -> Iterator[int]:
        """The positions of the patterns that are found, lowest first."""
        for position in self._possible(text):
            matcher = self._matchers[position]
            if matcher is None:
                matcher = self._matchers[position] = _matcher(self._patterns[position])
            if matcher.Match(text):
                yield position

    def _possible(self, text: bytes) -> Iterable[int]:
        if not self._patterns or not text:
            return ()
        if self._filters is None:
            self._filters = tuple(_filters(self._patterns, 0))
        if len(self._filters) == 1:
            return self._filters[0].possible(text)
        return chain.from_iterable(each.possible(text) for each in self._filters)


@dataclass(frozen=True, slots=True)
class _Filter:
    """What finds the literal parts of some patterns that stand side by side."""

    first: int
    count: int
    literals: re2.Filter | None  # None: one pattern alone has too many of them

    def possible(self, text: bytes) -> list[int]:
        """The positions of its patterns that can match the text, lowest first."""
        if self.literals is None:
            return list(range(self.first, self.first + self.count))
        found = self.literals.Match(text, potential=True) or []
        return sorted(self.first + position for position in found)


def _filters(patterns: Sequence[str], first: int) -> Iterator[_Filter]:
    """As few filters as can hold the literals of all these patterns."""
    literals = _literals(patterns)
    if literals or len(patterns) == 1:
        yield _Filter(first, len(patterns), literals)
        return
    half = len(patterns) // 2
    yield from _filters(patterns[:half], first)
    yield from _filters(patterns[half:], first + half)


def _literals(patterns: Sequence[str]) -> re2.Filter | None:
    """None if they are too many: RE2 does not say so, but then it finds nothing at all."""
    built = re2.Filter()
    options = _options()
    for pattern in (*patterns, _PROBE):
        built.Add(pattern.encode(), options)
    try:
        built.Compile()
    except re2.error:
        return None
    return built if built.Match(_PROBE.encode(), potential=True) else None


def _matcher(pattern: str) -> re2.Set:
    # A set of one answers without the match objects that re2's Python module makes.
    built = re2.Set.SearchSet(_options())
    built.Add(pattern.encode())
    built.Compile()
    return built
