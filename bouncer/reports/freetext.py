"""Bounces that are written for people only.

Whether a mail is one is decided by who wrote it, its subject and its words, two of the three;
whose address it is about and what the server said, by prose.py. Dialects that need more are data.
flufl.bounce comes last, where this finds no address.
"""

import email
import logging
import re
from dataclasses import dataclass, replace

from flufl.bounce import all_failures

from bouncer.mail.address import address_key, addresses_in, domain_of
from bouncer.mail.html import text_from_html
from bouncer.mail.message import Message
from bouncer.mail.reply import Reply, one_line
from bouncer.reports import dsn
from bouncer.reports.about import ReturnedHeader, returned_header
from bouncer.reports.phrases import DAEMON, Sign, signs_of_subject, signs_of_words
from bouncer.reports.prose import Position, Prose, split_returned
from bouncer.reports.report import Format, Kind, Report, ReportedRecipient

# It logs a traceback for each mail that its detectors stumble over.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL + 1)

MAX_FLUFL = 256 * 1024
_HEAD = 2048
_FIRST_WORDS = 120
Signs = frozenset[Sign]


@dataclass(frozen=True, slots=True)
class Dialect:
    """A way of reporting that prose.py misses: how to know it, and where it has the address."""

    name: str
    mark: str
    address: re.Pattern[str]
    local_part: bool = False


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
        name="fml: a list that saw the same message twice",
        mark="Duplicated Message-ID in",
        address=re.compile(r"Duplicated Message-ID in <([^\s<>]{1,128}@[^\s<>]{1,255})>"),
    ),
)


def read(message: Message) -> Report | None:
    """The report, where the mail is a bounce and says whose address it is about."""
    failed = _failed_recipients(message)
    subject = signs_of_subject(message.header("subject") or "")
    daemon = _is_daemon(message)
    if not (failed or daemon or Sign.FAILED in subject or _null_sender(message)):
        return None
    before, after = split_returned(_text_of(message))
    words = signs_of_words(before[:_HEAD])
    if not failed and not _is_failure(message, subject, before, words, daemon=daemon):
        return None
    prose = Prose(before)
    kind = Kind.BOUNCE if failed else _kind(subject, words)
    recipients = failed or _recipients(message, prose, before)
    header = returned_header(message, after)
    found_by = Format.FREE_TEXT
    if not recipients and (wrapped := _wrapped(message)):
        return wrapped
    if not recipients:
        recipients, kind, found_by = _last_resorts(message, header, kind)
    if not recipients:
        return None
    return Report(
        format=found_by,
        recipients=tuple(_recipient(address, recipients, prose, kind) for address in recipients),
        message_id=header.message_id,
        from_domain=header.from_domain,
        defects=tuple(message.defects),
    )


def _recipient(address: str, among: list[str], prose: Prose, kind: Kind) -> ReportedRecipient:
    reply = prose.reply_about(address, among)
    if reply is None and len(among) == 1 and (text := one_line(prose.text)):
        reply = Reply(text)
    return ReportedRecipient(
        kind=kind, recipient=address, reply=reply, remote_mta=reply.host if reply else None
    )


def _failed_recipients(message: Message) -> list[str]:
    """X-Failed-Recipients (Exim, Google, Mail.ru): the addresses, from the horse's mouth."""
    found = [a for value in message.headers("x-failed-recipients") for a in addresses_in(value)]
    return list({address_key(a): a for a in found}.values())


def _text_of(message: Message) -> str:
    texts = []
    for part in message.texts():
        text = text_from_html(part.text) if part.type == "text/html" else part.text
        if not part.charset_known:
            message.note("unknown charset")
        texts.append(text)
        if len(texts) == 3:
            break
    return "\n".join(texts)


def _is_daemon(message: Message) -> bool:
    author = message.header("from")
    return author is None or DAEMON.search(author) is not None


def _null_sender(message: Message) -> bool:
    path = message.header("return-path")
    return path is not None and path.replace(" ", "").lower() in ("<>", "<mailer-daemon>", "")


def _is_failure(message: Message, subject: Signs, text: str, words: Signs, *, daemon: bool) -> bool:
    """Two of three: a daemon wrote it, the subject says so, the words say so."""
    if not daemon and Sign.AWAY in subject:
        return False
    if not daemon and _is_of_list(message):
        words = signs_of_words(text[:_FIRST_WORDS])
        return Sign.FAILED in subject and Sign.FAILED in words
    if Sign.FAILED in words:
        return daemon or Sign.FAILED in subject or _null_sender(message)
    return daemon and Sign.FAILED in subject


def _is_of_list(message: Message) -> bool:
    """List mail about bounces is no bounce; one that a gateway gave a list's headers may be."""
    root = message.root.fields
    return b"list-id" in root or b"list-unsubscribe" in root or b"x-mailing-list" in root


def _kind(subject: Signs, words: Signs) -> Kind:
    if Sign.STILL_TRYING in subject:
        return Kind.DELAY
    if Sign.STILL_TRYING in words and Sign.GIVEN_UP not in subject | words:
        return Kind.DELAY
    return Kind.BOUNCE


def _recipients(message: Message, prose: Prose, text: str) -> list[str]:
    for dialect in DIALECTS:
        if dialect.mark in text:
            return _by_dialect(dialect, message, text)
    ours = frozenset(
        address_key(a)
        for name in ("to", "from", "delivered-to", "return-path")
        for a in addresses_in(message.header(name) or "")
    )
    found = prose.recipients(ours)
    if prose.best <= Position.SOMEWHERE and (len(found) > 1 or set(map(address_key, found)) & ours):
        return []
    return found


def _by_dialect(dialect: Dialect, message: Message, text: str) -> list[str]:
    found = dialect.address.findall(text)
    if not dialect.local_part:
        return list(dict.fromkeys(found))
    authors = addresses_in(message.header("from") or "")
    domain = domain_of(authors[0]) if authors else None
    return [f"{name}@{domain}" for name in dict.fromkeys(found)] if domain else []


def _wrapped(message: Message) -> Report | None:
    """A gateway's notice that names nobody, around the report it received itself."""
    part = message.returned()
    if part is None or b"report-type=delivery-status" not in part.octets(_HEAD).lower():
        return None
    inner = Message(part.octets())
    report = dsn.read(inner)
    if report is None:
        return None
    return replace(report, defects=(*message.defects, *report.defects, "report within a report"))


def _last_resorts(
    message: Message, header: ReturnedHeader, kind: Kind
) -> tuple[list[str], Kind, Format]:
    """flufl.bounce; then the one addressee of the returned mail."""
    temporary, permanent = all_failures(email.message_from_bytes(message.octets[:MAX_FLUFL]))
    for addresses, found in ((permanent, kind), (temporary, Kind.DELAY)):
        texts = sorted(a.decode("utf-8", "replace") for a in addresses if b"@" in a)
        if texts:
            return texts[:500], found, Format.FLUFL
    addressees = header.addressees
    if len(set(map(address_key, addressees))) == 1:
        message.note("recipient taken from the returned mail")
        return addressees[:1], kind, Format.FREE_TEXT
    return [], kind, Format.UNRECOGNISED
