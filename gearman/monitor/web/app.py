"""The application: routes of the API and of pages, and what happens to errors."""

import sqlite3
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from jinja2 import Environment, PackageLoader
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from .. import text
from . import assets
from .api import ENDPOINTS, Endpoint
from .guard import Guard
from .openapi import describe
from .page import Page
from .pages import PAGES, shown
from .problems import Json, Problem
from .service import Service
from .visit import Visit

_Answer = Callable[[Request], Awaitable[Response]]

API: Final = "/api/"


def create(service: Service) -> Guard:
    """Return the application for a service."""
    templates = environment()

    def visit(request: Request) -> Visit:
        return Visit(request, service, service.visitor(request), templates)

    description = describe(ENDPOINTS)

    async def openapi(request: Request) -> Response:
        return Json(description)

    async def failed(request: Request, error: Exception) -> Response:
        return _failure(visit(request), error)

    routes: list[BaseRoute] = [
        *_api_routes(ENDPOINTS, visit),
        Route("/api/openapi.json", openapi),
        *(_page_route(page, visit) for page in PAGES),
        Mount(assets.PATH, assets.Assets()),
    ]
    handlers: dict[Any, Any] = {
        Problem: failed,
        HTTPException: failed,
        sqlite3.Error: failed,
        Exception: failed,
    }
    # Around the whole, so that also what Starlette answers by itself has the headers.
    app = Starlette(routes=routes, exception_handlers=handlers)
    return Guard(app, only_local=not service.sessions.are_needed)


def environment() -> Environment:
    """Return Jinja's environment: all values are escaped, and filters write numbers."""
    found = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "number": text.number,
        "rate": text.rate,
        "duration": text.duration,
        "size": text.size,
        "name": text.name_text,
        "query": text.query_text,
        **shown.FILTERS,
    }
    found.globals["static"] = assets.PATH
    return found


def _api_routes(
    endpoints: Iterable[Endpoint], visit: Callable[[Request], Visit]
) -> list[Route]:
    """Return a route for each path, so that other methods get 405 with all of them."""
    by_path: dict[str, dict[str, Endpoint]] = defaultdict(dict)
    for endpoint in endpoints:
        by_path[endpoint.path][endpoint.method] = endpoint

    def answer(methods: dict[str, Endpoint]) -> _Answer:
        async def run(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            return await methods[method].run(visit(request))

        return run

    return [
        Route(path, answer(methods), methods=[*methods])
        for path, methods in by_path.items()
    ]


def _page_route(page: Page, visit: Callable[[Request], Visit]) -> Route:
    async def run(request: Request) -> Response:
        return await page.run(visit(request))

    return Route(page.path, run, methods=[*page.methods])


def _failure(visit: Visit, error: Exception) -> Response:
    """Return the answer for what was raised: JSON for the API, else a page."""
    if isinstance(error, HTTPException):
        headers = dict(error.headers or {})
        error = Problem(
            error.status_code, _SENTENCES.get(error.status_code, ""), headers
        )
    elif isinstance(error, sqlite3.Error):
        error = Problem(503, _UNREADABLE.format(error))
    elif not isinstance(error, Problem):
        error = Problem(500, "the monitor has an error; its log says more")
    if visit.request.url.path.startswith(API):
        return error.response()
    response = visit.render("problem.html", error.status, problem=error)
    response.headers.update(error.headers or {})
    return response


_UNREADABLE: Final = (
    "the history can't be read: {}: if it stays so, start the monitor with another file"
    " (--db)"
)
_SENTENCES: Final = {
    404: "there is nothing at this address",
    405: "this method is not for this address",
}
