"""Patterns: found all at once, case-insensitive, linear whatever they are."""

import time

import pytest

from bouncer.classify.patterns import PatternSet, compiled


def test_the_positions_of_all_that_are_found_come_lowest_first() -> None:
    patterns = PatternSet(["zebra", "user.unknown", "USER", "unknown$"])
    assert patterns.matching(b"550 User Unknown") == [1, 2, 3]


def test_nothing_is_found_in_other_words_and_by_no_patterns() -> None:
    assert PatternSet(["zebra"]).matching(b"550 User Unknown") == []
    assert PatternSet([]).matching(b"550 User Unknown") == []


def test_letters_of_any_script_are_found() -> None:
    assert PatternSet(["не найден", "пользователь"]).matching("ПОЛЬЗОВАТЕЛЬ".encode()) == [1]


def test_octets_that_are_no_utf8_do_no_harm() -> None:
    assert PatternSet(["unknown"]).matching(b"\xff\xfe unknown \x80") == [0]


def test_a_pattern_that_does_not_compile_says_why() -> None:
    with pytest.raises(ValueError, match="missing"):
        compiled("(unbalanced")


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){12}b", "a*a*a*a*a*a*c"])
def test_patterns_that_ruin_backtracking_engines_are_searched_in_linear_time(pattern: str) -> None:
    patterns = PatternSet([pattern])
    patterns.matching(b"a")
    short, long = (_seconds(patterns, b"a" * length + b"!") for length in (20_000, 200_000))
    assert long < max(short * 100, 0.5)  # ten times the text; backtracking would never return


def test_a_set_that_runs_out_of_memory_still_finds_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bouncer.classify.patterns.SET_MEMORY_BYTES", 40_000)
    count = 12
    patterns = PatternSet([f"x{n}.*[ab]{{6}}c.*y{n}" for n in range(count)])
    text = b" ".join(b"x%d ababababc bbaabbaac y%d" % (n, n) for n in range(count)) * 8
    assert patterns.matching(text) == list(range(count))


def _seconds(patterns: PatternSet, text: bytes) -> float:
    started = time.perf_counter()
    patterns.matching(text)
    return time.perf_counter() - started
