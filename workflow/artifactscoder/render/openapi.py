"""The render service's interface in OpenAPI 3.1, made from the data classes that it answers with.

In: nothing. Out: the document of `/openapi.json`. What options and verdicts hold is read from the classes of
`page.py`, so that it cannot fall behind them; only the routes are written here.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter

from artifactscoder.render.page import CAPACITY_HEADER, CLIENT_HEADER, RenderOptions, Verdict

TEXT = {"type": "string"}
NUMBER = {"type": "integer", "minimum": 0}
ID = {"description": "Whatever tells this line from others; it comes back with the answer."}


def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in (RenderOptions, Verdict):
        schema = TypeAdapter(kind).json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {})
        found[kind.__name__] = schema
    options = {"$ref": "#/components/schemas/RenderOptions", "description": "What is left out is as the service has it"}
    picture = {"type": "string", "contentEncoding": "base64", "description": "JPEG or PNG, as asked for"}
    found["Page"] = _object({"html": TEXT, "options": options}, "html")
    found["Render"] = _object(
        {
            "verdict": {"$ref": "#/components/schemas/Verdict"},
            "screenshots": {"type": "array", "items": picture},
        },
        "verdict",
        "screenshots",
    )
    found["Error"] = _object({"error": TEXT}, "error")
    found["BatchLine"] = _object({"id": ID, "html": TEXT, "options": options}, "html")
    error = _object({"status": NUMBER, "message": TEXT}, "status", "message")
    found["BatchAnswer"] = _object(
        {"line": NUMBER, "id": ID, **found["Render"]["properties"], "error": error},
    )
    state = {"type": "string", "enum": ["starting", "ok", "stopping"]}
    found["Health"] = _object(
        {"status": state, "browsers": NUMBER, "capacity": NUMBER, "under_way": NUMBER, "containment": TEXT},
        "status",
        "capacity",
    )
    found["Ready"] = _object({"ready": {"const": True}, "seconds_ago": {"type": "number"}}, "ready")
    return found


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties} | ({"required": list(required)} if required else {})


def _answer(text: str, kind: str, schema: dict[str, Any], again: bool = False) -> dict[str, Any]:
    headers = {CAPACITY_HEADER: {"description": "Pages taken at once, queue included", "schema": NUMBER}}
    if again:
        headers["Retry-After"] = {"description": "Seconds", "schema": NUMBER}
    return {"description": text, "headers": headers, "content": {kind: {"schema": schema}}}


def _named(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _refusals(*statuses: int) -> dict[str, Any]:
    texts = {
        400: "A bad request",
        401: "The token is missing or wrong",
        408: "The page did not arrive in time",
        413: "The page is too large",
        429: "The queue is full",
        503: "The machinery fails, starts or stops; nothing is known of the page",
    }
    found = {
        str(status): _answer(texts[status], "application/json", _named("Error"), status in (429, 503))
        for status in statuses
    }
    if "413" in found:
        found["413"]["content"] = {"text/plain": {"schema": TEXT}}
    return found


def _open(name: str, text: str, kind: str, schema: dict[str, Any], *statuses: int) -> dict[str, Any]:
    answers = {"200": _answer(text, kind, schema), **_refusals(*statuses)}
    return {"get": {"operationId": name, "summary": text, "security": [], "responses": answers}}


@cache
def document() -> dict[str, Any]:
    """The whole document; treat it as constant."""
    client = {
        "name": CLIENT_HEADER,
        "in": "header",
        "required": False,
        "description": "Who asks; clients are served in turns",
        "schema": TEXT,
    }
    lines = "application/x-ndjson"
    render = {
        "operationId": "render",
        "summary": "Render one page",
        "parameters": [client],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _named("Page")}}},
        "responses": {
            "200": _answer("The verdict and the pictures", "application/json", _named("Render")),
            **_refusals(400, 401, 408, 413, 429, 503),
        },
    }
    batch = {
        "operationId": "batch",
        "summary": "Render the page of each line; answers come as they are finished, one a line",
        "parameters": [client],
        "requestBody": {"required": True, "content": {lines: {"schema": _named("BatchLine")}}},
        "responses": {
            "200": _answer("One line a page, either a render or an error", lines, _named("BatchAnswer")),
            **_refusals(401, 503),
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "artifactscoder render service",
            "version": "1",
            "description": "Pages in, verdicts and pictures out; no page reaches a network.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": {
            "/render": {"post": render},
            "/batch": {"post": batch},
            "/health": _open("health", "The service answers; its state", "application/json", _named("Health")),
            "/ready": _open(
                "ready", "A browser rendered a page within the last minute", "application/json", _named("Ready"), 503
            ),
            "/metrics": _open("metrics", "Prometheus metrics", "text/plain", TEXT),
            "/openapi.json": _open("openapi", "This document", "application/json", {"type": "object"}),
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
