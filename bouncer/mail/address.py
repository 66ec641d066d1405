"""Addresses as they stand in envelopes and reports (RFC 5321 section 4.1.2, RFC 6531)."""

import re
from collections.abc import Iterable, Iterator


def domain_of(address: str) -> str | None:
    """The domain in lower case, without a trailing dot; None where there is none."""
    _, at, domain = address.rpartition("@")
    return domain.lower().rstrip(".") or None if at else None


def address_key(address: str) -> str:
    """How two addresses are compared everywhere: whole, case-insensitively."""
    return address.strip().lower()


def masked(address: str) -> str:
    """What a log line may say of an address: its first letter and its domain."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}***@{domain}" if at else "***"


# Letters of other scripts, not their spaces, brackets and colons: `收件人：user@example.com`.
_LETTERS = (
    r"\u00aa\u00b5\u00ba\u00c0-\u0588\u0591-\u060b\u0610-\u061a\u0620-\u06d3\u06d5-\u0963\u0966-\u1fff\u2c00-\u2fef\u3005-\u3007\u3021-\u3029\u3031-\u30fa\u30fc-\ud7ff"
    r"\ud800-\udfff\ufffd\uf900-\ufdff\ufe20-\ufefe\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc"
    r"\U00010000-\U0010ffff"
)
_ATEXT = rf"A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.{_LETTERS}-"
_DOMAIN = rf"A-Za-z0-9._{_LETTERS}-"
MAX_LOCAL = 128
_DOMAIN_PART = re.compile(rf"[{_DOMAIN}]{{1,255}}|\[[0-9A-Fa-f.:IPv]{{2,60}}\]")
# Thai, Chinese, Japanese and Korean have no space between a word and the address next to it.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ud7ff\uf900-\ufaff\uff10-\uffdc"
_WORD_BEFORE = re.compile(rf"[{_UNSPACED}]{{1,{MAX_LOCAL}}}(?=[A-Za-z0-9])")
_WORD_BEHIND = re.compile(rf"[A-Za-z0-9.-]{{1,250}}\.[A-Za-z]{{2,24}}(?=[{_UNSPACED}])")
_LOCAL_BACKWARDS = re.compile(rf"[{_ATEXT}]{{1,{MAX_LOCAL}}}")
_UTF8_ESCAPE = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
# What Exchange and web pages write in front: dda:SMTP=user, ?email=user.
_LABEL = re.compile(r"^.{0,60}?\b(?:smtp|e?mail|mailto|rcpt|address|user)=(?=[^=])", re.I)
_FIELD_TYPE = re.compile(
    r"\s*(?:rfc822|utf-8|unknown|smtp|x400|local|x-[a-z0-9-]{1,30})\s*;\s*", re.I
)
# The form that nearly every field has.
_PLAIN_FIELD = re.compile(
    r"\s*(?:rfc822\s*;\s*)?<?([a-z0-9][a-z0-9._+-]{0,63}@[a-z0-9.-]{0,254}[a-z0-9])>?\s*$",
    re.IGNORECASE | re.ASCII,
)
_BRACKETED = re.compile(r"<([^<>]{0,400}@[^<>]{1,400})>")
_QUOTED_LOCAL = re.compile(r'"(?:[^"\\]|\\.){1,128}"@[^\s@<>"]{1,255}$')
_SCHEME = re.compile(r"(?:smtp|mailto|rfc822)[:;]\s?", re.I)
MAX_ADDRESS = 320
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def spans_in(text: str) -> Iterator[tuple[int, int]]:
    """Where addresses stand in running text. Looks only around each `@`, so it is linear."""
    at, free = text.find("@"), 0
    while at >= 0:
        domain = _DOMAIN_PART.match(text, at + 1)
        begin = max(free, at - MAX_LOCAL)
        local = _local_before(text, begin, at) if domain else at
        if domain is not None and local < at:
            end = domain.end()
            if not text.isascii():
                local, end = _without_words(text, local, at, end)
            yield local, end
            free = end
        at = text.find("@", domain.end() if domain else at + 1)


def _without_words(text: str, local: int, at: int, end: int) -> tuple[int, int]:
    """Where the address begins and ends between words that no space parts from it."""
    if not text[at:end].isascii() and (behind := _WORD_BEHIND.match(text, at + 1, end)):
        end = behind.end()
    before = _WORD_BEFORE.match(text, local, at)
    return (before.end() if before and text[at:end].isascii() else local), end


def _local_before(text: str, begin: int, at: int) -> int:
    """Where the local part begins that ends at `at`; `at` itself where there is none."""
    if at > begin and text[at - 1] == '"':
        opening = text.rfind('"', begin, at - 1)
        spaced = " " in text[opening:at] and text[max(begin, opening - 1) : opening] != "<"
        if not 0 <= opening < at - 2 or spaced or not text[opening:at].isprintable():
            return at
        return opening
    behind = _LOCAL_BACKWARDS.match(text[begin:at][::-1])
    return at - behind.end() if behind is not None else at


def addresses_in(text: str) -> list[str]:
    """Every address in running text, in order."""
    return [trimmed(text[start:end]) for start, end in spans_in(text)]


def unique(addresses: Iterable[str]) -> list[str]:
    """Each address once, as it was written first."""
    kept: dict[str, str] = {}
    for address in addresses:
        kept.setdefault(address_key(address), address)
    return list(kept.values())


def trimmed(found: str) -> str:
    """An address without the punctuation of the sentence it was found in."""
    local, _, domain = found.rpartition("@")
    if local[:1] not in "'`*=" and "=" not in local and domain[-1:] not in ".-_":
        return found
    if not local.startswith('"'):
        local = _LABEL.sub("", local) or local
        local = local.lstrip("'`*") or local
        if local.startswith("=") and not local.startswith("=?"):
            local = local.lstrip("=") or local
    return f"{local}@{domain.rstrip('.-_') if not domain.startswith('[') else domain}"


def address_from_field(value: str) -> str | None:
    """The address in a field such as Final-Recipient: `rfc822; <user@example.com> (gone)`.

    `utf-8` types carry \\x{HEX} (RFC 6533 section 3). What is no address, a local name for
    instance, is returned as it stands: it is what the report says, and never somebody else.
    """
    plain = _PLAIN_FIELD.match(value)
    if plain is not None:
        return plain.group(1)
    typed = _FIELD_TYPE.match(value)
    kind = typed.group(0).strip(" \t;").lower() if typed else ""
    text = value[typed.end() :] if typed else value
    if "\\x{" in text:
        text = _UTF8_ESCAPE.sub(lambda found: _character(found.group(1)), text)
    said = _without_comments(" ".join(text.split()))
    if said.startswith("|") and (named := addresses_in(said)):
        return named[0]  # a program (Exim) that is given the address
    if "@" in said:
        label = (
            _LABEL.match(said) if kind.startswith("x400") or said[:4].lower() == "dda:" else None
        )
        return _legible(_whole_address(said[label.end() :] if label else said))
    bare = said.strip("<>").strip()
    if kind.startswith("x400") or " " in bare:
        bare = bare.split(" ", 1)[0]
    return clean(bare)[:MAX_ADDRESS] or None


def _without_comments(text: str) -> str:
    """A field without what stands in parentheses before and after (RFC 5322 section 3.2.2)."""
    while text.startswith("(") and ")" in text:
        text = text.partition(")")[2].lstrip()
    while text.endswith(")") and "(" in text:
        text = text.rpartition("(")[0].rstrip()
    return text


def _whole_address(said: str) -> str:
    """The address that a field holds, whole; the whole text where it is none."""
    bracketed = _BRACKETED.search(said)
    text = (bracketed.group(1) if bracketed else said).strip(" <>'`")
    if _QUOTED_LOCAL.match(text):
        return text
    text = _SCHEME.sub("", text.strip('"'), 1)
    if text.startswith("@"):
        text = text.partition(":")[2] or text  # a source route (RFC 5321 appendix C)
    first, _, rest = text.partition(" ")
    domain = first.rpartition("@")[2]
    if rest and ("@" not in first or "." not in domain.strip(".,;:")):
        return text
    return first.rstrip(".,;:'\"->") or text


def _legible(address: str) -> str:
    """An address with U+FFFD for what no database takes, which makes it nobody else's."""
    told = address if address.isprintable() else _NOT_TEXT.sub("\ufffd", address)
    return told if len(told) <= MAX_ADDRESS else told[: MAX_ADDRESS - 1] + "\ufffd"


def address_from_xtext(value: str) -> str:
    """An ORCPT or envelope id with its +XX escapes decoded (RFC 3461 section 4)."""
    return _XTEXT.sub(lambda found: chr(int(found.group(1), 16)), value)


def clean(text: str) -> str:
    """Text that any database and any JSON reader takes."""
    return text if text.isprintable() else _NOT_TEXT.sub("", text)


def _character(hexadecimal: str) -> str:
    number = int(hexadecimal, 16)
    return chr(number) if number < 0xD800 or 0xDFFF < number < 0x110000 else "\ufffd"
