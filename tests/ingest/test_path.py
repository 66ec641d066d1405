"""Paths are read in linear time, and only what is an address is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer.ingest.path import Path, PathFault, read_parameters, read_path, too_long


@pytest.mark.parametrize(
    ("text", "address", "domain", "routed"),
    [
        ("<>", "", None, False),
        ("<> SIZE=1", "", None, False),
        ("<a@example.net>", "a@example.net", "example.net", False),
        ("<a.@EXAMPLE.net>", "a.@EXAMPLE.net", "example.net", False),
        ("a@example.net SIZE=1", "a@example.net", "example.net", False),
        ("<postmaster>", "postmaster", None, False),
        ("<a@[192.0.2.1]>", "a@[192.0.2.1]", "[192.0.2.1]", False),
        (r'<"a \" > b"@example.net>', r'"a \" > b"@example.net', "example.net", False),
        ("<a%b@example.net>", "a%b@example.net", "example.net", True),
        ("<b!a@example.net>", "b!a@example.net", "example.net", True),
        ('<"a@b"@example.net>', '"a@b"@example.net', "example.net", True),
        ("<@b.example,@c.example:a@example.net>", "a@example.net", "example.net", True),
        ("<ü@BÜCHER.example>", "ü@BÜCHER.example", "xn--bcher-kva.example", False),
    ],
)
def test_what_is_an_address_is_read_as_it_was_written(
    text: str, address: str, domain: str | None, routed: bool
) -> None:
    path = read_path(text)
    assert isinstance(path, Path)
    assert (path.address, path.domain, path.routed) == (address, domain, routed)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", PathFault.FRAME),
        ("<", PathFault.FRAME),
        ("<a@b", PathFault.FRAME),
        ("<a@b>c", PathFault.FRAME),
        ('<"a@b>', PathFault.FRAME),
        ("<a@b>,<c@d>", PathFault.FRAME),
        ("<a@b@c>", PathFault.ADDRESS),
        ("<@b.example:>", PathFault.ADDRESS),
        ("<a b@c>", PathFault.ADDRESS),
        ("<a\x00b@c>", PathFault.ADDRESS),
        ("<a\x85b@c>", PathFault.ADDRESS),
        ("<a\udcffb@c>", PathFault.ADDRESS),
        ("<@>", PathFault.ADDRESS),
        ("<a@>", PathFault.ADDRESS),
        ("<a@b\n>", PathFault.ADDRESS),
        ("<a\u202eb@c>", PathFault.ADDRESS),
    ],
)
def test_what_is_no_address_is_told_apart(text: str, fault: PathFault) -> None:
    assert read_path(text) is fault


@pytest.mark.parametrize(
    ("local", "domain", "long"), [(64, 251, False), (65, 9, True), (1, 252, True)]
)
def test_octets_count_not_characters(local: int, domain: int, long: bool) -> None:
    path = read_path(f"<{'ü' * (local // 2)}{'u' * (local % 2)}@{'d' * domain}.org>")
    assert isinstance(path, Path)
    assert too_long(path) == long


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("", {}),
        ("SIZE=10 body=8BITMIME", {"SIZE": "10", "BODY": "8BITMIME"}),
        ("SMTPUTF8", {"SMTPUTF8": None}),
        ("SIZE=", None),
        ("SIZE=1 size=2", None),
        ("=1", None),
        ("SIZE=1\x00", None),
        ("RET=a=b", None),
    ],
)
def test_parameters_are_read_or_not_at_all(
    text: str, parameters: dict[str, str | None] | None
) -> None:
    assert read_parameters(text) == parameters


@pytest.mark.parametrize(
    "text", ["<" * 9, '<"' * 9, '<"\\', "<(", "<@:", "<a.", "<a@b.", '<"a"', "< ", "<>SIZE="]
)
def test_reading_takes_linear_time(text: str) -> None:
    for times in (100_000, 100_001):  # hours, were it quadratic
        read_path(text * times)
        read_parameters(text * times)


@given(
    st.text(max_size=300)
    | st.binary(max_size=300).map(lambda b: b.decode("utf-8", "surrogateescape"))
)
def test_whatever_comes_is_a_path_or_a_fault(text: str) -> None:
    path = read_path(text)
    if isinstance(path, Path):
        assert path.address.isprintable()
        assert path.address in text
        path.address.encode()
        read_parameters(path.parameters)
