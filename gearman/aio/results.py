"""The result of a job, which servers are asked for after it was submitted.

A server answers at once. To wait for the end of a job, the client watches it: it hears
of the end as if it had submitted the job.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ..client_core.results import PAUSE, STORING, ResultAnswer, failure, of_all
from ..constants import JOB_COMPLETE, JOB_CREATED, JOB_FAILED, PRIORITY_NONE
from ..errors import ConnectionError, JobFailed, ResultNotReady, ServerUnavailable
from ..job import GearmanJob
from ..payload import Payload
from .client_link import Answer, ClientLink
from .requests import Request
from .servers import Server, unavailable

Servers = Sequence[Server[ClientLink]]


async def open_links(servers: Servers) -> list[ClientLink]:
    """Return the connections to the servers that can be reached.

    Raises ServerUnavailable if there is none.
    """
    found = await asyncio.gather(
        *(server.open() for server in servers), return_exceptions=True
    )
    problems = [each for each in found if isinstance(each, BaseException)]
    for problem in problems:
        if not isinstance(problem, ConnectionError):
            raise problem
    links = [each for each in found if isinstance(each, ClientLink)]
    if not links:
        raise unavailable(problems)
    return links


def watch(link: ClientLink, handle: str) -> Request:
    """Have a server tell the end of a job, once for all who wait for it."""
    request = link.open.watcher(handle)
    if not isinstance(request, Request):
        job = GearmanJob(link.server, handle, None, None, None)
        request = Request(job, PRIORITY_NONE, background=False)
        link.watch(request)
    if request.updates is None:
        request.updates = deque()
    return request


async def result_of(servers: Servers, handle: str, wait: float | None) -> bytes:
    """Return the result of a job, as Job.result does."""
    state = ""
    try:
        async with asyncio.timeout(wait or None):
            while True:
                answer = await _ask(servers, handle)
                state = answer.state
                if wait == 0 or (answer.state and not answer.unended):
                    return _result(answer)
                if answer.state:
                    found = await _watched(answer)
                    if found is not None:
                        return found
                # The connection was lost.
                await asyncio.sleep(PAUSE)
    except TimeoutError as error:
        if isinstance(error, ResultNotReady):
            raise
        raise ResultNotReady(handle, state) from None


def _result(answer: ResultAnswer) -> bytes:
    result: Any = answer.result(bytes)
    return bytes(result)


async def _ask(servers: Servers, handle: str) -> Answer:
    """Ask servers for a result; return the answer of the one that knows the job."""
    links = await open_links(servers)
    answers = await asyncio.gather(*(_answer(link, handle) for link in links))
    answer = of_all(answers)
    assert isinstance(answer, Answer)
    return answer


async def _answer(link: ClientLink, handle: str) -> Answer:
    answer = Answer(handle, link.server)
    with suppress(ServerUnavailable):
        answer.without = not await link.extensions()
        if not answer.without:
            await link.ask_result(answer)
    return answer


async def _watched(found: Answer) -> bytes | None:
    """Wait for the end of a job on its server; None if its connection was lost."""
    link = found.server.link
    if link is None or not link.connected:
        return None
    request = watch(link, found.handle)
    # It may have ended before it was watched.
    answer = await _answer(link, found.handle)
    if request.state == JOB_CREATED and answer.state and not answer.unended:
        link.open.unwatch(request)
        request.told_end()
        return _result(answer)
    await request.end()
    if request.state == JOB_COMPLETE:
        return request.outcome()
    if request.state == JOB_FAILED and request.exception is not None:
        raise failure(found.handle, request.exception)
    if request.state == JOB_FAILED:
        raise JobFailed(found.handle, await _reason(found))
    return None


async def _reason(found: Answer) -> str:
    """Ask why a job has failed, which WORK_FAIL does not say.

    For a short time the server may say that the job runs: it tells a result that it
    keeps only when that is stored. If it keeps none, there is no reason.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + STORING
    while True:
        answer = await _ask([found.server], found.handle)
        if not answer.unended or loop.time() > end:
            return str(Payload(answer.data))
        await asyncio.sleep(PAUSE)
