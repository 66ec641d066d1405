"""Faults that are ours: said as problems, without a word of what is inside."""

import logging

import pytest

from tests.api.running import Api, problem

REQUESTS = [
    ("GET", "/v1/events"),
    ("GET", "/v1/events/x/raw"),
    ("GET", "/v1/suppressions/user@example.net"),
    ("PUT", "/v1/suppressions/user@example.net"),
    ("DELETE", "/v1/suppressions/user@example.net"),
    ("GET", "/v1/dnsbl/listings"),
    ("GET", "/v1/webhooks/deliveries"),
    ("POST", "/v1/reports"),
]


async def test_a_store_that_is_away_is_a_503_that_says_when_to_come_back(api: Api) -> None:
    await api.store.close()
    for method, path in REQUESTS:
        mail = path == "/v1/reports"
        answer = await api.http.request(
            method,
            path,
            content=b"Subject: x\r\n\r\n" if mail else b"{}",
            headers={"Content-Type": "message/rfc822" if mail else "application/json"},
        )
        problem(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
    assert api.received("api") == 0
    assert (await api.http.get("/healthz")).status_code == 200


async def test_a_fault_of_ours_is_in_the_log_and_not_in_the_answer(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await api.http.post("/v1/dnsbl/check", json={"targets": ["fault.example"]})
    problem(answer, 500)
    assert "secret" not in answer.text
    assert [record for record in caplog.records if record.exc_info]


async def test_a_path_or_a_method_that_is_not_there_is_a_problem_too(api: Api) -> None:
    problem(await api.http.get("/v1/nowhere"), 404)
    problem(await api.http.get("/v1/events/"), 404)
    answer = await api.http.patch("/v1/events")
    problem(answer, 405)
    assert answer.headers["allow"] == "GET"
