"""The HTTP application: health and metrics always, `/v1` and `/docs` with the api role."""

import asyncio
from weakref import WeakKeyDictionary

from fastapi import FastAPI
from fastapi.routing import APIRoute

import bouncer
from bouncer.api import docs, events, health, listings, problems, reports, suppressions, webhooks
from bouncer.api.gate import Failures, Gate
from bouncer.api.services import Services as Services  # part of what this module offers
from bouncer.store.store import Store

_DESCRIPTION = """\
Takes the bounces of your mail, says what they mean, watches blocklists, and tells you.

Lists answer `{"items": [...], "next": "<cursor>" or null}`: ask again with `cursor` set to `next`
until it is null. Times are ISO 8601 with their zone. Errors are problem documents (RFC 9457).
Once an API key is configured, send it as `Authorization: Bearer KEY`. A key with the scope `read`
sees everything, `write` also hands in reports and changes suppressions, `admin` may do all.
"""

_TAGS = [
    {"name": "events", "description": "What happened to whom: bounces, delays, complaints, ..."},
    {"name": "reports", "description": "Handing in what did not come by SMTP."},
    {"name": "suppressions", "description": "Whom not to mail, for which sending domain, and why."},
    {"name": "blocklists", "description": "What is listed, since when, and how to get off."},
    {"name": "webhooks", "description": "What was told to whom."},
    {"name": "health", "description": "For machines that watch. These never need a key."},
]


# Of the running service, not of one application: a reload makes a new one, and forgives nobody.
_failures: WeakKeyDictionary[Store, Failures] = WeakKeyDictionary()


def create_app(services: Services, *, with_v1: bool, with_metrics: bool = True) -> FastAPI:
    """The application of one port."""
    app = FastAPI(
        title="bouncer",
        version=bouncer.__version__,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.services = services
    app.state.checking = asyncio.Lock()
    problems.install(app)
    app.include_router(health.router)
    if with_metrics:
        app.include_router(health.metrics_router)
    if with_v1:
        for module in (events, reports, suppressions, listings, webhooks):
            app.include_router(module.router)
        docs.install(app)
    app.add_middleware(
        Gate,
        keys=services.config.api.keys,
        max_message_bytes=services.config.smtp.max_message_bytes,
        failures=_failures.setdefault(services.store, Failures()),
    )
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
