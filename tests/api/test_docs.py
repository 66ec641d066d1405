"""A person reading /docs learns the API, and a program /openapi.json."""

import json
import re

from tests.api.running import Api

ABSENT = ("ingest", "return-paths", "sends", "webhooks/replay")


async def test_every_operation_is_told_with_its_problems_and_its_scope(api: Api) -> None:
    document = (await api.http.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"]
            assert operation["tags"]
            assert operation["description"]
            if path.startswith("/v1"):
                assert operation["security"][0]["key"][0] in ("read", "write", "admin")
                assert {"401", "403", "429", "503"} <= set(operation["responses"])
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_every_reference_leads_somewhere(api: Api) -> None:
    answer = await api.http.get("/openapi.json")
    schemas = answer.json()["components"]["schemas"]
    for name in re.findall(r'"#/components/schemas/([^"]+)"', answer.text):
        assert name in schemas


async def test_what_is_not_built_is_absent(api: Api) -> None:
    paths = json.dumps(list((await api.http.get("/openapi.json")).json()["paths"]))
    for word in ABSENT:
        assert word not in paths


async def test_the_page_names_every_route_and_loads_nothing(api: Api) -> None:
    answer = await api.http.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for path in (await api.http.get("/openapi.json")).json()["paths"]:
        assert f"<code>{path}</code>" in answer.text
    assert "<script" not in answer.text
    assert not re.search(r"(?:src|href)=\"https?:", answer.text)
    anchors = set(re.findall(r'id="([^"]+)"', answer.text))
    assert set(re.findall(r'href="#([^"]+)"', answer.text)) <= anchors
