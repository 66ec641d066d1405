"""What a remote server said: an SMTP reply (RFC 5321 section 4.2) as it is quoted in a report."""

import re
from dataclasses import dataclass

from bouncer.mail.address import clean
from bouncer.mail.status import STATUS

MAX_TEXT_BYTES = 8192
_MAX_EXAMINED = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """The remote server's words.

    `code` and `status` are what stands in the words (never invented), `text` the words themselves,
    unfolded onto one line, `host` the server that said them where the report names it.
    """

    text: str
    code: int | None = None
    status: str | None = None
    host: str | None = None


_STATUS = r"[245]\.\d{1,3}\.\d{1,3}(?![\d]|\.\d)"
# A reply code: three digits that are no part of a number, a name or an IP address.
_CODE = re.compile(
    r"(?P<code>[245]\d\d)(?<![\w.@/%$]\d{3})"
    r"(?:(?P<dash>-)(?=\S| \S)|(?=$|[\s:;,!?)\]\"'#<(|]|\.(?!\d)))"
    rf"(?P<status>[ :#(-]{{0,4}}{_STATUS})?"
)
# Without an enhanced status a code counts only where a reply can begin: anywhere else three digits
# are a year, a port or a size.
_SAID = re.compile(
    r"(?:\b(?:said|says|with|returned|returns|reason|responded|responds|response|reply|replied|error"
    r"|code|responsecode|error_code|status|smtp|was|answer|server|because|following)"
    r"|<<<|>>>|[:;>=]|\.\.\.)[ ]{0,3}[:=#]?[ ]{0,2}[\"'(\[#]{0,2}$",
    re.IGNORECASE,
)
_PASSED_ON = re.compile(
    r"55[04](?: 4\.4\.7)? (?:message expired[^<>]{0,120}<|<?[^ <>]{1,320}>?\.\.\. (?=[45]\d\d ))",
    re.IGNORECASE,
)
_OPEN = re.compile(r"[\"'(\[|*,.-][ ]?$")
_NAME = r"(?:[A-Za-z0-9_-]{1,63}\.){1,20}[A-Za-z0-9-]{1,63}"
_HOST = re.compile(
    rf"\bhost:? {{1,3}}\[?(?P<host>{_NAME})|\b(?:by|server) (?P<by>{_NAME})\.? ?\[[0-9]"
    rf"|^(?P<first>{_NAME})\.?(?: ?\[[0-9A-Fa-f.:]{{2,45}}\])?"
    r" (?:did not like our|does not like|failed after)",
    re.IGNORECASE,
)
# What the sending MTA puts in front of the words it quotes.
_INTRODUCTIONS = ("said:", "response:", "reason:", "<<<", "]:", "):", "error was:", "with:", "was:")
# The rank of a permanent reply with an enhanced status.
_CERTAIN = 7
_SPACES = re.compile(r"[ \t\r\n\x0b\x0c\xa0\u3000]+")


def one_line(text: str) -> str:
    """The words on one line, at most 8 KiB of them, without what no database takes."""
    folded = clean(_SPACES.sub(" ", text[:_MAX_EXAMINED]).strip())
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
    if host is None:
        named = _HOST.search(words)
        host = named.group(named.lastgroup or 0) if named else None
    if found is None:
        status = STATUS.search(words)
        return Reply(words, None, status.group(1) if status else None, host)
    code = found.group("code")
    status_text = found.group("status")
    status = STATUS.search(status_text or words, 0 if status_text else found.start("code"))
    if _is_introduction(words[: found.start("code")]):
        words = words[found.start("code") :]
    if found.group("dash") == "-":
        words = _folded(words, code, status.group(1) if status else None)
    return Reply(words, int(code), status.group(1) if status else None, host)


def _is_introduction(before: str) -> bool:
    tail = before[-400:].rstrip(" \"'([").lower()
    return tail.endswith(_INTRODUCTIONS) or (tail.endswith(":") and "error from remote" in tail)


def _refusal_in(words: str) -> re.Match[str] | None:
    best, best_rank = None, 0
    for found in _CODE.finditer(words):
        rank = _rank(found, words)
        if rank > best_rank:
            best, best_rank = found, rank
            if rank == _CERTAIN:
                break
    return _last_cause(words, best) if best is not None else None


def _last_cause(words: str, found: re.Match[str]) -> re.Match[str]:
    """What stands behind the reply of a sending MTA that only says it gave up, or passes one on.

    Amazon: `554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.0 no DNS>`;
    Sendmail 5: `554 <user@example.com>... 550 Host unknown`.
    """
    behind = _PASSED_ON.match(words, found.start())
    return (behind and _CODE.match(words, behind.end())) or found


def _rank(found: re.Match[str], words: str) -> int:
    """How likely it is that these three digits are the refusal; 0 is not a reply."""
    code, start = found.group("code"), found.start()
    with_status = found.group("status") is not None
    if code[0] == "2" and start and not with_status:
        return 0
    if not with_status and start and not _SAID.search(words, max(0, start - 24), start):
        repeated = found.group("dash") or _OPEN.search(words, max(0, start - 2), start)
        return 1 if repeated and code[0] != "2" else 0
    if code == "503" or code[0] == "2":
        return 2
    return (_CERTAIN - 1 if code[0] == "5" else _CERTAIN - 3) + with_status


def _folded(words: str, code: str, status: str | None) -> str:
    """A multi-line reply on one line: `550-5.1.1 no 550 5.1.1 such user` becomes one."""
    prefixes = re.compile(
        rf"[ ]{code}[ -](?:{re.escape(status)}[ ])?" if status else rf"[ ]{code}[ -]"
    )
    at = words.find(f"{code}-")
    head, tail = words[:at], words[at:]
    return one_line(head + tail.replace("-", " ", 1)[:4] + prefixes.sub(" ", tail[4:]))
