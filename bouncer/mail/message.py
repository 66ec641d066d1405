"""A mail in one pass over its bytes: headers, MIME parts, the returned message (RFC 5322, 2045).

Reads what is really sent: LF, CRLF, lone CR and mixtures, mbox `From ` lines, missing blank lines,
boundaries nobody declared, parts cut short. Nothing is decoded before somebody asks for it, and
nothing here descends into the returned message. Every limit is a constant below; all is linear.
"""

import binascii
import re
from collections.abc import Iterator
from functools import lru_cache

from bouncer.mail.charset import header_text, text_from, unbase64
from bouncer.mail.html import text_from_html

MAX_HEADER_BLOCK = 256 * 1024
MAX_HEADER = 64 * 1024
MAX_HEADERS = 1000
MAX_DEPTH = 20
MAX_PARTS = 1000
MAX_TEXT = 1024 * 1024
MAX_HEAD = 64 * 1024
MAX_BOUNDARY = 70
_SMALL_HEADER = 160
_REWRITTEN = ("srs0", "srs1")  # by who forwards mail (SRS); who sent it stands in Return-Path

# A header with its continuation lines, or a line that is none.
_FIELD = re.compile(rb"^(?:([!-9;-~]++)[ \t]*+:[ \t]*(.*(?:\n[ \t].*)*)|(.+))", re.MULTILINE)
_FIELD_END = re.compile(rb"\n(?![ \t])")
_NAME = re.compile(rb"[!-9;-~]+")
_MAX_REMEMBERED_NAME = 64
_TYPE = re.compile(rb"\s*([A-Za-z0-9.+_-]+/[A-Za-z0-9.+_-]+)")
_PARAMETER = {
    name: re.compile(
        name + rb"(?:\*0?\*?)?[ \t\n]*=[ \t\n]*(?:\"([^\"\n]{1,200})\"?|([^\s;\"]{1,200}))", re.I
    )
    for name in (b"boundary", b"charset", b"report-type")
}
# A boundary that no header declares is told by the part header that follows it.
_IMPLIED_BOUNDARY = re.compile(rb"\n--([^\n]{1,70})\n(?i:Content)-[A-Za-z-]{1,40}:")
_RETURNED_TYPES = {
    "message/rfc822",
    "message/global",
    "text/rfc822-headers",
    "text/rfc822-header",
    "message/rfc822-headers",
    "message/global-headers",
    "message/partial",
}
_OF_A_MESSAGE = {b"received", b"message-id", b"return-path", b"dkim-signature"}

Fields = dict[bytes, list[bytes]]
# The fields of a part, its type, and whether that is one of a returned mail.
_Header = tuple[Fields, str, bool]


def unfolded_lines(octets: bytes) -> bytes:
    """The same lines with LF alone between them."""
    if b"\r" not in octets:
        return octets
    plain = octets.replace(b"\r\n", b"\n")
    if b"\r" not in plain:
        return plain
    # CR CR LF is what becomes of CRLF on its way through a careless gateway.
    return plain.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


class Part:
    """One MIME part: where its header and body lie in the message, and what the header says."""

    __slots__ = (
        "_octets",
        "_text",
        "body",
        "charset_known",
        "end",
        "fields",
        "is_returned",
        "type",
    )

    def __init__(self, octets: bytes, said: _Header, body: int, end: int, *, is_root: bool) -> None:
        self._octets = octets
        self._text: str | None = None
        self.fields, self.type, is_returned = said
        self.body = body
        self.end = end
        self.charset_known = True
        # The mail the report is about, whole or its header.
        self.is_returned = is_returned and not is_root

    def octets(self, limit: int = MAX_TEXT) -> bytes:
        """The body without its transfer encoding, no more of it than `limit`."""
        encoding = self._encoding()
        if encoding == b"base64":
            window = self._octets[self.body : min(self.end, self.body + limit * 3 // 2)]
            return unfolded_lines(unbase64(window)[:limit])
        if encoding == b"quoted-printable":
            window = self._octets[self.body : min(self.end, self.body + limit)]
            return unfolded_lines(binascii.a2b_qp(window))
        return self._octets[self.body : min(self.end, self.body + limit)]

    def _encoding(self) -> bytes:
        """The transfer encoding in lower case, without what some put behind it."""
        said = self.fields.get(b"content-transfer-encoding")
        words = said[0][:200].replace(b";", b" ").split() if said else ()
        return words[0].lower() if words else b""

    def may_contain(self, words: tuple[bytes, ...]) -> bool:
        """Whether one of the words stands in the body; where it is encoded, whether it might."""
        if self._encoding() == b"base64":
            return self.end - self.body <= MAX_TEXT
        end = min(self.end, self.body + MAX_TEXT)
        for word in words:  # noqa: SIM110  a generator would double its cost
            if self._octets.find(word, self.body, end) >= 0:
                return True
        return False

    @property
    def text(self) -> str:
        """The body as text."""
        if self._text is None:
            self._text = self._decoded(self.octets())
        return self._text

    @property
    def head(self) -> str:
        """The beginning of the text, as much as a report for people needs; whole lines."""
        if self._text is None and self.end - self.body > MAX_HEAD:
            octets = self.octets(MAX_HEAD)
            return self._decoded(octets.rpartition(b"\n")[0] or octets)
        return self.text

    @property
    def seen(self) -> str:
        """The head as a person sees it, whether it is plain or HTML."""
        return text_from_html(self.head) if self.type == "text/html" else self.head

    def _decoded(self, octets: bytes) -> str:
        value = self.fields.get(b"content-type")
        text, self.charset_known = text_from(
            octets, _charset_of(value[0][:1000]) if value else None
        )
        return text

    def header_block(self) -> bytes:
        """The header of a returned message, as far as a report about it needs it."""
        if not _OF_A_MESSAGE.isdisjoint(self.fields):
            block = b"\n".join(
                name + b": " + value for name, values in self.fields.items() for value in values
            )
            return b"\n" + block[:MAX_HEADER]
        if b"content-transfer-encoding" in self.fields:
            octets = self.octets(MAX_HEADER).lstrip(b"\n")
            return b"\n" + octets.partition(b"\n\n")[0]
        begin, limit = self.body, min(self.end, self.body + MAX_HEADER)
        while self._octets.startswith(b"\n", begin, limit):
            begin += 1
        stop = self._octets.find(b"\n\n", begin, limit)
        return b"\n" + self._octets[begin : stop if stop >= 0 else limit]


def _is_returned_text(fields: Fields) -> bool:
    """Parts that begin with the returned header itself, or carry it as a text attachment."""
    if not _OF_A_MESSAGE.isdisjoint(fields):
        return True
    disposition = fields.get(b"content-disposition")
    return disposition is not None and disposition[0].lower().startswith(b"attachment")


class Message:
    """A mail: its header, its leaf parts in order, and what was wrong with it.

    `sender` is the reverse-path of the envelope it came in, where that is known; "" the null one.
    """

    __slots__ = ("_headers", "defects", "octets", "parts", "reverse_path", "root")

    def __init__(self, octets: bytes, sender: str | None = None) -> None:
        self.octets = unfolded_lines(octets)
        self.defects: list[str] = []
        self._headers: dict[str, str | None] = {}
        start, mbox_sender = _after_mbox_line(self.octets)
        self.root = self._part_at(start, len(self.octets), in_multipart=False)
        # Who sent it, in small letters: "" for nobody, None where no envelope is known.
        self.reverse_path = self._reverse_path(sender, mbox_sender)
        self.parts: list[Part] = []
        self._collect(self.root, 0)

    def header(self, name: str) -> str | None:
        """The first header of this name, decoded; None where there is none."""
        try:
            return self._headers[name]
        except KeyError:
            values = self.root.fields.get(name.encode())
            found = self._headers[name] = header_text(values[0]).strip() if values else None
            return found

    def headers(self, name: str) -> list[str]:
        """All headers of this name, decoded."""
        return [header_text(value) for value in self.root.fields.get(name.encode(), ())]

    @property
    def has_null_sender(self) -> bool:
        """Whether it has the null reverse-path, as what programs answer has (RFC 5321, 4.5.5)."""
        return self.reverse_path in ("", "mailer-daemon")

    @property
    def is_of_list(self) -> bool:
        """Whether a mailing list sent it, or put its headers on; not what Mailman says itself."""
        fields = self.root.fields
        if b"x-list-administrivia" in fields:
            return False
        return b"list-id" in fields or b"list-unsubscribe" in fields or b"x-mailing-list" in fields

    def part(self, *types: str) -> Part | None:
        """The first part of one of these types."""
        for part in self.parts:
            if part.type in types:
                return part
        return None

    def returned(self) -> Part | None:
        """The mail this one is about, where it is a part of its own."""
        for part in self.parts:
            if part.is_returned:
                return part
        return None

    def texts(self) -> Iterator[Part]:
        """What is meant for people: the plain parts, or the HTML where those say nothing."""
        if self.root.type.startswith("text/"):
            yield self.root
            return
        prose = [p for p in self.parts if p.type.startswith("text/") and not p.is_returned]
        plain = [p for p in prose if p.type == "text/plain" and p.head.strip()]
        yield from plain or (p for p in prose if p.type == "text/html")

    def note(self, defect: str) -> None:
        """Keeps a defect, once."""
        if defect not in self.defects:
            self.defects.append(defect)

    def _reverse_path(self, sender: str | None, mbox_sender: bytes | None) -> str | None:
        """That of the envelope; of a file by Return-Path, then by the `From ` line of an mbox."""
        path = sender
        if path is None or path.lower().startswith(_REWRITTEN):
            path = self.header("return-path") or path
        if path is None and mbox_sender is not None:
            path = header_text(mbox_sender)
        return path.strip("<> ").lower() if path is not None else None

    def _collect(self, part: Part, depth: int) -> None:
        boundary = self._boundary(part)
        if boundary is None:
            self.parts.append(part)
            return
        if depth >= MAX_DEPTH:
            self.note("nested too deeply")
            return
        found = False
        for start, end in self._bodies(part, boundary):
            found = True
            if len(self.parts) >= MAX_PARTS:
                self.note("too many parts")
                return
            inner = self._part_at(start, end, in_multipart=True)
            if inner.type.startswith("multipart/"):
                self._collect(inner, depth + 1)
            else:
                self.parts.append(inner)
        if not found:
            self._collect_undivided(part, depth)

    def _collect_undivided(self, part: Part, depth: int) -> None:
        """A multipart whose boundary never comes: another one may, else it is all text."""
        self.note("boundary not found")
        implied = _IMPLIED_BOUNDARY.search(self.octets, max(part.body - 1, 0), part.end)
        if implied is None or depth:
            part.type = "text/plain"
            self.parts.append(part)
            return
        for start, end in self._bodies(part, implied.group(1).rstrip()):
            self._collect(self._part_at(start, end, in_multipart=True), depth + 1)

    def _boundary(self, part: Part) -> bytes | None:
        if part.type.startswith("multipart/"):
            declared = parameter(part.fields[b"content-type"][0], b"boundary")
            if declared is not None:
                return declared.rstrip()[:MAX_BOUNDARY] or None
            self.note("multipart without boundary")
        elif part is not self.root or b"content-type" in part.fields:
            return None
        implied = _IMPLIED_BOUNDARY.search(self.octets, max(part.body - 1, 0), part.end)
        if implied is not None:
            self.note("undeclared boundary")
            return implied.group(1).rstrip()
        part.type = "text/plain"
        return None

    def _bodies(self, part: Part, boundary: bytes) -> Iterator[tuple[int, int]]:
        """Where the parts lie between `--boundary` lines; the last may lack its end."""
        mark = b"\n--" + boundary
        octets, stop, begin = self.octets, part.end, None
        at = part.body - 1 if octets.startswith(mark[1:], part.body) else -1
        if at < 0:
            at = octets.find(mark, part.body - 1, stop)
        while at >= 0:
            after = at + len(mark)
            line_end = octets.find(b"\n", after, stop)
            rest = octets[after : line_end if line_end >= 0 else stop].rstrip()
            if rest in (b"", b"--"):
                if begin is not None:
                    yield begin, at
                if rest or line_end < 0:
                    return
                begin = line_end + 1
            at = octets.find(mark, line_end if not rest and line_end >= 0 else after, stop)
        if begin is not None:
            self.note("multipart cut short")
            yield begin, stop

    def _part_at(self, start: int, end: int, *, in_multipart: bool) -> Part:
        octets = self.octets
        if in_multipart:
            stop = octets.find(b"\n\n", start, min(end, start + _SMALL_HEADER))
            if stop > start and (known := _small_header(octets[start:stop])) is not None:
                return Part(octets, known, stop + 2, end, is_root=False)
        fields, body = self._header(start, end, in_multipart=in_multipart)
        return Part(octets, _said_by(fields), min(body, end), end, is_root=not in_multipart)

    def _header(self, start: int, end: int, *, in_multipart: bool) -> tuple[Fields, int]:
        octets = self.octets
        if octets.startswith(b"\n", start):
            return {}, start + 1
        stop = octets.find(b"\n\n", start, end)
        body = end if stop < 0 else stop + 2
        block_end = end if stop < 0 else stop
        if block_end - start > MAX_HEADER_BLOCK:
            self.note("header too large")
            block_end = start + MAX_HEADER_BLOCK
        block = octets[start:block_end]
        fields: Fields | None = _plain_fields(block)
        if fields is not None:
            return fields, body
        found = _FIELD.findall(block)
        if len(found) > MAX_HEADERS:
            self.note("too many headers")
            del found[MAX_HEADERS:]
        fields = {}
        for seen, (name, value, stray) in enumerate(found, 1):
            if not stray:
                key = name.lower()
                if key in fields:
                    fields[key].append(value)
                else:
                    fields[key] = [value]
            elif not self._goes_on(found[seen:], in_multipart=in_multipart):
                self.note("header without end")
                at = octets.find(b"\n" + stray, max(start - 1, 0), end) + 1
                return fields, max(at, start)
        if block_end - start > MAX_HEADER:
            for values in fields.values():
                values[:] = [value[:MAX_HEADER] for value in values]
        return fields, body

    def _goes_on(self, rest: list[tuple[bytes, bytes, bytes]], *, in_multipart: bool) -> bool:
        """Whether the header continues behind a line that is no header."""
        if in_multipart or not rest or not rest[0][0]:
            return False
        self.note("stray line in header")
        return True


def _plain_fields(block: bytes) -> Fields | None:
    """The fields of a header as nearly every mail has one; None where it takes a closer look."""
    if len(block) > MAX_HEADER:
        return None
    fields: Fields = {}
    lines = _FIELD_END.split(block)
    if len(lines) > MAX_HEADERS:
        return None
    for line in lines:
        name, colon, value = line.partition(b":")
        key = _key_of(name) if colon and len(name) <= _MAX_REMEMBERED_NAME else None
        if key is None:
            return None
        if key in fields:
            fields[key].append(value.lstrip(b" \t"))
        else:
            fields[key] = [value.lstrip(b" \t")]
    return fields


@lru_cache(maxsize=2048)
def _key_of(written: bytes) -> bytes | None:
    name = written.rstrip(b" \t")
    return name.lower() if _NAME.fullmatch(name) else None


@lru_cache(maxsize=512)
def _small_header(block: bytes) -> _Header | None:
    """The header of a part, in words that come again and again; None if a line of it is stray.

    The same fields go to every part that has them: nobody changes the header of a part.
    """
    fields: Fields = {}
    for name, value, stray in _FIELD.findall(block):
        if stray:
            return None
        fields.setdefault(name.lower(), []).append(value)
    return _said_by(fields)


def _said_by(fields: Fields) -> _Header:
    value = fields.get(b"content-type")
    kind = _type_of(value[0].partition(b";")[0][:200]) if value else "text/plain"
    is_text = kind.startswith("text/")
    return fields, kind, kind in _RETURNED_TYPES or (is_text and _is_returned_text(fields))


def _after_mbox_line(octets: bytes) -> tuple[int, bytes | None]:
    """Where the header begins, and the sender an mbox `From ` line names."""
    start = len(octets) - len(octets.lstrip(b"\n"))
    if not octets.startswith((b"From ", b">From "), start):
        return start, None
    stop = octets.find(b"\n", start)
    sender = octets[start : stop if stop >= 0 else len(octets)][:1000].split(b" ", 2)[1]
    return (stop + 1 if stop >= 0 else len(octets)), sender


@lru_cache(maxsize=256)
def _type_of(value: bytes) -> str:
    found = _TYPE.match(value)
    return found.group(1).decode("latin-1").lower() if found else "text/plain"


@lru_cache(maxsize=256)
def _charset_of(content_type: bytes) -> str | None:
    said = parameter(content_type, b"charset")
    return said.decode("latin-1") if said else None


def parameter(value: bytes, name: bytes) -> bytes | None:
    """A parameter of a Content-Type (RFC 2045, and 2231 in the forms that are met)."""
    at = value.lower().find(name)
    found = _PARAMETER[name].search(value, at) if at >= 0 else None
    if found is None:
        return None
    said = found.group(1) or found.group(2)
    extended = said.split(b"'", 2) if b"*" in found.group(0)[: len(name) + 3] else None
    return extended[2] if extended is not None and len(extended) == 3 else said
