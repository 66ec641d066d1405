"""Our own rules: every example is decided by its own rule, through the whole set."""

import pytest

from bouncer.classify.category import Category
from bouncer.classify.check import check, winner_of
from bouncer.classify.providers import OTHER
from bouncer.classify.rules import Rule, Ruleset, load

RULES = load()
PROVIDERS = {
    "apple",
    "att",
    "au",
    "charter",
    "comcast",
    "cox",
    "daum",
    "docomo",
    "facebook",
    "forpsi",
    "free",
    "gmx",
    "godaddy",
    "google",
    "homepl",
    "hosters",
    "interia",
    "iua",
    "kei",
    "libero",
    "aruba",
    "mailru",
    "mimecast",
    "naver",
    "netease",
    "onet",
    "orange",
    "ovh",
    "proofpoint",
    "proton",
    "qq",
    "rambler",
    "seznam",
    "sfr",
    "softbank",
    "tonline",
    "wp",
    "yandex",
    "zoho",
    "microsoft",
    "yahoo",
}

# Where receivers ask senders to write to.
RECEIVERS_OWN = ("@rx.t-online.de", "abuse@corp.mail.ru", "abuse_rbl@abuse-att.net")


def test_the_shipped_rules_have_no_fault() -> None:
    assert [str(fault) for fault in check()] == []


@pytest.mark.parametrize("rule", RULES.rules, ids=lambda rule: rule.id)
def test_each_example_is_decided_by_its_own_rule(rule: Rule) -> None:
    for example in rule.examples:
        winner = winner_of(RULES, rule.provider or OTHER, example)
        assert winner is rule, f"{example!r} is decided by {winner and winner.id}"


def test_the_examples_are_many() -> None:
    assert sum(len(rule.examples) for rule in RULES.rules) >= 800


def test_every_reason_for_a_failure_is_given_by_some_rule() -> None:
    feedback = {
        Category.COMPLAINT,
        Category.UNSUBSCRIBE,
        Category.AUTO_REPLY,
        Category.CHALLENGE_RESPONSE,
    }
    unreached = set(Category) - feedback - {rule.category for rule in RULES.rules}
    assert unreached == {Category.UNDETERMINED}


def test_the_named_providers_are_known() -> None:
    assert RULES.providers >= PROVIDERS


def test_examples_name_no_real_person() -> None:
    for rule in RULES.rules:
        for example in rule.examples:
            domains = [part.partition("@")[2] for part in example.split()[1:] if "@" in part]
            real = [name for name in domains if "." in name[:-1] and "example" not in name.lower()]
            assert not real or any(role in example for role in RECEIVERS_OWN), example


def test_two_loads_give_the_same_rules_in_the_same_order() -> None:
    again = load()
    assert again.version == RULES.version
    assert [rule.id for rule in again.rules] == [rule.id for rule in RULES.rules]
    assert isinstance(again, Ruleset)
