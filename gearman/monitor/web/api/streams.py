"""Endpoints that go on: server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from starlette.responses import Response, StreamingResponse

from ...reading.events import Watch
from ...reading.link import Target
from ..problems import Problem
from ..visit import Visit

T = TypeVar("T")

# Seconds after which a comment shows that the connection is alive.
ALIVE: Final = 15.0
# Seconds between two messages that servers were read.
PAUSE: Final = 0.5
# Streams at the same time, of both kinds.
MOST: Final = 100
_ALIVE: Final = b": alive\n\n"
_streams: set[object] = set()


async def live(visit: Visit) -> Response:
    """Tell that servers were read, each time: what is shown is asked for by others."""
    return _response(visit, _readings(visit))


async def events(visit: Visit) -> Response:
    """Tell what happens on servers, as it happens."""
    names = list(filter(None, visit.query["events"].split(",")))
    patterns = list(filter(None, [visit.query["function"]]))
    targets = visit.service.chosen(visit.query["server"])
    return _response(visit, _events(visit, targets, names, patterns))


async def _readings(visit: Visit) -> AsyncIterator[bytes]:
    service = visit.service
    number = -1
    with service.attention.watching():
        while True:
            try:
                number = await _wait(visit, service.news.after(number))
            except TimeoutError:
                yield _ALIVE
            else:
                yield _message("reading", {"number": number})
            # With many servers, readings come all the time.
            await _wait_for_end(visit, PAUSE)


async def _events(
    visit: Visit, targets: Sequence[Target], names: list[str], patterns: list[bytes]
) -> AsyncIterator[bytes]:
    async with Watch.on(targets, names, patterns) as watch:
        while True:
            try:
                record = await _wait(visit, watch.next())
            except TimeoutError:
                yield _ALIVE
            else:
                visit.service.archive.see(record)
                yield _message("event", record)


class _Over(Exception):
    """The monitor ends, or who asked has logged out."""


async def _wait(visit: Visit, event: Coroutine[Any, Any, T]) -> T:
    """Wait for an event. Raises TimeoutError after ALIVE seconds, and _Over."""
    task = asyncio.create_task(event)
    ending = asyncio.create_task(visit.service.ending.wait())
    try:
        await asyncio.wait(
            (task, ending), timeout=ALIVE, return_when=asyncio.FIRST_COMPLETED
        )
        if ending.done() or visit.service.visitor(visit.request) is None:
            raise _Over
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()
        ending.cancel()


async def _wait_for_end(visit: Visit, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await visit.service.ending.wait()


def _response(visit: Visit, messages: AsyncIterator[bytes]) -> Response:
    if len(_streams) >= MOST:
        raise Problem(503, f"{MOST} pages are open already: close one")
    return StreamingResponse(
        _counted(messages),
        media_type="text/event-stream",
        # nginx would keep the messages in a buffer.
        headers={"X-Accel-Buffering": "no"},
    )


async def _counted(messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    stream = object()
    _streams.add(stream)
    try:
        async for message in messages:
            yield message
    except _Over:
        return
    finally:
        _streams.discard(stream)


def _message(kind: str, data: Any) -> bytes:
    # JSON has no line ends within.
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
