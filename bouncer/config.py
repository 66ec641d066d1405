"""The configuration: every key an operator can set, its default, and what it may be.

`config_file.py` reads it from a file and the environment. Relative paths in it are relative to
where bouncer was started.
"""

import base64
import binascii
import fnmatch
import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    WithJsonSchema,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bouncer.events import TYPES, Severity
from bouncer.files import octets_of
from bouncer.outbound import url_fault

ENVIRONMENT_PREFIX = "BOUNCER__"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = timedelta(days=30)
_SIZES = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_DOMAIN = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)


def _duration(value: object) -> object:
    if isinstance(value, str):
        parts = re.fullmatch(r"(\d{1,9})([smhd])", value.strip())
        if parts is None:
            raise ValueError('write a duration such as "30s", "5m", "1h" or "14d"')
        return timedelta(seconds=int(parts[1]) * _UNITS[parts[2]])
    if isinstance(value, int | float):
        raise ValueError(f'write a duration with its unit, such as "{value}s"')
    return value


def _bounded(span: timedelta) -> timedelta:
    if not timedelta(0) <= span <= _LONGEST:
        raise ValueError(f'write a duration of "{_LONGEST.days}d" at most')
    return span


def _lasting(span: timedelta) -> timedelta:
    if not span:
        raise ValueError('write a duration longer than "0s"')
    return span


def _size(value: object) -> object:
    if isinstance(value, str):
        parts = re.fullmatch(r"(\d{1,15})\s*(B|KiB|MiB|GiB|)", value.strip())
        if parts is None:
            raise ValueError('write a size in bytes, or such as "25MiB"')
        return int(parts[1]) * _SIZES[parts[2]]
    return value


def _domain(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        name = value.strip().rstrip(".").lower().encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not _DOMAIN.fullmatch(name):
        raise ValueError("write a domain name such as bounces.example.com")
    return name


def parse_listen(value: str) -> tuple[str, int]:
    """Host and port of "127.0.0.1:2525", "[::1]:2525" or "localhost:2525"; ValueError otherwise."""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError('write an address and a port, such as "127.0.0.1:2525" or "[::1]:2525"')
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        ipaddress.IPv6Address(host)
    elif ":" in host:
        raise ValueError('write an IPv6 address in brackets, such as "[::1]:2525"')
    return host or "0.0.0.0", int(port)  # noqa: S104 - what an empty host means; guarded below


def is_loopback(listen: str) -> bool:
    """Whether only this machine can reach what listens there."""
    host, _ = parse_listen(listen)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _own_name() -> str:
    name = socket.gethostname().lower()
    return name if _DOMAIN.fullmatch(name) else "localhost"


def _listen(value: str) -> str:
    parse_listen(value)
    return value


def _check_networks(networks: Iterable[str]) -> None:
    for network in networks:
        ipaddress.ip_network(network)


Grace = Annotated[
    timedelta,
    BeforeValidator(_duration),
    AfterValidator(_bounded),
    WithJsonSchema({"type": "string", "pattern": r"^\d+[smhd]$", "examples": ["30s", "14d"]}),
]
Duration = Annotated[Grace, AfterValidator(_lasting)]
Count = Annotated[int, Field(ge=1, le=100_000)]
Size = Annotated[
    int,
    BeforeValidator(_size),
    Field(ge=1, le=2**50),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^\d+ ?([KMG]iB|B)?$"},
            ]
        }
    ),
]
Domain = Annotated[str, BeforeValidator(_domain)]
Listen = Annotated[str, AfterValidator(_listen)]
ZoneKind = Literal["ip4", "ip6", "domain"]


class Section(BaseModel):
    """What operators write: a typing error is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Tls(Section):
    certificate: Path = Field(description="PEM file, the chain included")
    key: Path = Field(description="PEM file")
    require: bool = Field(
        default=False,
        description="answers MAIL without TLS with 530: bounces of servers without TLS are lost",
    )


class SmtpLimits(Section):
    connections: Count = Field(default=500, description="open at once, in all")
    connections_per_network: Count = Field(
        default=20, description="open at once from one IPv4 address or IPv6 /64"
    )
    new_connections: Count = Field(
        default=600, description="in a minute from one IPv4 address or IPv6 /64"
    )
    new_connections_burst: Count = Field(
        default=200, description="of them at once, before they are held to that rate"
    )
    exempt: tuple[str, ...] = Field(
        default=("127.0.0.0/8", "::1/128"),
        description="networks counted only in the total",
    )
    recipients: int = Field(default=100, ge=100, le=100_000, description="in one message")
    excess_recipients: Count = Field(
        default=1000, description="over that, before the connection ends"
    )
    messages: Count = Field(default=100, description="in one connection")
    errors: Count = Field(default=20, description="in one connection")
    idle_commands: Count = Field(
        default=100, description="NOOP, RSET, EHLO, ... between two messages"
    )
    idle: Duration = Field(default=timedelta(seconds=300), description="without a command")
    crowded_idle: Duration = Field(
        default=timedelta(seconds=10), description="the same, while the door is crowded"
    )
    crowded_percent: int = Field(
        default=80, ge=1, le=100, description="of `connections`: with more open, it is crowded"
    )
    data_idle: Duration = Field(default=timedelta(seconds=60), description="without data")
    data_rate: Count = Field(
        default=500, description="octets a second, the least on average over `data_idle`"
    )
    receiving_bytes: Size = Field(
        default=268_435_456,
        le=64 * 2**30,
        description="of messages being received or stored, in all; beyond it large ones are "
        "answered with 452",
    )
    session: Duration = Field(default=timedelta(hours=1), description="one connection in all")
    handshake: Duration = Field(default=timedelta(seconds=60), description="for TLS")
    proxy_header: Duration = Field(
        default=timedelta(seconds=5), description="until a proxy has said for whom it connects"
    )
    reserved_files: Count = Field(
        default=128,
        description="file descriptors for all but SMTP: with too low a `ulimit -n`, `connections` "
        "is lowered",
    )

    @model_validator(mode="after")
    def _networks(self) -> "SmtpLimits":
        _check_networks(self.exempt)
        return self


class Smtp(Section):
    listen: tuple[Listen, ...] = Field(
        default=("127.0.0.1:2525",), description="beyond loopback it needs `domains`"
    )
    tls_listen: tuple[Listen, ...] = Field(
        default=(), description="the same, with TLS from the first octet; it needs `tls`"
    )
    hostname: Domain = Field(
        default_factory=_own_name, description="how the greeting names this machine"
    )
    max_message_bytes: Size = Field(
        default=26_214_400,
        le=2**29,
        description="offered as SIZE; what is larger is answered with 552",
    )
    tls: Tls | None = Field(default=None, description="offers STARTTLS")
    proxy_protocol_from: tuple[str, ...] = Field(
        default=(),
        description="networks of load balancers that have to speak the PROXY protocol, 1 or 2",
    )
    limits: SmtpLimits = Field(default_factory=SmtpLimits)
    drain_accept: Grace = Field(
        default=timedelta(seconds=5), description="after SIGTERM, connections are taken this long"
    )
    drain_finish: Grace = Field(
        default=timedelta(seconds=30), description="and what is in DATA may take this long to end"
    )

    @model_validator(mode="after")
    def _usable(self) -> "Smtp":
        _check_networks(self.proxy_protocol_from)
        if self.tls_listen and self.tls is None:
            raise ValueError("tls_listen: that needs tls: {certificate: ..., key: ...}")
        return self


class BounceDomain(Section):
    bounce_domain: Domain = Field(description="the domain of the return path, whose MX is bouncer")
    sending_domains: tuple[Domain, ...] = Field(
        default=(), description="whose mail carries that return path"
    )


class Store(Section):
    url: SecretStr = Field(
        default=SecretStr("sqlite:///bouncer.db"),
        description="sqlite:///relative.db, sqlite:////absolute.db or postgresql://user@host/name",
    )
    url_file: Path | None = Field(default=None, description="a file that holds the url")
    reserve_bytes: Size | None = Field(
        default=None,
        description="room kept free on SQLite's disk: below it messages are answered with 452; "
        "default: 5 % of the disk, at least 256 MiB and at most 2 GiB",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_file(cls, values: Any) -> Any:
        return _secret_from_file(values, "url")

    @model_validator(mode="after")
    def _known(self) -> "Store":
        scheme = self.url.get_secret_value().partition(":")[0].partition("+")[0]
        if scheme not in ("sqlite", "postgresql"):
            raise ValueError(
                'url: write "sqlite:////var/lib/bouncer/bouncer.db" or "postgresql://user@host/name"'
            )
        return self


class ZoneEntry(Section):
    zone: Domain = Field(description="its name; a name alone may stand for the whole entry")
    kind: tuple[ZoneKind, ...] | None = Field(
        default=None, min_length=1, description="what it lists: ip4, ip6, domain"
    )
    severity: Severity | None = Field(
        default=None, description="critical, major, minor or informational"
    )
    codes: dict[str, str] | None = Field(
        default=None, description="A record, range (127.0.0.4-7) or mask (127.0.0.&8): its meaning"
    )
    operator: str | None = Field(default=None, description="who runs it: a metric label")
    lookup: str | None = Field(default=None, description="a URL; {target} is put in")
    override: str | None = Field(
        default=None, description="the zone again, to use one that is known to be dead"
    )


class Dnsbl(Section):
    targets: tuple[str, ...] = Field(
        default=(), description="IPv4 and IPv6 addresses, CIDR ranges, domains"
    )
    zones: tuple[ZoneEntry, ...] = ()
    interval: Duration = Field(
        default=timedelta(hours=1), description="between two looks at every target"
    )
    timeout: Duration = Field(default=timedelta(seconds=5), description="for one DNS answer")
    resolvers: tuple[Listen, ...] = Field(default=(), description="default: those of the system")
    queries_per_second: float = Field(default=50, gt=0, le=100_000, description="to all zones")
    zone_queries_per_second: float = Field(
        default=0.5, gt=0, le=100_000, description="to one zone; mind its terms of use"
    )

    @model_validator(mode="before")
    @classmethod
    def _zone_names(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and isinstance(values.get("zones"), list | tuple):
            zones = [{"zone": z} if isinstance(z, str) else z for z in values["zones"]]
            return {**values, "zones": zones}
        return values


class WebhookEndpoint(Section):
    url: str = Field(description="https, to a public address")
    secret: SecretStr = Field(description="whsec_ and 24 to 64 bytes in base64")
    secret_file: Path | None = Field(default=None, description="a file that holds the secret")
    events: tuple[str, ...] = Field(min_length=1, description='patterns, such as "dnsbl.*"')
    name: str = Field(default="", description="its metric label; default: host and position")
    domains: tuple[Domain, ...] = Field(
        default=(), description="only events of these sending domains; default: of all"
    )
    allow_private: bool = Field(
        default=False, description="lets it be http, and a loopback or private address"
    )
    retry_schedule: tuple[Duration, ...] = Field(
        default=tuple(
            timedelta(seconds=s) for s in (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
        ),
        description="spans between one attempt and the next",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_file(cls, values: Any) -> Any:
        return _secret_from_file(values, "secret")

    @model_validator(mode="after")
    def _usable(self) -> "WebhookEndpoint":
        if faults := list(self._faults()):
            raise ValueError("\n".join(faults))
        return self

    def _faults(self) -> Iterable[str]:
        if fault := url_fault(self.url, allow_private=self.allow_private):
            yield f"url: {fault}"
        for pattern in self.events:
            if not any(fnmatch.fnmatchcase(name, pattern) for name in _type_names()):
                known = ", ".join(_type_names())
                yield f"events: {pattern!r} matches no event; there are {known}"
        if not _is_secret(self.secret.get_secret_value()):
            yield (
                "secret: write whsec_ and 24 to 64 random bytes in base64, as made by "
                "`echo whsec_$(openssl rand -base64 32)`"
            )


class Retention(Section):
    raw_days: int = Field(default=30, ge=1, le=36_500, description="messages as they were received")
    event_days: int = Field(
        default=365, ge=1, le=36_500, description="events, and what was delivered"
    )


class ApiKey(Section):
    name: str = Field(description="whose it is")
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] = Field(
        description="of the key, in hexadecimal: `printf %s KEY | sha256sum`"
    )
    scope: Literal["read", "write", "admin"] = Field(
        default="read", description="read, write or admin"
    )


class Api(Section):
    listen: Listen = Field(
        default="127.0.0.1:8025", description="beyond loopback it needs `api.keys`"
    )
    keys: tuple[ApiKey, ...] = ()


class MetricsListen(Section):
    listen: Listen | None = Field(default=None, description="default: on the api port")


class Pipeline(Section):
    readers: int = Field(default=1, ge=1, le=64, description="reader processes")
    reader_memory_bytes: Size = Field(
        default=512 * 2**20, ge=2**26, le=2**36, description="address space of one of them"
    )
    reader_timeout: Duration = Field(default=timedelta(seconds=10), description="for one batch")
    reader_cpu_time: Duration = Field(
        default=timedelta(seconds=8),
        description="of the processor, for one batch, rounded up to whole seconds",
    )
    lease: Duration = Field(
        default=timedelta(seconds=60),
        description="after this, on PostgreSQL, another process takes over what one has begun",
    )


class Rules(Section):
    directories: tuple[Path, ...] = Field(
        default=(), description="of your own rule files (*.toml), which are tried before ours"
    )


class Log(Section):
    format: Literal["auto", "text", "json"] = Field(
        default="auto", description="auto: text on a terminal, json elsewhere"
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )


class Config(BaseSettings):
    """Everything an operator can set; see docs/config.md."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        validate_default=True,
    )

    smtp: Smtp = Field(default_factory=Smtp)
    domains: tuple[BounceDomain, ...] = ()
    store: Store = Field(default_factory=Store)
    dnsbl: Dnsbl = Field(default_factory=Dnsbl)
    webhooks: tuple[WebhookEndpoint, ...] = ()
    retention: Retention = Field(default_factory=Retention)
    api: Api = Field(default_factory=Api)
    metrics: MetricsListen = Field(default_factory=MetricsListen)
    pipeline: Pipeline = Field(default_factory=Pipeline)
    rules: Rules = Field(default_factory=Rules)
    log: Log = Field(default_factory=Log)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings  # the file comes in as init settings

    def contradictions(self) -> Iterable[str]:
        """What is wrong between sections that are sound by themselves, a line each."""
        yield from self.unsafe_bindings()
        yield from self._names()

    def unsafe_bindings(self) -> Iterable[str]:
        """Doors that would be open to everybody."""
        if not self.domains:
            listens = [("listen", at) for at in self.smtp.listen]
            listens += [("tls_listen", at) for at in self.smtp.tls_listen]
            for key, listen in listens:
                if not is_loopback(listen):
                    yield (
                        f"smtp.{key}: {listen} can be reached from outside, and no domain is "
                        "configured: set domains: [{bounce_domain: bounces.example.com, "
                        "sending_domains: [example.com]}], or listen on 127.0.0.1"
                    )
        if not self.api.keys and not is_loopback(self.api.listen):
            yield (
                f"api.listen: {self.api.listen} can be reached from outside, and anyone could use "
                "it: set api.keys: [{name: ops, sha256: ..., scope: admin}], or listen on 127.0.0.1"
            )

    def _names(self) -> Iterable[str]:
        names = [d.bounce_domain for d in self.domains]
        yield from (
            f"domains: {n} is there twice" for n in sorted({n for n in names if names.count(n) > 1})
        )
        labels = [name for name, _ in self.endpoints()]
        yield from (
            f"webhooks: two are called {n}: set name"
            for n in sorted({n for n in labels if labels.count(n) > 1})
        )
        keys = [k.name for k in self.api.keys]
        yield from (
            f"api.keys: two are called {n}" for n in sorted({n for n in keys if keys.count(n) > 1})
        )

    def endpoints(self) -> tuple[tuple[str, WebhookEndpoint], ...]:
        """The webhook endpoints with their names (host and position by default)."""
        return tuple(
            (w.name or f"{urlsplit(w.url).hostname}-{n}", w)
            for n, w in enumerate(self.webhooks, start=1)
        )


def _secret_from_file(values: Any, key: str) -> Any:
    if not isinstance(values, Mapping) or not values.get(f"{key}_file"):
        return values
    if values.get(key):
        raise ValueError(f"write {key} or {key}_file, not both")
    path = Path(str(values[f"{key}_file"]))
    try:
        return {**values, key: octets_of(path).decode().strip()}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise ValueError(f"{key}_file: {path}: {reason}") from error


def _is_secret(text: str) -> bool:
    """Whether it is a signing key as the Standard Webhooks specification has them."""
    try:
        octets = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return text.startswith("whsec_") and 24 <= len(octets) <= 64


def _type_names() -> list[str]:
    return [str(t.model_fields["type"].default) for t in TYPES]
