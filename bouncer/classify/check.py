"""Whether rules say what their writers think: `bouncer check-rules`, and the test of our own.

Patterns compile; every example is decided by its own rule, through the whole set, in the scope it
will be used in; no rule repeats an earlier one; ids are unique. What an operator's file takes from
ours is told, too (`reach.py`).
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import assert_never

from bouncer.classify.examples import RECIPIENT, recipient_in, said_in
from bouncer.classify.patterns import compiled
from bouncer.classify.providers import OTHER
from bouncer.classify.reach import reach_faults
from bouncer.classify.rulefile import PACKAGED, Fault, Written, idle, read_all
from bouncer.classify.rules import Rule, Ruleset, pattern_faults
from bouncer.mail.reply import Command


def check(directories: Sequence[Path] = ()) -> list[Fault]:
    """Everything wrong with the rule files of these directories (ours, if none is named)."""
    ours, faults = read_all([PACKAGED])
    named, wrong = read_all(directories)
    faults += [fault for fault in wrong if fault not in faults]
    faults += idle(directories)
    packaged = {os.path.realpath(file.path): file for file in ours}
    operators = [file for file in named if os.path.realpath(file.path) not in packaged]
    checked = [packaged.get(os.path.realpath(file.path), file) for file in named]
    if not directories:
        checked = ours
    for file in checked:
        faults += pattern_faults(file)
    if not faults:
        ruleset = Ruleset(operators, ours)
        faults += check_rules(ruleset, checked)
        files = {file.path: file for file in operators}
        reached = reach_faults(operators, ours, ruleset.rules)
        faults += [_placed(fault, files[fault.file]) for fault in reached]
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
    provider = rule.provider or OTHER
    for example in rule.examples:
        recipient = recipient_in(example)
        if (winner := winner_of(ruleset, provider, example, recipient)) is rule:
            continue
        by = f" by rule {winner.id} of {winner.file.name}" if winner else ""
        if rule in fitting(ruleset, provider, example, recipient):
            yield f"is shadowed{by}: {example}"
            continue
        decided = f", which is decided{by}" if by else ""
        why = _why_not(rule, example, recipient)
        yield f"does not fit its own example{decided}: {example}{why}"


def _why_not(rule: Rule, example: str, recipient: str) -> str:
    """What a writer would hardly see, in brackets; empty where it can be seen."""
    said = said_in(example, recipient)
    if rule.command and said.command not in rule.command:
        return (
            " (the example must name the command that was refused, as reports do:"
            f" add `({_as_told(rule.command[0])})`)"
        )
    pattern = compiled(rule.pattern) if rule.pattern else None
    if pattern and pattern.search(example.encode()) and not pattern.search(said.words):
        return (
            f" (the address of the recipient, here {recipient}, is taken out before a rule looks,"
            " and a bare @ stands for it)"
        )
    return ""


def _as_told(command: Command) -> str:
    """How sending servers say that a command was refused."""
    match command:
        case Command.CONNECT:
            return "after initial connection"
        case Command.MAIL:
            return "in reply to MAIL FROM command"
        case Command.RCPT:
            return "in reply to RCPT TO command"
        case Command.DATA:
            return "in reply to end of DATA command"
        case Command.EHLO | Command.STARTTLS:
            return f"in reply to {command.upper()} command"
    assert_never(command)


def winner_of(
    ruleset: Ruleset, provider: str, reply: str, recipient: str = RECIPIENT
) -> Rule | None:
    """The rule that decides a reply of this provider."""
    return next(fitting(ruleset, provider, reply, recipient), None)


def fitting(
    ruleset: Ruleset, provider: str, reply: str, recipient: str = RECIPIENT
) -> Iterator[Rule]:
    """The rules that fit a reply of this provider about a recipient, in the order of trying."""
    return ruleset.fitting(provider, said_in(reply, recipient))


def _placed(fault: Fault, file: Written) -> Fault:
    """The fault with the line on which its rule begins."""
    ids = [entry.id for entry in file.content.rule]
    return file.fault(ids.index(fault.rule), fault.text) if fault.rule in ids else fault
