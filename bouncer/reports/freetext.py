"""Bounces that are written for people only.

Whether a mail is one is decided by who wrote it, its subject and its words, two of the three;
whose address it is about and what the server said, by prose.py. Dialects that need more are data.
flufl.bounce comes last, where this finds no address.
"""

import email
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flufl.bounce import all_failures

from bouncer.mail.address import address_key, addresses_in, clean, domain_of, unique
from bouncer.mail.message import MAX_DEPTH, MAX_TEXT, Message
from bouncer.mail.reply import Reply, one_line
from bouncer.reports import dsn
from bouncer.reports.about import ReturnedHeader, returned_header
from bouncer.reports.landmarks import NEW_ADDRESSES, QUOTING
from bouncer.reports.mentions import MAX_RECIPIENTS, Position
from bouncer.reports.phrases import (
    AUTOMATIC_SUBJECTS,
    AWAY_SUBJECTS,
    CHALLENGES,
    DAEMONS,
    DELIVERED,
    DELIVERED_SUBJECTS,
    FAILED_SUBJECTS,
    FAILING,
    FAILURES,
    GIVEN_UP,
    MACHINES,
    NOTICE_SUBJECTS,
    NOTICES,
    OTHER_DELIVERIES,
    OTHERS_MAIL,
    PASSED_ON,
    SERVER_LOGS,
    STILL_TRYING,
    YOUR_MAIL,
)
from bouncer.reports.prose import Prose, split_returned
from bouncer.reports.report import Format, Kind, Report, ReportedRecipient
from bouncer.reports.sentences import without_subject_lines
from bouncer.reports.subjects import answers, is_ticket

# It logs a traceback for each mail that its detectors stumble over.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL + 1)

MAX_FLUFL = 32 * 1024
MAX_FLUFL_PARTS = 100
_HEAD = 2048
_FIRST_WORDS = 120
_ADDRESSEES = ("to", "delivered-to")
_REPORT = b"report-type=delivery-status"
_QUOTED_AUTHOR = re.compile(r"(?mi)^[ \t>]{0,8}from[ \t]{0,4}:(.*)$")
# A line that says whose words are quoted below it.
_ABOVE_QUOTED = re.compile(r"(?m)^([^\n>][^\n]{0,300})\n(?:[ \t]*\n)?>")


# A server's answer, by its code or its enhanced status.
_QUOTED_REPLY = re.compile(
    r"(?<![\d.,])(?:[45]\d\d[ -](?=[A-Za-z<\"'#(\d])|[245]\.\d{1,3}\.\d{1,3}(?![\d.]))"
)
_OF_MODERATOR = "has been rejected by the list moderator"


@dataclass(frozen=True, slots=True)
class Dialect:
    """A way of reporting that prose.py misses: how to know it, and where it has the address."""

    name: str
    mark: str
    address: re.Pattern[str]
    local_part: bool = False
    in_author: bool = False


DIALECTS = (
    Dialect(
        name="AOL: names without a domain, which is the reporter's",
        mark="Your mail to the following recipients could not be delivered",
        address=re.compile(r"(?m)^\t([A-Za-z0-9._-]{1,64})[ \t]*$"),
        local_part=True,
    ),
    Dialect(
        name="Exim: an address it could not parse",
        mark="incorrectly constructed",
        address=re.compile(
            r"malformed address: <?([^\s<>]{1,128}@[^\s<>]{1,255})>? may not follow"
        ),
    ),
    Dialect(
        name="Mailman: a list whose moderator refused a post, named by who writes",
        mark=_OF_MODERATOR,
        address=re.compile(r"([^\s<>@]{1,128})-(?:bounces|owner)(@[^\s<>]{1,255})"),
        in_author=True,
    ),
    Dialect(
        name="fml: a list that saw the same message twice",
        mark="Duplicated Message-ID in",
        address=re.compile(r"Duplicated Message-ID in <([^\s<>]{1,128}@[^\s<>]{1,255})>"),
    ),
)


def read(message: Message) -> Report | None:
    """The report, where the mail is a bounce and says whose address it is about."""
    failed = _failed_recipients(message)
    signs = _Signs(message)
    if signs.subject.startswith(NOTICES) and not failed:
        return None
    if not (failed or signs.daemon or signs.subject_failed or signs.null_sender):
        return _wrapped(message, signs)
    before, after = split_returned(_text_of(message))
    if signs.answers:
        before = _without_quoted(before)
    if not before.strip():
        before = _behind_mark(after)
    signs.read_words(before)
    prose = Prose(before)
    returns_mail = bool(failed or after.strip() or message.returned())
    if signs.is_notice and not (returns_mail or signs.quotes_reply):
        return None
    if not (
        failed
        or signs.tell_failure()
        or _has_form_of_report(message, prose, signs, returns_mail=returns_mail)
    ):
        return _wrapped(message, signs)
    kind = signs.kind()
    recipients = failed or _recipients(message, prose, signs)
    header = returned_header(message, after)
    found_by = Format.FREE_TEXT
    if not recipients and (wrapped := _wrapped(message, signs)):
        return wrapped
    if not recipients and not header.addressees:
        recipients = _in_subject(message, signs)
    if not recipients:
        recipients, kind, found_by = _last_resorts(message, prose, header.addressees, kind)
    reported = tuple(_recipient(address, recipients, prose, kind, signs) for address in recipients)
    if not reported or not (returns_mail or _is_for_sender(message, reported, signs)):
        return None
    return _report(message, found_by, reported, header)


def guess(message: Message) -> Report | None:
    """What nobody's words say of a program's mail: that it names an address that is not its own.

    It tells its reader of their mail, and says something of that address right behind it. A report
    only where a rule knows that for a reason of mailboxes.
    """
    signs = _Signs(message)
    if not (signs.null_sender or signs.daemon) or signs.answers or message.is_of_list:
        return None
    if any(each.are_in(signs.subject) for each in (AUTOMATIC_SUBJECTS, AWAY_SUBJECTS)):
        return None
    before, after = split_returned(_text_of(message))
    signs.read_words(before)
    if signs.is_notice or signs.is_of_other or signs.is_of_others_mail:
        return None
    if NEW_ADDRESSES.are_in(signs.words):
        return None
    if not (signs.subject_failed or signs.words_fail or YOUR_MAIL.are_in(signs.words)):
        return None
    prose = Prose(before)
    recipients = prose.recipients(_keys_in(message, *_ADDRESSEES, "from", "return-path"))
    told = _keys_in(message, *_ADDRESSEES)
    if prose.best < Position.ANNOUNCED or told.issuperset(map(address_key, recipients)):
        return None
    kind = signs.kind()
    reported = tuple(
        ReportedRecipient(kind, address, reply=prose.said_behind(address)) for address in recipients
    )
    report = _report(message, Format.FREE_TEXT, reported, returned_header(message, after))
    report.sure = signs.subject_failed or signs.quotes_reply
    return report


def _report(
    message: Message,
    found_by: Format,
    recipients: tuple[ReportedRecipient, ...],
    header: ReturnedHeader,
) -> Report:
    return Report(
        format=found_by,
        recipients=recipients,
        message_id=header.message_id,
        from_domain=header.from_domain,
        defects=tuple(message.defects),
    )


def _recipient(
    address: str, among: list[str], prose: Prose, kind: Kind, signs: "_Signs"
) -> ReportedRecipient:
    reply = prose.reply_about(address, among)
    if reply is not None and (reply.code or 500) < 300 and not signs.words_fail:
        kind = Kind.DELIVERY
    if reply is None and len(among) == 1 and (text := one_line(prose.text)):
        reply = Reply(text)
    return ReportedRecipient(
        kind=kind,
        recipient=address,
        original_recipient=prose.expanded_from(address),
        reply=reply,
        remote_mta=reply.host if reply else None,
        around=prose.text if len(among) == 1 else "",
    )


def _failed_recipients(message: Message) -> list[str]:
    """X-Failed-Recipients (Exim, Google, Mail.ru): the addresses, from the horse's mouth."""
    if b"x-failed-recipients" not in message.root.fields:
        return []
    return unique(
        address
        for value in message.headers("x-failed-recipients")
        for address in addresses_in(value)
    )


def _text_of(message: Message) -> str:
    texts = []
    for part in message.texts():
        text = part.seen
        if not part.charset_known:
            message.note("unknown charset")
        texts.append(text)
        if len(texts) == 3:
            break
    text = "\n".join(texts)
    if "@" not in text and (page := message.part("text/html")) and not page.is_returned:
        # The plain part says no more than that one should look at the other.
        return f"{text}\n{page.seen}"
    return text


class _Signs:
    """What author, subject, sender and words say of a mail."""

    __slots__ = (
        "_message",
        "_text",
        "answers",
        "daemon",
        "machine",
        "null_sender",
        "subject",
        "subject_failed",
        "words",
        "words_fail",
    )

    def __init__(self, message: Message) -> None:
        self._message = message
        self.words = ""
        self._text = ""
        self.words_fail = False
        self.subject = (message.header("subject") or "").lower()
        self.answers = answers(self.subject)
        self.subject_failed = not self.answers and FAILED_SUBJECTS.are_in(self.subject)
        author = (message.header("from") or "").strip().lower()
        sender = message.reverse_path
        self.null_sender = message.has_null_sender
        if sender and "@" in sender and f"<{sender}>" in author and not MACHINES.are_in(sender):
            author = sender  # people may call themselves what they like
        self.daemon = DAEMONS.are_in(author) if author else bool(self.subject)
        self.machine = self.daemon or MACHINES.are_in(author)

    def read_words(self, text: str) -> None:
        """Takes the head of the text, its lines joined."""
        self._text = without_subject_lines(text[:_HEAD])
        self.words = " ".join(self._text.split()).lower()
        self.words_fail = _says_failure(self.words) or STILL_TRYING.are_in(self.words)

    def tell_failure(self) -> bool:
        """Two of three: a daemon wrote it, the subject says so, the words say so."""
        if self.is_of_others_mail:
            return False
        if not self.daemon:
            if AUTOMATIC_SUBJECTS.are_in(self.subject) or AWAY_SUBJECTS.are_in(self.subject):
                return False
            if self.is_of_other:
                return False
            if self._asks_for_proof() if self.null_sender else self._asks():
                return False
            # List mail about bounces is no bounce; one that a gateway gave such headers may be.
            if self._message.is_of_list and not (
                _says_failure(self.words[:_FIRST_WORDS]) or _OF_MODERATOR in self.words
            ):
                return False
        if self.words_fail:
            return self.daemon or self.subject_failed or self.null_sender
        return self.daemon and self.subject_failed

    @property
    def is_notice(self) -> bool:
        """Whether the subject is that of what owners of mailboxes and servers are told."""
        return self.subject.startswith(NOTICES) or (
            not self.subject_failed and NOTICE_SUBJECTS.are_in(self.subject)
        )

    @property
    def is_of_other(self) -> bool:
        """Whether it tells of tickets, programs or parcels."""
        return is_ticket(self.subject) or OTHER_DELIVERIES.are_in(self.words)

    @property
    def quotes_reply(self) -> bool:
        """Whether the text quotes a server."""
        return _QUOTED_REPLY.search(self._text) is not None

    @property
    def is_of_others_mail(self) -> bool:
        """Whether it tells those of a server or a mailbox what is not about mail of theirs."""
        if SERVER_LOGS.are_in(self.words):
            return True
        subject = "" if self.subject_failed else self.subject
        return OTHERS_MAIL.are_in(f"{subject}\n{self.words}") and not self.quotes_reply

    def kind(self) -> Kind:
        """What a report that tells of a failure, a delay or an arrival says it is."""
        if self.tell_delay():
            return Kind.DELAY
        arrived = self.subject.startswith(DELIVERED_SUBJECTS) or DELIVERED.are_in(self.words)
        return Kind.DELIVERY if arrived and not GIVEN_UP.are_in(self.words) else Kind.BOUNCE

    def tell_delay(self) -> bool:
        """Somebody still tries, and neither subject nor words say that nobody does."""
        if GIVEN_UP.are_in(self.subject):
            return False
        if STILL_TRYING.are_in(self.subject):
            return True
        return STILL_TRYING.are_in(self.words) and not GIVEN_UP.are_in(self.words)

    def _asks_for_proof(self) -> bool:
        return CHALLENGES.are_in(self.words) and not (self.subject_failed and self.words_fail)

    def _asks(self) -> bool:
        """Whether a person answers or asks: no program that reports a failure does."""
        if self.subject.startswith(PASSED_ON):
            own = self.words.partition("from: ")[0]
            return "? " in own or not DAEMONS.are_in(self.words)
        return self.answers or "? " in self.subject + " " or "? " in self.words


def _says_failure(words: str) -> bool:
    return FAILURES.are_in(words) or ("deliver" in words and FAILING.are_in(words))


def _recipients(message: Message, prose: Prose, signs: _Signs) -> list[str]:
    text = prose.text
    for dialect in DIALECTS:
        if dialect.mark in text:
            return _by_dialect(dialect, message, text)
    if prose.best is Position.LEADING and (signs.daemon or signs.null_sender):
        return [_list_of(address, signs) for address in prose.recipients()]
    ours = _keys_in(message, *_ADDRESSEES, "from", "return-path")
    found = prose.recipients(ours)
    is_ours = not ours.isdisjoint(map(address_key, found))
    if prose.best <= Position.SOMEWHERE and (len(found) > 1 or is_ours):
        return []
    if prose.best < Position.OF_REPLY and not (signs.machine or signs.subject_failed):
        # Who has left a place or moved names the one to write to.
        return []
    certain = prose.best is Position.LEADING or not message.is_of_list
    if (is_ours or not certain) and not (signs.daemon or signs.null_sender):
        return []
    return [_list_of(address, signs) for address in found]


def _list_of(address: str, signs: _Signs) -> str:
    """The list that a refused post was for, where only its owners' address stands in full.

    LISTSERV: `... to the BIRDS-L list ... please contact the list owners: BIRDS-L-request@HOST`.
    """
    name, request, host = address.rpartition("-request@")
    return f"{name}@{host}" if request and f"{name.lower()} list" in signs.words else address


def _in_subject(message: Message, signs: _Signs) -> list[str]:
    """The one address in the subject: `Mail to <user@example.org> not delivered`."""
    if "@" not in signs.subject or not (signs.daemon or signs.null_sender):
        return []
    subject = Prose(message.header("subject") or "")
    ours = _keys_in(message, *_ADDRESSEES, "from", "return-path")
    found = subject.recipients(ours) if subject.best >= Position.ANNOUNCED else []
    return found if len(found) == 1 and address_key(found[0]) not in ours else []


def _is_for_sender(message: Message, reported: Sequence[ReportedRecipient], signs: _Signs) -> bool:
    """Whether who is told is who sent the mail, as far as a report that returns nothing shows it.

    One that names its own addressee tells them of mail that did not reach them: quarantines, full
    mailboxes, and whoever imitates them; unless a daemon quotes the server that refused it.
    """
    if signs.daemon and any(
        each.reply and (each.reply.host or each.reply.command) for each in reported
    ):
        return True
    told = _keys_in(message, *_ADDRESSEES)
    return not all(address_key(each.recipient or "") in told for each in reported)


def _keys_in(message: Message, *names: str) -> frozenset[str]:
    """The addresses in these headers, as they are compared."""
    return frozenset(
        address_key(address)
        for name in names
        for address in addresses_in(message.header(name) or "")
    )


def _by_dialect(dialect: Dialect, message: Message, text: str) -> list[str]:
    if dialect.in_author:
        text = message.header("from") or ""
    found = [
        clean("".join(groups)) for groups in map(re.Match.groups, dialect.address.finditer(text))
    ]
    if not dialect.local_part:
        return list(dict.fromkeys(found))
    authors = addresses_in(message.header("from") or "")
    domain = domain_of(authors[0]) if authors else None
    return [f"{name}@{domain}" for name in dict.fromkeys(found)] if domain else []


def _has_form_of_report(
    message: Message, prose: Prose, signs: _Signs, *, returns_mail: bool
) -> bool:
    """Whether it is one in a language that nobody here reads: who wrote it, and how it stands."""
    if not (signs.daemon and signs.null_sender) or signs.answers or message.is_of_list:
        return False
    recipients = prose.recipients()
    told = _keys_in(message, *_ADDRESSEES)
    if signs.is_of_other or signs.is_of_others_mail:
        return False
    if told.issuperset(map(address_key, recipients)):
        return False
    if prose.best is Position.LEADING:
        return returns_mail or any(map(prose.goes_on_behind, recipients))
    return prose.best >= Position.ANNOUNCED and _quotes_reply(prose, recipients)


def _quotes_reply(prose: Prose, recipients: list[str]) -> bool:
    """Whether a server is quoted that refused the first of them, with both its codes."""
    reply = prose.reply_about(recipients[0], recipients) if recipients else None
    return reply is not None and (reply.code or 0) >= 400 and reply.status is not None


def _wrapped(message: Message, signs: _Signs) -> Report | None:
    """A notice that names nobody, of a gateway or a person, around the reports they received."""
    if signs.answers or message.is_of_list:
        return None
    reports, room = [], 2 * MAX_TEXT
    for part in message.parts:
        if part.type.startswith("text/") or _REPORT not in part.octets(_HEAD).lower():
            continue
        octets = part.octets()[:room]
        room -= len(octets)
        if octets and (report := dsn.read(Message(octets))):
            reports.append(report)
    if not reports:
        return None
    recipients = [recipient for report in reports for recipient in report.recipients]
    defects = [defect for report in reports for defect in report.defects]
    return replace(
        reports[0],
        recipients=tuple(recipients[:MAX_RECIPIENTS]),
        defects=tuple(dict.fromkeys((*message.defects, *defects, "report within a report"))),
    )


def _without_quoted(text: str) -> str:
    """What somebody answers, without the report that they quote below it."""
    for above in _ABOVE_QUOTED.finditer(text):
        if QUOTING.are_in(above.group(1).lower()):
            return text[: above.start()]
    return text


def _behind_mark(after: str) -> str:
    """The report behind the first sign of a returned mail, where it is a daemon's passed on."""
    author = _QUOTED_AUTHOR.search(after[:_HEAD])
    if author is None or not DAEMONS.are_in(author.group(1).lower()):
        return ""
    return split_returned(after.lstrip("\n").partition("\n")[2])[0]


def _by_flufl(octets: bytes) -> tuple[list[str], list[str]]:
    """Temporary and permanent failures; none of a mail that its parser would recurse into."""
    nested = octets.count(b"oundary") + octets.count(b"essage/rfc822") > MAX_DEPTH
    if nested or octets.count(b"\n--") > MAX_FLUFL_PARTS or b"@" not in octets:
        return [], []
    try:
        found = all_failures(email.message_from_bytes(octets))
    except Exception:  # A library's thirty detectors raise what they like on broken mail.
        return [], []
    temporary, permanent = (
        sorted(clean(a.decode("utf-8", "replace")) for a in addresses if b"@" in a)[:MAX_RECIPIENTS]
        for addresses in found
    )
    return temporary, permanent


def _last_resorts(
    message: Message, prose: Prose, addressees: list[str], kind: Kind
) -> tuple[list[str], Kind, Format]:
    """flufl.bounce, where there is an address to find; the one addressee of the returned mail."""
    if prose.mentions:
        temporary, permanent = _by_flufl(message.octets[:MAX_FLUFL])
        if permanent or temporary:
            found = kind if permanent else Kind.DELAY
            return permanent or temporary, found, Format.FLUFL
    among = unique(addressees)
    if len(among) > 1:
        among = _named_in(prose.text, among)
    if among:
        message.note("recipient taken from the returned mail")
        return among, kind, Format.FREE_TEXT
    return [], kind, Format.UNRECOGNISED


def _named_in(text: str, addressees: list[str]) -> list[str]:
    """Of several addressees those whose local names head a line (GroupWise)."""
    heads = {
        words[0].strip("<\"'>:,;.").lower()
        for line in text.split("\n")
        if (words := line.split(None, 1))
    }
    return [a for a in addressees if a.partition("@")[0].lower() in heads][:MAX_RECIPIENTS]
