"""An endpoint of the API as a row of a table, and how it is called."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.responses import Response

from ...access.users import ACT
from ...reading.failures import reason
from ...reading.link import Refused
from .. import queries
from ..problems import Json, Problem
from ..queries import Parameter
from ..schema import Schema, check
from ..visit import Visit, check_token, parse_json, read_body

Handler = Callable[[Visit], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a method and a path do.

    `role` is who may use it: view, act, or empty for everybody. A handler returns what
    becomes JSON, or a Response. `answer` is the schema of that; None for a stream.
    `errors` are statuses that only this endpoint has.
    """

    method: str
    path: str
    summary: str
    handler: Handler
    answer: Schema | None
    query: Mapping[str, Parameter] = field(default_factory=dict)
    body: Schema | None = None
    role: str = "view"
    errors: tuple[int, ...] = ()

    @property
    def changes(self) -> bool:
        return self.method != "GET"

    async def run(self, visit: Visit) -> Response:
        """Answer a request. Raises Problem."""
        await self._admit(visit)
        visit.query = queries.read(visit.request.scope["query_string"], self.query)
        if self.body is not None:
            body = await read_body(visit.request, self.role)
            visit.body = parse_json(visit.request, body)
            _check_body(self.body, visit.body)
        try:
            answer = await self.handler(visit)
            return answer if isinstance(answer, Response) else Json(answer)
        except Refused as refused:
            raise Problem(409, str(refused)) from refused
        except (OSError, ValueError) as error:
            raise Problem(502, f"the server can't be asked: {reason(error)}") from error

    async def _admit(self, visit: Visit) -> None:
        if not self.role:
            return
        if visit.visitor is None:
            raise Problem(401, "log in with POST /api/session")
        if self.role == ACT and not visit.visitor.may_act:
            raise Problem(403, "this needs the role act")
        if self.changes:
            check_token(visit)


def _check_body(schema: Schema, body: object) -> None:
    try:
        check(schema, body)
    except ValueError as error:
        raise Problem(400, str(error)) from None
