"""The description of the API, OpenAPI 3.1, made from the table of its endpoints."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from ... import __version__
from .api.endpoints import Endpoint
from .problems import MEDIA_TYPE
from .queries import Parameter
from .schema import INTEGER, TEXT, record
from .service import COOKIE
from .visit import TOKEN_HEADER

_PROBLEM: Final = record(
    {"type": TEXT, "title": TEXT, "status": INTEGER, "detail": TEXT}
)
_PROBLEM_REF: Final = {"$ref": "#/components/schemas/Problem"}


def describe(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gearman-monitor",
            "version": __version__,
            "description": "What runs on Gearman job servers. Times are in seconds.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM},
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE}
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}_{endpoint.path.rpartition('/')[2]}",
        "summary": endpoint.summary,
        "parameters": [_parameter(key, each) for key, each in endpoint.query.items()],
        "responses": _responses(endpoint),
        "security": [{"session": []}] if endpoint.role else [],
    }
    if endpoint.changes and endpoint.role:
        operation["parameters"].append(
            {
                "name": TOKEN_HEADER,
                "in": "header",
                "required": True,
                "description": "the token of GET /api/session",
                "schema": TEXT,
            }
        )
    if endpoint.body is not None:
        content = {"application/json": {"schema": endpoint.body}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameter(key: str, parameter: Parameter) -> dict[str, Any]:
    return {
        "name": key,
        "in": "query",
        "required": parameter.required,
        "description": parameter.meaning,
        "schema": parameter.schema,
    }


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.answer is None:
        content = {"text/event-stream": {"schema": TEXT}}
        responses: dict[str, Any] = {"200": {"description": "OK", "content": content}}
    elif not endpoint.answer:
        responses = {"204": {"description": "No Content"}}
    else:
        content = {"application/json": {"schema": endpoint.answer}}
        responses = {"200": {"description": "OK", "content": content}}
    statuses = {400, 403, 409, 502, *endpoint.errors}
    if endpoint.role:
        statuses.add(401)
    for status in sorted(statuses):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": _PROBLEM_REF}},
        }
    return responses
