"""HTTP on our own event loop: uvicorn without its signal handlers, its logging and its name."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from bouncer.config import parse_listen
from bouncer.errors import ConfigurationError

GRACE_SECONDS = 5  # for running requests, when no more are taken

_MAX_CONNECTIONS = 512
_BACKLOG = 128
_KEEP_ALIVE_SECONDS = 15
_HEAD_SECONDS = 15
_MAX_HEAD_BYTES = 32 * 1024


class Replaceable:
    """An application that another can take the place of, between two requests."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@contextlib.asynccontextmanager
async def serving(
    listen: str,
    app: ASGIApp,
    *,
    grace_seconds: int = GRACE_SECONDS,
    ending: asyncio.Event | None = None,
) -> AsyncIterator[tuple[str, int]]:
    """Serves `app` on "host:port" and gives the address it got (port 0: a free one).

    On the way out, or before it from when `ending` is set, no connection is taken any more, and
    running requests have `grace_seconds`.
    """
    listener = _bound(listen)
    host, port = listener.getsockname()[:2]
    ending = ending or asyncio.Event()
    server = _Server(_settings(app, grace_seconds), ending)
    task = asyncio.create_task(server.serve(sockets=[listener]), name=f"http {host}:{port}")
    task.add_done_callback(lambda _: server.up.set())
    try:
        await server.up.wait()
        if task.done():
            await task  # it could not start, and says why
        yield host, port
    finally:
        ending.set()
        await asyncio.wait({task}, timeout=grace_seconds + 1)
        for connection in list(server.server_state.connections):
            if (transport := getattr(connection, "transport", None)) is not None:
                transport.abort()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        listener.close()


def _bound(listen: str) -> socket.socket:
    host, port = parse_listen(listen)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {listen}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"cannot listen on {listen}: {error.strerror}") from error
    listener.setblocking(False)
    return listener


def _settings(app: ASGIApp, grace_seconds: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # a scanner's broken request is nothing to look at
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_MAX_CONNECTIONS,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=grace_seconds,
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
    )


class _Server(uvicorn.Server):
    """Leaves the signals to whoever runs the loop, and says when it listens."""

    def __init__(self, config: uvicorn.Config, ending: asyncio.Event) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self._ending = ending

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.up.set()

    async def main_loop(self) -> None:
        # Awake once a second, for the Date header; uvicorn's own loop is, ten times as often.
        while not self._ending.is_set() and not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._ending.wait()


class _Protocol(H11Protocol):
    """Closes a connection whose request line and headers do not come: uvicorn waits for ever."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if not self._waits_for_head():
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(_HEAD_SECONDS, self._late)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if self._waits_for_head():
            self.transport.abort()

    def _waits_for_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete
