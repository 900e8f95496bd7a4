"""The answers to HTTP clients: a status, headers, a body."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

Headers = tuple[tuple[bytes, bytes], ...]

TEXT: Final = (b"Content-Type", b"text/plain; charset=utf-8")
DATA: Final = (b"Content-Type", b"application/octet-stream")
JSON: Final = (b"Content-Type", b"application/json")

# Seconds after which a client may try again if the server has refused a job.
RETRY_AFTER: Final = (b"Retry-After", b"1")

_METHODS = frozenset(b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH".split())


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. With `close` it is the last one of its connection."""

    status: int
    body: bytes = b""
    headers: Headers = ()
    close: bool = False


class Listing(NamedTuple):
    """A long answer that is made in pieces, some of which may be empty."""

    headers: Headers
    pieces: Iterator[bytes]


class Refused(Exception):
    """A request that can't be carried out; `answer` says why."""

    def __init__(self, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(text)
        self.answer = sentence(status, text, *headers)


def sentence(status: int, text: str, *headers: tuple[bytes, bytes]) -> Answer:
    """Answer with a sentence for people."""
    return Answer(status, f"{text}\n".encode(), (*headers, TEXT))


def document(value: Any) -> Answer:
    """Answer with a JSON document."""
    return Answer(200, json.dumps(value, indent=2).encode() + b"\n", (JSON,))


def job_headers(handle: bytes, command: bytes) -> Headers:
    """Return the headers by which gearmand describes a job."""
    named = ((b"X-Gearman-Job-Handle", handle),) if handle else ()
    return (*named, (b"X-Gearman-Command", command))


def created(handle: bytes) -> Answer:
    """Acknowledge a background job."""
    return Answer(200, headers=job_headers(handle, b"JOB_CREATED"))


def completed(handle: bytes, result: bytes) -> Answer:
    return Answer(200, result, (*job_headers(handle, b"WORK_COMPLETE"), DATA))


def failed(handle: bytes, reason: bytes = b"") -> Answer:
    text = "The job failed, and its worker did not say why."
    if reason:
        text = f"The job failed: {reason.decode(errors='replace')}."
    return sentence(500, text, *job_headers(handle, b"WORK_FAIL"))


def raised(handle: bytes, exception: bytes) -> Answer:
    return Answer(500, exception, (*job_headers(handle, b"WORK_EXCEPTION"), DATA))


def refused(code: bytes, text: bytes) -> Answer:
    """Answer for a job that the broker has refused."""
    words = text.decode(errors="replace")
    headers = job_headers(b"", b"ERROR")
    if code == b"QUEUE_ERROR":
        status = 429 if words == "Job queue is full" else 503
        return sentence(status, f"{words}. Try again later.", *headers, RETRY_AFTER)
    return sentence(400, f"{words}.", *headers)


def too_late(handle: bytes, seconds: float) -> Answer:
    text = f"The job took longer than {seconds:g} s, and is no longer waited for."
    return sentence(504, text, *job_headers(handle, b"ERROR"))


def shutting_down() -> Answer:
    text = "The server is shutting down. Try again later, or at another one."
    return sentence(503, text, RETRY_AFTER)


def options(allowed: bytes) -> Answer:
    return Answer(204, headers=((b"Allow", allowed),))


def not_allowed(method: bytes, allowed: bytes) -> Answer:
    """Answer for a method that this path does not support."""
    name, known = method.decode(), allowed.decode()
    if method not in _METHODS:
        return sentence(501, f"There is no method {name} here, only {known}.")
    text = f"{name} is not possible here, only {known}."
    return sentence(405, text, (b"Allow", allowed))
