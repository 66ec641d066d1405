"""Accepting connections: it goes on, whatever the process is short of."""

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bouncer.config import Smtp, SmtpLimits
from bouncer.ingest.door import affordable
from tests.ingest.client import Client, until
from tests.ingest.conftest import Opening
from tests.ingest.inbox import MemoryInbox


@contextmanager
def no_more_files() -> Iterator[None]:
    """Lets the process open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_the_door_outlives_a_lack_of_file_descriptors(
    door: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    async with door(MemoryInbox()) as opened:
        client = await Client.connect(opened.addresses[0])
        assert (await client.reply()).startswith("220 ")
        waiting = [socket.socket() for _ in range(20)]
        with no_more_files():
            for one in waiting:
                one.connect(opened.addresses[0])
            await until(lambda: "cannot accept" in caplog.text)
            assert (await client.ask("NOOP")).startswith("250 ")
        for one in waiting:
            one.setblocking(False)
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(10):
                assert (await loop.sock_recv(one, 100)).startswith(b"220 ")
            one.close()
        client.close()
    assert len(caplog.records) == 1


def test_there_are_no_more_connections_than_file_descriptors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this machine sets no limit to file descriptors")
    try:
        assert affordable(hard + 1000, 128) == hard - 128
        assert "smtp.limits.connections" in caplog.text
        assert affordable(5, 10 * hard) == 5
        assert affordable(hard, 10 * hard) == hard - hard // 2
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_soft_limit_is_raised_before_connections_are_turned_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        assert affordable(300, 100) == 300
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 400
        assert caplog.records == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_every_address_of_a_name_is_listened_on(door: Opening) -> None:
    config = Smtp(listen=("localhost:0",), hostname="mx", limits=SmtpLimits())
    async with door(MemoryInbox(), config) as opened:
        for address in opened.addresses:
            with socket.create_connection(address) as connection:
                assert connection.getpeername()[:2] == address
