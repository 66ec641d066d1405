"""The message reader: line ends, missing pieces, encodings, and what it keeps out of sight."""

import base64
import quopri

import pytest

from bouncer.mail.message import Message

PARTS = (
    b"Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\nContent-Type: text/plain\n\none\n"
    b"--b\nContent-Type: message/rfc822\n\nSubject: inner\n\ntwo\n--b--\nepilogue\n"
)


def types(octets: bytes) -> list[str]:
    return [part.type for part in Message(octets).parts]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r", b"\r\r\n"])
def test_any_line_end_separates_lines(line_end: bytes) -> None:
    message = Message(b"Subject: a\n b\nTo: c\n\nbody\n".replace(b"\n", line_end))
    assert message.header("subject") == "a b"
    assert message.root.text == "body\n"


def test_mixed_line_ends_separate_lines() -> None:
    message = Message(b"Subject: a\r\nTo: c\rFrom: d\n\r\nbody")
    assert (message.header("to"), message.header("from"), message.root.text) == ("c", "d", "body")


def test_an_mbox_line_is_no_header_and_names_the_sender() -> None:
    message = Message(b"\nFrom x@example.org Tue Mar  3 10:15:30 2026\nSubject: a\n\nb")
    assert message.reverse_path == "x@example.org"
    assert message.header("subject") == "a"


def test_parts_lie_between_boundaries_and_the_returned_mail_is_not_entered() -> None:
    message = Message(PARTS)
    assert types(PARTS) == ["text/plain", "message/rfc822"]
    assert message.parts[0].text == "one"
    assert [part.text for part in message.texts()] == ["one"]
    returned = message.returned()
    assert returned is not None
    assert returned.header_block() == b"\nSubject: inner"


def test_a_boundary_that_begins_like_another_is_another() -> None:
    octets = PARTS.replace(b"one\n", b"one\n--bb\n")
    assert Message(octets).parts[0].text == "one\n--bb"


def test_a_header_may_lack_its_blank_line() -> None:
    message = Message(b"Subject: a\nThis is no header, it is text.\nmore\n")
    assert message.root.text == "This is no header, it is text.\nmore\n"
    assert message.defects == ["header without end"]


def test_a_stray_line_does_not_end_the_header() -> None:
    message = Message(b"Subject: a\nthis strayed in\nTo: c\n\nbody")
    assert (message.header("to"), message.defects) == ("c", ["stray line in header"])


def test_an_undeclared_boundary_is_found() -> None:
    octets = b"Subject: a\n\nMIME!\n\n--x/y\nContent-Type: text/html\n\n<b>\n--x/y--\n"
    assert types(octets) == ["text/html"]


def test_a_last_part_without_end_is_a_part() -> None:
    message = Message(PARTS[: PARTS.index(b"two")])
    assert [part.type for part in message.parts] == ["text/plain", "message/rfc822"]
    assert message.defects == ["multipart cut short"]


@pytest.mark.parametrize(
    "parameter",
    [b'boundary="b"', b"boundary=b", b"boundary*=us-ascii''b", b"boundary*0=b", b"BOUNDARY = b"],
)
def test_a_boundary_may_be_written_in_many_ways(parameter: bytes) -> None:
    assert types(PARTS.replace(b"boundary=b", parameter)) == ["text/plain", "message/rfc822"]


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("iso-2022-jp", "iso-2022-jp"),
        ("ISO-8859-2", "iso-8859-2"),
        ("gb2312", "gb2312"),
        ("ks_c_5601-1987", "cp949"),
        ("windows-1251", "cp1251"),
    ],
)
def test_text_is_decoded_by_its_charset(charset: str, codec: str) -> None:
    said = {"iso-2022-jp": "宛先不明", "ISO-8859-2": "żółć", "gb2312": "退信"}.get(charset, "ascii")
    header = f"Content-Type: text/plain; charset={charset}\n\n".encode()
    assert Message(header + said.encode(codec)).root.text == said


@pytest.mark.parametrize("charset", [b"zlib_codec", b"rot13", b"\x00bad", b"unicode_escape", b""])
def test_an_unknown_charset_is_read_all_the_same(charset: bytes) -> None:
    message = Message(b"Content-Type: text/plain; charset=" + charset + b"\n\ncaf\xe9 \\ud800")
    assert message.root.text == "café \\ud800"


def test_transfer_encodings_are_undone() -> None:
    text = "naïve\n" * 30
    for encoding, octets in (
        ("BASE64", base64.encodebytes(text.encode())),
        ("base64", base64.encodebytes(text.encode()).rstrip(b"=\n") + b" !"),
        ("Quoted-Printable", quopri.encodestring(text.encode())),
    ):
        header = f"Content-Transfer-Encoding: {encoding}\n\n".encode()
        assert Message(header + octets).root.text.startswith(text[:-2])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (b"=?utf-8?B?w6TDtg==?= =?iso-8859-1?Q?_=FC?=", "äö ü"),
        (b"=?ISO-2022-JP?B?GyRCMSIbKEI=?=", "陰"),
        (b"=?x-unknown?Q?a=41?=", "aA"),
        (b"=?broken", "=?broken"),
        ("größer".encode(), "größer"),
        (b"gr\xf6\xdfer", "größer"),
    ],
)
def test_headers_are_decoded(written: bytes, said: str) -> None:
    assert Message(b"Subject: " + written + b"\n\n").header("subject") == said
