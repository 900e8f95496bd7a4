"""Before all endpoints: who may connect, and headers of every answer."""

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..access.browsers import is_local_host, is_loopback
from .problems import Problem

HEADERS: Final[Mapping[str, str]] = {
    # No inline script or style, and nothing of another host.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Refuses who is not on this machine, or has another name for it, if `only_local`.

    It adds the headers that every answer has.
    """

    def __init__(self, app: ASGIApp, only_local: bool) -> None:
        self._app = app
        self._only_local = only_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message, scope["path"])
            await send(message)

        refusal = self._refusal(scope)
        app = self._app if refusal is None else refusal.response()
        await app(scope, receive, send_with_headers)

    def _refusal(self, scope: MutableMapping[str, Any]) -> Problem | None:
        if not self._only_local:
            return None
        client = scope.get("client")
        if client and not is_loopback(client[0]):
            return Problem(
                403, "without --users, only this machine may use the monitor"
            )
        if not is_local_host(Headers(scope=scope).get("host", "")):
            return Problem(
                403,
                "without --users, the monitor is only for http://localhost and for"
                " addresses of this machine itself",
            )
        return None


def _add_headers(message: Message, path: str) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers[name] = value
    # Files are kept, and asked for again with their tags; answers are for one user.
    usual = "no-cache" if path.startswith("/static/") else "no-store"
    headers.setdefault("Cache-Control", usual)
