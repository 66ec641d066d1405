"""Which mail a report is about: message id and author's domain of the returned message.

The only thing that is ever taken from the returned mail, besides its addressee where nothing else
names one. What it says about delivery is about another delivery.
"""

import re

from bouncer.mail.address import addresses_in, clean, domain_of
from bouncer.mail.charset import header_text
from bouncer.mail.message import Message

_MAX_VALUE = 4096
_HEADER_LINE = re.compile(r"(?m)^[> \t]{0,8}[A-Z][A-Za-z-]{1,40}:")
_QUOTED = re.compile(r"(?m)^[> \t]{1,8}(?=[A-Z])")


class ReturnedHeader:
    """The header of a returned message; looked into for the few fields a report needs."""

    __slots__ = ("_block", "_lowered")

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._lowered: bytes | None = None

    def value(self, name: bytes, written: bytes = b"") -> str | None:
        """A header, decoded and unfolded. `written`: how nearly everybody writes its name."""
        at = self._block.find(b"\n" + written + b":") if written else -1
        if at < 0:
            if self._lowered is None:
                self._lowered = self._block.lower()
            at = self._lowered.find(b"\n" + name + b":")
        if at < 0:
            return None
        begin = at + len(name) + 2
        stop = begin
        while True:
            stop = self._block.find(b"\n", stop)
            if stop < 0 or self._block[stop + 1 : stop + 2] not in (b" ", b"\t"):
                break
            stop += 1
        value = self._block[begin : stop if stop >= 0 else None][:_MAX_VALUE]
        return header_text(value).strip()

    @property
    def message_id(self) -> str | None:
        """The message id, without its brackets."""
        value = self.value(b"message-id", b"Message-ID")
        return clean(value.split(" ")[0].strip("<>"))[:998] or None if value else None

    @property
    def from_domain(self) -> str | None:
        """The domain of the author's address."""
        value = self.value(b"from", b"From")
        if not value:
            return None
        at = value.rfind("@")
        domain = value[at + 1 :].removesuffix(">")
        if at > 0 and domain.isascii() and domain.replace(".", "").replace("-", "").isalnum():
            before = value[at - 1]
            if domain[-1] not in ".-" and (before.isalnum() or before in "._+-"):
                return domain.lower()
        found = addresses_in(value)
        return domain_of(found[-1]) if found else None

    @property
    def addressees(self) -> list[str]:
        """Whom the mail was sent to, as far as its header says."""
        for name in (b"x-rcpt-to", b"x-envelope-to", b"envelope-to", b"to"):
            value = self.value(name)
            found = addresses_in(value) if value else []
            if found:
                return found
        return []


def returned_header(message: Message, text_after: str = "") -> ReturnedHeader:
    """The header of the returned mail: of its part, or of the text the report ends with."""
    part = message.returned()
    if part is not None:
        return ReturnedHeader(part.header_block())
    begin = _HEADER_LINE.search(text_after)
    if begin is None:
        return ReturnedHeader(b"")
    lines = text_after[begin.start() :]
    stop = lines.find("\n\n")
    block = lines if stop < 0 else lines[:stop]
    if block.startswith((">", " ", "\t")):
        block = _QUOTED.sub("", block)
    return ReturnedHeader(b"\n" + block.encode("utf-8", "replace"))
