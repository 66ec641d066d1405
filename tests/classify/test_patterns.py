"""Patterns: found all at once, case-insensitive, linear whatever they are."""

import time

import pytest

from bouncer.classify.patterns import PatternSet, compiled, fault_in

_LETTERS = str.maketrans("0123456789abcdef", "ghijklmnopqrstuv")


def test_the_positions_of_all_that_are_found_come_lowest_first() -> None:
    patterns = PatternSet(["zebra", "user.unknown", "USER", "unknown$"])
    assert list(patterns.matching(b"550 User Unknown")) == [1, 2, 3]


def test_nothing_is_found_in_other_words_and_by_no_patterns() -> None:
    assert list(PatternSet(["zebra"]).matching(b"550 User Unknown")) == []
    assert list(PatternSet([]).matching(b"550 User Unknown")) == []


def test_letters_of_any_script_are_found() -> None:
    assert list(PatternSet(["не найден", "пользователь"]).matching("ПОЛЬЗОВАТЕЛЬ".encode())) == [1]


def test_octets_that_are_no_utf8_do_no_harm() -> None:
    assert list(PatternSet(["unknown"]).matching(b"\xff\xfe unknown \x80")) == [0]


def test_a_pattern_that_does_not_compile_says_why() -> None:
    with pytest.raises(ValueError, match="missing"):
        compiled("(unbalanced")


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){12}b", "a*a*a*a*a*a*c"])
def test_patterns_that_ruin_backtracking_engines_are_searched_in_linear_time(pattern: str) -> None:
    patterns = PatternSet([pattern])
    list(patterns.matching(b"a"))
    short, long = (_seconds(patterns, b"a" * length + b"!") for length in (20_000, 200_000))
    assert long < max(short * 100, 0.5)  # ten times the text; backtracking would never return


def test_a_pattern_that_is_too_large_is_told() -> None:
    assert fault_in("(x[a-z]{900}){50}") is not None
    assert fault_in("user.unknown") is None


def test_more_literals_than_the_filter_can_hold_are_still_all_searched_for() -> None:
    many = [f"{n:06x}".translate(_LETTERS) * 40 for n in range(1500)]
    patterns = PatternSet([*many, "unknown"])
    text = f"user unknown {many[7]}"
    assert list(patterns.matching(text.encode())) == [7, 1500]


def _seconds(patterns: PatternSet, text: bytes) -> float:
    started = time.perf_counter()
    list(patterns.matching(text))
    return time.perf_counter() - started
