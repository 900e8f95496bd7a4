"""A page as a row of a table, and how it is called."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

from starlette.responses import Response

from ..access.users import ACT
from .problems import Problem
from .visit import Visit, check_token, parse_form, read_body, refuse_foreign

Handler = Callable[[Visit], Awaitable[Response]]

LOGIN = "/login"


@dataclass(frozen=True, slots=True)
class Page:
    """What a path shows. `role` is who may see it: view, act, or empty for everybody.

    A handler for POST gets the fields of the form in `visit.form`; one of them, `csrf`,
    must be the visitor's token. Nobody but those with the role act may send a form.
    """

    path: str
    handler: Handler
    role: str = "view"
    methods: tuple[str, ...] = ("GET",)

    async def run(self, visit: Visit) -> Response:
        """Answer a request. Raises Problem."""
        request = visit.request
        if self.role and visit.visitor is None:
            return visit.redirect(f"{LOGIN}?next={quote(_local(request.url.path))}")
        if self.role == ACT and not visit.who.may_act:
            raise Problem(403, "this needs the role act")
        if request.method == "POST":
            visit.form = parse_form(request, await read_body(request))
            if self.role:
                check_token(visit)
            else:
                refuse_foreign(request)
        return await self.handler(visit)


def _local(path: str) -> str:
    return path if path.startswith("/") and not path.startswith("//") else "/"
