"""The service joined and running: what a reload may do to it."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from bouncer.app import serve
from bouncer.config import Api, Config, Store
from bouncer.roles import Role, Started


@pytest.mark.parametrize(
    "error", [RuntimeError("odd"), RecursionError(), MemoryError(), OSError(5)]
)
async def test_no_error_in_a_reload_ends_the_service(
    tmp_path: Path,
    free_port: Callable[[], int],
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    asked: list[Exception] = []

    def reload() -> Config:
        asked.append(error)
        raise error

    config = Config.model_validate(
        {
            "store": Store.model_validate({"url": f"sqlite:///{tmp_path}/bouncer.db"}),
            "api": Api(listen=f"127.0.0.1:{free_port()}"),
        }
    )
    ready: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
    service = asyncio.create_task(
        serve(config, frozenset({Role.API}), reload=reload, started=ready.set_result)
    )
    host, port = (await ready).http
    os.kill(os.getpid(), signal.SIGHUP)
    async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:
        while "bouncer_config_last_reload_successful 0" not in (await client.get("/metrics")).text:
            assert not service.done()
    assert asked == [error]
    (record,) = [r for r in caplog.records if "stays as it was" in r.getMessage()]
    assert (record.levelname, record.exc_info and record.exc_info[1]) == ("ERROR", error)
    os.kill(os.getpid(), signal.SIGINT)
    await service
