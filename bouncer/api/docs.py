"""/openapi.json, and /docs: the same for people, as one page without scripts or outside parts.

It works where a browser has no way out, and there is nothing on it to load or to trust.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse

from bouncer.api.gate import OPEN_PATHS
from bouncer.api.problems import Fault, Problem, answers

Json = dict[str, Any]

_REF = "#/components/schemas/"
_CODE = re.compile(r"`([^`]+)`")
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;
background:#fff}h1,h2,h3{line-height:1.2}h2{margin-top:3rem;border-bottom:1px solid #ccc}
h3{margin-top:2rem}code,pre{font:14px/1.4 ui-monospace,monospace;background:#f3f3f3}
code{padding:0 .2em}pre{padding:.7rem;overflow:auto}table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.25rem .7rem .25rem 0;border-top:1px solid #ddd}
.method{color:#fff;background:#345;padding:.1em .5em;border-radius:.2em}a{color:#047}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}code,pre{background:#282828}
a{color:#8be}td,th,h2{border-color:#444}}
"""


def install(app: FastAPI) -> None:
    """Adds both routes; what they show is made once, at the first call."""

    def openapi() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    async def schema() -> JSONResponse:
        return JSONResponse(openapi())

    async def page() -> HTMLResponse:
        policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return HTMLResponse(render(openapi()), headers=policy)

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents it
    app.add_api_route("/openapi.json", schema, include_in_schema=False)
    app.add_api_route("/docs", page, include_in_schema=False)


def describe(app: FastAPI) -> Json:
    """The OpenAPI document, with keys and with problems where FastAPI has its own errors."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    components = document.setdefault("components", {})
    for model in (Fault, Problem):
        schema = model.model_json_schema(ref_template=_REF + "{model}")
        schema.pop("$defs", None)
        components["schemas"][model.__name__] = schema
    for path, operations in document["paths"].items():
        if path not in OPEN_PATHS:
            for operation in operations.values():
                for status, answer in answers(401, 403, 429, 503).items():
                    operation["responses"].setdefault(str(status), answer)
    return document


def render(document: Json) -> str:
    """The page at /docs."""
    return "".join(
        (
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>bouncer: HTTP API</title><style>{_STYLE}</style>",
            "<h1>bouncer: HTTP API</h1>",
            _text(document["info"]["description"]),
            '<p>The same for programs: <a href="/openapi.json">/openapi.json</a> (OpenAPI).</p>',
            *(_section(document, tag) for tag in document["tags"]),
            '<h2 id="shapes">Shapes</h2>',
            *(_shape(name, s) for name, s in sorted(document["components"]["schemas"].items())),
            "</html>\n",
        )
    )


def _section(document: Json, tag: Json) -> str:
    operations = [
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag["name"] in operation.get("tags", ())
    ]
    title = escape(tag["name"])
    return f'<h2 id="{title}">{title.capitalize()}</h2>{_text(tag["description"])}' + "".join(
        operations
    )


def _operation(method: str, path: str, operation: Json) -> str:
    parameters = [
        (f"<code>{escape(p['name'])}</code>", escape(p["in"]), _kind(p["schema"]), _about(p))
        for p in operation.get("parameters", ())
    ]
    return "".join(
        (
            f'<h3 id="{escape(operation["operationId"])}"><code class="method">{method.upper()}',
            f"</code> <code>{escape(path)}</code> {escape(operation['summary'])}</h3>",
            _text(operation.get("description", "")),
            _table(("parameter", "in", "type", ""), parameters),
            _scope(operation.get("security")),
            _body(operation.get("requestBody")),
            "<p>Answers:</p>",
            _table(("status", "", ""), list(_answers(operation["responses"]))),
        )
    )


def _scope(security: list[dict[str, list[str]]] | None) -> str:
    scopes = [scope for one in security or () for scope in one.get("key", ())]
    return f"<p>Scope: <code>{escape(scopes[0])}</code></p>" if scopes else ""


def _body(body: Json | None) -> str:
    if body is None:
        return ""
    parts = []
    for media_type, content in body["content"].items():
        parts.append(f"<p>Body: <code>{escape(media_type)}</code> {_kind(content['schema'])}</p>")
        if (example := content.get("example")) is not None:
            text = example if isinstance(example, str) else json.dumps(example, indent=2)
            parts.append(f"<pre>{escape(text)}</pre>")
    return "".join(parts)


def _answers(responses: Json) -> Iterator[tuple[str, str, str]]:
    for status, answer in sorted(responses.items()):
        kinds = [_kind(c["schema"]) for c in answer.get("content", {}).values() if "schema" in c]
        yield f"<code>{escape(status)}</code>", ", ".join(kinds), _inline(answer["description"])


def _shape(name: str, schema: Json) -> str:
    required = schema.get("required", ())
    fields = [
        (f"<code>{escape(key)}</code>", _kind(field), _about(field) or _default(field))
        for key, field in schema.get("properties", {}).items()
    ]
    values = ", ".join(f"<code>{escape(str(v))}</code>" for v in schema.get("enum", ()))
    optional = [key for key in schema.get("properties", {}) if key not in required]
    note = f"<p>Optional: {escape(', '.join(optional))}.</p>" if optional and required else ""
    return (
        f'<h3 id="{escape(name)}">{escape(name)}</h3>{_text(schema.get("description", ""))}'
        + (f"<p>One of {values}.</p>" if values else "")
        + _table(("field", "type", ""), fields)
        + note
    )


def _kind(schema: Mapping[str, Any]) -> str:
    if ref := schema.get("$ref"):
        name = escape(ref.removeprefix(_REF))
        return f'<a href="#{name}">{name}</a>'
    if either := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_kind(one) for one in either)
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return escape(str(schema.get("format") or schema.get("type") or ""))


def _about(field: Json) -> str:
    return _inline(str(field.get("description", "")))


def _default(field: Json) -> str:
    default = field.get("default")
    return f"default: <code>{escape(json.dumps(default))}</code>" if default is not None else ""


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    cells = "".join(f"<th>{escape(title)}</th>" for title in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{lines}</table>"


def _text(text: str) -> str:
    paragraphs = [part for part in text.split("\n\n") if part.strip()]
    return "".join(f"<p>{_inline(part)}</p>" for part in paragraphs)


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))
