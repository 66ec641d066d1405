"""uvicorn on our loop."""

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from bouncer.api.server import serving
from bouncer.errors import ConfigurationError


@asynccontextmanager
async def _slow(grace_seconds: int) -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    app = FastAPI()
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.get("/")
    async def slow() -> str:
        begun.set()
        await go_on.wait()
        return "done"

    async with serving("127.0.0.1:0", app, grace_seconds=grace_seconds) as (host, port):
        yield f"http://{host}:{port}/", begun, go_on


async def test_signals_and_logging_stay_ours() -> None:
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    root = list(logging.getLogger().handlers)
    async with serving("127.0.0.1:0", FastAPI()):
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
        assert logging.getLogger().handlers == root


async def test_a_request_is_answered_without_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG, "uvicorn"):
        async with (
            serving("127.0.0.1:0", FastAPI()) as (host, port),
            httpx.AsyncClient(trust_env=False) as http,
        ):
            await http.get(f"http://{host}:{port}/")
    assert [r for r in caplog.records if r.name.startswith("uvicorn")] == []


async def test_ipv6_is_served_too() -> None:
    try:
        async with (
            serving("[::1]:0", FastAPI()) as (host, port),
            httpx.AsyncClient(trust_env=False) as http,
        ):
            assert host == "::1"
            assert (await http.get(f"http://[{host}]:{port}/")).status_code == 404
    except ConfigurationError:
        pytest.skip("this machine has no IPv6 on its loopback")


async def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match=listen):
            async with serving(listen, FastAPI()):
                pass


async def test_a_running_request_ends_before_the_server_does() -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        async with _slow(grace_seconds=5) as (url, begun, go_on):
            answer = asyncio.create_task(http.get(url))
            await begun.wait()
            asyncio.get_running_loop().call_later(0.05, go_on.set)
        assert (await answer).json() == "done"


async def test_a_request_that_does_not_end_is_given_up() -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        async with asyncio.timeout(20), _slow(grace_seconds=1) as (url, begun, _):
            answer = asyncio.create_task(http.get(url, timeout=30))
            await begun.wait()
        with pytest.raises(httpx.HTTPError):
            (await answer).raise_for_status()


async def test_an_error_in_the_body_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with serving("127.0.0.1:0", FastAPI()):
            raise KeyError


@pytest.mark.parametrize(
    "octets", [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\0: x\r\n\r\n"]
)
async def test_what_is_not_http_is_refused_and_the_server_lives(octets: bytes) -> None:
    async with serving("127.0.0.1:0", FastAPI()) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(octets + b"\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"http://{host}:{port}/")).status_code == 404
