"""Spans of the client and the worker for asyncio, as those of the blocking ones."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import StatusCode, format_span_id

import gearman.tracing
from gearman.aio import Client, RunningJob, Worker
from gearman.aio.client_link import ClientLink
from gearman.errors import JobFailed, JobRetry, OptionError, ServerUnavailable
from tests import servers
from tests.aio.scripted import Scripted, Talk, scripted
from tests.aio.stage import run
from tests.servers import Server
from tests.tracing.collector import Collector, collector
from tests.tracing.conftest import Spans
from tests.tracing.test_traces import check

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.fixture
def collected() -> Iterator[Collector]:
    with collector() as found:
        yield found


@pytest.fixture
def server(collected: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that makes spans."""
    for name, value in collected.environment.items():
        monkeypatch.setenv(name, value)
    with servers.ours("--traces") as started:
        yield started


def seen(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


# With a server.


@asynccontextmanager
async def working(server: Server, name: str, function: Any) -> AsyncIterator[Client]:
    """A client, while a worker has this function."""
    worker = Worker(server.address, concurrency=5)
    worker.register(name, function)
    work = asyncio.create_task(worker.work())
    async with Client(server.address) as client:
        try:
            yield client
        finally:
            worker.stop()
            await work


def test_client_server_and_worker_have_one_trace(
    server: Server,
    spans: Spans,
    collected: Collector,
    provider: TracerProvider,
    task: str,
) -> None:
    async def function(job: RunningJob) -> bytes:
        with provider.get_tracer("mine").start_as_current_span("inner"):
            return job.workload.upper()

    async def main() -> None:
        async with working(server, task, function) as client:
            assert await client.call(task, b"x") == b"X"

    # The collector's connections are descriptors of this process, too.
    asyncio.run(main())
    handle = check(task, spans, collected.wait_for(1))
    sent, processed = spans.one(f"send {task}"), spans.one(f"process {task}")
    for span, operation in ((sent, "send"), (processed, "process")):
        assert span.status.status_code is StatusCode.UNSET
        assert seen(span) == {
            "messaging.system": "gearman",
            "messaging.destination.name": task,
            "messaging.message.id": handle,
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
            "server.address": server.host,
            "server.port": server.port,
        }
    inner = spans.one("inner")
    assert inner.parent is not None
    assert inner.parent.span_id == processed.context.span_id


def test_each_of_many_jobs_has_its_own_trace(
    server: Server, spans: Spans, provider: TracerProvider, task: str
) -> None:
    """Plain functions run in threads, and see the span of their job."""
    tracer = provider.get_tracer("mine")

    def function(job: RunningJob) -> bytes:
        with tracer.start_as_current_span(f"inner {job.workload.decode()}"):
            return job.workload

    async def call(client: Client, number: int) -> None:
        with tracer.start_as_current_span(f"outer {number}"):
            assert await client.call(task, str(number)) == str(number).encode()

    async def main() -> None:
        async with working(server, task, function) as client:
            await asyncio.gather(*(call(client, number) for number in range(20)))

    asyncio.run(main())
    traces = set()
    for number in range(20):
        outer, inner = spans.one(f"outer {number}"), spans.one(f"inner {number}")
        assert outer.context.trace_id == inner.context.trace_id
        traces.add(outer.context.trace_id)
    assert len(traces) == 20


@pytest.mark.parametrize("counts", [True, False])
def test_job_that_is_given_back(
    server: Server, spans: Spans, collected: Collector, task: str, counts: bool
) -> None:
    tries: list[int] = []

    async def function(job: RunningJob) -> bytes:
        tries.append(1)
        if len(tries) < 2:
            raise JobRetry(delay=0, reason="busy", counts=counts)
        return b"done"

    async def main() -> None:
        async with working(server, task, function) as client:
            assert await client.call(task, retries=1) == b"done"

    asyncio.run(main())
    check(task, spans, collected.wait_for(2), attempts=2)
    first, _ = spans.named(f"process {task}")
    (event,) = first.events
    if counts:
        assert seen(first)["error.type"] == "gearman.errors.JobRetry"
        assert first.status.description == "busy"
        assert event.name == "exception"
    else:
        assert first.status.status_code is StatusCode.UNSET
        assert event.name == "gearman.job.given_back"
        assert dict(event.attributes or {}) == {"seconds": "0", "reason": "busy"}


def test_failing_job_fails_its_span(server: Server, spans: Spans, task: str) -> None:
    async def function(job: RunningJob) -> None:
        raise KeyError("missing")

    async def main() -> None:
        async with working(server, task, function) as client:
            with pytest.raises(JobFailed):
                await client.call(task)
            (job,) = await client.submit_many([(task, b"", {"unique": "u"})])
            assert job.handle

    asyncio.run(main())
    first, *_ = spans.named(f"process {task}")
    assert seen(first)["error.type"] == "KeyError"
    assert first.status.status_code is StatusCode.ERROR
    for span in spans.named(f"send {task}"):
        assert span.status.status_code is StatusCode.UNSET


# With a server whose packets the test writes.


def play(scene: Callable[[Scripted, Client], Awaitable[None]]) -> None:
    async def main() -> None:
        async with scripted() as script, Client(script.address) as client:
            await scene(script, client)

    run(main())


def test_job_has_the_context_of_its_span(spans: Spans) -> None:
    async def scene(script: Scripted, client: Client) -> None:
        submission = asyncio.create_task(client.submit("f", b"x", retries=1))
        talk = await script.accept("OPTION_REQ", "OPTION_REQ")
        talk.send("OPTION_RES", b"extensions")
        *_, options, _ = await talk.expect("SUBMIT_JOB_WITH")
        talk.send("JOB_CREATED", b"H:1")
        await submission
        context = spans.one("send f").context
        trace = f"00-{context.trace_id:032x}-{format_span_id(context.span_id)}-03"
        assert dict(pair.split("=") for pair in options.decode().split("&")) == {
            "trace": trace,
            "retries": "1",
            "background": "1",
        }

    play(scene)


@pytest.mark.parametrize("background", [True, False])
def test_server_without_options_gets_the_job_as_ever(
    spans: Spans, background: bool
) -> None:
    async def scene(script: Scripted, client: Client) -> None:
        submission = asyncio.create_task(
            client.submit("f", b"x", unique="u", background=background)
        )
        talk = await script.accept("OPTION_REQ", "OPTION_REQ")
        talk.send("OPTION_RES", b"exceptions")
        talk.send("ERROR", b"UNKNOWN_OPTION", b"what?")
        name = "SUBMIT_JOB_BG" if background else "SUBMIT_JOB"
        assert await talk.expect(name) == [b"f", b"u", b"x"]
        talk.send("JOB_CREATED", b"H:1")
        await submission
        assert seen(spans.one("send f"))["messaging.message.id"] == "H:1"

    play(scene)


def test_refused_submission_fails_its_span(spans: Spans) -> None:
    async def scene(script: Scripted, client: Client) -> None:
        submission = asyncio.create_task(client.submit("f", b"x"))
        talk = await script.accept("OPTION_REQ", "OPTION_REQ")
        talk.send("OPTION_RES", b"exceptions")
        talk.send("OPTION_RES", b"extensions")
        await talk.expect("SUBMIT_JOB_WITH")
        talk.send("ERROR", b"QUEUE_ERROR", b"full")
        with pytest.raises(JobFailed):
            await submission
        span = spans.one("send f")
        assert seen(span)["error.type"] == "QUEUE_ERROR"
        assert span.status.description == "full"

    play(scene)


def test_submission_that_the_server_cannot_have_fails_its_span(spans: Spans) -> None:
    async def scene(script: Scripted, client: Client) -> None:
        submission = asyncio.create_task(client.submit("f", b"x", retries=1))
        talk = await script.accept("OPTION_REQ", "OPTION_REQ")
        talk.send("OPTION_RES", b"exceptions")
        talk.send("ERROR", b"UNKNOWN_OPTION", b"what?")
        with pytest.raises(gearman.errors.UnsupportedByServer):
            await submission
        span = spans.one("send f")
        assert seen(span)["error.type"] == "gearman.errors.UnsupportedByServer"

    play(scene)


def test_wrong_submission_fails_its_span(spans: Spans) -> None:
    async def scene(script: Scripted, client: Client) -> None:
        submission = asyncio.create_task(client.submit("f", b"x"))
        talk = await script.accept("OPTION_REQ", "OPTION_REQ")
        talk.send("OPTION_RES", b"exceptions")
        talk.send("OPTION_RES", b"extensions")
        await talk.expect("SUBMIT_JOB_WITH")
        talk.send("JOB_CREATED", b"H:1")
        await submission
        with pytest.raises(gearman.errors.ProtocolError):
            await client.submit("f\0", b"x")
        assert seen(spans.one("send f\0"))["error.type"].endswith("ProtocolError")
        with pytest.raises(OptionError):
            await client.submit("f", b"x", retries=-1)

    play(scene)


def test_lost_connection_fails_the_span(spans: Spans) -> None:
    async def scene(script: Scripted, client: Client) -> None:
        first = asyncio.create_task(client.submit("f", b"x"))
        talk = await script.accept("OPTION_REQ", "OPTION_REQ")
        talk.close()
        with pytest.raises(ServerUnavailable):
            await first
        assert seen(spans.one("send f"))["error.type"] == "ConnectionError"

    play(scene)


def test_lost_connection_leaves_the_spans_of_another(spans: Spans) -> None:
    async def main() -> None:
        async with (
            scripted() as one,
            scripted() as two,
            Client(one.address) as first,
            Client(two.address) as second,
        ):
            jobs = [
                asyncio.create_task(client.submit("f", b"x"))
                for client in (first, second)
            ]
            talks = [await each.accept("OPTION_REQ") for each in (one, two)]
            for talk in talks:
                await talk.expect("OPTION_REQ")
                talk.send("OPTION_RES", b"exceptions")
                talk.send("OPTION_RES", b"extensions")
                await talk.expect("SUBMIT_JOB_WITH")
            talks[0].close()
            with pytest.raises(ServerUnavailable):
                await jobs[0]
            talks[1].send("JOB_CREATED", b"H:1")
            await jobs[1]

    run(main())
    kinds = [seen(span).get("error.type") for span in spans.named("send f")]
    assert sorted(kinds, key=str) == ["ConnectionError", None]


async def awake(script: Scripted) -> Talk:
    """Return the connection of a worker that asks for a job."""
    talk = await script.accept("CAN_DO", "OPTION_REQ", "PRE_SLEEP")
    assert await talk.expect("OPTION_REQ") == [b"traces"]
    talk.send("ERROR", b"UNKNOWN_OPTION", b"extensions")
    talk.send("OPTION_RES", b"traces")
    talk.send("NOOP")
    await talk.expect("GRAB_JOB_UNIQ")
    return talk


def test_traces_are_those_of_their_jobs(spans: Spans) -> None:
    async def function(job: RunningJob) -> None:
        return None

    async def main() -> None:
        async with scripted() as script:
            worker = Worker(script.address, concurrency=2)
            worker.register("f", function)
            work = asyncio.create_task(worker.work())
            talk = await awake(script)
            # The second one has come before the first one begins.
            talk.send("JOB_TRACE", b"H:1", TRACE.encode())
            talk.send("JOB_ASSIGN_UNIQ", b"H:1", b"f", b"u", b"x")
            names = [(await talk.receive()).name for _ in range(3)]
            assert sorted(names) == ["GRAB_JOB_UNIQ"] * 2 + ["WORK_COMPLETE"]
            talk.send("JOB_TRACE", b"H:2", TRACE.replace("a", "c").encode())
            talk.send("JOB_ASSIGN_UNIQ", b"H:2", b"f", b"u", b"x")
            talk.send("JOB_ASSIGN_UNIQ", b"H:3", b"f", b"u", b"x")
            talk.send("NO_JOB")
            ends = 0
            while ends < 2:
                ends += (await talk.receive()).name == "WORK_COMPLETE"
            worker.stop()
            for _ in range(4):
                talk.send("NO_JOB")
            await work

    run(main())
    first, second, third = spans.named("process f")
    assert first.parent is not None
    assert first.parent.trace_id == int("a" * 32, 16)
    assert second.parent is not None
    assert second.parent.trace_id == int("c" * 32, 16)
    assert third.parent is None


def test_worker_that_ends_fails_the_span(spans: Spans) -> None:
    async def main() -> None:
        started = asyncio.Event()

        async def function(job: RunningJob) -> None:
            started.set()
            await asyncio.Event().wait()

        async with scripted() as script:
            worker = Worker(script.address)
            worker.register("f", function)
            work = asyncio.create_task(worker.work())
            talk = await awake(script)
            talk.send("JOB_ASSIGN_UNIQ", b"H:1", b"f", b"u", b"x")
            await started.wait()
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work

    run(main())
    span = spans.one("process f")
    assert seen(span)["error.type"] == "asyncio.exceptions.CancelledError"


def test_job_that_began_before_has_no_span(spans: Spans) -> None:
    gearman.tracing.uninstrument()

    async def main() -> None:
        started, go = asyncio.Event(), asyncio.Event()

        async def function(job: RunningJob) -> None:
            started.set()
            await go.wait()
            if job.handle == "H:1":
                raise KeyError
            raise JobRetry(counts=False)

        async with scripted() as script:
            worker = Worker(script.address)
            worker.register("f", function)
            work = asyncio.create_task(worker.work())
            talk = await script.accept("CAN_DO", "OPTION_REQ", "PRE_SLEEP")
            talk.send("OPTION_RES", b"extensions")
            for handle, end in ((b"H:1", "WORK_EXCEPTION"), (b"H:2", "WORK_RETRY")):
                talk.send("NOOP")
                await talk.expect("GRAB_JOB_UNIQ")
                talk.send("JOB_ASSIGN_UNIQ", handle, b"f", b"u", b"x")
                await started.wait()
                gearman.tracing.instrument()
                go.set()
                await talk.expect(end)
                gearman.tracing.uninstrument()
                started.clear()
                go.clear()
                await talk.expect("GRAB_JOB_UNIQ")
                talk.send("NO_JOB")
                await talk.expect("PRE_SLEEP")
            worker.stop()
            await work

    run(main())
    assert spans.named("process f") == []


def test_nothing_is_replaced_without_it() -> None:
    assert not hasattr(ClientLink.submit, "__wrapped__")
    assert not hasattr(Worker._run, "__wrapped__")
