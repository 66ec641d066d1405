"""Addresses in prose and in the fields of reports."""

import pytest

from bouncer.mail.address import address_from_field, addresses_in, clean, unique


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<a@b.example>: gone", ["a@b.example"]),
        ("write to a@b.example, or 'c@d.example'.", ["a@b.example", "c@d.example"]),
        ('"john smith"@b.example "j.s"@b.example', ['"j.s"@b.example']),
        ("[SMTP:a@b.example]", ["a@b.example"]),
        ("jürgen@exämple.org", ["jürgen@exämple.org"]),
        ("=?utf-8?B?8J+Q?=@b.example", ["=?utf-8?B?8J+Q?=@b.example"]),
        ("x@[192.0.2.1] y", ["x@[192.0.2.1]"]),
        ('<"john smith"@b.example>', ['"john smith"@b.example']),
        ('<"jo\x00hn smith"@b.example> c@d.example', ["c@d.example"]),
        ("收件人：a@b.example，退回", ["a@b.example"]),
        ("发送到12345@qq.example的邮件", ["12345@qq.example"]),
        ("・ね@例え.テスト", ["ね@例え.テスト"]),
        ("إلى a@b.example، لأن", ["a@b.example"]),
        ("@ @b.example a@ @@", []),
        ("a" * 500 + "@b.example", ["a" * 128 + "@b.example"]),
    ],
)
def test_addresses_are_found_in_prose(text: str, found: list[str]) -> None:
    assert addresses_in(text) == found


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("rfc822; a@b.example", "a@b.example"),
        ("RFC822;<a@b.example> (gone)", "a@b.example"),
        ("utf-8; j\\x{FC}rgen@b.example", "jürgen@b.example"),
        ("<a@b.example>", "a@b.example"),
        ("LOCAL;<mia>", "mia"),
        ("unknown; |/bin/filter -x", "|/bin/filter"),
        ("rfc822;", None),
        ("x\\x{110000}@b.example", "x\ufffd@b.example"),
        ("rfc822; Mia Lee <mia@b.example>", "mia@b.example"),
        ("rfc822; (was c@d.example) mia@b.example", "mia@b.example"),
        ("rfc822;smtp:mia@b.example", "mia@b.example"),
        ("rfc822;<@a.example,@c.example:mia@b.example>", "mia@b.example"),
        ("rfc822; mia@b.example Action: failed", "mia@b.example"),
        ("x400; dda:SMTP=mia@b.example", "mia@b.example"),
        ("rfc822; |/bin/filter mia@b.example /home/mia", "mia@b.example"),
    ],
)
def test_a_field_names_an_address(value: str, address: str | None) -> None:
    assert address_from_field(value) == address


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ('rfc822; "mia@b.example x"@c.example', '"mia@b.example x"@c.example'),
        ('rfc822; "mia lee"@b.example', '"mia lee"@b.example'),
        ("rfc822; user mia@b.example", "user mia@b.example"),
        ("utf-8; a\\x{20}mia@b.example", "a mia@b.example"),
        ("utf-8; \\x{D800}mia@b.example", "\ufffdmia@b.example"),
        ("rfc822; m\0ia@b.example", "m\ufffdia@b.example"),
        ("rfc822; a\\+mia@b.example", "a\\+mia@b.example"),
        ("rfc822; mia@b exam.example", "mia@b exam.example"),
        ("rfc822; email=mia@b.example", "email=mia@b.example"),
        ("rfc822; *mia@b.example", "*mia@b.example"),
        ("rfc822; " + "m" * 130 + "@b.example", "m" * 130 + "@b.example"),
        ("rfc822; " + "m" * 330 + "@b.example", "m" * 319 + "\ufffd"),
    ],
)
def test_what_a_field_holds_is_never_made_somebody_else(value: str, address: str) -> None:
    assert address_from_field(value) == address


def test_what_no_database_takes_is_left_out() -> None:
    assert clean("a\x00b\ud800c\nd") == "abcd"
    assert clean("größer 宛先") == "größer 宛先"


def test_an_address_is_kept_once_as_first_written() -> None:
    assert unique(["B@x.example", "a@x.example", "b@X.example"]) == ["B@x.example", "a@x.example"]
