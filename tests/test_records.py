"""Ids that derive from what caused the record."""

from bouncer.records import digest_of, item_id

_DIGEST = digest_of(b"a report")


def test_the_case_of_a_domain_makes_no_other_item() -> None:
    assert item_id("b+1@Bounces.Example", _DIGEST) == item_id("b+1@bounces.example", _DIGEST)


def test_the_case_of_a_local_part_does() -> None:
    assert item_id("B+1@bounces.example", _DIGEST) != item_id("b+1@bounces.example", _DIGEST)
    assert item_id("Postmaster", _DIGEST) != item_id("postmaster", _DIGEST)
