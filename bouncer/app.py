"""Joins the parts, starts and stops them; the only module that knows them all.

Stopping (RFC 5321 section 3.8 has no opinion; Kubernetes has): not ready at once, the SMTP door
drains, then the workers are cancelled, which is always safe, and the store is closed last.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, CollectorRegistry
from prometheus_client.process_collector import ProcessCollector
from starlette.types import ASGIApp

from bouncer import __version__, pipeline
from bouncer.api import server
from bouncer.api.app import Services, create_app
from bouncer.changes import Changes
from bouncer.classify import rulefile
from bouncer.clock import Clock, now
from bouncer.config import Config
from bouncer.dnsbl import monitor
from bouncer.errors import ConfigurationError, ReaderDied, StoreError, StoreUnavailable
from bouncer.gauges import Gauges
from bouncer.ingest import certificate, smtp
from bouncer.log import configure as configure_log
from bouncer.memory import return_large_blocks
from bouncer.metrics import Metrics
from bouncer.reader import ReaderPool
from bouncer.records import Subscriber
from bouncer.roles import Role, Started
from bouncer.store.store import Expired, Store
from bouncer.webhooks import deliver

log = logging.getLogger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]

_STORE_WAIT = timedelta(seconds=2)
_RETENTION_INTERVAL = timedelta(hours=1)
RESTART_KEYS = (
    "smtp.listen",
    "smtp.tls_listen",
    "api.listen",
    "metrics.listen",
    "store.url",
    "log.format",
)


@dataclass(frozen=True, slots=True)
class Worker:
    """A task, and what it works by: when that changes another takes its place."""

    by: object
    task: asyncio.Task[None]


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
    reload: Callable[[], Config] | None = None,
    file: Path | None = None,
    started: Callable[[Started], None] = lambda _: None,
    clock: Clock = now,
) -> None:
    """Runs the service until a signal stops it. A worker that fails takes it down on purpose.

    `reload` gives the configuration again, on SIGHUP and when `file`, a rule file or a certificate
    changes; it raises ConfigurationError for one that cannot be used, and the old one stays.
    """
    return_large_blocks()
    stop, changes = Stop(), Changes(file)
    loop = asyncio.get_running_loop()
    handlers = {
        signal.SIGTERM: stop.terminate,
        signal.SIGINT: stop.interrupt,
        signal.SIGHUP: changes.asked.set,
    }
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    service = Service(config, roles, stop, changes, reload or (lambda: config), clock)
    try:
        await service.run(started)
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


class Service:
    """One process of bouncer."""

    def __init__(
        self,
        config: Config,
        roles: frozenset[Role],
        stop: Stop,
        changes: Changes,
        reload: Callable[[], Config],
        clock: Clock,
    ) -> None:
        self._config = self._started_with = config
        self._roles = roles
        self._stop = stop
        self._changes = changes
        self._reload = reload
        self._clock = clock
        self._http_ending = asyncio.Event()
        self._registry = CollectorRegistry()
        self._metrics = Metrics(self._registry)
        self._metrics.config_last_reload_successful.set(1)
        if Role.PIPELINE not in roles:
            self._metrics.build_info.labels(__version__, "none").set(1)
        self._registry.register(GC_COLLECTOR)
        self._registry.register(PLATFORM_COLLECTOR)
        ProcessCollector(registry=self._registry)

    async def run(self, started: Callable[[Started], None]) -> None:
        store = await self._opened()
        if store is None:
            return
        self._store = store
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._store.close)
            self._readers = ReaderPool.of(self._config)
            stack.push_async_callback(lambda: self._readers.close())
            http = await stack.enter_async_context(self._http())
            async with asyncio.TaskGroup() as tasks:
                self._workers: dict[str, Worker] = {}
                self._set_to_work(tasks)
                watching = tasks.create_task(self._changes.watch(), name="changes")
                try:
                    await self._doors(tasks, http, started)
                finally:
                    watching.cancel()
                    for worker in self._workers.values():
                        worker.task.cancel()
        log.info("stopped")

    async def _opened(self) -> Store | None:
        """The store, as soon as it is there; None when we are told to stop before."""
        while not self._stop.asked.is_set():
            try:
                return await Store.open(
                    self._config.store.url.get_secret_value(),
                    _subscribers(self._config),
                    reserve_bytes=self._config.store.reserve_bytes,
                    serving=True,
                )
            except StoreUnavailable as error:
                log.warning("waiting for the store: %s", error)
                await _within(_STORE_WAIT, self._stop.asked)
        return None

    async def _doors(
        self,
        tasks: asyncio.TaskGroup,
        http: tuple[str, int],
        started: Callable[[Started], None],
    ) -> None:
        """The SMTP door, if it is ours, from the start to the drain."""
        if Role.SMTP not in self._roles:
            started(Started((), http))
            await self._until_stopped(tasks, None)
            # /readyz says no already: time for whoever asks it to send requests elsewhere.
            await _within(self._config.smtp.drain_accept, self._stop.at_once)
            return
        smtp_config, domains = self._config.smtp, self._config.domains
        async with smtp.listening(
            self._store.inbox,
            smtp_config,
            domains,
            self._metrics,
            has_room=self._store.has_room,
            clock=self._clock,
        ) as door:
            started(Started(tuple(door.addresses), http))
            await self._until_stopped(tasks, door)
            await self._drain(door)

    async def _until_stopped(self, tasks: asyncio.TaskGroup, door: smtp.Door | None) -> None:
        self._follow(self._config)
        while await _first(self._stop.asked, self._changes.asked) is self._changes.asked:
            self._changes.asked.clear()
            changed = await self._read_again(tasks, door)
            self._metrics.config_last_reload_successful.set(changed)
        log.info("stopping")

    async def _read_again(self, tasks: asyncio.TaskGroup, door: smtp.Door | None) -> bool:
        """Whether the configuration can be used as it is now. None that cannot ends the service."""
        try:
            await self._change(self._reload(), tasks, door)
        except (ConfigurationError, ReaderDied) as error:
            for line in str(error).splitlines():
                log.error("the configuration stays as it was: %s", line)
            return False
        except Exception:
            log.exception("the configuration stays as it was, for a fault of ours")
            return False
        log.info("the configuration was read again")
        return True

    async def _change(
        self, config: Config, tasks: asyncio.TaskGroup, door: smtp.Door | None
    ) -> None:
        """Goes on with another configuration. What may fail comes first: it is all or none."""
        if faults := list(_listening_as(self._started_with, config).unsafe_bindings()):
            raise ConfigurationError(
                *(f"{fault} (what listens now stays open)" for fault in faults)
            )
        if config.smtp.tls:
            certificate.check(config.smtp.tls)
        subscribers = _subscribers(config)
        readers = ReaderPool.of(config)
        try:
            v1, beside = self._apps(config, readers)
            await readers.start()
            if door is not None:
                door.configure(config.smtp, config.domains)
        except BaseException:
            await readers.close()
            raise
        for key in RESTART_KEYS:
            if _value(config, key) != _value(self._started_with, key):
                log.warning("%s has changed: that needs a restart", key)
        if config.log.level != self._config.log.level:
            configure_log(self._started_with.log.format, config.log.level)
        self._config, old_readers, self._readers = config, self._readers, readers
        self._store.keep_free(config.store.reserve_bytes)
        self._store.outbox.subscribe(subscribers)
        self._v1.app, self._beside.app = v1, beside
        self._set_to_work(tasks)
        self._follow(config)
        await old_readers.close()

    def _follow(self, config: Config) -> None:
        """Looks from now on at the files of this configuration, and says which are of no use."""
        self._changes.follow(config)
        for fault in rulefile.idle(config.rules.directories):
            log.warning("rules.directories: %s", fault)

    async def _drain(self, door: smtp.Door) -> None:
        # What HTTP has to finish takes its time within that of the door, not after it.
        accept, finish = self._config.smtp.drain_accept, self._config.smtp.drain_finish
        grace = timedelta(seconds=server.GRACE_SECONDS)
        closing = accept + max(finish - grace, timedelta(0))
        asyncio.get_running_loop().call_later(closing.total_seconds(), self._http_ending.set)
        draining = asyncio.create_task(door.drain(), name="drain")
        at_once = asyncio.create_task(self._stop.at_once.wait(), name="at-once")
        await asyncio.wait({draining, at_once}, return_when=asyncio.FIRST_COMPLETED)
        at_once.cancel()
        if not draining.done():
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)
            await door.drain(immediately=True)

    def _set_to_work(self, tasks: asyncio.TaskGroup) -> None:
        """Starts the workers of our roles, anew where what they work by has changed."""
        for name, (by, work) in self._work().items():
            running = self._workers.get(name)
            if running is not None and running.by == by:
                continue
            if running is not None:
                running.task.cancel()
            self._workers[name] = Worker(by, tasks.create_task(work(), name=name))

    def _work(self) -> dict[str, tuple[object, Work]]:
        """What the roles have to do, by name, each with what it depends on."""
        config, store, readers = self._config, self._store, self._readers
        metrics, clock = self._metrics, self._clock
        work: dict[str, tuple[object, Work]] = {}
        if Role.PIPELINE in self._roles:
            settings = config.pipeline
            work["pipeline"] = (
                readers,
                lambda: pipeline.run(
                    store.inbox,
                    readers,
                    metrics,
                    workers=2 * settings.readers,
                    lease=settings.lease,
                    clock=clock,
                ),
            )
            work["retention"] = config.retention, lambda: _retain(store, config, clock)
        if Role.WEBHOOKS in self._roles:
            work["webhooks"] = (
                config.webhooks,
                lambda: deliver.run(store.outbox, config.endpoints(), metrics, clock),
            )
        if Role.DNSBL in self._roles:
            work["dnsbl"] = (
                config.dnsbl,
                lambda: monitor.run(store.listings, config.dnsbl, metrics, clock),
            )
        return work

    @contextlib.asynccontextmanager
    async def _http(self) -> AsyncIterator[tuple[str, int]]:
        """The api port, and the metrics port where it is another."""
        v1, beside = self._apps(self._config, self._readers)
        self._v1, self._beside = server.Replaceable(v1), server.Replaceable(beside)
        listen, elsewhere = self._config.api.listen, self._config.metrics.listen
        ending = self._http_ending
        async with contextlib.AsyncExitStack() as stack:
            address = await stack.enter_async_context(
                server.serving(listen, self._v1, ending=ending)
            )
            if elsewhere and elsewhere != listen:
                await stack.enter_async_context(
                    server.serving(elsewhere, self._beside, ending=ending)
                )
            yield address

    def _apps(self, config: Config, readers: ReaderPool) -> tuple[ASGIApp, ASGIApp]:
        """What is answered on the api port, and what on a metrics port of its own."""
        names = [name for name, _ in config.endpoints()]
        gauges = Gauges(self._store, self._metrics, names, self._clock)
        services = Services(
            store=self._store,
            explain=readers.explain,
            readiness=self._problems,
            render_metrics=gauges.render,
            check_dnsbl=lambda targets: monitor.check(targets, config.dnsbl),
            metrics=self._metrics,
            config=config,
            clock=self._clock,
        )
        listening = self._started_with
        with_metrics = listening.metrics.listen in (None, listening.api.listen)
        v1 = create_app(services, with_v1=Role.API in self._roles, with_metrics=with_metrics)
        return v1, create_app(services, with_v1=False)

    async def _problems(self) -> dict[str, str]:
        problems = {}
        if self._stop.asked.is_set():
            problems["draining"] = "the service is stopping"
        if not await self._store.writable():
            problems["store"] = "the store cannot be written"
        elif not self._store.has_room():
            problems["disk"] = "the store's disk has less room than its reserve"
        return problems


async def _first(*events: asyncio.Event) -> asyncio.Event:
    """Waits for any of them; the earliest in the list that is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return next(event for event in events if event.is_set())


async def _within(span: timedelta, event: asyncio.Event) -> None:
    """Waits for the event, but not longer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(span.total_seconds()):
            await event.wait()


def _listening_as(running: Config, config: Config) -> Config:
    """A configuration with the addresses that are bound, which only a restart changes."""
    bound = {"listen": running.smtp.listen, "tls_listen": running.smtp.tls_listen}
    return config.model_copy(
        update={
            "smtp": config.smtp.model_copy(update=bound),
            "api": config.api.model_copy(update={"listen": running.api.listen}),
        }
    )


def _subscribers(config: Config) -> tuple[Subscriber, ...]:
    return tuple(Subscriber(name, e.events, e.domains) for name, e in config.endpoints())


def _value(config: Config, key: str) -> object:
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)


async def _retain(store: Store, config: Config, clock: Clock) -> None:
    """Lets go of what is older than its retention, once an hour."""
    raw = timedelta(days=config.retention.raw_days)
    events = timedelta(days=config.retention.event_days)
    while True:
        try:
            expired = await store.expire(clock() - raw, clock() - events)
            if expired != Expired(0, 0, 0, 0):
                log.info("retention: %s", expired)
        except StoreError:
            log.warning("retention waits for the store", exc_info=True)
        await asyncio.sleep(_RETENTION_INTERVAL.total_seconds())
