"""Logging in and out."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from ...access.sessions import Visitor
from ...access.users import User
from ..problems import Json, Problem
from ..service import COOKIE, Service
from ..visit import Visit, refuse_foreign
from .records import Record

# So many passwords are checked at the same time: each takes 16 MiB and a core.
_AT_ONCE: Final = 2
_turns = asyncio.Semaphore(_AT_ONCE)


async def show(visit: Visit) -> Record:
    """Return who asks, and the token for changes."""
    return _record(visit.who)


async def log_in(visit: Visit) -> Response:
    """Begin a session, whose cookie comes with the answer."""
    refuse_foreign(visit.request)
    body = visit.body
    key = await begin(visit.service, visit.address, body["name"], body["password"])
    visitor = visit.service.sessions.find(key)
    assert visitor is not None  # noqa: S101
    response = Json(_record(visitor))
    set_cookie(response, visit.request, key)
    return response


async def log_out(visit: Visit) -> Response:
    """End the session."""
    end(visit)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE)
    return response


async def begin(service: Service, address: str, name: str, password: str) -> str:
    """Check a password, and return the key of a new session. Raises Problem."""
    users = service.users
    if users is None:
        raise Problem(409, "there are no users: the monitor runs without --users")
    keys = f"name {name}", f"address {address}"
    if (wait := service.attempts.wait(*keys)) > 0:
        after = {"Retry-After": str(int(wait) + 1)}
        raise Problem(429, "too many wrong passwords: try again later", after)
    # Counted before it is known, so that many requests at once are no way around.
    service.attempts.failed(*keys)
    async with _turns:
        user: User | None = await asyncio.to_thread(users.check, name, password)
    if user is None:
        raise Problem(401, "the name or the password is wrong")
    service.attempts.succeeded(*keys)
    return service.sessions.begin(user)


def end(visit: Visit) -> None:
    """End the session of a request."""
    visit.service.sessions.end(visit.request.cookies.get(COOKIE, ""))


def set_cookie(response: Response, request: Request, key: str) -> None:
    """Give a browser the key of its session, for this site only."""
    response.set_cookie(
        COOKIE,
        key,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def _record(visitor: Visitor) -> Record:
    return {"name": visitor.name, "role": visitor.role, "token": visitor.token}
