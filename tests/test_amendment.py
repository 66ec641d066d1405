"""What a second reading changes, and what becomes of suppressions."""

from datetime import timedelta

import pytest

from bouncer.amendment import (
    Evidence,
    changes_of,
    evidence_of,
    falling,
    still_wanted,
    uncovered,
)
from bouncer.classify.category import BounceClass, Category
from bouncer.events import SuppressionReason
from bouncer.records import Suppression
from bouncer.reports.report import Kind
from bouncer.suppression import suppression_for
from tests.store.samples import NOW, event, suppression

_DAY = timedelta(days=1)
_HARD, _COMPLAINT, _UNSUBSCRIBE = (
    SuppressionReason.HARD_BOUNCE,
    SuppressionReason.COMPLAINT,
    SuppressionReason.UNSUBSCRIBE,
)


def evidence(
    id_: str = "a-0",
    *,
    reason: SuppressionReason = _HARD,
    domain: str | None = "example.com",
    days: int = 0,
) -> Evidence:
    return Evidence(id_, "dead@example.org", reason, domain, NOW + days * _DAY)


def test_the_version_of_the_ruleset_alone_is_no_change() -> None:
    before = event("a-0")
    assert changes_of([before], [before.model_copy(update={"ruleset": "other"})]) == ()


def test_changes_are_told_by_id_also_where_recipients_come_and_go() -> None:
    before = [event("a-0"), event("a-1")]
    soft = {"class_": BounceClass.SOFT, "category": Category.MAILBOX_FULL}
    after = [before[0].model_copy(update=soft), event("a-2")]
    first, vanished, new = changes_of(before, after)
    assert (first.id, first.fields, first.moves_evidence) == ("a-0", ("class_", "category"), True)
    assert (vanished.id, vanished.after, vanished.moves_evidence) == ("a-1", None, True)
    assert (new.id, new.before, new.moves_evidence) == ("a-2", None, True)


def test_a_change_of_words_moves_no_evidence() -> None:
    before = event("a-0")
    (change,) = changes_of([before], [before.model_copy(update={"diagnostic": "550 gone"})])
    assert (change.fields, change.moves_evidence) == (("diagnostic",), False)


@pytest.mark.parametrize("kind", [Kind.BOUNCE, Kind.COMPLAINT, Kind.UNSUBSCRIBE])
def test_evidence_calls_for_what_its_event_calls_for(kind: Kind) -> None:
    one = event("a-0", kind=kind)
    found = evidence_of(one)
    assert found is not None
    assert found.suppression() == suppression_for(one)
    assert evidence_of(event("a-0", kind=Kind.DELAY)) is None


@pytest.mark.parametrize(
    ("entry", "lost", "left", "falls"),
    [
        (suppression(), [evidence()], [], True),
        (suppression(), [evidence()], [evidence("b-0", days=1)], False),
        # What speaks for another domain, for another reason, or is older than the entry, does not.
        (suppression(), [evidence()], [evidence("b-0", domain="example.net", days=1)], True),
        (suppression(), [evidence()], [evidence("b-0", reason=_COMPLAINT)], True),
        (suppression(), [evidence()], [evidence("b-0", days=-1)], True),
        # The event that made the entry is forgotten: nobody can say that it was wrong.
        (suppression(since=NOW - _DAY), [evidence()], [], False),
        (suppression(sending_domain=None), [evidence()], [evidence("b-0", domain="x.test")], False),
    ],
)
def test_an_entry_falls_with_its_last_evidence(
    entry: Suppression, lost: list[Evidence], left: list[Evidence], falls: bool
) -> None:
    assert falling([entry], lost, left) == ([entry] if falls else [])


def test_what_a_person_put_never_falls() -> None:
    entry = Suppression("dead@example.org", "example.com", _HARD, "cli", NOW)
    assert falling([entry], [evidence()], []) == []


def test_what_a_fallen_entry_had_covered_is_wanted_again() -> None:
    left = [
        evidence("c-0", reason=_UNSUBSCRIBE, days=2),
        evidence("b-0", reason=_COMPLAINT, days=1),  # for all: it had an entry of its own
        evidence("d-0", reason=_UNSUBSCRIBE, domain="example.net", days=1),
        evidence("e-0", reason=_UNSUBSCRIBE, days=-1),
    ]
    (wanted,) = still_wanted([suppression()], left)
    assert (wanted.events, wanted.reason) == (("c-0",), _UNSUBSCRIBE)
    all_domains = suppression(sending_domain=None, reason=_COMPLAINT)
    assert [w.events for w in still_wanted([all_domains], left)] == [("b-0",), ("d-0",), ("c-0",)]
    assert still_wanted([], left) == []


def test_what_an_entry_says_already_is_not_added() -> None:
    wanted = [suppression(), suppression(), suppression(sending_domain="example.net")]
    assert uncovered(wanted, []) == [wanted[0], wanted[2]]
    assert uncovered(wanted, [suppression(sending_domain=None)]) == []
    ending = suppression(sending_domain=None, until=NOW + timedelta(days=1))
    assert uncovered(wanted[:1], [ending]) == wanted[:1]
