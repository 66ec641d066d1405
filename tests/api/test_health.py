"""For machines that watch."""

from pathlib import Path

import pytest

import bouncer
from tests.api.running import Api, problem, running

PATHS = ("/healthz", "/readyz", "/metrics")


async def test_a_process_that_turns_is_healthy_whatever_the_store_says(api: Api) -> None:
    api.problems["store"] = "the store cannot be written"
    answer = await api.http.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_readiness_names_what_is_not_ready(api: Api) -> None:
    assert (await api.http.get("/readyz")).json() == {"status": "ready"}
    api.problems["disk"] = "the store's disk has less room than its reserve"
    api.problems["draining"] = "the service is stopping"
    document = problem(await api.http.get("/readyz"), 503)
    assert document["problems"] == api.problems


async def test_load_balancers_may_ask_with_head(api: Api) -> None:
    assert (await api.http.head("/healthz")).status_code == 200
    assert (await api.http.head("/readyz")).status_code == 200
    api.problems["draining"] = "the service is stopping"
    assert (await api.http.head("/readyz")).status_code == 503


async def test_metrics_are_what_prometheus_reads(api: Api) -> None:
    api.metrics.messages_received.labels(source="smtp").inc(3)
    answer = await api.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'bouncer_messages_received_total{source="smtp"} 3.0' in answer.text
    assert "@" not in answer.text


@pytest.mark.parametrize("path", PATHS)
async def test_they_never_need_a_key_and_never_name_a_version(guarded: Api, path: str) -> None:
    answer = await guarded.http.get(path)
    assert answer.status_code == 200
    assert "server" not in answer.headers
    said = str(answer.headers) + answer.text
    for word in (f"bouncer/{bouncer.__version__}", "uvicorn", "fastapi", '"version"'):
        assert word not in said.lower()


async def test_a_process_without_the_api_role_has_nothing_else(tmp_path: Path) -> None:
    async with running(tmp_path, with_v1=False) as started:
        for path in PATHS:
            assert (await started.http.get(path)).status_code == 200
        for path in ("/v1/events", "/v1/reports", "/docs", "/openapi.json", "/"):
            problem(await started.http.get(path), 404)
