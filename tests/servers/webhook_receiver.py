"""A webhook endpoint that keeps what it was sent, and checks each signature."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@dataclass
class Receiver:
    """`bodies` are those whose signature was good, by webhook-id; `bad` counts the others."""

    url: str = ""
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    attempts: list[str] = field(default_factory=list)
    bad: int = 0

    async def take(self, request: web.Request) -> web.Response:
        octets = await request.read()
        headers = {k.lower(): v for k, v in request.headers.items()}
        try:
            Webhook(SECRET).verify(octets.decode(), headers)
        except Exception:
            self.bad += 1
            return web.Response(status=400)
        self.attempts.append(headers["webhook-id"])
        self.bodies[headers["webhook-id"]] = json.loads(octets)
        return web.Response(status=204)

    def of_type(self, name: str) -> list[dict[str, Any]]:
        """The data of each message of this type."""
        return [b["data"] for b in self.bodies.values() if b["type"] == name]


@contextlib.asynccontextmanager
async def receiving(port: int) -> AsyncIterator[Receiver]:
    """The endpoint, on 127.0.0.1."""
    receiver = Receiver(url=f"http://127.0.0.1:{port}/hook")
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield receiver
    finally:
        await runner.cleanup()
