"""What is looked up: addresses, ranges and domains as operators write them, one by one.

A range stays one thing to the operator, and every IPv4 address in it is asked, the first and the
last too. IPv6 ranges are sampled: lists keep /64s, and nobody could ask 2^64 names.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from bouncer.config import Domain, ZoneKind
from bouncer.errors import ConfigurationError

MAX_ADDRESSES_OF_RANGE = 4096
MAX_SAMPLES_OF_RANGE = 256
MAX_TARGETS = 65_536

_domain: TypeAdapter[str] = TypeAdapter(Domain)
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Target:
    """One name to ask for. `range` is the configured CIDR it belongs to."""

    name: str
    kind: ZoneKind
    range: str | None = None


def parse(text: str) -> tuple[Target, ...]:
    """The targets that one line of configuration stands for; ValueError says what to write."""
    text = text.strip()
    if "/" in text:
        return tuple(_of_range(text))
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return (Target(_domain_of(text), "domain"),)
    return (_of_address(address),)


def targets_of(
    texts: Iterable[str], key: str = "dnsbl.targets", at_most: int = MAX_TARGETS
) -> tuple[Target, ...]:
    """Each target once; what is named alone belongs to no range.

    Raises ConfigurationError with a line for each that cannot be used.
    """
    found: dict[str, Target] = {}
    faults = []
    for text in texts:
        try:
            for target in parse(text):
                if target.name not in found or target.range is None:
                    found[target.name] = target
        except ValueError as error:
            faults.append(f"{key}: {text}: {error}")
        if len(found) > at_most:
            raise ConfigurationError(
                *faults, f"{key}: more than {at_most} addresses and domains, up to {text}"
            )
    if faults:
        raise ConfigurationError(*faults)
    return tuple(found.values())


def _of_address(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, range_: str | None = None
) -> Target:
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        raise ValueError("write the address without a zone index (%)")
    # ::ffff:192.0.2.1 is an IPv4 sender seen through an IPv6 socket: lists have it as IPv4.
    plain = getattr(address, "ipv4_mapped", None) or address
    return Target(str(plain), "ip4" if plain.version == 4 else "ip6", range_)


def _of_range(text: str) -> Iterator[Target]:
    try:
        network: _Network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError("write a range such as 198.51.100.0/24 or 2001:db8::/64") from error
    if network.network_address != ipaddress.ip_interface(text).ip:
        raise ValueError(f"the address has bits beyond the prefix: write {network}")
    for address in _addresses(network):
        yield _of_address(address, None if network.num_addresses == 1 else str(network))


def _addresses(network: _Network) -> Iterable[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    if isinstance(network, ipaddress.IPv4Network):
        if network.num_addresses > MAX_ADDRESSES_OF_RANGE:
            raise ValueError(
                f"{network.num_addresses} addresses are too many to ask one by one; "
                "write ranges of /20 or smaller"
            )
        return network
    if network.num_addresses <= MAX_SAMPLES_OF_RANGE:
        return network
    if network.prefixlen > 64:
        return (network.network_address + 1,)
    if network.prefixlen < 56:
        raise ValueError(
            "an IPv6 range is asked by one address in each /64; "
            "write ranges of /56 or smaller, or the addresses that send"
        )
    return (subnet.network_address + 1 for subnet in network.subnets(new_prefix=64))


def _domain_of(text: str) -> str:
    try:
        name = _domain.validate_python(text)
    except ValidationError:
        name = ""
    if "." not in name or name.rpartition(".")[2].isdigit():
        raise ValueError(
            "write an IPv4 or IPv6 address, a range such as 198.51.100.0/24, or a domain"
        )
    return name
