"""Where webhooks may go: https to public addresses, and what an operator allows beyond that.

After the special-purpose registries of IANA (RFC 6890). `url_fault` reads a URL as it is written
and asks nobody, so it cannot know where a name leads: `address_fault` is asked of each address that
DNS answers, each time a connection is made. Documentation ranges lead nowhere and are not refused.
"""

import re
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import SplitResult, urlsplit

_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_-]{1,63}")
_PRINTABLE = re.compile(r"[!-~\u00a0-\U0010ffff]*")
_AUTHORITY = re.compile(r"(?:\[[^\[\]]*\]|[^\[\]:]*)(?::[0-9]{1,5})?")
_DOTS = ("\u3002", "\uff0e", "\uff61")  # other characters that IDNA reads as a dot
_MAX_URL = 2048

_LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_METADATA_NAMES = frozenset(
    {
        "metadata",
        "metadata.goog",
        "metadata.google.internal",
        "metadata.tencentyun.com",
        "instance-data",
        "instance-data.ec2.internal",
    }
)

# The first that holds the address counts. What is "never" stays so with allow_private.
_NEVER: tuple[tuple[str, str], ...] = (
    ("fd00:ec2::/32", "a cloud metadata address"),  # Amazon
    ("fd20:ce::254/128", "a cloud metadata address"),  # Google
    ("fd00:c1::a9fe:a9fe/128", "a cloud metadata address"),  # Oracle
    ("fd00:42::42/128", "a cloud metadata address"),  # Scaleway
    ("100.100.100.200/32", "a cloud metadata address"),  # Alibaba
    ("192.0.0.192/32", "a cloud metadata address"),  # Oracle Classic
    ("168.63.129.16/32", "a cloud metadata address"),  # Azure, in a public range
    ("169.254.0.0/16", "a link-local address"),
    ("fe80::/10", "a link-local address"),
    ("0.0.0.0/8", "an unspecified address"),
    ("::/128", "an unspecified address"),
    ("100.64.0.0/10", "a shared address (RFC 6598)"),
    ("192.0.0.0/24", "a reserved address"),
    ("192.88.99.0/24", "a reserved address"),
    ("198.18.0.0/15", "a benchmarking address (RFC 2544)"),
    ("224.0.0.0/4", "a multicast address"),
    ("ff00::/8", "a multicast address"),
    ("240.0.0.0/4", "a reserved address"),
    ("::ffff:0:0/96", "an IPv4 address in IPv6 form"),
    ("2002::/16", "a 6to4 address"),
    ("64:ff9b::/96", "a NAT64 address"),
    ("64:ff9b:1::/48", "a NAT64 address"),
    ("2001::/32", "a Teredo address"),
    ("2001::/23", "a reserved address"),
)
_PRIVATE: tuple[tuple[str, str], ...] = (
    ("127.0.0.0/8", "a loopback address"),
    ("::1/128", "a loopback address"),
    ("10.0.0.0/8", "a private address"),
    ("172.16.0.0/12", "a private address"),
    ("192.168.0.0/16", "a private address"),
    ("fc00::/7", "a private address"),
)
_GLOBAL_V6 = IPv6Network("2000::/3")  # the rest of IPv6 is not given out (RFC 4291)

_Networks = tuple[tuple[IPv4Network | IPv6Network, str], ...]
_NEVER_NETWORKS: _Networks = tuple((ip_network(net), kind) for net, kind in _NEVER)
_PRIVATE_NETWORKS: _Networks = tuple((ip_network(net), kind) for net, kind in _PRIVATE)


def url_fault(url: str, *, allow_private: bool) -> str | None:
    """What is wrong with a webhook URL as it is written, or None. Does not ask DNS."""
    if len(url) > _MAX_URL:
        return f"longer than {_MAX_URL} characters"
    if not _PRINTABLE.fullmatch(url) or "\\" in url:
        return "has a blank, a control character or a backslash in it"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "not a URL: write it as https://host/path or https://host:port/path"
    return (
        _scheme_fault(parts.scheme, allow_private=allow_private)
        or _authority_fault(parts, port)
        or _host_fault(parts, allow_private=allow_private)
    )


def address_fault(ip: str | IPv4Address | IPv6Address, *, allow_private: bool) -> str | None:
    """Why no webhook goes to this address, or None."""
    try:
        address = ip_address(ip.partition("%")[0] if isinstance(ip, str) else ip)
    except ValueError:
        return f"{ip} is not an IP address"
    if kind := _kind(address, _NEVER_NETWORKS):
        return f"{address} is {kind}, where no webhook may go"
    if kind := _kind(address, _PRIVATE_NETWORKS):
        if allow_private:
            return None
        return f"{address} is {kind}: use a public one, or set allow_private: true"
    if isinstance(address, IPv6Address) and address not in _GLOBAL_V6:
        return f"{address} is a reserved address, where no webhook may go"
    return None


def _kind(address: IPv4Address | IPv6Address, networks: _Networks) -> str | None:
    return next((kind for network, kind in networks if address in network), None)


def _scheme_fault(scheme: str, *, allow_private: bool) -> str | None:
    if scheme == "https" or (scheme == "http" and allow_private):
        return None
    if scheme == "http":
        return "write https://, or set allow_private: true for a receiver in your own network"
    return "write a URL that begins with https://"


def _authority_fault(parts: SplitResult, port: int | None) -> str | None:
    if "@" in parts.netloc:
        return (
            "leave out user and password: the receiver knows us by the signature; "
            "write https://host/path"
        )
    if not parts.hostname:
        return "has no host: write https://host/path"
    if port == 0 or parts.netloc.endswith(":"):
        return "write a port from 1 to 65535, or none"
    if not _AUTHORITY.fullmatch(parts.netloc):
        return f"{parts.netloc} is not a host, or a host and a port"
    return None


def _host_fault(parts: SplitResult, *, allow_private: bool) -> str | None:
    host = (parts.hostname or "").lower()
    if "[" in parts.netloc or ":" in host:
        return _bracketed_fault(host, allow_private=allow_private)
    if not host.isascii():
        return _foreign_fault(host)
    name = host.removesuffix(".")
    if not _NAME.fullmatch(name) or len(name) > 253:
        return f"{host} is not a host name"
    if name.rpartition(".")[2][:1].isdigit() and (literal := _as_ipv4(name)) is not None:
        return _ipv4_fault(host, literal, allow_private=allow_private)
    if name.rpartition(".")[2].isdigit():
        return f"{host} is neither a host name nor an IP address"
    return _name_fault(host, name, allow_private=allow_private)


def _bracketed_fault(host: str, *, allow_private: bool) -> str | None:
    try:
        address = IPv6Address(host)
    except AddressValueError:
        return f"[{host}] is not an IPv6 address"
    if address.scope_id is not None:
        return f"[{host}]: leave out the zone; link-local addresses are never allowed"
    return address_fault(address, allow_private=allow_private)


def _foreign_fault(host: str) -> str:
    if any(dot in host for dot in _DOTS):
        return f"{host}: write the dots of the host as ASCII full stops"
    return f"{host}: write the host in its ASCII form (xn--...)"


def _ipv4_fault(host: str, literal: IPv4Address, *, allow_private: bool) -> str | None:
    fault = address_fault(literal, allow_private=allow_private)
    if fault is None and host != str(literal):
        return f"{host} is another form of {literal}: write that"
    return fault


def _name_fault(host: str, name: str, *, allow_private: bool) -> str | None:
    if name in _METADATA_NAMES:
        return f"{host} is a cloud metadata service, where no webhook may go"
    if not allow_private and (name in _LOCAL_NAMES or name.endswith(".localhost")):
        return f"{host} is this machine: use a public host, or set allow_private: true"
    return None


def _as_ipv4(host: str) -> IPv4Address | None:
    """What inet_aton() and browsers make of it: 127.1, 0x7f000001, 2130706433, 0177.0.0.1."""
    numbers = [_number(part) for part in host.split(".")]
    if len(numbers) > 4:
        return None
    value = 0
    for place, number in enumerate(numbers):
        last = place == len(numbers) - 1
        if number is None or number >= (256 ** (5 - len(numbers)) if last else 256):
            return None
        value += number if last else number << (8 * (3 - place))
    return IPv4Address(value)


def _number(part: str) -> int | None:
    digits, base = part, 10
    if part.startswith("0x"):
        digits, base = part[2:] or "0", 16
    elif part.startswith("0"):
        digits, base = part, 8
    try:
        return int(digits, base) if "_" not in digits else None
    except ValueError:
        return None
