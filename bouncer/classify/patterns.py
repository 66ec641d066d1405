"""Patterns that foreign text is searched with, many at once (RE2: linear time, whatever they are).

Rule patterns, the operators' too, are seen by RE2 only, never by Python's `re`. They are searched
for anywhere in the text, without regard to case; `.` matches any character.

One pass of an Aho-Corasick automaton for literals that the patterns need (`literals.py`) says
which of them can match at all; those few are then searched for one by one. RE2 could do both: its
automaton for all patterns, and its own filter for their literals, are faster on a text they have
seen, and ten to a hundred times slower on one they have not, as most replies are.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Protocol, cast

import re2
from ahocorasick_rs import AhoCorasick

from bouncer.classify.literals import Clause, alternatives_of, folded

# What one pattern may spend on its automaton. When it is spent, RE2 drops states and starts anew.
MAX_PATTERN_MEMORY_BYTES = 1024 * 1024


class Match(Protocol):
    """What RE2 found."""

    def group(self, group: int | bytes) -> bytes | None: ...

    def groups(self) -> tuple[bytes | None, ...]: ...


class Pattern(Protocol):
    """One compiled pattern."""

    @property
    def groupindex(self) -> Mapping[bytes, int]: ...

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


def has_group(pattern: str, name: str) -> bool:
    """Whether a group of the pattern has this name, `(?P<name>...)` or `(?<name>...)`."""
    return f"<{name}>" in pattern and name.encode() in compiled(pattern).groupindex


class PatternSet:
    """Many patterns, searched for together; built when the first text comes."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = tuple(patterns)
        self._index: _Index | None = None

    def matching(self, text: bytes) -> Iterator[int]:
        """The positions of the patterns that are found, lowest first."""
        if not self._patterns or not text:
            return
        if self._index is None:
            self._index = _Index(self._patterns)
        found = -1
        for alternative in self._index.possible(text):
            if alternative.position != found and alternative.is_found(text):
                found = alternative.position
                yield found


class _Alternative:
    """One of the patterns that stand side by side in a pattern of the set, `a|b|c`."""

    __slots__ = ("_is_literal", "_matcher", "_pattern", "also_needs", "position")

    def __init__(
        self, position: int, pattern: str, also_needs: list[frozenset[int]], *, is_literal: bool
    ) -> None:
        self.position = position
        self.also_needs = also_needs  # of each of these literals one
        self._is_literal = is_literal
        self._pattern = pattern
        self._matcher: re2.Set | None = None

    def is_found(self, text: bytes) -> bool:
        """Whether it matches a text that has its literals."""
        if self._is_literal and text.isascii():
            return True
        if self._matcher is None:
            self._matcher = _matcher(self._pattern)
        return bool(self._matcher.Match(text))


class _Index:
    """Finds the alternatives that can match a text, by the literals it contains."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._alternatives: list[_Alternative] = []
        self._always: list[int] = []
        self._needing: list[list[int]] = []  # by literal: whose first clause has it
        numbers: dict[str, int] = {}
        for position, pattern in enumerate(patterns):
            for text, literals in alternatives_of(pattern):
                needs = [self._numbered(clause, numbers) for clause in literals.clauses]
                for literal in needs[0] if needs else ():
                    self._needing[literal].append(len(self._alternatives))
                if not needs:
                    self._always.append(len(self._alternatives))
                self._alternatives.append(
                    _Alternative(position, text, needs[1:], is_literal=literals.suffice)
                )
        self._literals = AhoCorasick(list(numbers)) if numbers else None

    def _numbered(self, clause: Clause, numbers: dict[str, int]) -> frozenset[int]:
        for literal in clause:
            if literal not in numbers:
                numbers[literal] = len(numbers)
                self._needing.append([])
        return frozenset(numbers[literal] for literal in clause)

    def possible(self, text: bytes) -> Iterator[_Alternative]:
        """Those of the first pattern first."""
        if self._literals is None:
            return map(self._alternatives.__getitem__, self._always)
        found = self._literals.find_matches_as_indexes(folded(text), overlapping=True)
        literals = {literal for literal, _, _ in found}
        numbers = set(self._always)
        for literal in literals:
            numbers.update(self._needing[literal])
        every = map(self._alternatives.__getitem__, sorted(numbers))
        return (each for each in every if _has(each, literals))


def _has(alternative: _Alternative, literals: set[int]) -> bool:
    for clause in alternative.also_needs:  # noqa: SIM110  a generator would double its cost
        if literals.isdisjoint(clause):
            return False
    return True


def _matcher(pattern: str) -> re2.Set:
    # A set of one answers without the match objects that re2's Python module makes.
    built = re2.Set.SearchSet(_options())
    built.Add(pattern.encode())
    built.Compile()
    return built
