"""Patterns that foreign text is searched with, many at once (RE2: linear time, whatever they are).

Rule patterns, the operators' too, are seen by RE2 only, never by Python's `re`. They are searched
for anywhere in the text, without regard to case; `.` matches any character.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol, cast

import re2

# What one set may spend on its automaton. RE2 drops its states and starts anew when it is spent.
SET_MEMORY_BYTES = 32 * 1024 * 1024


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
    options.max_mem = SET_MEMORY_BYTES
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


class PatternSet:
    """Patterns searched for in one pass; built when the first text comes."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = tuple(patterns)
        self._set: re2.Set | None = None

    def matching(self, text: bytes) -> list[int]:
        """The positions of all patterns that are found, lowest first."""
        if not self._patterns:
            return []
        if self._set is None:
            self._set = self._built()
        found: list[int] | None = self._set.Match(text)
        if not found:
            # Not even the sentinel: the automaton ran out of memory. Slower, still linear.
            return self._matching_one_by_one(text)
        found.sort()
        found.pop()
        return found

    def _built(self) -> re2.Set:
        built = re2.Set.SearchSet(_options())
        for pattern in self._patterns:
            built.Add(pattern.encode())
        built.Add(b"")  # the sentinel: found in every text
        built.Compile()
        return built

    def _matching_one_by_one(self, text: bytes) -> list[int]:
        return [
            position
            for position, pattern in enumerate(self._patterns)
            if compiled(pattern).search(text)
        ]
