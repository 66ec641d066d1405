"""A small DNS server that gives any answer over UDP, and the whole one over TCP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import cast

import dns.message

Answers = Callable[[dns.message.Message], list[bytes]]


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for packet in self._answers(dns.message.from_wire(data)):
            self._transport.sendto(packet, addr)


@contextlib.asynccontextmanager
async def liar(udp: Answers, tcp: Answers | None = None) -> AsyncIterator[int]:
    """Its port. Each question is answered with these packets."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        query = dns.message.from_wire(await reader.readexactly(size))
        for packet in tcp(query) if tcp else []:
            writer.write(len(packet).to_bytes(2, "big") + packet)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Udp(udp), local_addr=("127.0.0.1", port)
    )
    try:
        yield port
    finally:
        transport.close()
        server.close()
        await server.wait_closed()
