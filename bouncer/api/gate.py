"""What every request passes before a route sees it: its key, its size, its time, its number.

Keys are compared by their SHA-256 in constant time. The answer to a wrong key says nothing, and
after 20 of them in a minute the address that sent them is not listened to for a while. A body is
counted while it arrives, so that a missing or lying Content-Length changes nothing.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import HTTPException, Request, Response, Security
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bouncer.api.problems import problem
from bouncer.config import ApiKey

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
REPORTS_PATH = "/v1/reports"
MAX_JSON_BYTES = 2**20

_RANKS = {"read": 0, "write": 1, "admin": 2}
_MAX_KEY_BYTES = 1024
_FAILURES = 20
_FAILURES_WINDOW_SECONDS = 60.0
_MAX_NETWORKS = 10_000
_IN_FLIGHT = 64
_BODY_IDLE_SECONDS = 30.0

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
)


class Failures:
    """Counts wrong keys by the address they come from; knows a bounded number of addresses."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times)

    def wait_seconds(self, network: str) -> int:
        """How long it is not listened to; 0 when it is."""
        times = self._times.get(network)
        if times is None or len(times) < _FAILURES:
            return 0
        left = times[0] + _FAILURES_WINDOW_SECONDS - self._monotonic()
        return math.ceil(left) if left > 0 else 0

    def add(self, network: str) -> None:
        times = self._times.setdefault(network, deque(maxlen=_FAILURES))
        times.append(self._monotonic())
        self._times.move_to_end(network)
        if len(self._times) > _MAX_NETWORKS:
            self._times.popitem(last=False)


@dataclass(slots=True)
class _Budget:
    """How much is being worked on now."""

    body_bytes: int
    requests: int = 0
    held_bytes: int = field(default=0)


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Sequence[ApiKey],
        max_message_bytes: int,
        failures: Failures,
    ) -> None:
        self._app = app
        self._keys = keys
        self._max_message_bytes = max_message_bytes
        self._failures = failures
        self._budget = _Budget(body_bytes=4 * max(max_message_bytes, MAX_JSON_BYTES))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        guarded = _guarded(send)
        if scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, guarded)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        self._budget.requests += 1
        body = _Body(receive, self._limit(scope), self._budget)
        try:
            await self._app(scope, body.receive, guarded)
        finally:
            self._budget.requests -= 1
            self._budget.held_bytes -= body.seen

    def _refusal(self, scope: Scope) -> Response | None:
        network = _network(scope)
        if self._keys:
            if wait := self._failures.wait_seconds(network):
                return problem(429, headers={"Retry-After": str(wait)})
            allowed = _scope_of(scope, self._keys)
            if allowed is None:
                self._failures.add(network)
                return problem(401, headers={"WWW-Authenticate": 'Bearer realm="bouncer"'})
        else:
            allowed = "admin"
        scope.setdefault("state", {})["allowed"] = allowed
        if self._budget.requests >= _IN_FLIGHT:
            return problem(503, "too many requests at once", headers={"Retry-After": "1"})
        declared = _header(scope, b"content-length")
        if declared is not None and declared.isdigit() and int(declared[:20]) > self._limit(scope):
            return problem(413, _too_large(self._limit(scope)))
        return None

    def _limit(self, scope: Scope) -> int:
        if scope["path"] == REPORTS_PATH:
            return self._max_message_bytes
        return MAX_JSON_BYTES


class _Body:
    """Reads a request's body for the application, and stops at the limit."""

    def __init__(self, receive: Receive, limit: int, budget: _Budget) -> None:
        self._receive = receive
        self._limit = limit
        self._budget = budget
        self._ended = False
        self.seen = 0

    async def receive(self) -> Message:
        if self._ended:  # what comes now is the end of the connection, which may take any time
            return await self._receive()
        try:
            async with asyncio.timeout(_BODY_IDLE_SECONDS):
                message = await self._receive()
        except TimeoutError as error:
            raise HTTPException(408, "the body did not arrive") from error
        if message["type"] == "http.request":
            self._count(len(message.get("body", b"")))
            self._ended = not message.get("more_body", False)
        return message

    def _count(self, size: int) -> None:
        self.seen += size
        self._budget.held_bytes += size
        if self.seen > self._limit:
            raise HTTPException(413, _too_large(self._limit))
        if self._budget.held_bytes > self._budget.body_bytes:
            raise HTTPException(503, "too much at once", headers={"Retry-After": "1"})


class _Key(SecurityBase):
    """What OpenAPI says of keys, and the check that a key's scope is wide enough for a route."""

    def __init__(self) -> None:
        self.scheme_name = "key"
        self.model = HTTPBearerModel(
            description="An API key of the configuration (`api.keys`), once there is one"
        )

    def __call__(self, request: Request, needed: SecurityScopes) -> None:
        for scope in needed.scopes:
            if _RANKS[request.state.allowed] < _RANKS[scope]:
                raise HTTPException(403, f"this needs a key with the scope {scope}")


_KEY = _Key()


def needs(scope: str) -> Any:
    """Among a route's `dependencies`: only keys of this scope, or a wider one, may use it."""
    return Security(_KEY, scopes=[scope])


def _scope_of(scope: Scope, keys: Sequence[ApiKey]) -> str | None:
    header = _header(scope, b"authorization")
    scheme, _, key = (header or b"").partition(b" ")
    if scheme.lower() != b"bearer" or len(key) > _MAX_KEY_BYTES:
        return None
    digest = hashlib.sha256(key.strip()).hexdigest()
    allowed = None
    for candidate in keys:  # all of them, so that the time says nothing
        if hmac.compare_digest(digest, candidate.sha256.lower()):
            allowed = candidate.scope
    return allowed


def _header(scope: Scope, name: bytes) -> bytes | None:
    values: list[bytes] = [value for key, value in scope["headers"] if key == name]
    return values[0] if len(values) == 1 else None


def _network(scope: Scope) -> str:
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _too_large(limit: int) -> str:
    return f"a body may have {limit} bytes here"


def _guarded(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        await send(message)

    return with_headers
