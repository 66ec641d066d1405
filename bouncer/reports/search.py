"""Phrases that are looked for together, in one pass over a text (Aho-Corasick)."""

from functools import cached_property

from ahocorasick_rs import MATCHKIND_LEFTMOST_FIRST, AhoCorasick, Implementation


def phrases(lines: str) -> tuple[str, ...]:
    """The phrases, in order."""
    return tuple(filter(None, (line.strip() for line in lines.splitlines())))


class Phrases:
    """Phrases that are looked for together, in one pass over a text (in lower case)."""

    def __init__(self, lines: str) -> None:
        self.all = phrases(lines)

    def are_in(self, text: str) -> bool:
        """Whether one of them stands in the text."""
        return bool(self._automaton.find_matches_as_indexes(text))

    def first_in(self, text: str) -> int:
        """Where the first of them begins; -1 where there is none."""
        found = self._automaton.find_matches_as_indexes(text)
        return found[0][1] if found else -1

    @cached_property
    def _automaton(self) -> AhoCorasick:
        return AhoCorasick(
            self.all,
            matchkind=MATCHKIND_LEFTMOST_FIRST,
            implementation=Implementation.ContiguousNFA,
        )
