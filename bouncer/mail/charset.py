"""Octets to text in any charset a mail may name (RFC 2045, 2047, 2231); never fails.

Only codecs that turn bytes into text are used: a mail may name `zlib_codec`.
"""

import binascii
import codecs
import re
from functools import lru_cache

_TEXT_CODEC = re.compile(
    r"ascii|latin_1|iso8859|cp\d|koi8|gb|big5|euc_|iso2022|shift_jis|utf_(?:8|16|32)|utf-(?:8|16|32)"
    r"|mac_|johab|hz|tis_620|ptcp154|kz1048|iso-?8859"
)
# What Japanese, Korean and Chinese servers call the supersets they really write.
_REALLY = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "x-euc-jp": "euc_jp",
    "x-gbk": "gb18030",
    "x-windows-949": "cp949",
    "windows-874": "cp874",
    "tis-620": "cp874",
    "unicode-1-1-utf-8": "utf-8",
}
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?\n]*)\?=(?:[ \t\r\n]{1,4}(?==\?))?")
_NOT_PLAIN = re.compile(rb"[\n\x1b\x80-\xff]|=\?")
_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
)


@lru_cache(maxsize=256)
def codec_for(charset: str) -> str | None:
    """The codec of a charset's name; None where nobody knows it or it is not one of text."""
    name = charset.strip("\"' \t").lower()
    try:
        found = codecs.lookup(_REALLY.get(name, name)).name
    except (LookupError, ValueError):
        return None
    return found if _TEXT_CODEC.match(found) else None


def text_from(octets: bytes, charset: str | None) -> tuple[str, bool]:
    """The text, and whether the charset was understood; UTF-8, then Latin-1, where it was not."""
    codec = codec_for(charset) if charset else None
    if codec in (None, "ascii", "utf-8") and b"\x1b$" in octets:
        # Japanese servers write ISO-2022-JP whatever they declare.
        return octets.decode("iso2022_jp", "replace"), True
    if codec is not None and codec not in ("ascii", "utf-8"):
        return octets.decode(codec, "replace"), True
    try:
        return octets.decode("utf-8"), codec is not None or not charset
    except UnicodeDecodeError:
        if codec == "utf-8":
            return octets.decode("utf-8", "replace"), True
        return octets.decode("latin-1"), codec is not None or not charset


def unbase64(octets: bytes) -> bytes:
    """What base64 stands for, as far as it goes; padding and foreign characters do not matter."""
    try:
        return binascii.a2b_base64(octets)
    except binascii.Error:
        kept = octets.translate(None, _NOT_BASE64)
        whole = kept[: len(kept) - (len(kept) % 4 == 1)]
        return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))


def header_text(octets: bytes) -> str:
    """A header's value: raw UTF-8 or Latin-1, encoded words decoded, folding removed."""
    if _NOT_PLAIN.search(octets) is None:
        return octets.decode("ascii")
    text, _ = text_from(octets, None)
    if "\n" in text:
        text = text.replace("\n\t", " ").replace("\n", "")
    return _ENCODED_WORD.sub(_decoded_word, text) if "=?" in text else text


def _decoded_word(match: re.Match[str]) -> str:
    charset, encoding, words = match.groups()
    octets = words.encode("utf-8", "replace")
    plain = unbase64(octets) if encoding in "bB" else binascii.a2b_qp(octets, header=True)
    return text_from(plain, charset.partition("*")[0])[0]
