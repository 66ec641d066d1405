"""Where addresses and a server's words stand in prose; the one engine all free text goes through.

A report written for people puts the address where the eye finds it: alone at the head of a line,
or after the word that announces it. The words about it follow, up to the next address. What comes
after the first sign of the returned mail is never looked at.
"""

import re
from dataclasses import dataclass, replace
from enum import IntEnum

from bouncer.mail.address import address_key, spans_in, trimmed
from bouncer.mail.reply import Reply, reply_from
from bouncer.reports.phrases import ANNOUNCES_FAILED, ANNOUNCES_SOMEBODY, RETURNED, RETURNED_HEADER

MAX_PROSE = 64 * 1024
MAX_RECIPIENTS = 500


class Position(IntEnum):
    """How surely an address stands where the failed one stands; the greatest of a text wins."""

    NONE = 0
    SOMEWHERE = 1
    ANNOUNCED = 2
    OF_REPLY = 3
    LEADING = 4


@dataclass(frozen=True, slots=True)
class Mention:
    """An address in the text: where it is, where its line begins, and how it stands there."""

    address: str
    line: int
    start: int
    end: int
    position: Position


_BULLETS = " \t>*-•·<\"'([|=&_"
_NUMBERED = re.compile(r"\d{1,3}[.)][ \t]{1,4}[<\"'(]?$")
_REPLY_AHEAD = re.compile(
    r"(?:^|[<>\s])[245]\d\d[ :-]{1,2}(?:[245]\.\d{1,3}\.\d{1,3}[ ]{1,2})?[<\"']?$"
)
_ALONE = re.compile(
    r"[>\"')\] \t]{0,8}(?:$|\n|[:;,.(\[<|=-]|mailto|on (?:mon|tue|wed|thu|fri|sat|sun)\b|on \d)",
    re.IGNORECASE,
)


def split_returned(text: str) -> tuple[str, str]:
    """What the reporter wrote, and the mail it is about where that follows as text."""
    examined = text[:MAX_PROSE]
    header = RETURNED_HEADER.search(examined)
    cut = header.start() if header else len(examined)
    marked = RETURNED.search(examined[:cut])
    if marked:
        cut = max(examined.rfind("\n", 0, marked.start()), 0)
    return examined[:cut], text[cut : cut + MAX_PROSE]


class Prose:
    """What a reporter wrote, and the addresses in it."""

    __slots__ = ("mentions", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.mentions = _mentions(text)

    def recipients(self, ours: frozenset[str] = frozenset()) -> list[str]:
        """The addresses the text is about: those that stand best, each once.

        `ours` (the addressee of the report) counts only where it heads a line or nobody else does.
        """
        best = self.best
        chosen = [m.address for m in self.mentions if m.position == best and best]
        if best is not Position.LEADING:
            others = [m for m in self.mentions if address_key(m.address) not in ours]
            best = max((m.position for m in others), default=Position.NONE)
            chosen = [m.address for m in others if m.position == best and best] or chosen
        unique: dict[str, str] = {}
        for address in chosen:
            unique.setdefault(address_key(address), address)
        return list(unique.values())[:MAX_RECIPIENTS]

    @property
    def best(self) -> Position:
        """How surely the surest address stands."""
        return max((m.position for m in self.mentions), default=Position.NONE)

    def reply_about(self, address: str, among: list[str]) -> Reply | None:
        """The words about a recipient; those of the whole text where it is the only one."""
        keys = {address_key(other) for other in among}
        own = address_key(address)
        first: Reply | None = None
        for index, mention in enumerate(self.mentions):
            if address_key(mention.address) != own:
                continue
            reply = reply_from(self._region(index, keys - {own}))
            if reply is not None and reply.code is not None:
                return reply
            first = first or reply
        if len(keys) == 1:
            whole = reply_from(self.text)
            if whole is not None and (
                first is None or whole.code or (whole.status and not first.status)
            ):
                return whole
        return first

    def _region(self, index: int, others: set[str]) -> str:
        """From the address to the next recipient's line; the dialogue where a reply leads it."""
        mention = self.mentions[index]
        stop, start = len(self.text), mention.end
        for later in self.mentions[index + 1 :]:
            if address_key(later.address) in others and later.line > mention.start:
                stop = later.line
                break
        if mention.position is Position.OF_REPLY:
            start = self._session_start(index, others)
        return self.text[start:stop].lstrip(" \t>\"')]:;,")

    def _session_start(self, index: int, others: set[str]) -> int:
        """Where the dialogue begins that ends with the reporter's own reply about the address."""
        mention = self.mentions[index]
        talking = self.text.lower().rfind("while talking to", 0, mention.line)
        for earlier in reversed(self.mentions[:index]):
            if address_key(earlier.address) in others:
                line_end = self.text.find("\n", earlier.end, mention.line)
                return max(talking, line_end + 1 if line_end >= 0 else mention.line)
        return talking if talking >= 0 else mention.line


def _mentions(text: str) -> list[Mention]:
    """Every address with its position; those that head no line are judged only if none does."""
    found, leading = [], False
    for start, end in spans_in(text):
        line = text.rfind("\n", 0, start) + 1
        address = trimmed(text[start:end])
        position = _at_head(text, line, start, end, address)
        leading = leading or position is Position.LEADING
        found.append(Mention(address, line, start, end, position))
        if len(found) == 2 * MAX_RECIPIENTS:
            break
    return found if leading else [_judged(text, mention) for mention in found]


def _at_head(text: str, line: int, start: int, end: int, address: str) -> Position:
    """LEADING or OF_REPLY where the head of the line says so; SOMEWHERE where it does not."""
    domain = address.rpartition("@")[2]
    if "." not in domain and not domain.startswith("["):
        return Position.NONE
    prefix = text[max(line, start - 200) : start]
    if prefix.strip(_BULLETS) and not _NUMBERED.search(prefix):
        return Position.OF_REPLY if _REPLY_AHEAD.search(prefix) else Position.SOMEWHERE
    before = text[max(0, line - 80) : line].rstrip()
    if not before.endswith((":", ".", "-", "=", ")", "!", "*")) and ANNOUNCES_SOMEBODY.search(
        before
    ):
        return Position.NONE
    return Position.LEADING if _ALONE.match(text, end) else Position.ANNOUNCED


def _judged(text: str, mention: Mention) -> Mention:
    if mention.position is not Position.SOMEWHERE:
        return mention
    start = mention.start
    prefix = text[max(mention.line, start - 200) : start]
    if ANNOUNCES_SOMEBODY.search(prefix):
        return replace(mention, position=Position.NONE)
    context = text[max(0, start - 80) : start] if len(prefix) < 40 else prefix[-80:]
    if ANNOUNCES_FAILED.search(context):
        return replace(mention, position=Position.ANNOUNCED)
    return mention
