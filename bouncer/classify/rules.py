"""Finds why a delivery failed: the first rule that fits what the server said.

The order is fixed: the operator's rules (those for the provider, then the rest), ours for the
provider, ours for everybody (by words, then enhanced status, then reply code). Within a file
the earlier rule wins; files are read in the order of their names. Words come before codes because
a reporting MTA that got no enhanced status makes one up, and because receivers reuse codes.
"""

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import merge
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from bouncer.classify.category import BounceClass, Category, class_of
from bouncer.classify.patterns import PatternSet, compiled, fault_in, has_group
from bouncer.classify.providers import MAX_REMEMBERED_BYTES, OTHER, Providers
from bouncer.classify.rulefile import (
    PACKAGED,
    Fault,
    RuleEntry,
    Written,
    read_all,
)
from bouncer.classify.words import words_around, words_in_context, words_of
from bouncer.errors import ConfigurationError
from bouncer.mail.reply import Command
from bouncer.reports.report import Kind, Report, ReportedRecipient

_OF_KIND = {
    Kind.COMPLAINT: Category.COMPLAINT,
    Kind.UNSUBSCRIBE: Category.UNSUBSCRIBE,
    Kind.AUTO_REPLY: Category.AUTO_REPLY,
    Kind.CHALLENGE: Category.CHALLENGE_RESPONSE,
}
# Reasons that only who looks after the mailbox can give.
_OF_MAILBOX = (
    Category.RECIPIENT_UNKNOWN,
    Category.RECIPIENT_DISABLED,
    Category.RECIPIENT_REFUSED,
    Category.MAILBOX_FULL,
    Category.MESSAGE_TOO_LARGE,
)


class Verdict(NamedTuple):
    """Why, and what it means for the address. `rule` is None where no rule was needed or fitted."""

    category: Category | None
    class_: BounceClass | None
    provider: str
    vendor_code: str | None
    rule: str | None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as it is applied; `status` and `code` hold its conditions in full form (`4.*.*`)."""

    id: str
    category: Category
    pattern: str | None
    status: tuple[str, ...]
    code: tuple[str, ...]
    command: tuple[Command, ...]
    class_: BounceClass | None
    source: str
    reason: str | None
    examples: tuple[str, ...]
    provider: str | None
    file: Path
    names_vendor_code: bool

    def allows(self, said: "Said") -> bool:
        """Whether its conditions on status, reply code and command hold."""
        return (
            (not self.status or any(form in self.status for form in said.statuses))
            and (not self.code or any(form in self.code for form in said.codes))
            and (not self.command or said.command in self.command)
        )


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a verdict came about: every rule that fitted, in the order in which they were tried.

    `around` is what they were held against instead of the server's words, where it was not those.
    """

    verdict: Verdict
    fitting: tuple[Rule, ...]
    provider_by: str
    around: str = ""

    @property
    def winner(self) -> Rule | None:
        return self.fitting[0] if self.fitting else None


class Said(NamedTuple):
    """What rules are held against: the words, and every condition that status and code meet."""

    words: bytes
    statuses: tuple[str, ...]
    codes: tuple[str, ...]
    command: Command | None = None


class _Scope:
    """Rules tried together: those with a pattern in one pass, the others by their codes."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._by_pattern = tuple(n for n, rule in enumerate(self.rules) if rule.pattern)
        self._patterns = PatternSet([rule.pattern for rule in self.rules if rule.pattern])
        self._by_status: dict[str, list[int]] = {}
        self._by_code: dict[str, list[int]] = {}
        self._by_command: dict[str, list[int]] = {}
        for number, rule in enumerate(self.rules):
            if rule.pattern:
                continue
            table, keys = (
                (self._by_command, rule.command)
                if rule.command
                else (self._by_status, rule.status)
                if rule.status
                else (self._by_code, rule.code)
            )
            for key in keys:
                table.setdefault(key, []).append(number)

    def fitting(self, said: Said) -> Iterator[Rule]:
        """The rules that fit, first to last."""
        by_words = (self._by_pattern[hit] for hit in self._patterns.matching(said.words))
        for number in merge(by_words, self._by_codes(said)):
            rule = self.rules[number]
            if rule.allows(said):
                yield rule

    def _by_codes(self, said: Said) -> list[int]:
        found: list[int] = []
        if self._by_status:
            for form in said.statuses:
                found += self._by_status.get(form, ())
        if self._by_code:
            for form in said.codes:
                found += self._by_code.get(form, ())
        if said.command is not None:
            found += self._by_command.get(said.command, ())
        found.sort()
        return found


class Ruleset:
    """All rules, in their order. `version` changes with any change to them."""

    def __init__(self, operators: Sequence[Written], ours: Sequence[Written]) -> None:
        files = [*operators, *ours]
        contents = [file.content for file in files]
        self.rules = tuple(rule for file in files for rule in _rules_of(file))
        self._providers = Providers(
            (content.provider, content.recognise) for content in contents if content.provider
        )
        self.providers = self._providers.names
        self._scopes = _scopes(self.rules, {file.path for file in operators}, self.providers)
        self._vendor_codes = {
            content.provider: content.recognise.vendor_code
            for content in reversed(contents)
            if content.provider and content.recognise.vendor_code
        }
        self.version = _version(files)
        self._remembered = lru_cache(maxsize=4096)(self._first)

    def judge(self, report: Report, recipient: ReportedRecipient) -> Verdict:
        """Why this recipient did not get the mail, as far as anybody said."""
        said = said_of(recipient)
        provider = self._providers.of(report, recipient, said.words)
        if recipient.kind not in (Kind.BOUNCE, Kind.DELAY):
            return Verdict(_OF_KIND.get(recipient.kind), None, provider, None, None)
        said, rule, sure = self._decided(provider, recipient, said)
        verdict = self._verdict(recipient, provider, said, rule)
        return verdict if sure and report.sure else verdict._replace(class_=BounceClass.SOFT)

    def _decided(
        self, provider: str, recipient: ReportedRecipient, said: Said
    ) -> tuple[Said, Rule | None, bool]:
        """What was held against the rules, the first that fits, and whether it is of the recipient.

        Where the words are a labelled reason, those in which it stands go first when they are about
        the mailbox, and last otherwise. Where no server is quoted and nothing fits, the rest of the
        report is asked: it may say why, but not of whom.
        """
        reply = recipient.reply
        context, of_context = said, None
        if reply is not None and reply.context:
            context = said._replace(words=words_in_context(recipient))
            of_context = self._rule_for(provider, context)
            if of_context is not None and of_context.category in _OF_MAILBOX:
                return context, of_context, True
        if rule := self._rule_for(provider, said):
            return said, rule, True
        if of_context is not None:
            return context, of_context, True
        if recipient.around and (reply is None or (reply.code is None and reply.status is None)):
            around = said._replace(words=words_around(recipient))
            if rule := self._rule_for(provider, around):
                return around, rule, False
        return said, None, True

    def _rule_for(self, provider: str, said: Said) -> Rule | None:
        """The first rule that fits; of short words it is remembered."""
        if len(said.words) <= MAX_REMEMBERED_BYTES:
            return self._remembered(provider, said)
        return self._first(provider, said)

    def knows_reasons(self, report: Report) -> bool:
        """Whether the words about each recipient say that its mailbox does not take the mail."""
        verdicts = (self.judge(report, recipient) for recipient in report.recipients)
        return all(each.category in _OF_MAILBOX for each in verdicts)

    def prepare(self) -> None:
        """Builds now what the first judgements would have to build, by judging our examples."""
        for provider in sorted(self.providers):
            self._first(provider, Said(b"no", (), ()))
        for rule in self.rules:
            if rule.provider is None:
                self._first(OTHER, Said(rule.examples[0].encode(), (), ()))

    def explain(self, report: Report, recipient: ReportedRecipient) -> Explanation:
        """The verdict with all rules that fitted, the one that won first."""
        verdict, said = self.judge(report, recipient), said_of(recipient)
        _, sign = self._providers.recognised(report, recipient, said.words)
        if recipient.kind not in (Kind.BOUNCE, Kind.DELAY):
            return Explanation(verdict, (), sign)
        asked, _, _ = self._decided(verdict.provider, recipient, said)
        around = asked.words.decode("utf-8", "replace") if asked is not said else ""
        return Explanation(verdict, tuple(self.fitting(verdict.provider, asked)), sign, around)

    def fitting(self, provider: str, said: Said) -> Iterator[Rule]:
        """Every rule that fits, in the order of trying."""
        return chain.from_iterable(scope.fitting(said) for scope in self._scopes[provider])

    def _first(self, provider: str, said: Said) -> Rule | None:
        return next(self.fitting(provider, said), None)

    def _verdict(
        self, recipient: ReportedRecipient, provider: str, said: Said, rule: Rule | None
    ) -> Verdict:
        category = rule.category if rule else Category.UNDETERMINED
        class_ = _class_of(category, rule, recipient)
        vendor_code = self._vendor_code(provider, rule, said.words)
        return Verdict(category, class_, provider, vendor_code, rule.id if rule else None)

    def _vendor_code(self, provider: str, rule: Rule | None, words: bytes) -> str | None:
        named = rule is not None and rule.names_vendor_code
        pattern = rule.pattern if rule and named else self._vendor_codes.get(provider)
        found = compiled(pattern).search(words) if pattern and words else None
        if found is None:
            return None
        groups = (found.group(b"vendor_code"),) if named else found.groups()
        code = next((group for group in groups if group), found.group(0))
        return code.decode("utf-8", "replace")[:64] if code else None


def load(places: Sequence[Path] = ()) -> Ruleset:
    """Our rules, and before them those of the operator's directories (or single files).

    ConfigurationError names everything that is wrong with the operator's files at once.
    """
    return ruleset_of(read_usable(places))


def read_usable(places: Sequence[Path]) -> list[Written]:
    """Rule files without a fault; ConfigurationError names everything that is wrong at once."""
    files, faults = read_all(places)
    faults += [fault for file in files for fault in pattern_faults(file)]
    if faults:
        raise ConfigurationError(*map(str, faults))
    return files


def ruleset_of(operators: Sequence[Written]) -> Ruleset:
    """Our rules, and before them those of these files."""
    ours, broken = read_all([PACKAGED])
    if broken:
        raise ConfigurationError(*map(str, broken))
    return Ruleset(operators, ours)


def pattern_faults(file: Written) -> Iterator[Fault]:
    """The patterns of a file that RE2 refuses."""
    signs = file.content.recognise
    for pattern in (*signs.reply, signs.vendor_code):
        if pattern and (wrong := fault_in(pattern)):
            yield Fault(file.path, f"recognise: pattern does not compile: {wrong}")
    for position, rule in enumerate(file.content.rule):
        if rule.pattern and (wrong := fault_in(rule.pattern)):
            yield file.fault(position, f"pattern does not compile: {wrong}")


def _scopes(
    rules: Sequence[Rule], by_operator: Collection[Path], providers: Iterable[str]
) -> dict[str, tuple[_Scope, ...]]:
    """What is tried for each provider, in order. Scopes without rules are left out."""

    def scope(provider: str | None, *, operators: bool) -> _Scope:
        return _Scope(
            [
                rule
                for rule in rules
                if rule.provider == provider and (rule.file in by_operator) is operators
            ]
        )

    theirs, ours = scope(None, operators=True), scope(None, operators=False)
    found = {}
    for name in providers:
        order = (scope(name, operators=True), theirs, scope(name, operators=False), ours)
        found[name] = tuple(each for each in order if each.rules)
    return found


def _rules_of(file: Written) -> Iterator[Rule]:
    for entry in file.content.rule:
        yield _rule(file.path, file.content.provider, entry)


def _rule(path: Path, provider: str | None, entry: RuleEntry) -> Rule:
    return Rule(
        id=entry.id,
        category=entry.category,
        pattern=entry.pattern,
        status=tuple(map(_whole, entry.status)),
        code=tuple(map(_whole, entry.code)),
        command=entry.command,
        class_=entry.class_,
        source=entry.source,
        reason=entry.reason,
        examples=entry.examples,
        provider=provider,
        file=path,
        names_vendor_code=has_group(entry.pattern or "", "vendor_code"),
    )


def _version(files: Iterable[Written]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(os.fsencode(f"{file.path.name}\0{len(file.octets)}\0"))
        digest.update(file.octets)
    return digest.hexdigest()[:12]


def said_of(recipient: ReportedRecipient) -> Said:
    """What a report quotes about one recipient, ready to be judged."""
    return Said(
        words_of(recipient),
        _status_forms(recipient.believed_status),
        _code_forms(recipient.smtp_code),
        recipient.reply.command if recipient.reply else None,
    )


def _class_of(
    category: Category, rule: Rule | None, recipient: ReportedRecipient
) -> BounceClass | None:
    if recipient.kind is Kind.DELAY:
        return BounceClass.SOFT
    if rule and rule.class_:
        return rule.class_
    status = recipient.believed_status or ""
    if category is Category.UNDETERMINED:
        return BounceClass.HARD if status.startswith("5.1.") else BounceClass.SOFT
    return class_of(category, permanent=_permanent(recipient, status))


def _permanent(recipient: ReportedRecipient, status: str) -> bool:
    """By the reply code, then the believed status; without either, delivery has ended."""
    if recipient.smtp_code is not None:
        return recipient.smtp_code >= 500
    return not status.startswith("4")


def _whole(condition: str) -> str:
    """A condition in the one form in which it is looked up: `4.*` is `4.*.*`, `4*` is `4**`."""
    if "." in condition:
        return condition if condition.count(".") == 2 else f"{condition}.*"
    return condition.ljust(3, "*")


@lru_cache(maxsize=1024)
def _status_forms(status: str | None) -> tuple[str, ...]:
    """Every condition that an enhanced status meets."""
    if status is None or status.count(".") != 2:
        return ()
    class_, subject, detail = status.split(".")
    every = (status, f"*.{subject}.{detail}", f"{class_}.{subject}.*", f"*.{subject}.*")
    return (*every, f"{class_}.*.*")


@lru_cache(maxsize=1024)
def _code_forms(code: int | None) -> tuple[str, ...]:
    """Every condition that a reply code meets."""
    digits = str(code) if code is not None else ""
    return (digits, f"{digits[:2]}*", f"{digits[:1]}**") if digits else ()
