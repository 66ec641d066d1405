"""One attempt: a signed POST (Standard Webhooks) over a connection whose address was checked.

The check sits where the connection is made, so what was checked is what is connected to. Headers
decide; the body of an answer is read only to keep the connection, and never kept or shown: a URL
that leads somewhere unwanted tells nothing.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks.webhooks import Webhook

from bouncer import __version__
from bouncer.config import WebhookEndpoint
from bouncer.outbound import address_fault, url_fault
from bouncer.records import Delivery
from bouncer.webhooks.retry import Answer, retry_after

MAX_BODY_BYTES = 16 * 1024
TIMEOUT = timedelta(seconds=30)
_BODY_TIMEOUT_SECONDS = 2
_KEEPALIVE_SECONDS = 2  # shorter than receivers keep theirs, so that none closes under our request

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class ForbiddenAddress(Exception):
    """The URL leads where no webhook may go; the attempt counts as refused."""


class Poster:
    """Posts to one endpoint, at most `connections` at once. An async context manager."""

    def __init__(
        self,
        endpoint: WebhookEndpoint,
        *,
        connections: int,
        timeout: timedelta,
        resolve: Resolve,
        tls: ssl.SSLContext,
    ) -> None:
        self._url = endpoint.url
        self._allow_private = endpoint.allow_private
        self._signer = Webhook(endpoint.secret.get_secret_value())
        self._timeout = timeout
        # A pool of its own: a connection made under another endpoint's allow_private is not reused.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=connections,
                resolver=_CheckedResolver(resolve, allow_private=endpoint.allow_private),
                socket_factory=self._checked_socket,
                use_dns_cache=False,
                keepalive_timeout=_KEEPALIVE_SECONDS,
                ssl=tls,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),  # `post` has one for everything
            auto_decompress=False,
            trust_env=False,  # no proxy: it would connect to addresses that we did not check
            read_bufsize=MAX_BODY_BYTES // 2,
        )

    async def __aenter__(self) -> "Poster":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def post(self, delivery: Delivery, now: datetime) -> Answer:
        """Sends it once. Whatever goes wrong is an answer too."""
        if fault := url_fault(self._url, allow_private=self._allow_private):
            return Answer(error=f"refused: {fault}", refused=True)
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                return await self._answer(delivery, now)
        except ForbiddenAddress as fault:
            return Answer(error=f"refused: {fault}", refused=True)
        except TimeoutError:
            return Answer(error=f"no answer within {self._timeout.total_seconds():g} s")
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            # ValueError: a host that IDNA cannot read. RuntimeError: a lost socket, says uvloop.
            return Answer(error=_reason(error))

    async def _answer(self, delivery: Delivery, now: datetime) -> Answer:
        async with self._session.post(
            self._url,
            data=delivery.body.encode(),
            headers=self._headers(delivery, now),
            allow_redirects=False,
        ) as response:
            await _drain(response)
            header = response.headers.get("Retry-After")
            answer = Answer(response.status, None, retry_after(response.status, header, now))
            return answer if answer.delivered else _with_error(answer)

    def _headers(self, delivery: Delivery, now: datetime) -> dict[str, str]:
        moment = now.astimezone(UTC)
        return {
            "webhook-id": delivery.message_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": self._signer.sign(delivery.message_id, moment, delivery.body),
            "content-type": "application/json",
            "user-agent": f"bouncer/{__version__}",
            "accept-encoding": "identity",
        }

    def _checked_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """The last gate: addresses written in the URL do not pass the resolver."""
        family, kind, protocol, _, address = info
        if fault := address_fault(str(address[0]), allow_private=self._allow_private):
            raise ForbiddenAddress(fault)
        return socket.socket(family, kind, protocol)


class _CheckedResolver(AbstractResolver):
    """Refuses a name when any of its addresses is forbidden, so that there is no second choice."""

    def __init__(self, resolve: Resolve, *, allow_private: bool) -> None:
        self._resolve = resolve
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._resolve(host, port)
        if not addresses:
            raise OSError(f"{host} has no address")
        for address in addresses:
            if fault := address_fault(address, allow_private=self._allow_private):
                raise ForbiddenAddress(f"{host}: {fault}")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is kept open."""


async def system_addresses(host: str, port: int) -> list[str]:
    """The addresses of a host, from the system's resolver (hosts file included).

    Each question has a thread of its own: a shared pool full of slow ones would delay the other
    endpoints, and a thread that is not a daemon the exit.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(addresses: list[str], error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(addresses)

    def ask() -> None:
        addresses: list[str] = []
        fault: Exception | None = None
        try:
            found = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
            )
            addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        except (OSError, UnicodeError) as error:
            fault = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, addresses, fault)

    threading.Thread(target=ask, name=f"webhook-dns-{host}", daemon=True).start()
    return await answer


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Reads a short body, so that the connection can be used again; a longer one ends it."""
    size = 0
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_SECONDS):
            while size <= MAX_BODY_BYTES and (chunk := await response.content.readany()):
                size += len(chunk)
    except (aiohttp.ClientError, TimeoutError, OSError):
        response.close()  # the headers have said what counts
    if size > MAX_BODY_BYTES:
        response.close()


def _with_error(answer: Answer) -> Answer:
    redirect = answer.status is not None and 300 <= answer.status < 400
    error = f"answered {answer.status}" + (", and redirects are not followed" if redirect else "")
    return Answer(answer.status, error, answer.retry_after)


def _reason(error: Exception) -> str:
    """Our words for it: those of the library may quote the URL, which can hold a secret."""
    match error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLError() as fault):
            return f"TLS: {getattr(fault, 'verify_message', None) or fault.reason}"
        case aiohttp.ClientConnectorSSLError(os_error=ssl.SSLError() as fault):
            return f"TLS: {fault.reason}"
        case aiohttp.ClientConnectorDNSError():
            return "the host has no address, or DNS did not answer"
        case aiohttp.ClientOSError(strerror=str(words)):
            return f"no connection: {words}"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before an answer"
        case aiohttp.ClientResponseError():
            return "the answer is not HTTP"
        case _:
            return type(error).__name__
