"""Answers to requests that can't be fulfilled: application/problem+json, RFC 9457."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.responses import JSONResponse

MEDIA_TYPE: Final = "application/problem+json"


class Json(JSONResponse):
    """JSON in ASCII, so that halves of surrogate pairs in it do no harm."""

    def render(self, content: object) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


class Problem(Exception):
    """A request is refused with a status; the text is a sentence for people."""

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers

    @property
    def title(self) -> str:
        return HTTPStatus(self.status).phrase

    def response(self) -> Json:
        return Json(
            {
                "type": "about:blank",
                "title": self.title,
                "status": self.status,
                "detail": self.detail,
            },
            self.status,
            self.headers,
            MEDIA_TYPE,
        )
