"""A page as a row of a table, and how it is called."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from ..access.users import ACT
from . import queries
from .problems import Problem
from .queries import Parameter
from .visit import Visit, check_token, parse_form, read_body, refuse_foreign

Handler = Callable[[Visit], Awaitable[Response]]

LOGIN = "/login"


@dataclass(frozen=True, slots=True)
class Page:
    """What a path shows.

    `role` is who may see it, and `post_role` who may send its form: view, act, or empty
    for everybody.

    `query` are its parameters, which the handler gets in `visit.query`; without a table
    they are not looked at. A handler for POST gets the fields of the form in
    `visit.form`; one of them, `csrf`, must be the visitor's token.
    """

    path: str
    handler: Handler
    role: str = "view"
    methods: tuple[str, ...] = ("GET",)
    query: Mapping[str, Parameter] | None = None
    post_role: str = ACT

    async def run(self, visit: Visit) -> Response:
        """Answer a request. Raises Problem."""
        request = visit.request
        role = self.post_role if request.method == "POST" else self.role
        if role and visit.visitor is None:
            return visit.redirect(f"{LOGIN}?next={quote(_asked(request))}")
        if role == ACT and not visit.who.may_act:
            raise Problem(403, "this needs the role act")
        if self.query is not None:
            visit.query = queries.read(request.scope["query_string"], self.query)
        if request.method == "POST":
            visit.form = parse_form(request, await read_body(request, role))
            if role:
                check_token(visit)
            else:
                refuse_foreign(request)
        return await self.handler(visit)


def _asked(request: Request) -> str:
    """Return the path of a request, with its query."""
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path
