"""Phrases are data: each is written as it is looked for, and none makes another needless."""

import pytest

from bouncer.reports import landmarks, phrases
from bouncer.reports.search import Phrases

LISTS = {
    name: found
    for module in (phrases, landmarks)
    for name, found in vars(module).items()
    if isinstance(found, Phrases)
}
# One is looked for by where it begins: a longer phrase may begin earlier. The other takes up a list
# that has to be whole by itself.
OTHERWISE = {"RETURNED", "CHALLENGES"}


@pytest.mark.parametrize("name", LISTS)
def test_a_phrase_is_written_as_it_is_looked_for(name: str) -> None:
    for phrase in LISTS[name].all:
        assert phrase == " ".join(phrase.split()).lower()


@pytest.mark.parametrize("name", sorted(LISTS.keys() - OTHERWISE))
def test_no_phrase_makes_another_of_its_list_needless(name: str) -> None:
    listed = LISTS[name].all
    assert len(set(listed)) == len(listed)
    assert [p for p in listed if any(other != p and other in p for other in listed)] == []
