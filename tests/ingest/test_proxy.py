"""PROXY headers: read to their last octet and no further, and believed only when whole."""

import ipaddress
import struct
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncer.ingest.proxy import ProxyFault, read_client

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def source(octets: bytes, size: int) -> tuple[Callable[[int], Awaitable[bytes]], Callable[[], int]]:
    """Gives these octets in pieces of at most this size; and says how many were taken."""
    taken = 0

    async def receive(count: int) -> bytes:
        nonlocal taken
        piece = octets[taken : taken + min(count, size)]
        taken += len(piece)
        return piece

    return receive, lambda: taken


def version_2(
    client: str, *, more: bytes = b"", command: int = 0x21, transport: int | None = None
) -> bytes:
    address = ipaddress.ip_address(client)
    kind = 0x11 if address.version == 4 else 0x21
    body = address.packed * 2 + struct.pack("!HH", 40000, 25) + more
    return (
        SIGNATURE
        + struct.pack("!BBH", command, kind if transport is None else transport, len(body))
        + body
    )


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    ("header", "client"),
    [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n", "192.0.2.7"),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"),
        (b"PROXY TCP6 2001:DB8::7 ::1 0 25\r\n", "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n", None),
        (version_2("192.0.2.7"), "192.0.2.7"),
        (version_2("2001:db8::7"), "2001:db8::7"),
        (version_2("192.0.2.7", more=b"\x04\x00\x01x" * 1000), "192.0.2.7"),
        (version_2("192.0.2.7", command=0x20), None),
        (version_2("192.0.2.7", transport=0), None),
    ],
)
async def test_a_header_names_the_client_and_ends_where_it_ends(
    header: bytes, client: str | None, size: int
) -> None:
    receive, taken = source(header + b"\x16\x03\x01 and what the client says", size)
    assert await read_client(receive) == client
    assert taken() == len(header)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"EHLO client.example\r\n",
        b"proxy TCP4 192.0.2.7 198.51.100.1 40000 25\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n",
        b"PROXY TCP4  192.0.2.7 198.51.100.1 40000 25\r\n",
        b"PROXY TCP4 192.0.2.07 198.51.100.1 40000 25\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 040000 25\r\n",
        b"PROXY TCP4 192.0.2.7 nowhere 40000 25\r\n",
        b"PROXY TCP4 ::1 ::1 40000 25\r\n",
        b"PROXY TCP6 192.0.2.7 192.0.2.8 40000 25\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 40000 25\r\n",
        b"PROXY UDP4 192.0.2.7 198.51.100.1 40000 25\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY UNKNOWN\xff" + b"\xff" * 200,
        SIGNATURE,
        version_2("192.0.2.7")[:-1],
        version_2("192.0.2.7", command=0x11),
        version_2("192.0.2.7", command=0x22),
        version_2("192.0.2.7", transport=0x12),
        version_2("192.0.2.7", transport=0x31),
        version_2("192.0.2.7", transport=0x21),
        version_2("192.0.2.7", more=b"x" * 5000),
    ],
)
async def test_what_is_no_whole_header_names_nobody(header: bytes) -> None:
    receive, taken = source(header, 1000)
    with pytest.raises(ProxyFault):
        await read_client(receive)
    assert taken() <= 107


@given(st.binary(max_size=200), st.sampled_from([b"", SIGNATURE, b"PROXY ", b"PROXY TCP4 "]))
async def test_whatever_comes_is_an_address_or_a_fault(octets: bytes, start: bytes) -> None:
    receive, _ = source(start + octets, 7)
    try:
        client = await read_client(receive)
    except ProxyFault:
        return
    assert client is None or ipaddress.ip_address(client)
