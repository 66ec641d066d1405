"""Delivery status notifications (RFC 3464, RFC 6533).

The fields are read wherever they stand: in their part, in a part of the wrong type, in the text of
a mail that was forwarded. The quoted reply is in Diagnostic-Code; where that has none, an X- field
or the part for people gives it.
"""

import re
from dataclasses import dataclass, replace

from bouncer.mail.address import address_from_field, address_from_xtext, address_key, clean
from bouncer.mail.date import date_from
from bouncer.mail.message import MAX_TEXT, Message, Part
from bouncer.mail.reply import COMMANDS, Command, Reply, one_line, reply_from
from bouncer.mail.status import status_in
from bouncer.reports.about import returned_header
from bouncer.reports.phrases import DAEMONS
from bouncer.reports.prose import Prose, split_returned
from bouncer.reports.report import Format, Kind, Report, ReportedRecipient
from bouncer.reports.subjects import answers, is_ticket

MAX_RECIPIENTS = 1000
_MAX_FIELD = 16 * 1024
_MAX_FOLDED = 200
_STATUS_TYPES = (
    "message/delivery-status",
    "message/global-delivery-status",
    "text/delivery-status",
    "application/delivery-status",
)
_OF_MESSAGE = {
    "reporting-mta",
    "original-envelope-id",
    "arrival-date",
    "received-from-mta",
    "dsn-gateway",
    "x-postfix-queue-id",
    "x-postfix-sender",
}
_OF_RECIPIENT = {
    "final-recipient",
    "original-recipient",
    "action",
    "status",
    "remote-mta",
    "diagnostic-code",
    "last-attempt-date",
    "will-retry-until",
    "final-log-id",
    "localized-diagnostic",
    "failure-reason",
}
_BEGIN_GROUP = {"final-recipient", "original-recipient", "x-actual-recipient", "action"}
# Fields in which a recipient stands, and those in which MTAs keep the words they were given.
ADDRESSES = ("final-recipient", "original-recipient", "x-actual-recipient")
WORDS = ("diagnostic-code", "x-supplementary-info", "x-notes", "x-smtp-response", "x-response",
          "failure-reason", "localized-diagnostic")  # fmt: skip
# A field with its continuation lines; a blank line; a line that is neither.
_FIELD = re.compile(
    r"^(?:([A-Za-z][A-Za-z0-9-]{1,60})[ \t]{0,4}:[ \t]*(.*(?:\n[ \t]+[^\s].*)*)"
    r"|([ \t]*\S.*)|[ \t]*$)",
    re.MULTILINE,
)
_INDENT = re.compile(r"(?m)^[ \t]+(?=[A-Za-z][A-Za-z-]{1,60}[ \t]{0,4}:)")
_MTA = re.compile(r"\s*(?:[a-z0-9-]{1,30}\s*;)?\s*(.*)", re.I | re.S)
_DIAGNOSTIC_TYPE = re.compile(r"\s*([a-z][a-z0-9-]{0,30})\s*;\s*", re.I)
_INLINE = re.compile(r"(?mi)^[ \t>|]{0,12}(?:final|original)-recipient[ \t]?:")
_RENAMED_TYPES = ("text/plain", "application/octet-stream")
_BEGIN_FIELDS = re.compile(r"\s*(?:reporting-mta|(?:final|original)-recipient)[ \t]?:", re.I)
# Where the fields begin that some write into the part for people.
_STATUS_FIELD = re.compile(r"\n[ \t>]{0,8}(?i:reporting-mta|final-recipient|original-recipient) ?:")
# The last recipient of a mail that was cut short: it may be half an address.
_CUT_SHORT = re.compile(r"(?mi)^(?:final|original)-recipient:[^\n]*\Z")
_REMARK = re.compile(r"\(([^()]{8,400})\)")
# Where the part for people names the command that was refused: Postfix, Exim, Sendmail.
_IN_SESSION = b">>>"
_COMMAND_MARKS = (b"(in", b" after", _IN_SESSION)
_NAMED_COMMAND = re.compile(
    rb"(?:\(in\s{1,6}reply\s{1,6}to| after|>>>)\s{1,6}(?:[a-z]{1,9}\s{1,6}){0,2}?"
    rb"(MAIL|RCPT|DATA|BDAT|data|EHLO|HELO|STARTTLS|connection)\b"
)
_FIELD_NAMES = (b"nal-Recipient", b"nal-recipient", b"NAL-RECIPIENT")
_QUOTE = re.compile(r"(?m)^[ \t]{0,8}[>|][>|\s]{0,8}")
_ACTIONS = {
    "fail": Kind.BOUNCE,
    "delay": Kind.DELAY,
    "deliver": Kind.DELIVERY,
    "relay": Kind.RELAYED,
    "expand": Kind.EXPANDED,
}
_KINDS_BY_CLASS = {"5": Kind.BOUNCE, "4": Kind.BOUNCE, "2": Kind.DELIVERY}

_RECEIPT = re.compile(
    r"(?mi)^[ \t]{0,8}<?([^\s<>]{1,128}@[^\s<>]{1,255})>?\.\.\. (expanded to multiple addresses"
    r"|relayed; expect no further notifications|successfully delivered|deliverable)\b"
)
_RECEIPTS = {
    "expanded to multiple addresses": Kind.EXPANDED,
    "relayed; expect no further notifications": Kind.RELAYED,
    "successfully delivered": Kind.DELIVERY,
    "deliverable": Kind.DELIVERY,
}

Group = dict[str, str]


@dataclass(slots=True)
class _Groups:
    """The fields of a delivery-status: those of the message, and those of each recipient."""

    message: Group
    recipients: list[Group]


def read(message: Message) -> Report | None:
    """The report, where there is a group with a recipient; else None."""
    groups = _groups(message)
    if groups is None:
        return None
    if not groups.recipients:
        return _without_groups(message, groups)
    prose = _Human(message, groups.recipients)
    recipients = _distinct(
        [_recipient(group, message, prose) for group in groups.recipients[:MAX_RECIPIENTS]]
    )
    found = tuple(_with_words(recipients, prose))
    if not found:
        message.note("delivery status without recipient")
        return None
    return _report(message, groups.message, found, prose)


def _without_groups(message: Message, groups: _Groups) -> Report | None:
    """A receipt that names its recipients only in the part for people (Sendmail, for lists)."""
    prose = _Human(message, [])
    recipients = tuple(
        ReportedRecipient(kind=_RECEIPTS[words.lower()], recipient=clean(address))
        for address, words in _RECEIPT.findall(prose.prose.text)[:MAX_RECIPIENTS]
    )
    return _report(message, groups.message, recipients, prose) if recipients else None


def _report(
    message: Message, fields: Group, recipients: tuple[ReportedRecipient, ...], prose: "_Human"
) -> Report:
    header = returned_header(message, prose.after_if_read)
    arrival = fields.get("arrival-date")
    envelope_id = fields.get("original-envelope-id")
    return Report(
        format=Format.DSN,
        recipients=recipients,
        reporting_mta=_mta(fields.get("reporting-mta")),
        arrival_date=date_from(arrival) if arrival else None,
        envelope_id=clean(address_from_xtext(envelope_id))[:998] or None if envelope_id else None,
        message_id=header.message_id,
        from_domain=header.from_domain,
        defects=tuple(message.defects),
    )


def fields_by_recipient(message: Message) -> dict[str | None, Group]:
    """The fields of each group, by their names in lower case, by the addresses that it names."""
    groups = _groups(message)
    found: dict[str | None, Group] = {}
    for group in groups.recipients if groups is not None else ():
        for name in ADDRESSES:
            if value := group.get(name):
                found.setdefault(address_from_field(value), group)
    return found


class _Human:
    """The part for people, read only when the fields leave something open."""

    __slots__ = ("_after", "_commands", "_groups", "_in_session", "_message", "_prose", "_remarks")

    def __init__(self, message: Message, groups: list[Group]) -> None:
        self._message = message
        self._groups = groups
        self._commands: set[Command] | None = None
        self._in_session = False
        self._remarks: dict[str, Reply] | None = None
        self._prose: Prose | None = None
        self._after = ""

    @property
    def prose(self) -> Prose:
        if self._prose is None:
            texts = list(self._message.texts())
            text = "\n".join(part.seen for part in texts[:3])
            fields = _STATUS_FIELD.search(text)
            before, self._after = split_returned(text[: fields.start()] if fields else text)
            self._prose = Prose(before)
        return self._prose

    @property
    def commands(self) -> set[Command]:
        """The commands that were refused, of whomever."""
        if self._commands is None:
            self._commands, self._in_session = _commands_named(self._message)
        return self._commands

    @property
    def only_command(self) -> Command | None:
        """The one command that was refused, where it is one, to each who is named."""
        if len(self.commands) != 1 or (self._in_session and len(self._groups) > 1):
            return None
        return next(iter(self.commands))

    def command_about(self, address: str, named: list[str], code: int) -> Command | None:
        """Of several commands the one that this refusal answered."""
        said = self.prose.reply_about(address, named)
        return said.command if said is not None and said.code == code else None

    @property
    def remarks(self) -> dict[str, Reply]:
        """What the Status fields say in words, by address."""
        if self._remarks is None:
            self._remarks = _remarks(self._groups)
        return self._remarks

    @property
    def after_if_read(self) -> str:
        return self._after


def _groups(message: Message) -> _Groups | None:
    groups, room = _Groups({}, []), MAX_TEXT
    for part in message.parts:
        if part.type in _STATUS_TYPES and room > 0:
            fields = _fields_of(part)[:room]
            if part.end == len(message.octets):
                fields = _CUT_SHORT.sub("", fields)
            room -= len(fields)
            _read_fields(fields, groups)
            if not part.charset_known:
                message.note("unknown charset")
    if groups.recipients:
        return groups
    return _inline(message) or (groups if groups.message else None)


def _fields_of(part: Part) -> str:
    """The text of a status part; with its header, where no blank line parts the two."""
    if b"final-recipient" not in part.fields:
        return part.text
    header = [name + b": " + values[0] for name, values in part.fields.items()]
    return b"\n".join(header).decode("utf-8", "replace") + "\n\n" + part.text


def _inline(message: Message) -> _Groups | None:
    """Fields in a part of another type, or in the text of a forwarded report."""
    room = MAX_TEXT
    for part in message.parts:
        attached = part.is_returned or not part.type.startswith(("text/", "message/"))
        if attached and not _may_be_renamed(part):
            continue
        if room <= 0 or not part.may_contain(_FIELD_NAMES):
            continue
        text = part.text
        if attached and not _BEGIN_FIELDS.match(text):
            continue
        begin = _INLINE.search(text)
        if begin is None:
            continue
        earlier = max(text.rfind("\n\n", 0, begin.start()), 0)
        before = text.rfind("eporting-MTA", 0, begin.start())
        start = text.rfind("\n", 0, before) + 1 if before > 0 else earlier
        groups = _Groups({}, [])
        _read_fields(_QUOTE.sub("", text[start : start + room]), groups)
        room -= len(text) - start
        groups.recipients = [g for g in groups.recipients if "action" in g or "status" in g]
        if groups.recipients and not _is_talk(message):
            message.note("delivery status in text")
            return groups
    return None


def _is_talk(message: Message) -> bool:
    """Whether people talk about a report: an answer to one, or a list where one is discussed."""
    if DAEMONS.are_in((message.header("from") or "").lower()):
        return False
    subject = (message.header("subject") or "").lower()
    return b"list-id" in message.root.fields or answers(subject) or is_ticket(subject)


def _may_be_renamed(part: Part) -> bool:
    """Whether the fields may be an attachment: a gateway made `details.txt` of their part."""
    return part.type in _RENAMED_TYPES and part.end - part.body <= _MAX_FIELD


def _read_fields(text: str, groups: _Groups) -> None:
    """Groups as they are written: blank lines part them, or the next recipient does."""
    _collect(text, groups)
    if not groups.recipients and _INDENT.search(text):
        _collect(_INDENT.sub("", text), groups)


def _collect(text: str, groups: _Groups) -> None:
    current: Group = {}
    target, last, gap, folded = groups.message, "", False, 0
    for name, value, stray in _FIELD.findall(text[:MAX_TEXT]):
        key = name.lower() if name else ""
        if not name and not stray:
            gap = True
        elif key in _OF_MESSAGE:
            target, last, folded = groups.message, key, 0
            _put(target, key, value)
        elif key in _OF_RECIPIENT or key.startswith("x-"):
            may_begin = gap or key in _BEGIN_GROUP
            if not current or (may_begin and _is_next(current, key, gap=gap)):
                if len(groups.recipients) > MAX_RECIPIENTS:
                    break
                current = {}
                groups.recipients.append(current)
            target, last, gap, folded = current, key, False, 0
            if key in current:
                _put(current, key, value)
            else:
                current[key] = value[:_MAX_FIELD]
        elif gap and "action" in current:
            break
        elif last and not gap and folded < _MAX_FOLDED:
            # A folded line that lost its indentation.
            folded += 1
            target[last] = (target[last] + "\n" + (stray or f"{name}: {value}"))[:_MAX_FIELD]


def _put(group: Group, key: str, value: str) -> None:
    """Of a repeated field the first counts; diagnostics add up."""
    if key not in group:
        group[key] = value[:_MAX_FIELD]
    elif key == "diagnostic-code":
        group[key] = (group[key] + " " + value)[:_MAX_FIELD]


def _is_next(current: Group, key: str, *, gap: bool) -> bool:
    """Whether a field begins the next recipient's group."""
    if key not in _BEGIN_GROUP:
        # Some write the status first, of the second recipient too.
        return gap and key == "status" and key in current and "final-recipient" in current
    if key in current:
        return True
    return gap and key != "action" and "action" in current and "final-recipient" in current


def _recipient(group: Group, message: Message, prose: "_Human") -> ReportedRecipient | None:
    final = group.get("final-recipient")
    original = group.get("original-recipient")
    original_address = address_from_field(original) if original else None
    address = address_from_field(final) if final else None
    if address is not None and address.startswith("@"):
        address = None
    if address is None or "@" not in address:
        actual = group.get("x-actual-recipient")
        better = address_from_field(actual) if actual else None
        if better and "@" in better:
            address = better
        elif address is None or (original_address and "@" in original_address):
            # A local name or an X.400 address stands for the one that was written to.
            address = original_address
    if address is None and not ("action" in group or "status" in group):
        return None
    if address is None:
        message.note("recipient not named in its group")
    status = _status(group, message)
    reply = _quoted(group)
    if reply is not None and reply.code is not None and reply.command is None:
        command = prose.only_command
        if command is not None:
            reply = Reply(reply.text, reply.code, reply.status, reply.host, command)
    attempt, until = group.get("last-attempt-date"), group.get("will-retry-until")
    return ReportedRecipient(
        kind=_kind(group.get("action"), status, reply, message),
        recipient=address,
        original_recipient=original_address,
        action=_action(group.get("action")),
        status=status,
        reply=reply,
        remote_mta=_mta(group.get("remote-mta")),
        last_attempt_date=date_from(attempt) if attempt else None,
        will_retry_until=date_from(until) if until else None,
    )


def _action(value: str | None) -> str | None:
    words = value.split() if value else []
    return clean(words[0].lower().strip("(),;."))[:40] or None if words else None


def _kind(action: str | None, status: str | None, reply: Reply | None, message: Message) -> Kind:
    said = _action(action) or ""
    for beginning, kind in _ACTIONS.items():
        if said.startswith(beginning):
            return kind
    message.note("action missing" if not said else "action unknown")
    if reply is not None and reply.code is not None and reply.code >= 400:
        return Kind.BOUNCE
    return _KINDS_BY_CLASS.get((status or "5")[0], Kind.BOUNCE)


def _status(group: Group, message: Message) -> str | None:
    value = group.get("status")
    if value is None:
        message.note("status missing")
        return None
    found = status_in(value)
    if found is None:
        message.note("status malformed")
    return found


def _mta(value: str | None) -> str | None:
    if value is None:
        return None
    found = _MTA.match(value)
    name = found.group(1).split() if found else []
    return clean(name[0])[:255] or None if name else None


def _quoted(group: Group) -> Reply | None:
    """The reply in the fields: of several, the first that has a code, else the first with words.

    One that says no more than its class (X.0.0) gives way to one with a status that says more.
    """
    host = _mta(group.get("remote-mta"))
    read = (words_in(group[name], host) for name in WORDS if group.get(name))
    # Diagnostic-Code: X-Unix; 255 is the exit status of a program.
    replies = [reply for reply in read if reply is not None and not reply.text.isdigit()]
    # Sendmail quotes the answer to its QUIT as the reason.
    no_reason = 300 if _failed(group) else 0
    coded = [reply for reply in replies if reply.code is not None and reply.code >= no_reason]
    if coded and _is_vague(coded[0]):
        return next((r for r in coded if r.status is not None and not _is_vague(r)), coded[0])
    if coded:
        return coded[0]
    return replies[0] if replies and replies[0].code is None else None


def _is_vague(reply: Reply) -> bool:
    return reply.status is not None and reply.status.endswith(".0.0")


def words_in(value: str, host: str | None = None) -> Reply | None:
    """The reply in a field such as Diagnostic-Code, without its type."""
    typed = _DIAGNOSTIC_TYPE.match(value)
    return reply_from(value[typed.end() :] if typed else value, host=host)


def _failed(group: Group) -> bool:
    return (_action(group.get("action")) or "").startswith(("fail", "delay"))


def _distinct(found: list[ReportedRecipient | None]) -> list[ReportedRecipient]:
    """Each recipient once for what happened to it; of two, the one with more to say."""
    kept: dict[tuple[str, Kind], ReportedRecipient] = {}
    for recipient in found:
        if recipient is None:
            continue
        key = ((recipient.recipient or "").lower(), recipient.kind)
        before = kept.get(key)
        if before is None or (before.smtp_code is None and recipient.smtp_code is not None):
            kept[key] = recipient
    return list(kept.values())


def _with_words(recipients: list[ReportedRecipient], human: _Human) -> list[ReportedRecipient]:
    """Replies and addresses the fields lack, from the part for people."""
    named = [r.recipient for r in recipients if r.recipient]
    return [
        completed
        for recipient in recipients
        if (completed := _completed(recipient, named, human, alone=len(recipients) == 1))
    ]


def _completed(
    recipient: ReportedRecipient, named: list[str], human: _Human, *, alone: bool
) -> ReportedRecipient | None:
    address = recipient.recipient
    if address is None:
        told = human.prose.recipients()
        if not (alone and len(told) == 1):
            return None
        address, named = told[0], told
        recipient = replace(recipient, recipient=address)
    if recipient.kind not in (Kind.BOUNCE, Kind.DELAY):
        return recipient
    reply = recipient.reply
    if reply is not None:
        if reply.command is None and reply.code is not None and human.commands:
            command = human.command_about(address, named, reply.code)
            if command is not None:
                return replace(recipient, reply=replace(reply, command=command))
        return recipient
    said = human.prose.reply_about(address, named)
    if said is None or (said.code is None and said.status is None):
        said = human.remarks.get(address_key(address), said)
    return recipient if said is None else replace(recipient, reply=said)


def _commands_named(message: Message) -> tuple[set[Command], bool]:
    """The commands that the first part for people names; whether in the transcript of a session."""
    named: set[Command] = set()
    part = next(
        (p for p in message.parts if p.type.startswith("text/") and not p.is_returned), None
    )
    octets = part.octets(_MAX_FIELD) if part is not None else b""
    mark = b""
    for mark in _COMMAND_MARKS:
        at = octets.find(mark)
        while at >= 0:
            if found := _NAMED_COMMAND.match(octets, at):
                named.add(COMMANDS[found.group(1).decode().lower()])
            at = octets.find(mark, at + 3)
        if named:
            break
    return named, mark == _IN_SESSION


def _remarks(groups: list[Group]) -> dict[str, Reply]:
    """The words in parentheses behind a Status, for the groups that have nothing better."""
    found = {}
    for group in groups[:MAX_RECIPIENTS]:
        remark = _REMARK.search(group.get("status", ""))
        address = address_from_field(group.get("final-recipient", ""))
        if remark is not None and address is not None:
            found[address_key(address)] = Reply(one_line(remark.group(1)))
    return found
