"""The client with a server whose packets the test writes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gearman.aio import Client, Data, Job, NotAccepted, Update
from gearman.aio import servers as aio_servers
from gearman.aio.client_link import Answer
from gearman.aio.mapping import Results, Source
from gearman.aio.results import _watched
from gearman.errors import (
    JobFailed,
    ProtocolError,
    ResultNotReady,
    ServerUnavailable,
    UnsupportedByServer,
)
from tests.aio.scripted import Scripted, Talk, scripted
from tests.aio.stage import run, soon
from tests.servers import DEADLINE

Scene = Callable[[Scripted, Client], Awaitable[None]]


def play(scene: Scene) -> None:
    """Play a scene with a scripted server, and a client of it."""

    async def main() -> None:
        async with scripted() as script, Client(script.address) as client:
            await scene(script, client)

    run(main())


async def talk_of(script: Scripted) -> Talk:
    """Return the next connection, which has asked for exceptions."""
    return await script.accept("OPTION_REQ")


async def called(
    script: Scripted, client: Client, handle: bytes = b"H:1"
) -> tuple[asyncio.Task[bytes], Talk]:
    """Return a call whose job was accepted, and the connection."""
    call = asyncio.create_task(client.call("f", b"x"))
    talk = await talk_of(script)
    await talk.expect("SUBMIT_JOB")
    talk.send("JOB_CREATED", handle)
    return call, talk


def test_a_caller_is_told_why_the_connection_was_closed() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        for data, reason in (
            (b"\0REX12345678", "begins with"),
            (b"OK\r\n", "a line came without a question"),
            (b"\0RES\0\0\0\x06\0\0\0\0", "unexpected packet 6"),
            (b"\0RES\0\0\0\x08\0\0\0\x01H", "no pending requests"),
            (b"\0REQ\0\0\0\x08\0\0\0\x01H", "magic"),
        ):
            call, talk = await called(script, client)
            talk.writer.write(data)
            with pytest.raises(ServerUnavailable, match=reason):
                await call
            assert await talk.ended()

    play(scene)


def test_a_lost_connection_ends_all_that_waits() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        call, talk = await called(script, client)
        job = asyncio.create_task(client.submit("f", keep=1.0))
        status = asyncio.create_task(client.job("H:1").status())
        result = asyncio.create_task(client.job("H:1").result())
        await talk.expect("OPTION_REQ", "GET_STATUS")
        talk.close()
        for task in (call, job, status):
            with pytest.raises(ServerUnavailable, match="is lost"):
                await task
        # The result is asked for again.
        talk = await talk_of(script)
        await talk.expect("OPTION_REQ")
        talk.send("OPTION_RES", b"extensions")
        await talk.expect("GET_RESULT")
        talk.send("RESULT_RES", b"H:1", b"done", b"x")
        assert await result == b"x"

    play(scene)


def test_a_broken_connection_has_a_reason() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        call, talk = await called(script, client)
        await soon(lambda: client.servers[0].link)
        link = client.servers[0].link
        assert link is not None
        link.connection_lost(ConnectionResetError("reset"))
        with pytest.raises(ServerUnavailable, match="reset"):
            await call
        link.lost = asyncio.get_running_loop().create_future()
        link.abort("twice")
        link.abort("three times")

    play(scene)


def test_a_server_without_extensions_gets_packets_of_the_standard() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        delayed = asyncio.create_task(client.submit("f", delay=5.0))
        retried = asyncio.create_task(client.submit("f", retries=5))
        many = asyncio.create_task(client.submit_many([("f", "", {"retries": 1})]))
        result = asyncio.create_task(client.job("H:1").result())
        talk = await talk_of(script)
        await talk.expect("OPTION_REQ")
        talk.send("ERROR", b"UNKNOWN_OPTION", b"no")
        talk.send("ERROR", b"UNKNOWN_OPTION", b"no")
        await talk.expect("SUBMIT_JOB_EPOCH")
        talk.send("JOB_CREATED", b"H:1")
        job = await delayed
        assert job.handle == "H:1"
        for task in (retried, result):
            with pytest.raises(UnsupportedByServer):
                await task
        with pytest.raises(NotAccepted):
            await many
        with pytest.raises(UnsupportedByServer):
            await client.submit("f", retries=5)
        with pytest.raises(UnsupportedByServer):
            await anext(aiter(job.updates()))

    play(scene)


def test_an_error_without_a_question_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene(script: Scripted, client: Client) -> None:
        call, talk = await called(script, client)
        talk.send("ERROR", b"SOME", b"thing")
        talk.send("WORK_EXCEPTION", b"H:1", b"exception")
        with pytest.raises(JobFailed) as caught:
            await call
        assert caught.value.exception == b"exception"
        # Nobody waits for this one.
        talk.send("WORK_COMPLETE", b"H:2", b"")

    play(scene)


def test_a_call_that_is_cancelled_early_is_cancelled_when_it_is_accepted() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        calls = [asyncio.create_task(client.call("f", b"x")) for _ in "ab"]
        submission = asyncio.create_task(client.submit("f", background=False))
        background = asyncio.create_task(client.submit("f"))
        talk = await talk_of(script)
        for call in (*calls, submission, background):
            await talk.receive()
            call.cancel()
        await asyncio.wait([*calls, submission, background])
        for number in range(4):
            talk.send("JOB_CREATED", b"H:%d" % number)
        for number in range(3):
            assert await talk.line() == b"cancel job H:%d\r\n" % number
        talk.close()
        link = client.servers[0].link
        assert link is not None
        await asyncio.wait([link.lost])

    play(scene)


def test_a_refused_cancellation_is_an_error() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        job = client.job("H:1")
        cancelling = asyncio.create_task(job.cancel())
        talk = await talk_of(script)
        assert await talk.line() == b"cancel job H:1\r\n"
        talk.writer.write(b"ERR PERMISSION_DENIED\r\n")
        with pytest.raises(ProtocolError, match="DENIED"):
            await cancelling
        # The next one is answered when nobody waits any more.
        cancelling = asyncio.create_task(job.cancel())
        await talk.line()
        cancelling.cancel()
        await asyncio.wait([cancelling])
        status = asyncio.create_task(job.status())
        await talk.expect("GET_STATUS")
        talk.writer.write(b"OK\r\n")
        talk.send("STATUS_RES", b"H:1", b"1", b"1", b"2", b"3")
        assert (await status).numerator == 2

    play(scene)


async def _first(job: Job) -> Update:
    return await anext(aiter(job.updates()))


async def _asked(talk: Talk, state: bytes, data: bytes = b"") -> None:
    await talk.expect("GET_RESULT")
    talk.send("RESULT_RES", b"H:1", state, data)


async def _waiting(
    script: Scripted, client: Client, wait: float | None = None
) -> tuple[asyncio.Task[bytes], Talk]:
    """Return a task that waits for a result, when it has asked for it."""
    waiting = asyncio.create_task(client.job("H:1").result(wait))
    talk = await talk_of(script)
    await talk.expect("OPTION_REQ")
    talk.send("OPTION_RES", b"exceptions")
    talk.send("OPTION_RES", b"extensions")
    await _asked(talk, b"running")
    await talk.expect("WATCH_JOB")
    return waiting, talk


def test_the_end_of_a_job_of_others_is_watched() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        waiting, talk = await _waiting(script, client)
        await _asked(talk, b"running")
        talk.send("WORK_COMPLETE", b"H:1", b"result")
        assert await waiting == b"result"

    play(scene)


def test_a_job_may_end_before_it_is_watched() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        waiting, talk = await _waiting(script, client)
        await _asked(talk, b"done", b"result")
        assert await waiting == b"result"
        link = client.servers[0].link
        assert link is not None
        assert not link.open.by_handle

    play(scene)


def test_an_exception_of_a_watched_job_is_told() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        waiting, talk = await _waiting(script, client)
        await _asked(talk, b"running")
        talk.send("WORK_EXCEPTION", b"H:1", b"exception")
        with pytest.raises(JobFailed) as caught:
            await waiting
        assert caught.value.exception == b"exception"

    play(scene)


def test_a_failed_job_has_a_reason() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        waiting, talk = await _waiting(script, client)
        await _asked(talk, b"running")
        talk.send("WORK_FAIL", b"H:1")
        # Its end is being stored.
        await _asked(talk, b"running")
        await _asked(talk, b"failed", b"too late")
        with pytest.raises(JobFailed, match="too late"):
            await waiting

    play(scene)


def test_a_reason_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gearman.aio.results.STORING", 0.0)

    async def scene(script: Scripted, client: Client) -> None:
        waiting, talk = await _waiting(script, client)
        await _asked(talk, b"running")
        talk.send("WORK_FAIL", b"H:1")
        await asyncio.sleep(0.01)
        await _asked(talk, b"running")
        with pytest.raises(JobFailed):
            await waiting

    play(scene)


def test_a_watched_job_is_asked_for_again_after_a_lost_connection() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        waiting, talk = await _waiting(script, client)
        await _asked(talk, b"running")
        talk.abort()
        talk = await talk_of(script)
        await talk.expect("OPTION_REQ")
        talk.send("OPTION_RES", b"extensions")
        await _asked(talk, b"done", b"result")
        assert await waiting == b"result"

    play(scene)


def test_a_job_that_takes_long_is_watched_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(script: Scripted, client: Client) -> None:
        limits: list[asyncio.Timeout] = []
        timeout = asyncio.timeout

        def noted(seconds: float | None) -> asyncio.Timeout:
            limits.append(timeout(seconds))
            return limits[-1]

        monkeypatch.setattr(asyncio, "timeout", noted)
        waiting, talk = await _waiting(script, client, wait=DEADLINE)
        await _asked(talk, b"running")
        # The time is over. The first limit is that of the wait.
        limits[0].reschedule(0)
        with pytest.raises(ResultNotReady, match="it is running"):
            await waiting
        job = client.job("H:1")
        again = asyncio.create_task(job.result())
        await _asked(talk, b"running")
        await _asked(talk, b"running")
        updating = asyncio.create_task(_first(job))
        await talk.expect("GET_STATUS")
        talk.send("STATUS_RES", b"H:1", b"1", b"1", b"0", b"0")
        await asyncio.sleep(0.01)
        talk.send("WORK_DATA", b"H:1", b"part")
        assert await updating == Data(b"part")
        talk.send("WORK_COMPLETE", b"H:1", b"result")
        assert await again == b"result"

    play(scene)


def test_an_answer_that_nobody_awaits_any_more_is_dropped() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        waiting = asyncio.create_task(client.job("H:1").result())
        talk = await talk_of(script)
        await talk.expect("OPTION_REQ")
        talk.send("OPTION_RES", b"extensions")
        await talk.expect("GET_RESULT")
        waiting.cancel()
        await asyncio.wait([waiting])
        talk.send("RESULT_RES", b"H:1", b"done", b"x")
        status = asyncio.create_task(client.job("H:1").status())
        await talk.expect("GET_STATUS")
        talk.send("STATUS_RES", b"H:1", b"0", b"0", b"0", b"0")
        assert not (await status).known
        link = client.servers[0].link
        assert link is not None
        question = link.ask_status("H:1")
        question.cancel()
        link._fail_all()
        # A connection that is lost in the meantime is not watched.
        link.abort("by the test")
        assert await _watched(Answer("H:1", client.servers[0])) is None

    play(scene)


def test_a_failed_map_does_not_cancel_what_has_ended() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        results = client.map("f", ["a", "b", "c"])
        first = asyncio.create_task(_next(results))
        talk = await talk_of(script)
        for number in range(3):
            await talk.expect("SUBMIT_JOB")
            talk.send("JOB_CREATED", b"H:%d" % number)
        talk.send("WORK_COMPLETE", b"H:1", b"b")
        talk.send("WORK_FAIL", b"H:0")
        with pytest.raises(JobFailed):
            await first
        assert await talk.line() == b"cancel job H:2\r\n"

    play(scene)


async def _next(results: Results) -> bytes:
    return await anext(results)


def test_no_answer_in_time_is_no_result() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        with pytest.raises(ResultNotReady, match="no server has answered"):
            await client.job("H:1").result(wait=0.01)

    play(scene)


def test_an_update_that_nobody_awaits_any_more_is_kept() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        submission = asyncio.create_task(client.submit("f", background=False))
        talk = await talk_of(script)
        await talk.expect("SUBMIT_JOB")
        talk.send("JOB_CREATED", b"H:1")
        job = await submission
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(aiter(job.updates()))
        talk.send("WORK_DATA", b"H:1", b"part")
        assert await anext(aiter(job.updates())) == Data(b"part")

    play(scene)


def test_who_sends_much_waits() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        large = b"x" * 8_000_000
        tasks = [asyncio.create_task(client.submit("f", large)) for _ in range(4)]
        talk = await talk_of(script)
        link = client.servers[0].link
        assert link is not None
        await soon(lambda: link.blocked and len(link._blocked) == 3)
        tasks.pop().cancel()
        await soon(lambda: len(link._blocked) == 2)
        for number in range(3):
            await talk.expect("SUBMIT_JOB_BG")
            talk.send("JOB_CREATED", b"H:%d" % number)
        assert {(await task).handle for task in tasks} == {"H:0", "H:1", "H:2"}

    play(scene)


def test_who_waits_to_send_hears_of_a_lost_connection() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        large = b"x" * 8_000_000
        tasks = [asyncio.create_task(client.submit("f", large)) for _ in range(2)]
        talk = await talk_of(script)
        link = client.servers[0].link
        assert link is not None
        await soon(lambda: link._blocked)
        talk.abort()
        # The second one has another connection for its job.
        talk = await talk_of(script)
        await talk.expect("SUBMIT_JOB_BG")
        talk.send("JOB_CREATED", b"H:2")
        with pytest.raises(ServerUnavailable):
            await tasks[0]
        assert (await tasks[1]).handle == "H:2"

    play(scene)


def test_a_server_that_accepts_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aio_servers, "PATIENCE", 0.01)

    async def scene(script: Scripted, client: Client) -> None:
        submission = asyncio.create_task(client.submit("f", b"x" * 8_000_000))
        await talk_of(script)
        await client.close()
        with pytest.raises(ServerUnavailable):
            await submission
        await client.close()

    play(scene)


# Workloads that come from an async iterable.


async def coming(*workloads: str, wait: bool = False) -> AsyncIterator[str]:
    for workload in workloads:
        await asyncio.sleep(0)
        yield workload
    if wait:
        await asyncio.Event().wait()


async def done(talk: Talk, handle: bytes) -> bytes:
    """Accept the next job, and end it; return its workload."""
    *_, workload = await talk.expect("SUBMIT_JOB")
    talk.send("JOB_CREATED", handle)
    talk.send("WORK_COMPLETE", handle, workload.upper())
    return workload


def test_map_yields_while_workloads_are_awaited() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        results = client.map("f", coming("a", "b", wait=True), concurrency=3)
        first = asyncio.create_task(anext(results))
        talk = await talk_of(script)
        assert await done(talk, b"H:1") == b"a"
        assert await first == b"A"
        second = asyncio.create_task(anext(results))
        assert await done(talk, b"H:2") == b"b"
        assert await second == b"B"
        # It waits for one more, and so does its iterable.
        third = asyncio.create_task(anext(results))
        await asyncio.sleep(0.01)
        third.cancel()
        with pytest.raises(asyncio.CancelledError):
            await third
        with pytest.raises(StopAsyncIteration):
            await anext(results)

    play(scene)


def test_map_submits_up_to_its_concurrency_of_what_comes() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        results = client.map("f", coming("a", "b", "c"), concurrency=2)
        first = asyncio.create_task(anext(results))
        talk = await talk_of(script)
        await talk.expect("SUBMIT_JOB", "SUBMIT_JOB")
        talk.send("JOB_CREATED", b"H:1")
        talk.send("JOB_CREATED", b"H:2")
        talk.send("WORK_COMPLETE", b"H:1", b"A")
        assert await first == b"A"
        rest = asyncio.create_task(_all(results))
        assert await done(talk, b"H:3") == b"c"
        talk.send("WORK_COMPLETE", b"H:2", b"B")
        assert await rest == [b"B", b"C"]

    play(scene)


async def _all(results: Results) -> list[bytes]:
    return [each async for each in results]


def test_error_of_the_iterable_cancels_the_jobs() -> None:
    async def broken() -> AsyncIterator[str]:
        yield "a"
        raise LookupError("no more")

    async def scene(script: Scripted, client: Client) -> None:
        first = asyncio.create_task(anext(client.map("f", broken())))
        talk = await talk_of(script)
        await talk.expect("SUBMIT_JOB")
        with pytest.raises(LookupError, match="no more"):
            await first
        talk.send("JOB_CREATED", b"H:1")
        assert await talk.line() == b"cancel job H:1\r\n"
        talk.writer.write(b"OK\r\n")

    play(scene)


def test_results_that_are_dropped_leave_no_task() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        results = client.map("f", coming("a", "b", wait=True), concurrency=3)
        first = asyncio.create_task(anext(results))
        talk = await talk_of(script)
        assert await done(talk, b"H:1") == b"a"
        assert await first == b"A"
        await talk.expect("SUBMIT_JOB")
        del results, first
        # Its task is told that it is cancelled, and ends.
        await soon(lambda: len(asyncio.all_tasks()) == 1)

    play(scene)


def test_end_of_the_iterable_that_nobody_awaits_is_no_error() -> None:
    async def scene(script: Scripted, client: Client) -> None:
        results = client.map("f", coming("a"), concurrency=2)
        first = asyncio.create_task(anext(results))
        talk = await talk_of(script)
        await talk.expect("SUBMIT_JOB")
        source = results._source
        assert source is not None
        await soon(lambda: source.ended)
        talk.send("JOB_CREATED", b"H:1")
        talk.send("WORK_COMPLETE", b"H:1", b"A")
        assert await first == b"A"
        assert await _all(results) == []
        await results.aclose()

        other: Source[str] = Source(coming())
        await asyncio.wait([other.next()])
        await other.aclose()

    play(scene)
