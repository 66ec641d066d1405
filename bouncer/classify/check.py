"""Whether rules say what their writers think: `bouncer check-rules`, and the test of our own.

Patterns compile; every example is decided by its own rule, through the whole set, in the scope it
will be used in; no rule repeats an earlier one; ids are unique.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bouncer.classify.providers import OTHER
from bouncer.classify.rulefile import PACKAGED, Fault, Written, read_all, rule_lines
from bouncer.classify.rules import Rule, Ruleset, pattern_faults, said_of
from bouncer.mail.reply import reply_from
from bouncer.reports.report import Kind, ReportedRecipient


def check(directories: Sequence[Path] = ()) -> list[Fault]:
    """Everything wrong with the rule files of these directories (ours, if none is named)."""
    ours, faults = read_all([PACKAGED])
    operators, wrong = read_all(directories)
    faults += wrong
    checked = operators if directories else ours
    for file in checked:
        faults += [_placed(fault, file) for fault in pattern_faults(file)]
    if not faults:
        faults += check_rules(Ruleset(operators, ours), checked)
    return faults


def check_rules(ruleset: Ruleset, files: Iterable[Written]) -> list[Fault]:
    """What is wrong with the rules of these files, which are part of the ruleset."""
    faults = []
    for file in files:
        own = [rule for rule in ruleset.rules if rule.file == file.path]
        for rule in own:
            found = [*_repetitions(rule, ruleset), *_examples_lost(rule, ruleset)]
            faults += [_placed(Fault(file.path, text, rule=rule.id), file) for text in found]
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


def _placed(fault: Fault, file: Written) -> Fault:
    """The fault with the line on which its rule begins."""
    ids = [entry.id for entry in file.content.rule]
    if fault.rule not in ids:
        return fault
    lines = rule_lines(file.octets)
    position = ids.index(fault.rule)
    line = lines[position] if position < len(lines) else None
    return Fault(fault.file, fault.text, line, fault.rule)
