"""Keys, scopes, limits: what every request passes."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from bouncer.api.app import create_app
from bouncer.api.gate import MAX_JSON_BYTES, Failures
from tests.api.running import KEYS, Api, bearer, problem

OPEN = {"/healthz", "/readyz", "/metrics"}
RANK = list(KEYS)


async def _routes(api: Api) -> list[tuple[str, str, str]]:
    """Method, path and scope of everything in the OpenAPI document."""
    document = (await api.http.get("/openapi.json", headers=bearer(KEYS["read"]))).json()
    return [
        (method.upper(), re.sub(r"\{\w+\}", "user@example.net", path), _scope(operation))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]


def _scope(operation: dict[str, list[dict[str, list[str]]]]) -> str:
    return operation["security"][0]["key"][0] if "security" in operation else ""


async def test_without_a_key_nothing_answers_but_the_health_routes(guarded: Api) -> None:
    routes = await _routes(guarded)
    assert len(routes) >= 16
    for method, path, _ in [*routes, ("GET", "/docs", ""), ("GET", "/nowhere", "")]:
        answer = await guarded.http.request(method, path)
        if path in OPEN:
            assert answer.status_code == 200
        else:
            document = problem(answer, 401)
            assert "detail" not in document
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_each_route_takes_its_scope_and_wider_ones_only(guarded: Api) -> None:
    for method, path, scope in await _routes(guarded):
        if path in OPEN:
            continue
        for have, key in KEYS.items():
            answer = await guarded.http.request(method, path, headers=bearer(key))
            if RANK.index(have) < RANK.index(scope):
                problem(answer, 403)
            else:
                assert answer.status_code not in (401, 403), (method, path, have)
                assert answer.status_code < 500


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Basic ay1yZWFk",
        "k-read",
        "Bearer k-rea",
        "Bearer k-read k-read",
        "Bearer ' OR 1=1--",
        "Bearer " + "x" * 10_000,
        "Bearer \xe9",
    ],
)
async def test_what_is_not_a_key_is_refused(guarded: Api, header: str) -> None:
    headers = {b"Authorization": header.encode("latin-1")}
    problem(await guarded.http.get("/v1/events", headers=headers), 401)


async def test_a_second_authorization_header_makes_both_worthless(guarded: Api) -> None:
    headers = [("Authorization", "Bearer k-read"), ("Authorization", "Bearer k-admin")]
    problem(await guarded.http.get("/v1/events", headers=headers), 401)


async def test_twenty_wrong_keys_a_minute_are_enough(guarded: Api) -> None:
    for _ in range(20):
        problem(await guarded.http.get("/v1/events", headers=bearer("guess")), 401)
    answer = await guarded.http.get("/v1/events", headers=bearer(KEYS["admin"]))
    problem(answer, 429)
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert (await guarded.http.get("/healthz")).status_code == 200


async def test_wrong_keys_are_remembered_by_the_application_of_a_reload(
    guarded: Api,
) -> None:
    for _ in range(20):
        await guarded.http.get("/v1/events", headers=bearer("guess"))
    again = httpx.ASGITransport(create_app(guarded.services, with_v1=True), client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=again, base_url="http://bouncer.test") as http:
        problem(await http.get("/v1/events", headers=bearer(KEYS["admin"])), 429)


def test_wrong_keys_are_forgotten_after_a_minute_and_addresses_are_bounded() -> None:
    now = [0.0]
    failures = Failures(lambda: now[0])
    for _ in range(20):
        assert failures.wait_seconds("192.0.2.1") == 0
        failures.add("192.0.2.1")
    assert failures.wait_seconds("192.0.2.1") == 60
    assert failures.wait_seconds("192.0.2.2") == 0
    now[0] = 60.0
    assert failures.wait_seconds("192.0.2.1") == 0
    for n in range(20_000):
        failures.add(str(n))
    assert len(failures) <= 10_000


async def test_without_a_configured_key_everything_is_open(api: Api) -> None:
    for path in ("/v1/events", "/docs", "/openapi.json"):
        assert (await api.http.get(path)).status_code == 200


async def test_a_body_that_is_too_large_is_refused_by_its_length(guarded: Api) -> None:
    for key, status in (("k-write", 413), ("guess", 401)):
        answer = await guarded.http.post(
            "/v1/suppressions", content=b"x" * (MAX_JSON_BYTES + 1), headers=bearer(key)
        )
        problem(answer, status)


async def test_a_body_is_counted_while_it_arrives(api: Api) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10 * 2**20:
            sent += 65536
            yield b" " * 65536

    problem(
        await api.http.post(
            "/v1/suppressions", content=endless(), headers={"Content-Type": "application/json"}
        ),
        413,
    )


async def test_other_origins_get_no_permission(api: Api) -> None:
    answer = await api.http.get("/v1/events", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    problem(
        await api.http.options(
            "/v1/events",
            headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"},
        ),
        405,
    )


async def test_every_answer_forbids_guessing_its_type_and_keeping_it(api: Api) -> None:
    for path in ("/v1/events", "/docs", "/healthz", "/nowhere"):
        headers = (await api.http.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
