"""The class of a failure follows from its category and from whether it was permanent."""

import pytest

from bouncer.classify.category import BounceClass, Category, FixOwner, class_of

DEAD = {
    Category.RECIPIENT_UNKNOWN,
    Category.RECIPIENT_MOVED,
    Category.RECIPIENT_DISABLED,
    Category.DOMAIN_INVALID,
    Category.SUPPRESSED,
}


@pytest.mark.parametrize("category", list(Category))
def test_only_a_permanent_refusal_of_a_dead_address_is_hard(category: Category) -> None:
    permanent = class_of(category, permanent=True)
    assert permanent is (BounceClass.HARD if category in DEAD else BounceClass.SOFT)
    assert class_of(category, permanent=False) is BounceClass.SOFT


def test_there_are_24_failures_and_4_kinds_of_feedback() -> None:
    assert len(Category) == 28


def test_nobody_can_mend_greylisting_feedback_and_what_is_not_understood() -> None:
    unowned = {category for category in Category if category.fix_owner is None}
    assert unowned == {
        Category.GREYLISTED,
        Category.UNDETERMINED,
        Category.AUTO_REPLY,
        Category.CHALLENGE_RESPONSE,
    }
    assert Category.AUTH_FAILURE.fix_owner is FixOwner.SENDER_DOMAIN
