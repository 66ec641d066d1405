"""A bare SMTP client for tests: it sends what it is told, however wrong, and reads replies."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from typing import cast

_WHOLE = 4096  # longer chunks are never sent octet by octet
PATIENCE = 10.0


async def until(true: Callable[[], bool]) -> None:
    """Returns when it is true; for what nobody tells."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.002)


def trusting() -> ssl.SSLContext:
    """TLS that accepts the test's own certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, *, bytewise: bool = False) -> None:
        self.bytewise = bytewise
        self.transport: asyncio.Transport
        self.received = bytearray()
        self.closed = False
        self.lost = False
        self._news = asyncio.Event()

    @classmethod
    async def connect(
        cls, address: tuple[str, int], *, bytewise: bool = False, source: str = "127.0.0.1"
    ) -> "Client":
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(
            lambda: cls(bytewise=bytewise), *address, local_addr=(source, 0)
        )
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._news.set()

    def eof_received(self) -> bool:
        self.closed = True
        self._news.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = self.lost = True
        self._news.set()

    async def send(self, octets: bytes) -> None:
        if not self.bytewise or len(octets) > _WHOLE:
            self._write(octets)
            return
        for octet in octets:
            self._write(bytes([octet]))
            for _ in range(3):  # The server, in this same loop, reads it by itself.
                await asyncio.sleep(0)

    def _write(self, octets: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(octets)

    async def reply(self) -> str:
        """The next reply, all its lines; "" when the server has closed."""
        lines: list[str] = []
        while True:
            end = self.received.find(b"\r\n")
            if end >= 0:
                lines.append(self.received[:end].decode("ascii"))
                del self.received[: end + 2]
                if lines[-1][3:4] != "-":
                    return "\n".join(lines)
            elif self.closed:
                return ""
            else:
                await self._wait()

    async def end(self) -> None:
        """Returns when the server has closed the connection."""
        while not self.closed:
            await self._wait()

    async def _wait(self) -> None:
        self._news.clear()
        async with asyncio.timeout(PATIENCE):
            await self._news.wait()

    async def ask(self, command: str) -> str:
        await self.send(command.encode() + b"\r\n")
        return await self.reply()

    async def start_tls(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            transport = await loop.start_tls(
                self.transport, self, trusting(), server_hostname="mx.bounces.example"
            )
        assert transport is not None
        self.transport = transport

    def half_close(self) -> None:
        self.transport.write_eof()

    def reset(self) -> None:
        """Closes so that the server's kernel is told with RST."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def close(self) -> None:
        if not self.lost:
            self.transport.abort()
