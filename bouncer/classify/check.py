"""Whether rules say what their writers think: `bouncer check-rules`, and the test of our own.

Patterns compile; every example is decided by its own rule, through the whole set, in the scope it
will be used in; no rule repeats an earlier one; ids are unique.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bouncer.classify.providers import OTHER
from bouncer.classify.rulefile import PACKAGED, Fault, Written, idle, read_all
from bouncer.classify.rules import Rule, Ruleset, pattern_faults, said_of
from bouncer.mail.reply import reply_from
from bouncer.reports.report import Kind, ReportedRecipient


def check(directories: Sequence[Path] = ()) -> list[Fault]:
    """Everything wrong with the rule files of these directories (ours, if none is named)."""
    ours, faults = read_all([PACKAGED])
    named, wrong = read_all(directories)
    faults += [*wrong, *idle(directories)]
    packaged = {os.path.realpath(file.path): file for file in ours}
    operators = [file for file in named if os.path.realpath(file.path) not in packaged]
    checked = [packaged.get(os.path.realpath(file.path), file) for file in named]
    if not directories:
        checked = ours
    for file in checked:
        faults += pattern_faults(file)
    if not faults:
        faults += check_rules(Ruleset(operators, ours), checked)
    return faults


def check_rules(ruleset: Ruleset, files: Iterable[Written]) -> list[Fault]:
    """What is wrong with the rules of these files, which are part of the ruleset."""
    faults = []
    for file in files:
        own = [rule for rule in ruleset.rules if rule.file == file.path]
        for position, rule in enumerate(own):
            found = [*_repetitions(rule, ruleset), *_examples_lost(rule, ruleset)]
            faults += [file.fault(position, text) for text in found]
    return faults


def _repetitions(rule: Rule, ruleset: Ruleset) -> Iterator[str]:
    for other in ruleset.rules:
        if other is not rule and other.id == rule.id:
            yield f"the id is taken, by a rule of {other.file.name}"
    for other in ruleset.rules:
        if other is rule:
            return
        if _applies_when(other) == _applies_when(rule):
            yield f"never applies: rule {other.id} of {other.file.name} has the same conditions"


def _applies_when(rule: Rule) -> tuple[object, ...]:
    return rule.provider, rule.pattern, rule.status, rule.code, rule.command


def _examples_lost(rule: Rule, ruleset: Ruleset) -> Iterator[str]:
    for example in rule.examples:
        winner = winner_of(ruleset, rule.provider or OTHER, example)
        if winner is None:
            yield f"does not fit its own example: {example}"
        elif winner is not rule:
            fits = rule in fitting(ruleset, rule.provider or OTHER, example)
            said = "is shadowed" if fits else "does not fit its own example, which is decided"
            yield f"{said} by rule {winner.id} of {winner.file.name}: {example}"


def winner_of(ruleset: Ruleset, provider: str, reply: str) -> Rule | None:
    """The rule that decides a reply of this provider."""
    return next(fitting(ruleset, provider, reply), None)


def fitting(ruleset: Ruleset, provider: str, reply: str) -> Iterator[Rule]:
    """The rules that fit a reply of this provider, in the order of trying."""
    quoted = ReportedRecipient(Kind.BOUNCE, "user@example.com", reply=reply_from(reply))
    return ruleset.fitting(provider, said_of(quoted))
