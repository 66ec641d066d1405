"""Makes docs/config.md, docs/events.md and docs/metrics.md from the models.

`make docs` writes them; `test_reference.py` fails when one is stale.
"""

import enum
import inspect
import json
import sys
import types
import typing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from bouncer.classify.category import BounceClass, Category, FixOwner
from bouncer.config import Config
from bouncer.events import (
    TYPES,
    Event,
    ListingChange,
    Message,
    Severity,
    Source,
    SuppressionEntry,
    SuppressionReason,
    WebhookTest,
)
from bouncer.metrics import Metrics
from bouncer.reports.report import Format, Kind

DOCS = Path(__file__).parents[1] / "docs"
_AT = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)

_CATEGORIES = {
    Category.RECIPIENT_UNKNOWN: "The mailbox does not exist, or the address cannot.",
    Category.RECIPIENT_MOVED: "It was valid, and is no longer served here.",
    Category.RECIPIENT_DISABLED: "The mailbox exists but is disabled, suspended or abandoned.",
    Category.MAILBOX_FULL: "Over quota.",
    Category.RECIPIENT_REFUSED: "This person or tenant does not want this sender.",
    Category.DOMAIN_INVALID: "The domain does not exist, or takes no mail (null MX).",
    Category.SUPPRESSED: "A service on the way refused to try: the address is on its own list.",
    Category.SPAM_CONTENT: "This message's content or links were judged spam or phishing.",
    Category.REPUTATION: "The receiver's own judgement of the sending IP, network or domain.",
    Category.BLOCKLISTED: "A named blocklist is the stated reason.",
    Category.AUTH_FAILURE: "SPF, DKIM, DMARC or ARC failed or is missing.",
    Category.SENDER_REJECTED: "The sender's identity: reverse DNS, HELO, MAIL FROM or From.",
    Category.POLICY: "A local policy that is not explained further.",
    Category.MALWARE: "A virus, or an attachment that is not allowed.",
    Category.MESSAGE_TOO_LARGE: "Larger than the mailbox or the system allows.",
    Category.NONCOMPLIANT: "Our error of protocol or format.",
    Category.RATE_LIMITED: "Too many connections, messages or recipients.",
    Category.GREYLISTED: "A deliberate deferral of the first attempt.",
    Category.ROUTING: "Relaying denied, not hosted here, a loop.",
    Category.NETWORK: "No answer, refused, timed out, DNS failing for now.",
    Category.RECEIVER_SYSTEM: "The receiver is overloaded, out of disk, or broken.",
    Category.TLS: "STARTTLS required or failed, MTA-STS, DANE.",
    Category.EXPIRED: "The time to retry ran out, and no better reason is known.",
    Category.UNDETERMINED: "Nothing matched: a metric and a work list.",
    Category.COMPLAINT: "A recipient called it spam.",
    Category.UNSUBSCRIBE: "A recipient wants no more of it.",
    Category.AUTO_REPLY: "Out of office, or a read receipt.",
    Category.CHALLENGE_RESPONSE: "The receiver wants a confirmation before it delivers.",
}


_CONFIG_INTRODUCTION = """\
# Configuration

One YAML file: `bouncer serve --config FILE`, or its path in `BOUNCER_CONFIG`. Every key is also an
environment variable, which wins: `smtp.hostname` is `BOUNCER__SMTP__HOSTNAME`; lists are written as
JSON. An unknown key is an error. Durations are `30s`, `5m`, `1h`, `14d`; sizes are bytes, or
`25MiB`. `bouncer check-config FILE` says every fault at once, and `bouncer check-config --schema`
prints a JSON Schema for editors.
"""
_EVENTS_INTRODUCTION = """\
# Events

Everything that arrives becomes one event for each recipient it speaks of, in the same words in the
API, in webhooks, in `bouncer classify`, in the database and in the metrics. A message that nobody
could read is one event `unrecognised` without a recipient.
"""
_CLASS_AND_CATEGORY = """\
Unknown is null: nothing is guessed. `class` is set for `bounce` and `delay` only: *hard* means that
this address will not work again, *soft* is everything else. A refusal of **us** (reputation,
blocklist, authentication, policy, content) is soft, and the category says why.

## Categories
"""
_TYPES_INTRODUCTION = """\
## Webhook types

The body of a webhook is `{"type", "timestamp", "data"}`; [webhooks.md](webhooks.md) tells how it is
signed and sent.
"""
_METRICS_INTRODUCTION = """\
# Metrics

At `/metrics` of the api port, or of `metrics.listen`. Labels come from closed or configured sets:
never an address, never a raw text. Those of the process (`process_*`, `python_*`) are there too.
"""


def pages() -> dict[str, str]:
    """Each generated page, by its file name."""
    return {"config.md": _config(), "events.md": _events(), "metrics.md": _metrics()}


def _config() -> str:
    lines = [
        _CONFIG_INTRODUCTION,
        "| key | default | |",
        "|---|---|---|",
        *(f"| `{key}` | {default} | {text} |" for key, default, text in _rows()),
    ]
    return "\n".join(lines) + "\n"


def keys(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key of the configuration with its field; what holds keys comes before them."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        yield key, field
        inner, many = _model_of(field.annotation)
        if inner is not None:
            yield from keys(inner, f"{key}[]." if many else f"{key}.")


def _rows() -> Iterator[tuple[str, str, str]]:
    for key, field in keys():
        inner, many = _model_of(field.annotation)
        if inner is None:
            yield key, _default(key, field), (field.description or "").replace("|", "\\|")
        elif many:
            yield key, "none", "a list of keys as below"
        elif field.default is None:
            yield key, "not set", field.description or ""


def _model_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    origin = typing.get_origin(annotation)
    for argument in typing.get_args(annotation):
        found, _ = _model_of(argument)
        if found is not None:
            return found, origin is tuple
    return None, origin in (types.UnionType, typing.Union)


def _default(key: str, field: FieldInfo) -> str:
    if field.is_required():
        return "has to be set"
    if key == "smtp.hostname":
        return "the machine's name"
    value = field.get_default(call_default_factory=True, validated_data={})
    match value:
        case None:
            return "not set"
        case SecretStr():
            return f"`{value.get_secret_value()}`"
        case timedelta():
            return f"`{_span(value)}`"
        case bool():
            return f"`{str(value).lower()}`"
        case ():
            return "none"
        case tuple():
            return ", ".join(f"`{_span(v) if isinstance(v, timedelta) else v}`" for v in value)
        case "":
            return "see there"
        case _:
            return f"`{value}`"


def _span(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _events() -> str:
    lines = [
        _EVENTS_INTRODUCTION,
        "| field | values | |",
        "|---|---|---|",
        *(
            f"| `{field.alias or name}` | {_values(field.annotation)} | {field.description or ''} |"
            for name, field in Event.model_fields.items()
        ),
        "",
        _CLASS_AND_CATEGORY,
        "| category | who can mend it | |",
        "|---|---|---|",
        *(f"| `{c}` | {c.fix_owner or '–'} | {_CATEGORIES[c]} |" for c in Category),
        "",
        _TYPES_INTRODUCTION,
        *(line for type_ in TYPES for line in _type(type_)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _values(annotation: Any) -> str:
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return (
            "the categories below"
            if annotation is Category
            else " ".join(f"`{v}`" for v in annotation)
        )
    if annotation is datetime or "AwareDatetime" in str(annotation):
        return "a time, UTC"
    found = [_values(a) for a in typing.get_args(annotation) if a is not type(None)]
    names = {str: "text", int: "a number", Ellipsis: ""}
    return next((f for f in found if f), "") or names.get(annotation, "")


def _type(type_: type[Message]) -> list[str]:
    example = json.dumps(_example(type_).model_dump(mode="json", by_alias=True), indent=2)
    name = type_.model_fields["type"].default
    return [f"### `{name}`", "", inspect.getdoc(type_) or "", "", "```json", example, "```", ""]


def _example(type_: type[Message]) -> Message:
    data: BaseModel
    match type_.model_fields["data"].annotation:
        case cls if cls is Event:
            data = _event(str(type_.model_fields["type"].default))
        case cls if cls is SuppressionEntry:
            data = SuppressionEntry(
                address="gone@receiver.example",
                sending_domain="example.com",
                reason=SuppressionReason.HARD_BOUNCE,
                source="pipeline",
                since=_AT,
                events=("3f1c2a9b7d5e4f60a1b2c3d4e5f60718-0",),
            )
        case cls if cls is ListingChange:
            data = ListingChange(
                target="192.0.2.10",
                zone="bl.example.org",
                codes=("127.0.0.2",),
                meaning="spam source",
                severity=Severity.MAJOR,
                text="Listed, see https://bl.example.org/192.0.2.10",
                lookup_url="https://bl.example.org/192.0.2.10",
                first_seen=_AT,
                delisted_at=_AT if type_.__name__ == "DnsblDelisted" else None,
            )
        case _:
            data = WebhookTest(endpoint="ops")
    return type_.model_validate({"timestamp": _AT, "data": data})


def _event(name: str) -> Event:
    common: dict[str, Any] = {
        "id": "3f1c2a9b7d5e4f60a1b2c3d4e5f60718-0",
        "recipient": "gone@receiver.example",
        "sending_domain": "example.com",
        "return_path": "bounce@bounces.example.com",
        "message_id": "march-4711@example.com",
        "source": Source.SMTP,
        "ruleset": "5d2f0c7a",
        "received_at": _AT,
    }
    if name in ("complaint.received", "unsubscribe.received"):
        kind, category = Kind(name.partition(".")[0]), Category(name.partition(".")[0])
        return Event(
            **common, kind=kind, category=category, fix_owner=FixOwner.LIST, format=Format.ARF
        )
    words, category = {
        "bounce.hard": ("550 5.1.1 there is no such user here", Category.RECIPIENT_UNKNOWN),
        "bounce.soft": ("552 5.2.2 mailbox is over quota", Category.MAILBOX_FULL),
        "bounce.delayed": ("451 4.7.1 greylisted, try again later", Category.GREYLISTED),
    }[name]
    return Event(
        **common,
        kind=Kind.DELAY if name == "bounce.delayed" else Kind.BOUNCE,
        class_=BounceClass.HARD if name == "bounce.hard" else BounceClass.SOFT,
        category=category,
        fix_owner=category.fix_owner,
        status=words.split()[1],
        smtp_code=int(words[:3]),
        diagnostic=words,
        action="delayed" if name == "bounce.delayed" else "failed",
        reporting_mta="mx.sender.example",
        remote_mta="in.receiver.example",
        format=Format.DSN,
        rule="example",
    )  # fmt: skip


def _metrics() -> str:
    registry = CollectorRegistry()
    Metrics(registry)
    kinds = {"counter": "_total"}
    rows = sorted(registry.collect(), key=lambda m: m.name)
    collectors = {c._name: c for c in registry._collector_to_names if hasattr(c, "_labelnames")}  # type: ignore[attr-defined]
    lines = [
        _METRICS_INTRODUCTION,
        "| metric | type | labels | |",
        "|---|---|---|---|",
        *(
            f"| `{m.name}{kinds.get(m.type, '')}` | {m.type} | "
            f"{', '.join(f'`{n}`' for n in collectors[m.name]._labelnames)} | {m.documentation} |"
            for m in rows
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Writes the pages with --write; else says which are stale."""
    for name, text in pages().items():
        if "--write" in sys.argv:
            (DOCS / name).write_text(text)
        elif (DOCS / name).read_text() != text:
            print(f"docs/{name} is stale: run `make docs`")


if __name__ == "__main__":
    main()
