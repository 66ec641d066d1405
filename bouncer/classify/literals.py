"""What a text must contain for a pattern to be found in it: literals, read from the pattern.

Most patterns cannot match most texts, and a look for some letters says so. A pattern that is
nothing but letters is found by them alone. Of the RE2 syntax as much is understood here as rules
are written in; about anything else nothing is said, which costs time and never a match. Letters
are compared case-folded.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import NamedTuple

_MAX_STRINGS = 32
_MAX_LENGTH = 64
_MAX_CLAUSES = 3
_MIN_LENGTH = 4  # of literals in a second clause: to find shorter ones says little
_MAX_CHOICE = 6  # characters of a class that are told one by one
_BETWEEN_LETTERS = frozenset("bBAz")
_CLASSES = frozenset("dDwWsS")
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_QUANTIFIERS = frozenset("*+?{")
_PLAIN = re.compile(r"[^\\\[\](){}|.*+?^$]+")

# A text that matches contains one of them at least.
Clause = frozenset[str]


@dataclass(frozen=True, slots=True)
class Literals:
    """The clauses that a text fulfils wherever a pattern matches, all of them; none says nothing.

    `suffice`: a text in ASCII that fulfils them matches.
    """

    clauses: tuple[Clause, ...] = ()
    suffice: bool = False


class _NotUnderstood(Exception):
    """The pattern has something that nothing is known about here."""


class _Part(NamedTuple):
    """Of a part of a pattern: all that it matches, if that is little; else what it must contain.

    `asserts`: it matches these strings only where it stands (`\\b`, `^`).
    """

    exact: Clause | None
    required: tuple[Clause, ...] = ()
    asserts: bool = False

    @property
    def clauses(self) -> tuple[Clause, ...]:
        if self.exact is None:
            return self.required
        return (self.exact,) if all(self.exact) else ()


_NOTHING = Clause({""})
_EMPTY = _Part(_NOTHING)
_ASSERTION = _Part(_NOTHING, asserts=True)
_ANYTHING = _Part(None)


@lru_cache(maxsize=64)
def folded(text: bytes) -> str:
    """A text as it is searched for literals."""
    return text.decode("utf-8", "replace").casefold()


def alternatives_of(pattern: str) -> Iterable[tuple[str, Literals]]:
    """The patterns that stand side by side in one, `a|b|c`, each with its literals.

    The pattern is one that RE2 takes; it is whole where it is not understood.
    """
    reader = _Reader(pattern)
    try:
        found = list(reader.top())
    except (_NotUnderstood, IndexError, ValueError, RecursionError):
        return [(pattern, Literals())]
    return [(text, Literals(_best(part.clauses), _is_literal(part))) for text, part in found]


def _is_literal(part: _Part) -> bool:
    return part.exact is not None and all(part.exact) and not part.asserts


class _Reader:
    """Recursive descent. Ends with IndexError where a pattern ends too early."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def top(self) -> Iterable[tuple[str, _Part]]:
        """The alternatives of the whole pattern."""
        while True:
            start = self._at
            part = self._sequence()
            yield self._pattern[start : self._at], part
            if not self._take("|"):
                break
        if self._at < len(self._pattern):
            raise _NotUnderstood

    def _alternatives(self) -> _Part:
        parts = [self._sequence()]
        while self._take("|"):
            parts.append(self._sequence())
        if len(parts) == 1:
            return parts[0]
        exact = [part.exact for part in parts if part.exact is not None]
        if len(exact) == len(parts) and sum(map(len, exact)) <= _MAX_STRINGS:
            return _Part(frozenset().union(*exact), asserts=any(part.asserts for part in parts))
        best = [_best(part.clauses)[0] for part in parts if part.clauses]
        return _Part(None, (frozenset().union(*best),) if len(best) == len(parts) else ())

    def _sequence(self) -> _Part:
        clauses: list[Clause] = []
        run = _EMPTY  # what was read last, while it is known to the letter
        is_whole = True
        pattern, length = self._pattern, len(self._pattern)
        while self._at < length and pattern[self._at] not in "|)":
            part = self._item()
            if self._at < length and pattern[self._at] in _QUANTIFIERS:
                part = self._repeated(part)
            if (joined := _joined(run, part)) is not None:
                run = joined
                continue
            clauses += (*run.clauses, *part.required)
            run = part if part.exact is not None else _EMPTY
            is_whole = False
        return run if is_whole else _Part(None, (*clauses, *run.clauses))

    def _item(self) -> _Part:
        if plain := _PLAIN.match(self._pattern, self._at):
            end = plain.end()
            if end < len(self._pattern) and self._pattern[end] in _QUANTIFIERS:
                end = max(end - 1, self._at + 1)  # the last letter is repeated, not the word
            word, self._at = self._pattern[self._at : end], end
            return _letters(word)
        letter = self._next()
        match letter:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case "\\":
                return self._escape()
            case ".":
                return _ANYTHING
            case "^" | "$":
                return _ASSERTION
        raise _NotUnderstood

    def _repeated(self, part: _Part) -> _Part:
        """The part with the quantifiers behind it."""
        while self._at < len(self._pattern) and self._pattern[self._at] in _QUANTIFIERS:
            sign = self._next()
            least = self._count() if sign == "{" else sign == "+"
            if sign == "?" and part.exact is not None and len(part.exact) < _MAX_STRINGS:
                part = _Part(part.exact | {""}, asserts=part.asserts)
            else:
                part = _Part(None, part.clauses if least else ())
            self._take("?")  # as little as possible
        return part

    def _count(self) -> int:
        """The least of `{2}`, `{2,}`, `{2,5}`."""
        end = self._pattern.index("}", self._at)
        least, _, most = self._pattern[self._at : end].partition(",")
        if not least.isdecimal() or not (most or "0").isdecimal():
            raise _NotUnderstood  # a brace that is a letter
        self._at = end + 1
        return int(least)

    def _group(self) -> _Part:
        if self._take("?"):
            if self._take("P<") or self._take("<"):
                self._at = self._pattern.index(">", self._at) + 1
            elif not self._take(":"):
                raise _NotUnderstood
        part = self._alternatives()
        if not self._take(")"):
            raise _NotUnderstood
        return part

    def _class(self) -> _Part:
        negated, letters, many = self._take("^"), set[str](), False
        while not (letters or many) or self._pattern[self._at] != "]":
            letter = self._next()
            if letter == "[" and self._pattern[self._at] == ":":
                raise _NotUnderstood
            many = many or (letter == "-" and bool(letters))
            if letter == "\\":
                escaped = self._escape().exact
                many = many or escaped is None or escaped == {""}
                letters |= escaped or set()
            else:
                letters.add(letter)
        self._at += 1
        if negated or many or len(letters) > _MAX_CHOICE:
            return _ANYTHING
        each = [_letters(letter) for letter in letters]
        return _Part(
            frozenset().union(*(e.exact or () for e in each)), asserts=any(e.asserts for e in each)
        )

    def _escape(self) -> _Part:
        letter = self._next()
        if letter in _CLASSES:
            return _ANYTHING
        if letter in _BETWEEN_LETTERS:
            return _ASSERTION
        if letter in _CONTROL:
            return _letters(_CONTROL[letter])
        if letter.isalnum():
            raise _NotUnderstood  # \x41, \pL, \Q...\E
        return _letters(letter)

    def _next(self) -> str:
        self._at += 1
        return self._pattern[self._at - 1]

    def _take(self, text: str) -> bool:
        found = self._pattern.startswith(text, self._at)
        self._at += len(text) if found else 0
        return found


def _letters(text: str) -> _Part:
    letters = text.casefold()
    return _Part(frozenset({letters}), asserts=len(letters) != len(text))  # ß is more than ss


def _joined(before: _Part, after: _Part) -> _Part | None:
    """One after the other; None where that is too much to tell."""
    if before.exact is None or after.exact is None:
        return None
    asserts = before.asserts or after.asserts
    if before.exact == _NOTHING:
        return _Part(after.exact, (), asserts)
    if len(before.exact) * len(after.exact) > _MAX_STRINGS:
        return None
    joined = frozenset([a + b for a, b in product(before.exact, after.exact)])
    return _Part(joined, (), asserts) if max(map(len, joined)) <= _MAX_LENGTH else None


def _best(clauses: Iterable[Clause]) -> tuple[Clause, ...]:
    """Those that the fewest texts fulfil: by their shortest literal, then by their number."""
    ranked = sorted(clauses, key=lambda some: (-min(map(len, some)), len(some)))
    others = (some for some in ranked[1:_MAX_CLAUSES] if min(map(len, some)) >= _MIN_LENGTH)
    return (*ranked[:1], *others)
