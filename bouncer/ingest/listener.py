"""Where connections are accepted: every one is handed on as a bare socket, and none ends us.

Not `loop.create_server`: it makes a transport of a connection before anybody may refuse it, and
when the process is out of file descriptors uvloop's cuts all who wait, or stops listening for good.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

from bouncer.config import parse_listen
from bouncer.errors import ConfigurationError
from bouncer.ingest.pace import Seldom

log = logging.getLogger(__name__)

_BACKLOG = 1024
_AT_ONCE = 64  # in one turn of the loop, which has others to serve as well
_PAUSE_SECONDS = 0.2

Meet = Callable[[socket.socket, str], None]


class Listener:
    """A listening socket. `meet` is called with each connection and its peer's address."""

    def __init__(self, listening: socket.socket, meet: Meet) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = listening
        self._meet = meet
        self._seldom = Seldom(log)
        self._again: asyncio.TimerHandle | None = None
        self.address: tuple[str, int] = listening.getsockname()[:2]
        self._open()

    def close(self) -> None:
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _open(self) -> None:
        self._again = None
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            connection.setblocking(False)
            self._meet(connection, address[0])

    def _pause(self, error: OSError) -> None:
        # Out of descriptors or memory: those who wait stay in the backlog until there are some.
        self._seldom.warn(
            "accept", self._loop.time(), "cannot accept a connection: %s", error.strerror
        )
        self._loop.remove_reader(self._socket)
        self._again = self._loop.call_later(_PAUSE_SECONDS, self._open)


async def bound(listen: str) -> list[socket.socket]:
    """Sockets that listen on every address of "host:port"; ConfigurationError if one cannot."""
    host, port = parse_listen(listen)
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as opened:
        try:
            found = await loop.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            sockets = [
                opened.enter_context(_listening(family, address))
                for family, _, _, _, address in dict.fromkeys(found)
            ]
        except OSError as error:
            raise ConfigurationError(f"cannot listen on {listen}: {error.strerror}") from error
        opened.pop_all()
    return sockets


def _listening(family: int, address: tuple[object, ...]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def turn_away(connection: socket.socket, reply: str | None) -> None:
    """Closes on somebody who has been told nothing yet; without a reply if TLS would hide it."""
    if reply is not None:
        with contextlib.suppress(OSError):
            connection.send(reply.encode("ascii") + b"\r\n")
    connection.close()
