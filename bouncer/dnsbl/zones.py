"""What a zone may be asked and what its answers mean (RFC 5782): our table and the operator's.

`zones.toml` is ours, `dnsbl.zones` in the configuration overrides it. The one thing to get wrong:
an A record is a listing only if the zone declares it. An error code, an address outside 127/8 or
an undeclared code says nothing about the target.
"""

import functools
import ipaddress
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import resources
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from bouncer.config import Dnsbl, ZoneEntry, ZoneKind
from bouncer.dnsbl.targets import targets_of
from bouncer.errors import ConfigurationError
from bouncer.events import ListingState, Severity

RFC_5782_CODES = {"127.0.0.2": "listed"}
KINDS: tuple[ZoneKind, ...] = get_args(ZoneKind)
PUBLIC_RESOLVERS = frozenset(
    {
        *("8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"),
        *("1.1.1.1", "1.0.0.1", "2606:4700:4700::1111", "2606:4700:4700::1001"),
        *("9.9.9.9", "149.112.112.112", "2620:fe::fe", "2620:fe::9"),
        *("208.67.222.222", "208.67.220.220"),
    }
)

_PATTERN = re.compile(r"(\d{1,3}\.\d{1,3}\.\d{1,3})\.(?:(\d{1,3})(?:-(\d{1,3}))?|&(\d{1,3}))")
_REFUSAL = ipaddress.ip_network("127.255.255.0/24")
_LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
_RANK = {severity: rank for rank, severity in enumerate(Severity)}


class ZoneType(StrEnum):
    """What being in the zone means; only `block` makes listings."""

    BLOCK = "block"
    ALLOW = "allow"
    REPUTATION = "reputation"


class Outcome(StrEnum):
    """How a question about a target ended; the first two are definitive."""

    LISTED = "listed"
    CLEAR = "clear"
    ERROR_CODE = "error_code"
    BOGUS = "bogus"
    SERVFAIL = "servfail"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a zone says of a target. `records` is all it answered, `codes` what makes it listed."""

    outcome: Outcome
    records: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    meaning: str | None = None
    severity: Severity | None = None
    reason: str | None = None

    @property
    def state(self) -> ListingState:
        match self.outcome:
            case Outcome.LISTED:
                return ListingState.LISTED
            case Outcome.CLEAR:
                return ListingState.CLEAR
            case _:
                return ListingState.UNKNOWN


@dataclass(frozen=True, slots=True)
class Code:
    """Which A records carry a meaning: one, a range of last octets, or a bit of the last octet."""

    network: bytes
    low: int
    high: int
    mask: int | None
    meaning: str
    severity: Severity | None = None

    @classmethod
    def parse(cls, pattern: str, meaning: str, severity: Severity | None = None) -> "Code":
        """Reads 127.0.0.2, 127.0.0.4-7 or 127.0.0.&8; ValueError says what to write."""
        parts = _PATTERN.fullmatch(pattern.strip())
        numbers = [int(part) for part in parts.groups()[1:] if part] if parts else []
        octets = [int(part) for part in parts[1].split(".")] if parts else []
        if parts is None or max(*octets, *numbers) > 255 or numbers != sorted(numbers):
            raise ValueError("write 127.0.0.2, a range such as 127.0.0.4-7 or a bit: 127.0.0.&8")
        mask = int(parts[4]) if parts[4] else None
        if mask == 0:
            raise ValueError("a mask of 0 matches nothing")
        return cls(bytes(octets), numbers[0], numbers[-1], mask, meaning, severity)

    def matches(self, address: ipaddress.IPv4Address) -> bool:
        network, last = address.packed[:3], address.packed[3]
        if network != self.network:
            return False
        if self.mask is not None:
            return last & self.mask == self.mask
        return self.low <= last <= self.high

    def includes(self, address: str) -> bool:
        """Whether this very record could be meant: a mask stands for the combinations of it."""
        return self.mask is None and self.matches(ipaddress.IPv4Address(address))


@dataclass(frozen=True, slots=True)
class SelfTest:
    """The questions whose answers show that a zone works; `answer` is what `listed` must give."""

    listed: tuple[str, ...]
    clear: tuple[str, ...]
    answer: tuple[str, ...] = ()
    random: bool = True


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone as it is asked. `query` may hold the operator's key: only `label` is shown."""

    query: str = field(repr=False)
    label: str
    operator: str | None
    kinds: tuple[ZoneKind, ...]
    severity: Severity
    codes: tuple[Code, ...]
    errors: tuple[Code, ...] = ()
    harmless: tuple[Code, ...] = ()
    type: ZoneType = ZoneType.BLOCK
    lookup: str | None = None
    tests: Mapping[ZoneKind, SelfTest] = field(default_factory=dict)
    part_of: str | None = None

    def read(self, records: Iterable[str]) -> Answer:
        """What these A records say of the name that was asked for."""
        addresses = tuple(sorted({ipaddress.IPv4Address(record) for record in records}))
        texts = tuple(str(address) for address in addresses)
        if not addresses:
            return Answer(Outcome.CLEAR)
        if outside := [str(a) for a in addresses if a not in _LOOPBACK]:
            return Answer(Outcome.BOGUS, texts, reason=f"{outside[0]} is no blocklist answer")
        for address in addresses:
            if refusal := self._refusal(address):
                return Answer(Outcome.ERROR_CODE, texts, reason=f"{address}: {refusal}")
        if self.type is not ZoneType.BLOCK:
            return Answer(Outcome.CLEAR, texts)
        return self._listing(addresses, texts)

    def lookup_url(self, target: str) -> str | None:
        return self.lookup.replace("{target}", target) if self.lookup else None

    def masked(self, text: str) -> str:
        """The text without the operator's key."""
        key = self.query.removesuffix(self.label).rstrip(".")
        if not key:
            return text
        text = re.sub(re.escape(self.query), self.label, text, flags=re.IGNORECASE)
        return re.sub(re.escape(key), "***", text, flags=re.IGNORECASE)

    def _refusal(self, address: ipaddress.IPv4Address) -> str | None:
        for code in self.errors:
            if code.matches(address):
                return code.meaning
        # 127.255.255.x is the zone refusing us, not a listing (Spamhaus, Validity).
        return "the query is refused" if address in _REFUSAL else None

    def _listing(
        self, addresses: tuple[ipaddress.IPv4Address, ...], texts: tuple[str, ...]
    ) -> Answer:
        hits = [(a, code) for a in addresses for code in self.codes if code.matches(a)]
        if not hits:
            if all(any(c.matches(a) for c in self.harmless) for a in addresses):
                return Answer(Outcome.CLEAR, texts)
            return Answer(
                Outcome.OTHER, texts, reason=f"{texts[0]} is not among the codes of the zone"
            )
        return Answer(
            Outcome.LISTED,
            texts,
            codes=tuple(dict.fromkeys(str(address) for address, _ in hits)),
            meaning="; ".join(dict.fromkeys(code.meaning for _, code in hits)),
            severity=min(
                (code.severity or self.severity for _, code in hits), key=_RANK.__getitem__
            ),
        )


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SelfTestEntry(_Table):
    """None stands for the test points of RFC 5782, () for none published."""

    listed: tuple[str, ...] | None = None
    clear: tuple[str, ...] | None = None
    answer: tuple[str, ...] = ()


class SelfTestEntries(_Table):
    ip4: SelfTestEntry = SelfTestEntry()
    ip6: SelfTestEntry = SelfTestEntry()
    domain: SelfTestEntry = SelfTestEntry()
    random: bool = True


class CatalogueZone(_Table):
    """One [[zone]] of zones.toml, which describes the fields."""

    zone: str
    operator: str
    kind: tuple[ZoneKind, ...] = Field(min_length=1)
    severity: Severity
    source: tuple[str, ...] = Field(min_length=1)
    type: ZoneType = ZoneType.BLOCK
    scope: Literal["ip", "network", "asn", "domain"] = "ip"
    key: Literal["required", "optional"] | None = None
    access: Literal["free", "registration"] = "free"
    default: bool = False
    part_of: str | None = None
    codes: dict[str, str] = Field(default_factory=dict)
    codes_as: str | None = None
    severities: dict[str, Severity] = Field(default_factory=dict)
    errors: dict[str, str] = Field(default_factory=dict)
    harmless: dict[str, str] = Field(default_factory=dict)
    test: SelfTestEntries = SelfTestEntries()
    lookup: str | None = None
    delist: str | None = None
    limits: str | None = None
    note: str | None = None


class RefusedZone(_Table):
    """One [[refused]]: the zone, and all below it, is not to be asked."""

    zone: str
    also: tuple[str, ...] = ()
    since: str | None = None
    reason: str
    source: tuple[str, ...] = Field(min_length=1)

    def covers(self, name: str) -> bool:
        return any(name == zone or name.endswith(f".{zone}") for zone in (self.zone, *self.also))


class Catalogue(_Table):
    zone: tuple[CatalogueZone, ...]
    refused: tuple[RefusedZone, ...]

    def named(self, name: str) -> CatalogueZone | None:
        return next((entry for entry in self.zone if entry.zone == name), None)


@functools.cache
def catalogue() -> Catalogue:
    """Our table of zones."""
    text = resources.files("bouncer.dnsbl").joinpath("zones.toml").read_text(encoding="utf-8")
    return Catalogue.model_validate(tomllib.loads(text))


def zones_of(config: Dnsbl) -> tuple[Zone, ...]:
    """The configured zones, or those that everybody may ask; else ConfigurationError."""
    entries = config.zones or tuple(ZoneEntry(zone=z.zone) for z in catalogue().zone if z.default)
    zones: dict[str, Zone] = {}
    faults = []
    for entry in entries:
        try:
            zone = resolve(entry)
        except ConfigurationError as error:
            faults += [f"dnsbl.zones: {fault}" for fault in error.faults]
            continue
        if zone.label in zones:
            faults.append(f"dnsbl.zones: {zone.label} is there twice")
        zones[zone.label] = zone
    if faults:
        raise ConfigurationError(*faults)
    return tuple(zones.values())


def resolve(entry: ZoneEntry) -> Zone:
    """What the operator wrote over what we know. ConfigurationError lists the faults."""
    label, known = _known(entry.zone)
    faults = [*_refusals(entry, label, known)] or [*_kind_faults(entry, label, known)]
    codes, code_faults = _codes(entry, label, known)
    faults += code_faults
    if faults:
        raise ConfigurationError(*faults)
    return Zone(
        query=entry.zone,
        label=label,
        operator=entry.operator or (known.operator if known else None),
        kinds=entry.kind or (known.kind if known else ()),
        severity=entry.severity or (known.severity if known else Severity.MAJOR),
        codes=codes,
        errors=_plain_codes(_inherited(known, "errors")),
        harmless=_plain_codes(known.harmless if known else {}),
        type=known.type if known else ZoneType.BLOCK,
        lookup=entry.lookup or (known.lookup if known else None),
        tests={kind: _test(kind, known.test if known else SelfTestEntries()) for kind in KINDS},
        part_of=known.part_of if known else None,
    )


def faults(config: Dnsbl) -> list[str]:
    """Everything in the section that cannot be used, a line each."""
    found: list[str] = []
    try:
        zones_of(config)
    except ConfigurationError as error:
        found += error.faults
    try:
        targets_of(config.targets)
    except ConfigurationError as error:
        found += error.faults
    for resolver in config.resolvers:
        try:
            ipaddress.ip_address(resolver.rpartition(":")[0].strip("[]"))
        except ValueError:
            found.append(f'dnsbl.resolvers: {resolver}: write its address, such as "127.0.0.1:53"')
    return found


def warnings(config: Dnsbl) -> list[str]:
    """What can be used but will disappoint, a line each. Only for a section without faults."""
    zones, targets = zones_of(config), targets_of(config.targets)
    labels = {zone.label for zone in zones}
    found = [
        f"dnsbl.zones: {zone.label} is part of {zone.part_of}: each listing is told twice"
        for zone in zones
        if zone.part_of in labels
    ]
    found += [
        f"dnsbl.zones: {zone.label} is no blocklist ({zone.type}): it never makes a listing"
        for zone in zones
        if zone.type is not ZoneType.BLOCK
    ]
    asked = {kind for zone in zones for kind in zone.kinds}
    found += [
        f"dnsbl.targets: no zone takes {kind}, and there are such targets"
        for kind in KINDS
        if kind not in asked and any(target.kind == kind for target in targets)
    ]
    found += [
        f"dnsbl.resolvers: {resolver} is a public resolver, which most lists refuse; "
        "use a resolver of your own"
        for resolver in config.resolvers
        if resolver.rpartition(":")[0].strip("[]") in PUBLIC_RESOLVERS
    ]
    needed = len(targets) / config.zone_queries_per_second
    if len(targets) > 5 and needed > config.interval.total_seconds():
        found.append(
            f"dnsbl.interval: {len(targets)} addresses at {config.zone_queries_per_second} "
            f"queries a second take {needed:.0f} s, longer than the interval"
        )
    return found


def _known(name: str) -> tuple[str, CatalogueZone | None]:
    """The name without a key, and what we know of the zone."""
    if known := catalogue().named(name):
        return name, known
    first, _, rest = name.partition(".")
    known = catalogue().named(rest)
    if known and known.key:
        return rest, known
    # An unknown zone whose first label looks like a key: shown without it, to be on the safe side.
    secret = len(first) >= 16 and first.isalnum() and any(c.isdigit() for c in first)
    return (rest if secret and "." in rest else name), None


def _refusals(entry: ZoneEntry, label: str, known: CatalogueZone | None) -> Iterable[str]:
    if known and known.key == "required" and entry.zone == known.zone:
        yield f"{label} is asked with a key of yours: write <key>.{label}"
    if entry.override == entry.zone:
        return
    for refused in catalogue().refused:
        if refused.covers(entry.zone):
            since = f" since {refused.since}" if refused.since else ""
            yield (
                f"{label} is not to be used{since}: {refused.reason}; remove it, or write "
                f"override: {entry.zone} if you know better"
            )


def _kind_faults(entry: ZoneEntry, label: str, known: CatalogueZone | None) -> Iterable[str]:
    if known is None:
        if entry.kind is None:
            yield f"{label} is not known to us: set kind, such as kind: [ip4]"
        return
    if other := [kind for kind in entry.kind or () if kind not in known.kind]:
        yield f"{label} takes {', '.join(known.kind)}, not {', '.join(other)}: correct kind"


def _codes(
    entry: ZoneEntry, label: str, known: CatalogueZone | None
) -> tuple[tuple[Code, ...], list[str]]:
    """An unknown zone without codes has the one of RFC 5782, 127.0.0.2."""
    patterns = entry.codes or _inherited(known, "codes") or RFC_5782_CODES
    # One severity from the operator holds for all codes; ours are by code.
    severities = {} if entry.severity else _inherited_severities(known)
    codes, found = [], []
    for pattern, meaning in patterns.items():
        try:
            codes.append(_code(pattern, meaning, severities.get(pattern)))
        except ValueError as error:
            found.append(f"{label}: codes: {pattern}: {error}")
    return tuple(codes), found


def _code(pattern: str, meaning: str, severity: Severity | None) -> Code:
    code = Code.parse(pattern, meaning, severity)
    if code.network[0] != 127 or code.network == b"\x7f\xff\xff":
        raise ValueError("a listing is an address in 127.0.0.0/8, and not in 127.255.255.0/24")
    if code.includes("127.0.0.1"):
        raise ValueError("127.0.0.1 is never a listing")
    return code


def _plain_codes(patterns: Mapping[str, str]) -> tuple[Code, ...]:
    return tuple(Code.parse(pattern, meaning) for pattern, meaning in patterns.items())


def _inherited(known: CatalogueZone | None, table: Literal["codes", "errors"]) -> dict[str, str]:
    if known is None:
        return {}
    parent = catalogue().named(known.codes_as) if known.codes_as else None
    own: dict[str, str] = getattr(known, table)
    return {**_inherited(parent, table), **own}


def _inherited_severities(known: CatalogueZone | None) -> dict[str, Severity]:
    if known is None:
        return {}
    parent = catalogue().named(known.codes_as) if known.codes_as else None
    return {**_inherited_severities(parent), **known.severities}


def _test(kind: ZoneKind, entries: SelfTestEntries) -> SelfTest:
    match kind:
        case "ip4":
            entry, listed, clear = entries.ip4, "127.0.0.2", "127.0.0.1"
        case "ip6":
            entry, listed, clear = entries.ip6, "::ffff:7f00:2", "::ffff:7f00:1"
        case "domain":
            entry, listed, clear = entries.domain, "test", "invalid"
    return SelfTest(
        listed=(listed,) if entry.listed is None else entry.listed,
        clear=(clear,) if entry.clear is None else entry.clear,
        answer=entry.answer,
        random=entries.random,
    )
