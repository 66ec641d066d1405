"""How far an operator's rule file reaches: never, or into what our own rules already know.

An operator's rules win over ours. So one that is far too wide decides what it never meant, and
signs of a provider that fit everybody take replies from the provider they belong to.
"""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from bouncer.classify.examples import recipient_in, said_in
from bouncer.classify.patterns import compiled
from bouncer.classify.providers import OTHER
from bouncer.classify.rulefile import Fault, Recognition, Written
from bouncer.classify.rules import Rule

A_FEW = 20  # of our examples: about as many as share an ordinary phrase
A_FEW_REPLIES = 3  # that a provider's sign may be found in, of other receivers


def reach_faults(
    operators: Sequence[Written], ours: Sequence[Written], rules: Iterable[Rule]
) -> Iterator[Fault]:
    """What is wrong with where the operators' files apply."""
    rules = tuple(rules)
    own_paths = {file.path for file in ours}
    examples = [(rule, each) for rule in rules if rule.file in own_paths for each in rule.examples]
    told = {file.content.provider for file in [*operators, *ours] if _tells(file)}
    for file in operators:
        for text in _provider_faults(file, told):
            yield Fault(file.path, text)
        for text in (*_names_taken(file, ours), *_replies_taken(file, examples)):
            yield Fault(file.path, f"recognise: {text}")
    for rule in rules:
        if rule.file not in own_paths and (wide := _too_wide(rule, examples)):
            yield Fault(rule.file, wide, rule=rule.id)


def _tells(file: Written) -> bool:
    """Whether a file says how its provider is told."""
    signs = file.content.recognise
    return bool(signs.remote_mta or signs.reporting_mta or signs.recipient_domains or signs.reply)


def _provider_faults(file: Written, told: set[str | None]) -> Iterator[str]:
    provider = file.content.provider
    if provider == OTHER:
        yield (
            f"provider: {OTHER!r} stands for every receiver that is not known:"
            " leave `provider` out, or write the name of one"
        )
    elif provider is not None and provider not in told:
        known = sorted(name for name in told if name)
        near = get_close_matches(provider, known, 3) or known
        yield (
            f"provider: {provider!r} is not known, so these rules never apply:"
            f" write how it is told under [recognise], or one of {', '.join(near)}"
        )


def _names_taken(file: Written, ours: Sequence[Written]) -> Iterator[str]:
    for key, names in _names(file.content.recognise):
        for name in names:
            if "." not in name:
                yield f"{key}: {name!r} is a whole top-level domain: write the name of a domain"
            for other in ours:
                same = file.content.provider == other.content.provider
                if not same and name in dict(_names(other.content.recognise))[key]:
                    yield f"{key}: {name!r} is taken from our provider {other.content.provider}"


def _names(signs: Recognition) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The names of a provider, by key, as they are compared."""
    return tuple(
        (key, tuple(name.lower().strip(".") for name in names))
        for key, names in (
            ("remote_mta", signs.remote_mta),
            ("recipient_domains", signs.recipient_domains),
            ("reporting_mta", signs.reporting_mta),
        )
    )


def _replies_taken(file: Written, examples: Sequence[tuple[Rule, str]]) -> Iterator[str]:
    for pattern in file.content.recognise.reply:
        taken = [
            rule
            for rule, example in examples
            if rule.provider != file.content.provider and _found(pattern, example)
        ]
        if len(taken) > A_FEW_REPLIES:
            yield (
                f"reply: {pattern!r} is found in {_counted(taken)}:"
                " only replies of this provider may have it"
            )


def _too_wide(rule: Rule, examples: Sequence[tuple[Rule, str]]) -> str | None:
    """What a rule takes from ours in its scope, when that is a lot."""
    taken = [
        ours
        for ours, example in examples
        if rule.provider in (None, ours.provider)
        and (ours.category, ours.class_) != (rule.category, rule.class_)
        and _fits(rule, example)
    ]
    if len(taken) <= A_FEW:
        return None
    return f"is too wide: it would decide {_counted(taken)}, for another reason than they do"


def _fits(rule: Rule, example: str) -> bool:
    said = said_in(example, recipient_in(example))
    return rule.allows(said) and (
        rule.pattern is None or compiled(rule.pattern).search(said.words) is not None
    )


def _found(pattern: str, example: str) -> bool:
    return compiled(pattern).search(example.encode()) is not None


def _counted(taken: Sequence[Rule]) -> str:
    """So many examples of ours, and the first rules whose they are."""
    ids = list(dict.fromkeys(rule.id for rule in taken))
    more = ", ..." if len(ids) > 3 else ""
    return f"{len(taken)} of our own examples ({', '.join(ids[:3])}{more})"
