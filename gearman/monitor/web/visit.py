"""One request: who asks, for what, and with which words."""

import json
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, unquote_to_bytes

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from ..access.browsers import is_foreign
from ..access.sessions import Visitor
from .problems import Problem
from .service import Service

TOKEN_HEADER: Final = "x-csrf-token"
TOKEN_FIELD: Final = "csrf"
# Bytes of a body: a workload, as base64, and what is around it; and of one that comes
# from somebody who has not logged in.
MOST_BODY: Final = 16 << 20
MOST_OF_STRANGERS: Final = 64 << 10

_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Visit:
    """A request, with what its endpoint needs.

    `query` has the parameters that the table has for an endpoint or a page. `body` is
    what was sent to an endpoint, `form` has the fields that were sent to a page.
    """

    request: Request
    service: Service
    visitor: Visitor | None
    templates: Environment
    query: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    form: dict[str, list[str]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The address of the client, empty for a Unix socket."""
        return self.request.client.host if self.request.client else ""

    @property
    def who(self) -> Visitor:
        """Who asks, at an endpoint for those who have logged in."""
        assert self.visitor is not None  # noqa: S101
        return self.visitor

    def field(self, name: str) -> str:
        """Return the first value of a field of the form, empty if there is none."""
        return self.form.get(name, [""])[0]

    def names(self, name: str) -> list[bytes]:
        """Return the values of a field whose values were written by the filter `query`.

        So bytes that are not UTF-8 get through a form.
        """
        return [unquote_to_bytes(value) for value in self.form.get(name, [])]

    def render(self, template: str, status: int = 200, **context: Any) -> HTMLResponse:
        """Return a page. Templates also get `visitor`, `service`, `path` and `query`.

        `here` is the path with its query; `remark` is what is told about an action.

        All values are escaped.
        """
        text = self.templates.get_template(template).render(
            visitor=self.visitor,
            service=self.service,
            path=self.request.url.path,
            here=self._here(),
            query=self.query,
            remark=self.service.remarks.find(self.query.get("note", "")),
            needs_login=self.service.sessions.are_needed,
            **context,
        )
        return HTMLResponse(text, status)

    def _here(self) -> str:
        """Return the path and the query of a page, without the key of a remark."""
        url = self.request.url
        parts = [p for p in url.query.split("&") if p and not p.startswith("note=")]
        return f"{url.path}?{'&'.join(parts)}" if parts else url.path

    def redirect(self, path: str) -> RedirectResponse:
        """Send the browser to another page, which it gets with GET."""
        return RedirectResponse(path, 303)


async def read_body(request: Request, role: str) -> bytes:
    """Return the body, from who has a role. Raises Problem if it is too long."""
    most = MOST_BODY if role else MOST_OF_STRANGERS
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > most:
            raise Problem(413, f"a body has {most} bytes at most")
    return b"".join(parts)


def parse_json(request: Request, body: bytes) -> Any:
    """Return what is in a body of JSON. Raises Problem."""
    if _media_type(request) != "application/json":
        raise Problem(415, "the body must be JSON, with its Content-Type")
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Problem(400, "the body is no JSON") from None


def _refuse(word: str) -> None:
    raise ValueError(word)


def parse_form(request: Request, body: bytes) -> dict[str, list[str]]:
    """Return the fields of a form. Raises Problem."""
    if _media_type(request) != _FORM:
        raise Problem(415, f"a form must be {_FORM}")
    try:
        return parse_qs(
            body.decode(),
            keep_blank_values=True,
            max_num_fields=20_000,
            errors="strict",
        )
    except ValueError:
        raise Problem(400, "the form can't be read") from None


def check_token(visit: Visit) -> None:
    """Raise Problem unless a change is asked for by a page of ours, or by a program.

    The token is in a header, or in a field of a form.
    """
    refuse_foreign(visit.request)
    given = visit.request.headers.get(TOKEN_HEADER) or visit.field(TOKEN_FIELD)
    if not visit.who.is_token(given):
        raise Problem(
            403,
            f"the header {TOKEN_HEADER.upper()} must have the token that"
            " GET /api/session tells",
        )


def refuse_foreign(request: Request) -> None:
    """Raise Problem if a page of another site sends this."""
    if is_foreign(request.headers):
        raise Problem(403, "this request comes from a page of another site")


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
