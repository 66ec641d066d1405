"""The API as it runs: uvicorn on a free port, a real SQLite store, a clock that stands."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry, generate_latest

from bouncer.api.app import Services, create_app
from bouncer.api.server import serving
from bouncer.classify.category import BounceClass, Category
from bouncer.config import Config
from bouncer.errors import ConfigurationError
from bouncer.events import Event, ListingState, Severity, Source
from bouncer.metrics import Metrics
from bouncer.reader import ReaderLimits, ReaderPool
from bouncer.records import Finished, Received, Subscriber, digest_of, event_id
from bouncer.reports.report import Format, Kind
from bouncer.store.store import Store
from tests.fakes import FakeClock

KEYS = {"read": "k-read", "write": "k-write", "admin": "k-admin"}


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at one zone answers."""

    target: str
    range: str | None = None
    zone: str = "list.example.org"
    state: ListingState = ListingState.LISTED
    codes: tuple[str, ...] = ("127.0.0.2",)
    meaning: str | None = "spam source"
    severity: Severity = Severity.MAJOR
    text: str | None = None
    lookup_url: str | None = "https://list.example.org/lookup"
    reason: str | None = None


@dataclass
class Api:
    """A running API, and what stands behind it."""

    http: httpx.AsyncClient
    store: Store
    clock: FakeClock
    metrics: Metrics
    services: Services
    problems: dict[str, str] = field(default_factory=dict)

    async def event(self, octets: bytes = b"Subject: a bounce\r\n\r\nno", **fields: Any) -> Event:
        """Stores a message and the one event that was read from it."""
        received = Received(
            source=Source.SMTP,
            recipient="b+1@bounces.example.com",
            sender="",
            octets=octets,
            digest=digest_of(octets),
            received_at=self.clock(),
        )
        await self.store.inbox.receive([received])
        now = self.clock()
        (item,) = await self.store.inbox.claim(1, 10**9, timedelta(minutes=1), now)
        event = Event.model_validate(
            {
                "id": event_id(item.id, 0),
                "kind": Kind.BOUNCE,
                "class": BounceClass.HARD,
                "category": Category.RECIPIENT_UNKNOWN,
                "recipient": "user@example.net",
                "source": Source.SMTP,
                "format": Format.DSN,
                "ruleset": "1",
                "received_at": now,
            }
            | fields
        )
        await self.store.inbox.finish(Finished(item, (event,), ()), now)
        return event

    def received(self, source: str) -> float:
        """The counter of messages received by this door."""
        value = self.metrics.registry.get_sample_value(
            "bouncer_messages_received_total", {"source": source}
        )
        return value or 0.0


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@asynccontextmanager
async def running(
    directory: Path, *, keys: bool = False, with_v1: bool = True, **config: Any
) -> AsyncIterator[Api]:
    """The API with this configuration; `keys`: only for those who have one of KEYS."""
    if keys:
        config["api"] = {"keys": [_key(scope, key) for scope, key in KEYS.items()]}
    store = await Store.open(f"sqlite:///{directory / 'bouncer.db'}", (Subscriber("ops", ("*",)),))
    metrics = Metrics(CollectorRegistry())
    clock = FakeClock()
    problems: dict[str, str] = {}

    async def readiness() -> dict[str, str]:
        return problems

    async def render() -> bytes:
        return generate_latest(metrics.registry)

    async def check(targets: Sequence[str]) -> Sequence[Looked]:
        if "not a target" in targets:
            raise ConfigurationError("target: not a target: write an address or a domain")
        if "fault.example" in targets:
            raise RuntimeError("a secret of ours")
        await asyncio.sleep(0.05)
        return [Looked(target) for target in targets]

    readers = ReaderPool(1, {}, ReaderLimits())
    services = Services(
        store=store,
        explain=readers.explain,
        readiness=readiness,
        render_metrics=render,
        check_dnsbl=check,
        metrics=metrics,
        config=Config(**config),
        clock=clock,
    )
    try:
        app = create_app(services, with_v1=with_v1)
        async with (
            serving("127.0.0.1:0", app) as (host, port),
            httpx.AsyncClient(base_url=f"http://{host}:{port}", trust_env=False) as http,
        ):
            yield Api(http, store, clock, metrics, services, problems)
    finally:
        await readers.close()
        await store.close()


def problem(answer: httpx.Response, status: int) -> Mapping[str, Any]:
    """The problem document of an answer, which has to be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["type"] == "about:blank"
    assert document["title"]
    assert "Traceback" not in answer.text
    assert "sqlite" not in answer.text.lower()
    return document


def _key(scope: str, key: str) -> dict[str, str]:
    return {
        "name": scope,
        "scope": scope,
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
    }
