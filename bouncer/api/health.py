"""For machines that watch: /healthz, /readyz, /metrics. No key, no version, no address."""

import asyncio

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from bouncer.api.problems import MEDIA_TYPE, problem
from bouncer.api.services import Use
from bouncer.errors import StoreError

_READINESS_SECONDS = 5.0

router = APIRouter(tags=["health"])


class Status(BaseModel):
    """All is well."""

    status: str


@router.get("/healthz", summary="Whether the process is alive")
@router.head("/healthz", include_in_schema=False)
async def healthz() -> Status:
    """The event loop turns. Says nothing of the store: a restart would not mend that."""
    return Status(status="ok")


@router.get(
    "/readyz",
    summary="Whether it can take work",
    response_model=Status,
    responses={
        503: {
            "description": "Not ready; `problems` names what is not",
            "content": {
                MEDIA_TYPE: {
                    "example": {
                        "type": "about:blank",
                        "title": "Service Unavailable",
                        "status": 503,
                        "detail": "not ready: store",
                        "problems": {"store": "the store cannot be written"},
                    }
                }
            },
        }
    },
)
@router.head("/readyz", include_in_schema=False, response_model=Status)
async def readyz(services: Use) -> Status | Response:
    """The store can be written, its disk has room above the reserve, and nothing is stopping."""
    try:
        async with asyncio.timeout(_READINESS_SECONDS):
            problems = await services.readiness()
    except (TimeoutError, StoreError):
        problems = {"store": "the store does not answer"}
    if problems:
        return problem(503, f"not ready: {', '.join(problems)}", problems=problems)
    return Status(status="ready")


metrics_router = APIRouter(tags=["health"])


@metrics_router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(services: Use) -> Response:
    """Counters and gauges in Prometheus' text format; docs/metrics.md lists them."""
    return Response(await services.render_metrics(), media_type=CONTENT_TYPE_LATEST)
