"""Errors as problem documents (RFC 9457): every answer above 399 is one, and none says too much.

A body is never repeated, and neither is what a store said of it.
"""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from bouncer.errors import StoreFull, StoreUnavailable

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_RETRY_STORE_SECONDS = 5
_MAX_FAULTS = 20
_MAX_KEY = 100


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(
        description="query, path or body, and the key in it", examples=["body.until"]
    )
    problem: str = Field(examples=["write a date and time with its zone"])


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "there is no such event",
            }
        }
    )

    type: str = Field(default="about:blank", description="about:blank: `title` says it all")
    title: str = Field(description="the words of the HTTP status")
    status: int
    detail: str | None = Field(default=None, description="for people")
    errors: list[Fault] | None = Field(default=None, description="with 422: what to write instead")


def problem(
    status: int,
    detail: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """The answer with this status; `members` are further members of the document."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
    }
    if detail:
        document["detail"] = detail
    # ASCII: a key that a caller made up may hold what UTF-8 cannot (lone surrogates).
    return Response(
        json.dumps(document | members), status, dict(headers or {}), media_type=MEDIA_TYPE
    )


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of a route that may answer with these problems."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem document."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StoreUnavailable, _store_away)
    app.add_exception_handler(StoreFull, _store_full)
    app.add_exception_handler(Exception, _unexpected)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the type it is registered for
    phrase = HTTPStatus(error.status_code).phrase
    detail = error.detail if error.detail != phrase else None
    return problem(error.status_code, detail, headers=error.headers)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the type it is registered for
    faults = [fault_of(fault) for fault in error.errors()[:_MAX_FAULTS]]
    return problem(422, "the request cannot be read as it is", errors=faults)


def fault_of(fault: Mapping[str, Any]) -> dict[str, str]:
    """A pydantic error, without what was sent."""
    where = ".".join(str(part)[:_MAX_KEY] for part in fault["loc"])
    match fault["type"]:
        case "extra_forbidden":
            text = "there is no such key"
        case "missing":
            text = "has to be set"
        case "json_invalid":
            where, text = "body", "is not JSON"
        case "value_error":
            text = str(fault["ctx"]["error"])
        case _:
            text = fault["msg"][:1].lower() + fault["msg"][1:]
    return {"where": where, "problem": text}


async def _store_away(request: Request, error: Exception) -> Response:
    log.warning("%s: the store is away: %s", request.scope["route"].name, error)
    return problem(
        503, "the store is away; try again", headers={"Retry-After": str(_RETRY_STORE_SECONDS)}
    )


async def _store_full(request: Request, error: Exception) -> Response:
    log.warning("%s: the store is full: %s", request.scope["route"].name, error)
    return problem(503, "the store is full; try again later", headers={"Retry-After": "60"})


async def _unexpected(_: Request, __: Exception) -> Response:
    return problem(500, "this is a fault of bouncer; its log says more")
