"""Joins the parts, starts and stops them; the only module that knows them all.

Stopping (RFC 5321 section 3.8 has no opinion; Kubernetes has): not ready at once, the SMTP door
drains, then the workers are cancelled, which is always safe, and the store is closed last.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from typing import Any

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from bouncer import __version__, pipeline
from bouncer.api import server
from bouncer.api.app import Services, create_app
from bouncer.clock import Clock, now
from bouncer.config import Config
from bouncer.dnsbl import monitor
from bouncer.errors import StoreUnavailable
from bouncer.gauges import Gauges
from bouncer.ingest import smtp
from bouncer.metrics import Metrics
from bouncer.reader import ReaderLimits, ReaderPool
from bouncer.records import Subscriber
from bouncer.roles import Role, Started
from bouncer.store.store import Expired, Store
from bouncer.webhooks import deliver

log = logging.getLogger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]

_RETENTION_INTERVAL = timedelta(hours=1)


class Stop:
    """What a signal asks for: `asked` to stop in good order, `at_once` without waiting."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()

    def terminate(self) -> None:
        """SIGTERM: drain; a second one does not wait."""
        (self.at_once if self.asked.is_set() else self.asked).set()
        self.asked.set()

    def interrupt(self) -> None:
        """SIGINT: somebody at a terminal does not want to wait."""
        self.at_once.set()
        self.asked.set()


async def serve(
    config: Config,
    roles: frozenset[Role] = frozenset(Role),
    *,
    started: Callable[[Started], None] = lambda _: None,
    clock: Clock = now,
) -> None:
    """Runs the service until a signal stops it. A worker that fails takes it down on purpose."""
    stop = Stop()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.terminate)
    loop.add_signal_handler(signal.SIGINT, stop.interrupt)
    service = Service(config, roles, stop, clock)
    try:
        await service.run(started)
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)


class Service:
    """One process of bouncer."""

    def __init__(self, config: Config, roles: frozenset[Role], stop: Stop, clock: Clock) -> None:
        self._config = config
        self._roles = roles
        self._stop = stop
        self._clock = clock
        self._registry = CollectorRegistry()
        self._metrics = Metrics(self._registry)
        if Role.PIPELINE not in roles:
            self._metrics.build_info.labels(__version__, "none").set(1)
        self._registry.register(GC_COLLECTOR)
        self._registry.register(PLATFORM_COLLECTOR)
        ProcessCollector(registry=self._registry)

    async def run(self, started: Callable[[Started], None]) -> None:
        endpoints = self._config.endpoints()
        subscribers = tuple(Subscriber(n, e.events, e.domains) for n, e in endpoints)
        store = await Store.open(
            self._config.store.url.get_secret_value(),
            subscribers,
            reserve_bytes=self._config.store.reserve_bytes,
            serving=True,
        )
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(store.close)
            readers = self._readers(stack)
            gauges = Gauges(store, self._metrics, [n for n, _ in endpoints], self._clock)
            http = await stack.enter_async_context(self._http(store, readers, gauges))
            workers = self._workers(store, readers)
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(work(), name=name) for name, work in workers.items()]
                try:
                    await self._doors(store, http, started)
                finally:
                    for worker in running:
                        worker.cancel()
        log.info("stopped")

    def _readers(self, stack: contextlib.AsyncExitStack) -> ReaderPool:
        settings = self._config.pipeline
        domains = {d.bounce_domain: d.sending_domains for d in self._config.domains}
        limits = ReaderLimits(settings.reader_memory_bytes, settings.reader_timeout)
        readers = ReaderPool(settings.readers, domains, limits, self._config.rules.directories)
        stack.push_async_callback(readers.close)
        return readers

    def _workers(self, store: Store, readers: ReaderPool) -> dict[str, Work]:
        config, metrics, clock = self._config, self._metrics, self._clock
        workers: dict[str, Work] = {}
        if Role.PIPELINE in self._roles:
            workers["pipeline"] = lambda: pipeline.run(
                store.inbox,
                readers,
                metrics,
                workers=2 * config.pipeline.readers,
                lease=config.pipeline.lease,
                clock=clock,
            )
            workers["retention"] = lambda: _retain(store, config, clock)
        if Role.WEBHOOKS in self._roles:
            workers["webhooks"] = lambda: deliver.run(
                store.outbox, config.endpoints(), metrics, clock
            )
        if Role.DNSBL in self._roles:
            workers["dnsbl"] = lambda: monitor.run(store.listings, config.dnsbl, metrics, clock)
        return workers

    async def _doors(
        self, store: Store, http: tuple[str, int], started: Callable[[Started], None]
    ) -> None:
        if Role.SMTP not in self._roles:
            started(Started((), http))
            await self._stop.asked.wait()
            return
        async with smtp.listening(
            store.inbox, self._config.smtp, self._config.domains, self._metrics, clock=self._clock
        ) as door:
            started(Started(tuple(door.addresses), http))
            await self._stop.asked.wait()
            log.info("stopping")
            draining = asyncio.create_task(door.drain(), name="drain")
            at_once = asyncio.create_task(self._stop.at_once.wait(), name="at-once")
            await asyncio.wait({draining, at_once}, return_when=asyncio.FIRST_COMPLETED)
            at_once.cancel()
            if not draining.done():
                draining.cancel()
                await asyncio.gather(draining, return_exceptions=True)
                await door.drain(immediately=True)

    @contextlib.asynccontextmanager
    async def _http(
        self, store: Store, readers: ReaderPool, gauges: Gauges
    ) -> AsyncIterator[tuple[str, int]]:
        """The api port, and the metrics port where it is another."""
        services = Services(
            store=store,
            explain=readers.explain,
            readiness=lambda: self._problems(store),
            render_metrics=gauges.render,
            check_dnsbl=lambda targets: monitor.check(targets, self._config.dnsbl),
            metrics=self._metrics,
            config=self._config,
            clock=self._clock,
        )
        elsewhere = self._config.metrics.listen
        async with contextlib.AsyncExitStack() as stack:
            main = create_app(
                services, with_v1=Role.API in self._roles, with_metrics=elsewhere is None
            )
            address = await stack.enter_async_context(server.serving(self._config.api.listen, main))
            if elsewhere and elsewhere != self._config.api.listen:
                await stack.enter_async_context(
                    server.serving(elsewhere, create_app(services, with_v1=False))
                )
            yield address

    async def _problems(self, store: Store) -> dict[str, str]:
        problems = {}
        if self._stop.asked.is_set():
            problems["draining"] = "the service is stopping"
        if not await store.writable():
            problems["store"] = "the store cannot be written"
        elif not store.has_room():
            problems["disk"] = "the store's disk has less room than its reserve"
        return problems


async def _retain(store: Store, config: Config, clock: Clock) -> None:
    """Lets go of what is older than its retention, once an hour."""
    raw = timedelta(days=config.retention.raw_days)
    events = timedelta(days=config.retention.event_days)
    while True:
        try:
            expired = await store.expire(clock() - raw, clock() - events)
            if expired != Expired(0, 0, 0, 0):
                log.info("retention: %s", expired)
        except StoreUnavailable:
            log.warning("retention waits for the store", exc_info=True)
        await asyncio.sleep(_RETENTION_INTERVAL.total_seconds())
