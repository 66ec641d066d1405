"""The PROXY protocol, versions 1 and 2: for whom a load balancer connects.

Exactly the header is read, and not one octet of what the client sends behind it. Anything that is
not a whole header of TCP over IP is a fault: there is no telling whom such a connection is from.
"""

import ipaddress
import re
import struct
from collections.abc import Awaitable, Callable

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"  # of version 2
_LONGEST_LINE = 107  # version 1, CR LF included
_LONGEST_BODY = 4096  # version 2: addresses, and what the proxy has to say about TLS
_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6 = 0x00, 0x11, 0x21
_PORT = r"(?:0|[1-9][0-9]{0,4})"
_LINE = re.compile(rf"PROXY (TCP4|TCP6) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) {_PORT} {_PORT}\r\n\Z")

Receive = Callable[[int], Awaitable[bytes]]


class ProxyFault(Exception):
    """This is no PROXY header that we can believe."""


async def read_client(receive: Receive) -> str | None:
    """The client's address; None when the proxy does not name one (a health check of its own).

    `receive` gives at least one and at most so many octets, none when there will be no more.
    """
    start = await _exactly(receive, len(_SIGNATURE))
    if start == _SIGNATURE:
        return await _version_2(receive)
    if not start.startswith(b"PROXY "):
        raise ProxyFault("no PROXY header")
    while not start.endswith(b"\n"):
        if len(start) == _LONGEST_LINE:
            raise ProxyFault("a PROXY header that does not end")
        start += await _exactly(receive, 1)
    return _version_1(start.decode("ascii", "replace"))


def _version_1(line: str) -> str | None:
    if re.match(r"PROXY UNKNOWN[ \r]", line) and line.endswith("\r\n"):
        return None
    parts = _LINE.match(line)
    if parts is None:
        raise ProxyFault("a malformed PROXY header")
    family = ipaddress.IPv4Address if parts[1] == "TCP4" else ipaddress.IPv6Address
    try:
        family(parts[3])
        return str(family(parts[2]))
    except ValueError as error:
        raise ProxyFault("a PROXY header without addresses") from error


async def _version_2(receive: Receive) -> str | None:
    command, transport, length = struct.unpack("!BBH", await _exactly(receive, 4))
    if command not in (_LOCAL, _PROXY) or length > _LONGEST_BODY:
        raise ProxyFault("a malformed PROXY header")
    body = await _exactly(receive, length)
    if command == _LOCAL or transport == _UNSPECIFIED:
        return None
    size = {_TCP4: 4, _TCP6: 16}.get(transport)
    if size is None or length < 2 * size + 4:  # two addresses and two ports
        raise ProxyFault("a PROXY header of something else than TCP")
    return str(ipaddress.ip_address(body[:size]))


async def _exactly(receive: Receive, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        more = await receive(count - len(octets))
        if not more:
            raise ProxyFault("half a PROXY header")
        octets += more
    return octets
