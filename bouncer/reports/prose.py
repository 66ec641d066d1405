"""Where addresses and a server's words stand in prose; the one engine all free text goes through.

A report written for people puts the address where the eye finds it: alone at the head of a line,
or after the word that announces it. The words about it follow, up to the next address. What comes
after the first sign of the returned mail is never looked at.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from bouncer.mail.address import address_key, clean, trimmed, unique
from bouncer.mail.reply import Reply, command_in, host_in, one_line, reply_from
from bouncer.reports.landmarks import (
    NEW_ADDRESSES,
    NO_REASONS,
    REASON_LABELS,
    REASONS_BEFORE,
    RETURNED,
    RETURNED_FIELDS,
    USE_INSTEAD,
)
from bouncer.reports.mentions import (
    MAX_RECIPIENTS,
    REPLY_AHEAD,
    Mention,
    Position,
    announced,
    at_head,
    is_helper,
    is_labelled,
    is_signer,
    mentions_in,
    nothing_parts,
)
from bouncer.reports.phrases import FAILURES
from bouncer.reports.search import Phrases
from bouncer.reports.transcript import replies_in

MAX_PROSE = 32 * 1024
MAX_PARAGRAPHS = 3
MAX_REGION = 8 * 1024


_MAX_AND = 64
_GIVES_ADDRESS = Phrases("\n".join((*NEW_ADDRESSES.all, *USE_INSTEAD)))
_SENTENCE_END = re.compile(r"[.!?][)\"']?\s|。")
_FEW = 8
_MAX_SAID = 600
_BEHIND = " \t>\"')]:;,."
_NEAR = 100  # characters before an address in which words tell what it is
_AND = re.compile(
    r"[>\"')]{0,2}[ \t]{0,8}\n?[ \t]{0,8}(?:[,;、]|and\b|&)[ \t]{0,8}\n?[ \t]{0,8}"
    r"(?:[<\"'(]{0,2}|[\"']?(?:[^\W\d_a-z][\w.'-]{0,20}[\"']? ){1,3}[<(])"
)
_EXPANDED_FROM = re.compile(
    r"[>\s]{0,20}\((?:expanded from:?|(?:ultimately )?generated from)\s{1,20}"
    r"<?([^\s<>()@]{1,128}@[^\s<>()@]{1,255})>?\)"
)
_NOBODY: set[str] = set()
# Where the part of a report begins that is about all its recipients.
_SESSION = "ranscript of session"
# What follows a reply of a transcript and is about something else.
_NEXT_REPLY = re.compile(
    r"\n[ >\t]{0,8}(?:[245]\d\d[ -]|>>>|<<<|(?:\.\.\. )?while talking to)", re.IGNORECASE
)
# A line that begins as a label does: `Reason:`, `Reason ....... `, `Reason    `.
_LABEL_AHEAD = re.compile(
    r"(?m)^[ \t>*|#-]{0,16}+(?:([^\n:：=]{2,47}+)[:：=]"
    r"|([^\s.]{2,20}+(?: [^\s.]{2,20}+)?+)(?:  |\t| ?\.\.))"
)
_FILL = " \t.:：="
# Without these there is neither a reply code nor an enhanced status.
_DIGITS = re.compile(r"[2456](?:\d\d|\.\d)")
_BEFORE_BLANK = re.compile(r"[>\"')\]:;,. \t]{0,8}\n[ \t]*(?:\n|\Z)")
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
_RETURNED_HEADER = re.compile(
    r"\n[ \t>|]{0,8}(?i:received|return-path|x-received|dkim-signature|x-originating-ip"
    r"|domainkey-signature|arc-seal|message-id|mime-version|delivered-to|x-google-[a-z-]{1,40}) ?:"
)


# PMDF and its heirs, and PP, quote the header before they say what happened: it is put behind.
_HEADERS_FIRST = ("with the following header fields:", "report relates to your message:")
_QUOTED_HEADER = re.compile(
    rf"(?:(?<={_HEADERS_FIRST[0]})\n\s*\n|(?<={_HEADERS_FIRST[1]}).*\n)(?:[ \t]*[^\s].*\n)+"
)

# What says that a delivery failed: a reply, or an indented line right behind the address.
_FAILED = re.compile(
    r"[245]\.\d{1,3}\.\d{1,3}|\b[245]\d\d[- ](?=[A-Za-z<\"'#(])|\A[>:;,. \t]{0,8}\n[ \t]{2,16}\S"
)


def split_returned(text: str) -> tuple[str, str]:
    """What the reporter wrote, and the mail it is about where that follows as text."""
    if any(mark in text for mark in _HEADERS_FIRST) and (quoted := _QUOTED_HEADER.search(text)):
        text = text[: quoted.start()] + text[quoted.end() :] + quoted.group()
    examined = text[:MAX_PROSE]
    lowered = examined.lower()
    if len(lowered) != len(examined):
        lowered = examined
    cut = len(examined)
    if RETURNED_FIELDS.are_in(lowered) and (header := _RETURNED_HEADER.search("\n" + examined)):
        cut = header.start()
    marked = RETURNED.first_in(lowered[:cut])
    if marked >= 0:
        cut = max(lowered.rfind("\n", 0, marked), 0)
    return examined[:cut], text[cut : cut + MAX_PROSE]


class Prose:
    """What a reporter wrote, and the addresses in it."""

    __slots__ = (
        "_among",
        "_best",
        "_indices",
        "_keys",
        "_lasts",
        "_leads",
        "_positions",
        "_reason",
        "_told",
        "mentions",
        "text",
    )

    def __init__(self, text: str) -> None:
        self.text = text
        self.mentions = mentions_in(text)
        self._positions: list[Position] | None = None
        self._best: Position | None = None
        self._lasts: list[int] | None = None
        self._leads: bool | None = None
        self._told: dict[str, Reply] | None = None
        self._reason: str | None = None
        self._indices: dict[str, list[int]] | None = None
        self._among: list[str] = []
        self._keys: set[str] = set()

    @property
    def positions(self) -> list[Position]:
        """How each address stands; those that head no line are judged only if none does."""
        if self._positions is None:
            found = [at_head(self.text, mention) for mention in self.mentions]
            if Position.LEADING not in found:
                found = [
                    announced(self.text, mention) if position is Position.SOMEWHERE else position
                    for mention, position in zip(self.mentions, found, strict=True)
                ]
            if Position.NAMED in found and not {Position.ANNOUNCED, Position.OF_REPLY} & set(found):
                found = [Position.LEADING if p is Position.NAMED else p for p in found]
            self._positions = self._enumerated(found)
        return self._positions

    @property
    def lasts(self) -> list[int]:
        """For each mention the last one that only commas part from it."""
        if self._lasts is None:
            self._lasts = list(range(len(self.mentions)))
            for index in range(len(self.mentions) - 2, -1, -1):
                end, start = self.mentions[index].end, self.mentions[index + 1].start
                if start - end >= _MAX_AND or is_helper(self.mentions[index + 1]):
                    continue
                if _AND.fullmatch(self.text, end, start):
                    self._lasts[index] = self._lasts[index + 1]
        return self._lasts

    def _enumerated(self, positions: list[Position]) -> list[Position]:
        """An address that only a comma parts from the one before it stands as that one does."""
        for index, last in enumerate(self.lasts[:-1]):
            if last > index:
                positions[index + 1] = positions[index]
        return positions

    @property
    def best(self) -> Position:
        """How surely the surest address stands."""
        if self._best is None:
            self._best = max(self.positions, default=Position.NONE)
        return self._best

    def recipients(self, ours: frozenset[str] = frozenset()) -> list[str]:
        """The addresses the text is about: those that stand best, each once.

        `ours` (the addressee of the report) counts only where it heads a line or nobody else does.
        """
        best = self.best
        standing = list(zip(self.mentions, self.positions, strict=True))
        chosen = [m.address for m, position in standing if position is best] if best else []
        if len(chosen) == 1 and best is Position.LEADING:
            return self._without_new(chosen) or self._without_new(self._announced_beside())
        if best is not Position.LEADING:
            chosen = self._standing_best(standing, chosen, ours)
        return self._without_signers(self._without_new(unique(chosen)[:MAX_RECIPIENTS]))

    def _standing_best(
        self,
        standing: list[tuple[Mention, Position]],
        chosen: list[str],
        ours: frozenset[str],
    ) -> list[str]:
        """Where nobody heads a line: those that stand best among the others."""
        others = [(m, p) for m, p in standing if address_key(m.address) not in ours]
        best = max((p for _, p in others), default=Position.NONE)
        if best <= Position.SOMEWHERE < self.best and any(map(self._is_labelled, chosen)):
            return chosen  # the recipient is ours: it is told of mail to us
        if best is Position.SOMEWHERE:
            others = [(m, p) for m, p in others if not is_helper(m)] or others
        chosen = [m.address for m, p in others if p == best and best] or chosen
        if best is Position.ANNOUNCED and not all(is_helper(m) for m, p in others if p == best):
            chosen = [m.address for m, p in others if p == best and not self._is_asked(m)]
        announced = [m.address for m, p in others if p is Position.ANNOUNCED]
        if best is Position.OF_REPLY and set(chosen) < set(announced):
            chosen = announced  # some were refused by name, the others are announced as they
        return chosen

    def _is_asked(self, mention: Mention) -> bool:
        """Whether it is there to be asked: a helper of whom nothing is said."""
        behind = self.text[mention.end : mention.end + _NEAR].partition("\n\n")[0]
        is_asked = is_helper(mention) and is_labelled(self.text, mention)
        return is_asked and not _says_failure(behind)

    def _is_labelled(self, address: str) -> bool:
        """Whether it stands behind a label of its own: `Recipient: user@example.org`."""
        mentions = (self.mentions[index] for index in self._where(address_key(address)))
        return any(is_labelled(self.text, mention) for mention in mentions)

    def _announced_beside(self) -> list[str]:
        """Those that words announce, though others head a line."""
        standing = zip(self.mentions, self.positions, strict=True)
        return unique(
            mention.address
            for mention, position in standing
            if position in (Position.SOMEWHERE, Position.NAMED)
            and announced(self.text, mention) is Position.ANNOUNCED
        )

    def _without_signers(self, chosen: list[str]) -> list[str]:
        """Those that do not stand behind all others only to be asked.

        Of whom something is said, or who stands as the one before does, is a recipient.
        """
        while len(chosen) > 1:
            if not is_signer(chosen[-1]):
                break
            before, last = (self._last_mention(address) for address in chosen[-2:])
            stands_as_before = (
                nothing_parts(self.text, before, last)
                or self.text.startswith(">:", last.end)
                or self._is_labelled(chosen[-1])
            )
            if stands_as_before or _says_failure(self.text[last.end : last.end + MAX_REGION]):
                break
            chosen = chosen[:-1]
        return chosen

    def _last_mention(self, address: str) -> Mention:
        return self.mentions[max(self._where(address_key(address)))]

    def _without_new(self, chosen: list[str]) -> list[str]:
        """Those that are not given as somebody's new address."""
        new = set(self._given_as_new())
        keys = {address_key(mention.address) for mention in new}
        return [
            address
            for address in chosen
            if (key := address_key(address)) not in keys or self._has_failed(key, new)
        ]

    def _given_as_new(self) -> Iterator[Mention]:
        """The mentions that the words before them, in one sentence, call somebody's new address."""
        if len(self.mentions) > _FEW and not _GIVES_ADDRESS.are_in(self.text.lower()):
            return
        end = 0
        for mention in self.mentions:
            before = self.text[max(end, mention.start - _NEAR) : mention.start].lower()
            said = " ".join(_SENTENCE_END.split(before)[-1].split()).rstrip(" :：<\"'")
            if said.endswith(USE_INSTEAD) or NEW_ADDRESSES.are_in(said):
                yield mention
            end = mention.end

    def _has_failed(self, key: str, new: set[Mention]) -> bool:
        """Whether a failure is said of the address, or it stands where the failed one does.

        That a sentence calls it new does not count where the same text says more of it.
        """
        mentions = [(self.mentions[n], self.positions[n]) for n in self._where(key)]
        return any(
            (position >= Position.ANNOUNCED and mention not in new)
            or _says_failure(self.text[mention.end : mention.end + _NEAR])
            for mention, position in mentions
        )

    def reply_about(self, address: str, among: list[str]) -> Reply | None:
        """The words about a recipient; those of the whole text where it is the only one."""
        reply = self._words_about(address, among)
        before = next((words for words in REASONS_BEFORE if words in self.text), None)
        if reply is None or before is None or before in reply.text:
            return reply
        return replace(reply, text=f"{before} {reply.text}")

    def goes_on_behind(self, address: str) -> bool:
        """Whether the text says anything behind an address."""
        mention = self.mentions[self._where(address_key(address))[0]]
        return bool(self.text[mention.end :].strip(_BEHIND + "\n\r"))

    def said_behind(self, address: str) -> Reply | None:
        """The words right behind an address, and nothing else of the text."""
        mention = self.mentions[self._where(address_key(address))[0]]
        behind = self.text[mention.end : mention.end + _MAX_SAID].lstrip(_BEHIND)
        return reply_from(_BLANK_LINE.split(behind, maxsplit=1)[0])

    def expanded_from(self, address: str) -> str | None:
        """The address that was written to, where a list or an alias led to this one."""
        if "(expanded from" not in self.text and "generated from" not in self.text:
            return None
        for mention in self.mentions:
            if mention.address == address and (
                found := _EXPANDED_FROM.match(self.text, mention.end)
            ):
                return trimmed(clean(found.group(1)))
        return None

    def _words_about(self, address: str, among: list[str]) -> Reply | None:
        own = address_key(address)
        others = self._others(among, own)
        if told := self._told_in_session(own, alone=not others):
            return told
        first: Reply | None = None
        start = 0
        for index in self._where(own):
            mention = self.mentions[index]
            if others and self._replies_lead and (ahead := self._said_ahead(mention)):
                return ahead
            start, region = self._region(index, others)
            reply = _reply_in(region if region.strip() else self._words_before(mention))
            if reply is not None and reply.code is not None:
                if reply.command is None and mention.start - mention.line > 3:
                    command = command_in(self.text[mention.line : mention.start])
                    return replace(reply, command=command) if command else reply
                return reply
            reply = self._labelled(reply, region, mention if others else None)
            if reply is not None and not others and not reply.context:
                reply = self._with_subject(reply, mention, region)
            first = first or reply
            if not others:
                break
        if not others and (
            first is None or _says_nothing(first.text) or _DIGITS.search(self.text, 0, start)
        ):
            whole = reply_from(self.text[:MAX_REGION])
            if whole is not None and (
                first is None
                or whole.code
                or (not first.status and (whole.status or _says_nothing(first.text)))
            ):
                return whole
        return first

    def _labelled(self, own: Reply | None, region: str, of_several: Mention | None) -> Reply | None:
        """The reason behind a label, in what is said of an address; else what is said.

        Where nothing is: the labelled reason of a text about one address, or before all of several.
        """
        own_words = _BLANK_LINE.split(region, maxsplit=1)[0] if of_several else region
        reason = _reason_in(own_words or region)
        found = reply_from(reason) if reason else None
        if found is not None and (own is None or own.status in (None, found.status)):
            return replace(found, context=own.text) if own is not None else found
        if own is not None and not _says_nothing(own.text):
            return own
        if of_several and not (own is None or _BEFORE_BLANK.match(self.text, of_several.end)):
            return own
        if self._reason is None:
            self._reason = self._reason_for_all() if of_several else _reason_in(self._head)
        return (reply_from(self._reason) if self._reason else None) or own

    @property
    def _head(self) -> str:
        return self.text[:MAX_REGION]

    def _reason_for_all(self) -> str:
        """The labelled reason before all addresses, where nothing but themselves parts them."""
        recipients = (m for m in self.mentions if address_key(m.address) in self._keys)
        for one, other in pairwise(recipients):
            if not nothing_parts(self.text, one, other):
                return ""
        return _reason_in(self._head[: self.mentions[0].start])

    def _others(self, among: list[str], own: str) -> set[str]:
        if len(among) < 2:
            return _NOBODY
        if self._among is not among:
            self._among, self._keys = among, set(map(address_key, among))
        return self._keys - {own}

    def _where(self, key: str) -> list[int]:
        """Which mentions are of this address: those that stand where the failed one does first."""
        if self._indices is None:
            self._indices = {}
            for index, mention in enumerate(self.mentions):
                self._indices.setdefault(address_key(mention.address), []).append(index)
            positions = self.positions
            for indices in self._indices.values():
                indices.sort(key=lambda index: positions[index] < Position.ANNOUNCED)
        return self._indices.get(key, [])

    def _told_in_session(self, own: str, *, alone: bool) -> Reply | None:
        """What a transcript says of an address, or of the local name that is meant by it."""
        if self._told is None:
            self._told = replies_in(self.text)
        if not self._told:
            return None
        reply = self._told.get(own)
        return reply or (self._told.get(own.partition("@")[0]) if alone else None)

    def _region(self, index: int, others: set[str]) -> tuple[int, str]:
        """From the address to the next recipient's line; the dialogue where a reply leads it."""
        mention = self.mentions[index]
        last = self.lasts[index] if others else index
        stop, start = len(self.text), self.mentions[last].end
        for later in self.mentions[last + 1 :] if others else ():
            if later.line > mention.start and address_key(later.address) in others:
                stop = later.line
                break
        if others and (session := self.text.find(_SESSION, start, stop)) >= 0:
            stop = self.text.rfind("\n", start, session) + 1 or session
        ahead = self.text[max(mention.line, mention.end - 340) : mention.start]
        if len(ahead) > 3 and REPLY_AHEAD.search(ahead):
            start = self._session_start(index, others)
            if others and (following := _NEXT_REPLY.search(self.text, mention.end, stop)):
                stop = following.start()
        return start, self.text[start : min(stop, start + MAX_REGION)].lstrip(_BEHIND)

    @property
    def _replies_lead(self) -> bool:
        """Whether the report puts the reply before each address: the first one tells."""
        if self._leads is None:
            self._leads = self._said_ahead(self.mentions[0]) is not None
        return self._leads

    def _said_ahead(self, mention: Mention) -> Reply | None:
        """The reply in the lines before an address that its paragraph ends with."""
        behind = self.text[mention.end : mention.end + 82].partition("\n\n")[0][:80]
        if behind.strip(" \t\n>)]\"'.,;"):
            return None
        ahead = self.text[max(0, mention.line - 1000) : mention.line].rpartition("\n\n")[2]
        if "@" in ahead or _DIGITS.search(ahead) is None:
            return None
        reply = reply_from(ahead)
        return reply if reply is not None and reply.code is not None else None

    def _with_subject(self, reply: Reply, mention: Mention, region: str) -> Reply:
        """The sentence, where the address stands in its middle: `User <a@b> is not listed`."""
        before = self.text[mention.line : mention.start].lstrip()
        if not (3 < len(before) < 60 and before[:1].isupper() and region[:1].islower()):
            return reply
        return replace(reply, text=one_line(f"{before}{mention.address} {region}"))

    def _words_before(self, mention: Mention) -> str:
        """What the line says in front of an address that the next recipient follows (IMail)."""
        words = self.text[mention.line : mention.start].strip(" \t<\"'(:")
        return "" if "@" in words or words.endswith(" from") else words

    def _session_start(self, index: int, others: set[str]) -> int:
        """Where the dialogue begins that ends with the reporter's own reply about the address."""
        mention = self.mentions[index]
        talking = self.text.lower().rfind("while talking to", 0, mention.line)
        for earlier in reversed(self.mentions[:index]):
            if address_key(earlier.address) in others:
                line_end = self.text.find("\n", earlier.end, mention.line)
                return max(talking, line_end + 1 if line_end >= 0 else mention.line)
        return talking if talking >= 0 else mention.line


def _reply_in(region: str) -> Reply | None:
    """The reply of the first paragraphs that have one; what follows it is said to everybody."""
    begin = 0
    for _ in range(MAX_PARAGRAPHS):
        digits = _DIGITS.search(region, begin)
        if digits is None:
            break
        blank = _BLANK_LINE.search(region, begin)
        while blank and blank.end() <= digits.start():
            begin = blank.end()
            blank = _BLANK_LINE.search(region, begin)
        if blank is None and not begin:
            break
        reply = reply_from(region[begin : blank.start() if blank else None])
        if reply is not None and reply.code is not None:
            if begin and reply.host is None:
                return replace(reply, host=host_in(one_line(region[:begin])))
            return reply
        if blank is None:
            break
        begin = blank.end()
    return reply_from(region)


def _reason_in(region: str) -> str:
    """What stands behind a label such as `Reason:`, to the end of its paragraph; "" without one."""
    for line in _LABEL_AHEAD.finditer(region):
        label = line.group(1) or line.group(2)
        if label.rstrip(_FILL).lower() in REASON_LABELS:
            behind = region[line.end(line.lastindex or 0) :].lstrip(_FILL).lstrip()
            reason = _BLANK_LINE.split(behind, maxsplit=1)[0]
            return "" if _says_nothing(reason) else reason
    return ""


def _says_failure(words: str) -> bool:
    return _FAILED.search(words) is not None or FAILURES.are_in(words.lower())


def _says_nothing(words: str) -> bool:
    """Whether what follows the address is no reason: then that stands before it."""
    return len(words) < 4 or words.lower().startswith(NO_REASONS)
