"""Endpoints that go on: server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from ...reading.events import Watch
from ...reading.link import Target
from ..problems import Problem
from ..visit import Visit

# Seconds after which a comment shows that the connection is alive.
ALIVE: Final = 15.0
# Streams at the same time, of both kinds.
MOST: Final = 100
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
                async with asyncio.timeout(ALIVE):
                    number = await service.news.after(number)
            except TimeoutError:
                yield b": alive\n\n"
            else:
                yield _message("reading", {"number": number})
            if not is_still_allowed(visit):
                return


async def _events(
    visit: Visit, targets: Sequence[Target], names: list[str], patterns: list[bytes]
) -> AsyncIterator[bytes]:
    async with Watch.on(targets, names, patterns) as watch:
        while True:
            try:
                async with asyncio.timeout(ALIVE):
                    record = await watch.next()
            except TimeoutError:
                yield b": alive\n\n"
            else:
                yield _message("event", record)
            if not is_still_allowed(visit):
                return


def is_still_allowed(visit: Visit) -> bool:
    """Whether the one who began a stream has not logged out meanwhile."""
    return visit.service.visitor(visit.request) is not None


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
    finally:
        _streams.discard(stream)


def _message(kind: str, data: Any) -> bytes:
    # JSON has no line ends within.
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
