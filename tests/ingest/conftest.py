"""A door on a free port, with an inbox in memory, and a certificate of its own."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from prometheus_client import CollectorRegistry

from bouncer.config import BounceDomain, Smtp, Tls
from bouncer.ingest.door import Door, Inbox
from bouncer.ingest.smtp import listening
from bouncer.metrics import Metrics

DOMAINS = (BounceDomain(bounce_domain="bounces.example", sending_domains=("example.com",)),)

Opening = Callable[..., AbstractAsyncContextManager[Door]]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A certificate made for these tests."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl (Debian package openssl)")
    folder = tmp_path_factory.mktemp("tls")
    tls = Tls(certificate=folder / "tls.crt", key=folder / "tls.key")
    make_certificate(openssl, tls.certificate, tls.key)
    return tls


def make_certificate(openssl: str, certificate: Path, key: Path, *, days: int = 30) -> None:
    """A self-signed certificate in PEM."""
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", str(days), "-subj", "/CN=mx.bounces.example",
         "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )  # fmt: skip


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that `bouncer serve` runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@pytest.fixture
def door(metrics: Metrics) -> Opening:
    """Opens a door: `async with door(inbox, max_message_bytes=...) as opened`."""

    @asynccontextmanager
    async def opening(
        inbox: Inbox, config: Smtp | None = None, **values: Any
    ) -> AsyncIterator[Door]:
        values.setdefault("domains", DOMAINS)
        domains, has_room = values.pop("domains"), values.pop("has_room", lambda: True)
        config = config or Smtp(listen=("127.0.0.1:0",), hostname="mx.bounces.example", **values)
        async with listening(inbox, config, domains, metrics, has_room=has_room) as opened:
            yield opened

    return opening
