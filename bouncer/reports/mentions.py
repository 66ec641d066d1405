"""Addresses in prose, and how surely each stands where the failed one stands.

At the head of a line, behind the word that announces it, in a reply; or where somebody else's does:
the sender's, or of whom one may ask.
"""

import re
from enum import IntEnum
from typing import NamedTuple

from bouncer.mail.address import spans_in, trimmed
from bouncer.reports.landmarks import (
    FAILED_ENDINGS,
    FAILED_PAIRS,
    FAILED_WORDS,
    HELPERS,
    OF_LISTS,
    OTHERS_ENDINGS,
    OTHERS_PAIRS,
    OTHERS_WORDS,
    SENDERS_WORDS,
    SIGNERS,
    SIGNERS_ENDINGS,
)

MAX_RECIPIENTS = 500


class Position(IntEnum):
    """How surely an address stands where the failed one stands; the greatest of a text wins."""

    NONE = 0
    SOMEWHERE = 1
    NAMED = 2
    ANNOUNCED = 3
    OF_REPLY = 4
    LEADING = 5


class Mention(NamedTuple):
    """An address in the text: where it is, and where its line begins."""

    address: str
    line: int
    start: int
    end: int


_BULLETS = " \t>*+#-–—•·<\"'([|=&_・●○■□◆◇※→「『【（《〈“‘«"
_NUMBERED = re.compile(r"\d{1,3}[.)\]][ \t]{1,4}[<\"'(]?$")
REPLY_AHEAD = re.compile(
    r"(?:^|[<>\s])[245]\d\d[ :-]{1,2}(?:[245]\.\d{1,3}\.\d{1,3}[ ]{1,2})?[<\"']?$"
)
# A field of a quoted header with a name: `To: Kat Lee <kat@example.com>`.
_LABEL = re.compile(
    r"[ \t>*|-]{0,24}(?:(\w{1,20}) )?(\w{1,20})[ \t]{0,2}[:：]"
    r"[^@:;<>([\n]{0,80}(?:[<(]|\[(?:SMTP:)?)"
)
_LABELLED = re.compile(
    r"[ \t>*|-]{0,24}(?:\w{1,20} )?\w{1,20}(?:[ \t]{0,4}[:：]|[ \t]{2,8}|[ \t]?\.{2,40})"
    r"[ \t<\"'\[(]{0,16}"
)
# Whom a program or a file stands for that could not take the mail (Sendmail, Exim).
_FOR_PROGRAM = re.compile(
    r"(?:^|\n)[ \t]{0,4}[\"<]{0,2}[|/][^\n@]{1,200}\n(?:[ \t]{1,8}\(reason:[^\n]{0,200}\n)?"
    r"[ \t]{0,8}\((?:expanded|generated) from:?[ ]<?$"
)
# In the name of a file or in a link; X.400 addresses have slashes and equals signs.
_IN_PATH = re.compile(r"/[^=@]*/[^=@]*@|[^@]*//")
_ALONE = re.compile(
    r"[>\"')\]」』】）》〉”’» \t]{0,32}(?:$|\n|[:;,.(\[<|=：；，。、（–—-]|mailto"
    r"|on (?:mon|tue|wed|thu|fri|sat|sun)\b|on \d|(?<=[ \t])[245]\d\d[ -])",
    re.IGNORECASE,
)


_NAMED = re.compile(r"[ \t>*-]{0,24}[\"']?(?:[^\W\d_a-z][\w.'-]{0,30}[\"']? ){1,4}[\"']?[<(]{1,2}")
_NAMED_ALONE = re.compile(
    r"[>)]{1,2}:?[ \t]{0,8}(?:\n|$|on \d|on (?:mon|tue|wed|thu|fri|sat|sun)\b)", re.IGNORECASE
)

_ENCLOSING = " \t\n<\"'([:=,;：「『【（《〈“‘«"
_AROUND_WORDS = ".,;:!?\"'<>[]*-="


def mentions_in(text: str) -> list[Mention]:
    """Every address, but those in the names of files and in links."""
    found = []
    for start, end in spans_in(text):
        if text.find("/", start, end) >= 0 and _IN_PATH.match(text, start, end):
            continue
        line = text.rfind("\n", 0, start) + 1
        found.append(Mention(trimmed(text[start:end]), line, start, end))
        if len(found) == 2 * MAX_RECIPIENTS:
            break
    return found


def at_head(text: str, mention: Mention) -> Position:
    """LEADING or OF_REPLY where the head of the line says so; SOMEWHERE where it does not."""
    address, line, start, end = mention
    domain = address.rpartition("@")[2]
    if "." not in domain and not domain.startswith("["):
        return Position.NONE
    prefix = text[max(line, start - 200) : start] if line < start else ""
    if prefix and prefix.strip(_BULLETS) and not _NUMBERED.search(prefix):
        if REPLY_AHEAD.search(prefix):
            return Position.OF_REPLY
        if prefix.split() == ["generated", "by"]:  # Exim, of what a forward file led to
            return Position.LEADING
        if " from" in prefix and _FOR_PROGRAM.search(text[max(0, start - 480) : start]):
            return Position.LEADING
        return Position.NAMED if _is_named(text, prefix, mention) else Position.SOMEWHERE
    before = text[max(0, line - 80) : line].rstrip()
    if before and before[-1] not in ".-=)!*":
        others = SENDERS_WORDS if before[-1] in ":：" else OTHERS_WORDS
        if _is_of_somebody(before, others):
            return Position.NONE
    in_sentence = before[-1:].isalnum() and not prefix and text[line - 2 : line] != "\n\n"
    helps = is_helper(mention)
    if _ALONE.match(text, end) and not (in_sentence and helps):
        return Position.LEADING
    return Position.SOMEWHERE if in_sentence or helps else Position.ANNOUNCED


def _is_named(text: str, prefix: str, mention: Mention) -> bool:
    """Whether the line holds no more than a name and its address: `Kat Lee (kat@example.com)`."""
    return (
        prefix[-1] in "<([:"
        and not is_helper(mention)
        and _NAMED.fullmatch(prefix) is not None
        and _NAMED_ALONE.match(text, mention.end) is not None
        and not _is_of_somebody(prefix)
    )


def announced(text: str, mention: Mention) -> Position:
    """What the one or two words in front of an address make of it."""
    start = mention.start
    before = _bare(text[max(0, start - 80) : start])
    words = _last_words(before)
    if " ".join(words) in FAILED_PAIRS:
        return Position.ANNOUNCED
    if _is_of_somebody(text[max(mention.line, start - 200) : start]):
        return Position.NONE
    label = _LABEL.fullmatch(text, mention.line, start)
    if label and _is_of_somebody(" ".join(filter(None, label.groups()))):
        return Position.NONE
    named = label.group(2).lower() if label else ""
    is_announced = (
        words[1] in FAILED_WORDS
        or before.endswith(FAILED_ENDINGS)
        or named in FAILED_WORDS
        or named.endswith(FAILED_ENDINGS)
    )
    if not is_announced:
        return Position.SOMEWHERE
    # `Write to: help@example.org` is advice; behind a label of its own it is an addressee.
    is_addressee = label or is_labelled(text, mention) or not is_helper(mention)
    return Position.ANNOUNCED if is_addressee else Position.SOMEWHERE


def is_labelled(text: str, mention: Mention) -> bool:
    """Whether it stands behind a label of its own: `Recipient: user@example.org`."""
    return _LABELLED.fullmatch(text, mention.line, mention.start) is not None


def is_helper(mention: Mention) -> bool:
    """Whether it is one that people are told to ask, or owns a list."""
    local = _local_part(mention.address)
    return local in HELPERS or local.endswith(OF_LISTS)


def is_signer(address: str) -> bool:
    """Whether it is one that signs reports."""
    local = _local_part(address)
    return local in SIGNERS or local.endswith(SIGNERS_ENDINGS)


def nothing_parts(text: str, one: Mention, other: Mention) -> bool:
    """Whether no words stand between two of them."""
    return not text[one.end : other.start].strip(_BULLETS + "\n>,;:")


def _local_part(address: str) -> str:
    return address.partition("@")[0].lower()


def _is_of_somebody(before: str, others: frozenset[str] = OTHERS_WORDS) -> bool:
    bare = _bare(before)
    words = _last_words(bare)
    return words[1] in others or " ".join(words) in OTHERS_PAIRS or bare.endswith(OTHERS_ENDINGS)


def _bare(before: str) -> str:
    """The words in front of an address without what only encloses it: `Recipient: [SMTP:`."""
    stripped = before.lower().rstrip(_ENCLOSING)
    if stripped.endswith(".."):  # `Recipient ........ user@example.org`
        stripped = stripped.rstrip(". ")
    return stripped.removesuffix("smtp").removesuffix("mailto").rstrip(_ENCLOSING)


def _last_words(before: str) -> tuple[str, str]:
    words = before.rsplit(None, 2)[-2:]
    if len(words) < 2:
        return "", words[0].strip(_AROUND_WORDS) if words else ""
    return words[0].strip(_AROUND_WORDS), words[1].strip(_AROUND_WORDS)
