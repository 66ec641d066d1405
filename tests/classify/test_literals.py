"""What a text must contain for a pattern to match: never more than RE2 asks for."""

import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from bouncer.classify import rules
from bouncer.classify.literals import Literals, alternatives_of, folded
from bouncer.classify.patterns import PatternSet, compiled
from bouncer.classify.rules import Ruleset

_PIECES = (
    "user", "mail ?box", "(un)?known", "(a|bc)+", "[ab]", "[^ab]", "[a-c]", r"\d{3}", "x*", "y?",
    r"\bspam\b", "^550", "full$", ".{0,5}", "(?P<vendor_code>S\\d+)", "(?<vendor_code>S\\d+)",
    r"\.", "é", "b{2,}", "c{,3}",
    "(?:no such|unknown) user", "(over|exceed(s|ed)?) quota", r"\x41", r"\pL", "(?i)z", r"[\w-]",
    "[[:alpha:]]", "K", "ß", "[]a]", "d+?", "(e|)", r"\Qa.b\E",
)  # fmt: skip
_TEXTS = "usermailboxknown abcé550 spamfullS12.quota exceedsABK\u212aßẞ]- no such unknown over\n"


def _literals(pattern: str) -> Literals:
    [(text, literals)] = alternatives_of(pattern)
    assert text == pattern
    return literals


def test_a_pattern_of_letters_is_found_by_them_alone() -> None:
    assert _literals("User Unknown") == Literals((frozenset({"user unknown"}),), suffice=True)
    assert _literals("no such (user|mailbox)s?") == Literals(
        (
            frozenset(
                {"no such user", "no such users", "no such mailbox", "no such mailboxs"}
            ),
        ),
        suffice=True,
    )  # fmt: skip


def test_letters_with_an_assertion_are_needed_and_not_enough() -> None:
    assert _literals(r"\bspam\b") == Literals((frozenset({"spam"}),))
    assert _literals("^550") == Literals((frozenset({"550"}),))


def test_each_part_that_has_to_be_there_is_a_clause() -> None:
    assert _literals(r"user( \S+)? unknown.{0,20}domain") == Literals(
        (frozenset({" unknown"}), frozenset({"domain"}), frozenset({"user"}))
    )


def test_what_may_be_missing_is_not_needed() -> None:
    assert _literals("(user|account)*") == Literals()
    assert _literals("x{0,3}") == Literals()
    assert _literals("(full|)") == Literals()


def test_alternatives_stand_alone() -> None:
    assert [text for text, _ in alternatives_of(r"a(b|c)|[|]|\||d")] == [
        "a(b|c)",
        "[|]",
        r"\|",
        "d",
    ]


def test_of_what_is_not_understood_nothing_is_said() -> None:
    for pattern in (r"\x41b", r"\pLuser", "(?i)user", "[[:alpha:]]user", r"\Quser\E", "user{,3}"):
        assert list(alternatives_of(pattern)) == [(pattern, Literals())]


@given(
    st.lists(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=5).map("".join), max_size=4),
    st.text(st.sampled_from(_TEXTS), min_size=1, max_size=30),
)
@settings(max_examples=600, deadline=None)
def test_a_set_finds_what_its_patterns_find(patterns: list[str], text: str) -> None:
    usable = [pattern for pattern in ["|".join(patterns), *patterns] if _compiles(pattern)]
    octets = text.encode()
    expected = [n for n, pattern in enumerate(usable) if compiled(pattern).search(octets)]
    assert list(PatternSet(usable).matching(octets)) == expected


def test_our_rules_are_found_as_re2_finds_them() -> None:
    ruleset = rules.load()
    patterns = [rule.pattern for rule in ruleset.rules if rule.pattern]
    found = PatternSet(patterns)
    for text in _replies(ruleset)[::7]:
        expected = [n for n, pattern in enumerate(patterns) if compiled(pattern).search(text)]
        assert list(found.matching(text)) == expected, text


def test_every_pattern_of_ours_says_what_it_needs() -> None:
    parts = [p for r in rules.load().rules if r.pattern for p in alternatives_of(r.pattern)]
    assert [text for text, literals in parts if not literals.clauses] == []


def test_a_text_is_folded_as_patterns_are() -> None:
    assert folded("ПОЛЬЗОВАТЕЛЬ ß K".encode()) == "пользователь ss k"


def _replies(ruleset: Ruleset) -> list[bytes]:
    return [example.encode() for rule in ruleset.rules for example in rule.examples]


def _compiles(pattern: str) -> bool:
    try:
        compiled(pattern)
    except (ValueError, re2.error):
        return False
    return pattern != ""
