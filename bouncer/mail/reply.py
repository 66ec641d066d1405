"""What a remote server said: an SMTP reply (RFC 5321 section 4.2) as it is quoted in a report."""

import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from bouncer.mail.address import clean
from bouncer.mail.status import status_in

MAX_TEXT_BYTES = 8192
_MAX_EXAMINED = 64 * 1024
_MAX_INTRODUCTION = 400


class Command(StrEnum):
    """Which SMTP command was refused; `data` is the command as well as the message behind it."""

    CONNECT = "connect"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"


@dataclass(slots=True)  # not frozen: making one would take four times as long
class Reply:
    """The remote server's words.

    `code` and `status` are what stands in the words (never invented), `text` the words themselves,
    unfolded onto one line, `host` the server that said them and `command` what it refused, where
    the report names them. `context` is what they stand in, where they are the reason it labels.
    """

    text: str
    code: int | None = None
    status: str | None = None
    host: str | None = None
    command: Command | None = None
    context: str = ""


_STATUS = r"[245]\.\d{1,3}\.\d{1,3}(?![\d]|\.\d)"
# A reply code: three digits that are no part of a number, a name or an IP address.
_CODE = re.compile(
    r"(?P<code>[245]\d\d)(?<![\w.@/%$]\d{3})"
    r"(?:(?P<dash>-)(?=\S| \S)|(?=$|[\s:;,!?)\]\"'#<(|]|\.(?!\d)))"
    rf"(?P<status>[ :#(-]{{0,4}}{_STATUS})?"
)
# Without an enhanced status a code counts only where a reply can begin: anywhere else three digits
# are a year, a port or a size.
_SAYING = (
    "said", "says", "with", "returned", "returns", "reason", "responded", "responds", "response",
    "reply", "replied", "error", "code", "status", "smtp", "was", "answer", "server", "because",
    "following", "message", "...", "<<<", ":", ";", ">", "=", "–", "—", "：", "؛", "،",
)  # fmt: skip
# Codes in use have 0 to 5, or 7, in the middle (RFC 5321 section 4.2.1 and practice).
_PHONE = re.compile(r"\d[689]|\d{3}\)? ?\d{3}-\d{3,4}|\d{3}-\d{4}\b")
_AMOUNT = re.compile(
    r"\d{3} ?(?:[kmg]i?b(?:ytes)?|bytes|messages|seconds|minutes|hours|days)\b", re.I
)
_PORTS = ("465", "587")
_IN_IPV6 = re.compile(r"\[[0-9A-Fa-f:.]{1,40}$")
_PASSED_ON = re.compile(
    r"5\d\d 5\.0\.350 remote server returned an error -> "
    r"|55[04](?: 4\.4\.7)? (?:message expired[^<>]{0,120}<|<?[^ <>]{1,320}>?\.\.\. (?=[45]\d\d ))",
    re.IGNORECASE,
)
_OPENING = tuple("\"'([|*,.-")
_NAME = r"([A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){1,20})"
_HOSTS = (
    re.compile(rf"[Hh]ost:? {{1,3}}\[?{_NAME}"),
    re.compile(rf"(?:by|erver) {_NAME}\.? ?\[[0-9]"),
)
_SPEAKER = re.compile(
    rf"{_NAME}\.?(?: ?\[[0-9A-Fa-f.:]{{2,45}}\])? (?:did not like our|does not like|failed after)"
)
# What the sending MTA puts in front of the words it quotes.
_INTRODUCTIONS = (
    "said:", "response:", "reason:", "<<<", "]:", "):", "error was:", "with:", "was:", "returned:",
    "server message",
)  # fmt: skip
_INTRODUCING = ("error from remote", "did not like our")
# How sending MTAs name the command: Postfix, Exim, Sendmail and Courier; then qmail.
_COMMAND = re.compile(
    r"(?:in (?:reply|response) to|after|>>>)(?: the| pipelined)? \"?"
    r"((?:end of|sending) (?:data|DATA|message)|initial connection"
    r"|MAIL|RCPT|DATA|BDAT|EHLO|HELO|LHLO|STARTTLS)\b"
)
# The words that name a command.
COMMANDS = {
    "mail": Command.MAIL,
    "rcpt": Command.RCPT,
    "data": Command.DATA,
    "bdat": Command.DATA,
    "message": Command.DATA,
    "ehlo": Command.EHLO,
    "helo": Command.EHLO,
    "lhlo": Command.EHLO,
    "starttls": Command.STARTTLS,
    "connection": Command.CONNECT,
}
_OF_QMAIL = (
    ("but greeting failed", Command.CONNECT),
    ("but my name was rejected", Command.EHLO),
    ("but sender was rejected", Command.MAIL),
    ("does not like recipient", Command.RCPT),
    ("failed on DATA command", Command.DATA),
    ("failed after I sent the message", Command.DATA),
)
# What qmail says behind the words of a server that it names by its address.
_GIVING_UP = " Giving up on "
# A service that did not even try begins with a code that is none of SMTP's: Mailgun's 605.
_CODE_OF_SERVICE = re.compile(r"(?P<code>6[0-5]\d)(?= [A-Za-z])(?P<dash>(?!))?(?P<status>(?!))?")
# IronPort: `5.1.0 - Unknown address error 550-'No such user'`; others: `5.7.1 550 Rejected`.
_STATUS_AHEAD = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3}) (?:- [^:]{1,48})?\Z")
# The rank of a permanent reply with an enhanced status.
_CERTAIN = 7
_MAX_CODES = 64  # that are looked at in one reply


def one_line(text: str) -> str:
    """The words on one line, at most 8 KiB of them, without what no database takes."""
    folded = clean(" ".join(text[:_MAX_EXAMINED].split()))
    if len(folded) * 4 <= MAX_TEXT_BYTES or len(folded.encode()) <= MAX_TEXT_BYTES:
        return folded
    return folded.encode()[:MAX_TEXT_BYTES].decode("utf-8", "ignore")


def reply_from(text: str, *, host: str | None = None) -> Reply | None:
    """The reply quoted in these words; None where there are none.

    Of several replies the one that refused the recipient wins: a permanent one before a temporary
    one, and neither a 503 nor a 2xx where anything else was said.
    """
    words = one_line(text)
    if not words:
        return None
    found = _refusal_in(words)
    if found is None:
        introduction = words[:_MAX_INTRODUCTION]
        return Reply(
            words, None, status_in(words), host or host_in(introduction), command_in(words)
        )
    code, at = found.group("code"), found.start("code")
    begin = _first_line(words, code, at) if found.group("dash") is None else at
    is_folded = found.group("dash") is not None or begin < at
    command = command_in(words, at)
    status = status_in(found.group("status") or words, 0 if found.group("status") else at)
    if status is not None and status[0] != code[0] and not found.group("status"):
        status = None  # of another reply
    if status is None and (ahead := _STATUS_AHEAD.search(words, max(0, at - 60), at)):
        status = ahead.group(1)
    if begin:
        before = words[max(0, begin - _MAX_INTRODUCTION) : begin]
        host = host or host_in(before)
        words = words[begin:] if _is_introduction(before) else words
        if _GIVING_UP in words and words.startswith(code):
            words = words.partition(_GIVING_UP)[0]
        if words.endswith(")") and words.count(")") > words.count("("):
            words = words[:-1]
    if is_folded:
        words = _folded(words, code, status)
    return Reply(words, int(code), status, host, command)


def _first_line(words: str, code: str, at: int) -> int:
    """Where the reply begins whose last line stands at `at`: `550-one 550-two 550 5.7.1 three`."""
    first = words.find(f"{code}-", 0, at)
    is_line = first >= 0 and (first == 0 or words[first - 1] in " >:") and words[first + 4 :][:1]
    return first if is_line and is_line != " " else at


def command_in(words: str, at: int = 0) -> Command | None:
    """The command that a reply at `at` answers: the last one named before it, else one behind."""
    if "after" in words or ">>>" in words or "reply to" in words or "response to" in words:
        command = None
        for found in _COMMAND.finditer(words):
            if found.start() > at and command is not None:
                break
            command = COMMANDS[found.group(1).rpartition(" ")[2].lower()]
        if command is not None:
            return command
    if "emote host said" in words:
        return next((command for phrase, command in _OF_QMAIL if phrase in words), None)
    return None


def host_in(words: str) -> str | None:
    """The server that a report names as the one that answered."""
    named = _SPEAKER.match(words) if " like" in words or " failed after" in words else None
    if named is None and "ost" in words:
        named = _HOSTS[0].search(words)
    if named is None and "[" in words:
        named = _HOSTS[1].search(words)
    return named.group(1) if named else None


def _is_introduction(before: str) -> bool:
    tail = before.rstrip(" \"'([").lower()
    return tail.endswith(_INTRODUCTIONS) or (
        tail.endswith(":") and any(words in tail for words in _INTRODUCING)
    )


def _refusal_in(words: str) -> re.Match[str] | None:
    first = words[0]
    if first == "6" and (told := _CODE_OF_SERVICE.match(words)):
        return told
    if first == "5" and (told := _CODE.match(words)) and _says_more(told):
        return _last_cause(words, told)
    best, best_rank = None, 0
    for found in islice(_CODE.finditer(words), _MAX_CODES):
        rank = _rank(found, words)
        if rank > best_rank:
            best, best_rank = found, rank
            if rank == _CERTAIN:
                break
    return _last_cause(words, best) if best is not None else None


def _last_cause(words: str, found: re.Match[str]) -> re.Match[str]:
    """What stands behind the reply of a sending MTA that only says it gave up, or passes one on.

    Amazon: `554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.0 no DNS>`;
    Sendmail 5: `554 <user@example.com>... 550 Host unknown`; Exchange Online:
    `550 5.0.350 Remote server returned an error -> 550 5.1.1 User unknown`.
    """
    behind = _PASSED_ON.match(words, found.start())
    return (behind and _CODE.match(words, behind.end())) or found


def _rank(found: re.Match[str], words: str) -> int:
    """How likely it is that these three digits are the refusal; 0 is not a reply."""
    code, start = found.group("code"), found.start()
    with_status = found.group("status") is not None
    if start and not with_status and (code[0] == "2" or _is_number(words, start, code)):
        return 0
    if not with_status and start and not _is_announced(words, start):
        repeated = found.group("dash") or words[:start].rstrip(" ").endswith(_OPENING)
        return 1 if repeated and code[0] != "2" and not _PHONE.match(words, start) else 0
    if code == "503" or code[0] == "2":
        return 2
    return (_CERTAIN - 1 if code[0] == "5" else _CERTAIN - 3) + _says_more(found)


def _says_more(found: re.Match[str]) -> bool:
    """Whether an enhanced status says more than that it failed, or how SMTP was spoken."""
    status = found.group("status")
    return status is not None and not status.endswith(".0.0") and ".5." not in status


def _is_number(words: str, start: int, code: str) -> bool:
    """Whether the digits are a port or an amount: `mx.example.org:587`, `550 MB used`."""
    if words[start - 1] == ":" and (
        code in _PORTS or _IN_IPV6.search(words, max(0, start - 40), start)
    ):
        return True
    return _AMOUNT.match(words, start) is not None


def _is_announced(words: str, start: int) -> bool:
    before = words[max(0, start - 24) : start].rstrip(" \"'([#").lower()
    if not before or before.endswith(_SAYING) or before.rstrip(":= ").endswith(_SAYING):
        return True
    return _STATUS_AHEAD.search(words, max(0, start - 12), start) is not None


def _folded(words: str, code: str, status: str | None) -> str:
    """A multi-line reply on one line: `550-5.1.1 no 550 5.1.1 such user` becomes one."""
    at = words.find(f"{code}-")
    head, tail = words[: at + 3], words[at + 4 :]
    for dash in "- ":
        if status:
            tail = tail.replace(f" {code}{dash}{status} ", " ")
        tail = tail.replace(f" {code}{dash}", " ")
    return one_line(f"{head} {tail}")
