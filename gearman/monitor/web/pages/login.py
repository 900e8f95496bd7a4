"""Logging in and out."""

from starlette.responses import Response

from ..api import session
from ..page import LOGIN
from ..problems import Problem
from ..service import COOKIE
from ..visit import Visit


async def login(visit: Visit) -> Response:
    """Show the form, or begin a session."""
    if visit.request.method != "POST":
        return visit.render("login.html", error="", name="")
    name, password = (visit.field(key) for key in ("name", "password"))
    try:
        key = await session.begin(
            visit.service, visit.address, name[:200], password[:1000]
        )
    except Problem as problem:
        response: Response = visit.render(
            "login.html", problem.status, error=problem.detail, name=name
        )
        response.headers.update(problem.headers or {})
        return response
    wanted = visit.request.query_params.get("next", "/")
    # Only a path of this site.
    is_local = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    response = visit.redirect(wanted if is_local else "/")
    session.set_cookie(response, visit.request, key)
    return response


async def logout(visit: Visit) -> Response:
    session.end(visit)
    response = visit.redirect(LOGIN)
    response.delete_cookie(COOKIE)
    return response
