"""One trace goes through client, server and worker, with each build of the server."""

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id

import gearman
from gearman.errors import JobRetry
from tests import servers
from tests.client.stage import working
from tests.servers import DEADLINE, Server
from tests.tracing.collector import Collector, Taken, collector
from tests.tracing.conftest import Spans


@pytest.fixture
def collected() -> Iterator[Collector]:
    with collector() as found:
        yield found


@pytest.fixture(params=[True, False], ids=["pure", "speedups"])
def server(
    request: pytest.FixtureRequest,
    collected: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Server]:
    """A server that makes spans."""
    if not request.param:
        request.getfixturevalue("speedups")
    for name, value in collected.environment.items():
        monkeypatch.setenv(name, value)
    with servers.ours("--traces", pure=request.param) as started:
        yield started


def ids(span: Any) -> tuple[str, str, str]:
    """Return the ids of a span's trace, of itself and of its parent."""
    context, parent = span.context, span.parent
    above = format_span_id(parent.span_id) if parent else ""
    return format_trace_id(context.trace_id), format_span_id(context.span_id), above


def check(task: str, spans: Spans, queued: list[Taken], attempts: int = 1) -> str:
    """Check that all spans of a job are in one trace; return the job's handle."""
    trace, sent, above = ids(spans.one(f"send {task}"))
    assert above == ""
    processed = spans.named(f"process {task}")
    assert [ids(span)[::2] for span in processed] == [(trace, sent)] * attempts
    assert [each.name for each in queued] == [f"queue {task}"] * attempts
    assert [(each.trace, each.parent) for each in queued] == [(trace, sent)] * attempts
    handles = [
        spans.one(f"send {task}").attributes["messaging.message.id"],  # type: ignore[index]
        *(span.attributes["messaging.message.id"] for span in processed),  # type: ignore[index]
        *(each.attributes["messaging.message.id"] for each in queued),
    ]
    assert len(set(handles)) == 1
    return str(handles[0])


def run(
    server: Server, worker: Any, task: str, function: Any, **options: Any
) -> gearman.GearmanJobRequest:
    """Have a worker run a job."""
    ended = []

    def call(worker: Any, job: Any) -> Any:
        try:
            return function(worker, job)
        finally:
            ended.append(job)
            if options.get("background"):
                worker.stop()

    worker.register_task(task, call)
    with gearman.GearmanClient([server.address]) as client, working(worker) as work:
        request = client.submit_job(task, "x", poll_timeout=DEADLINE, **options)
        if request.background:
            work.result(DEADLINE)
    assert ended
    return request


@pytest.mark.parametrize("background", [False, True])
def test_client_server_and_worker_have_one_trace(
    server: Server,
    worker: Any,
    spans: Spans,
    collected: Collector,
    task: str,
    background: bool,
) -> None:
    request = run(server, worker, task, lambda *_: "y", background=background)
    queued = collected.wait_for(1)
    handle = check(task, spans, queued)
    assert handle == request.job.handle
    assert request.options is None
    sent, processed = spans.one(f"send {task}"), spans.one(f"process {task}")
    assert (sent.kind, processed.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    both = {
        "messaging.system": "gearman",
        "messaging.destination.name": task,
        "messaging.message.id": handle,
        "server.address": server.host,
        "server.port": server.port,
    }
    for span, operation in ((sent, "send"), (processed, "process")):
        assert span.status.status_code is StatusCode.UNSET
        assert span.attributes == {
            **both,
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
        }
    (queue,) = queued
    assert queue.service == "gearmand"
    assert queue.attributes == {
        "messaging.system": "gearman",
        "messaging.destination.name": task,
        "messaging.message.id": handle,
        "gearman.job.priority": "normal",
        "gearman.job.background": str(background),
        "gearman.job.attempts": "0",
    }
    assert not queue.failed
    start, end = (sent.start_time or 0) / 1e9, (processed.end_time or 0) / 1e9
    # The clock of the server's turn may be some time old.
    assert start - 1 < queue.start <= queue.end < end + 1


def test_each_attempt_has_a_span(
    server: Server, worker: Any, spans: Spans, collected: Collector, task: str
) -> None:
    seen: list[int] = []

    def function(*_: Any) -> str:
        seen.append(1)
        if len(seen) < 3:
            raise LookupError("not yet")
        return "done"

    request = run(server, worker, task, function, retries=2, backoff="fixed:0")
    assert request.result == "done"
    queued = collected.wait_for(3)
    check(task, spans, queued, attempts=3)
    assert [each.attributes["gearman.job.attempts"] for each in queued] == [*"012"]
    *failed, done = spans.named(f"process {task}")
    assert done.status.status_code is StatusCode.UNSET
    for span in failed:
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes
        assert span.attributes["error.type"] == "LookupError"
        assert span.events[0].name == "exception"


def test_failing_job_fails_its_span(
    server: Server, worker: Any, spans: Spans, collected: Collector, task: str
) -> None:
    def function(*_: Any) -> None:
        raise gearman.errors.GearmanError("no")

    request = run(server, worker, task, function)
    assert request.state == gearman.JOB_FAILED
    check(task, spans, collected.wait_for(1))
    span = spans.one(f"process {task}")
    assert (span.status.status_code, span.status.description) == (
        StatusCode.ERROR,
        "no",
    )
    assert span.attributes
    assert span.attributes["error.type"] == "gearman.errors.GearmanError"
    assert spans.one(f"send {task}").status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("counts", [True, False])
def test_job_that_is_given_back(
    server: Server,
    worker: Any,
    spans: Spans,
    collected: Collector,
    task: str,
    counts: bool,
) -> None:
    seen: list[int] = []

    def function(*_: Any) -> str:
        seen.append(1)
        if len(seen) < 2:
            raise JobRetry(delay=0, reason="busy", counts=counts)
        return "done"

    assert run(server, worker, task, function, retries=1).result == "done"
    check(task, spans, collected.wait_for(2), attempts=2)
    first, _ = spans.named(f"process {task}")
    assert first.attributes
    if counts:
        assert first.attributes["error.type"] == "gearman.errors.JobRetry"
        assert first.status.description == "busy"
    else:
        assert first.status.status_code is StatusCode.UNSET
        (event,) = first.events
        assert event.attributes == {"seconds": "0", "reason": "busy"}


def test_job_that_leaves_the_queue_without_a_worker(
    server: Server, spans: Spans, collected: Collector, task: str
) -> None:
    with gearman.GearmanClient([server.address]) as client:
        client.submit_job(task, "x", background=True, ttl=0.01)
        expired = client.submit_job(task, "x", poll_timeout=DEADLINE, ttl=0.01)
    assert expired.state == gearman.JOB_FAILED
    queued = collected.wait_for(2)
    assert {each.attributes["error.type"] for each in queued} == {"expired"}
    assert all(each.failed for each in queued)
    assert {each.trace for each in queued} == {
        ids(span)[0] for span in spans.named(f"send {task}")
    }


def test_job_without_a_trace_has_no_span_in_the_server(
    server: Server, worker: Any, spans: Spans, collected: Collector, task: str
) -> None:
    gearman.tracing.uninstrument()
    run(server, worker, task, lambda *_: "y")
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    run(server, worker, f"{task}-traced", lambda *_: "y", trace=trace)
    (queued,) = collected.wait_for(1)
    assert (queued.name, queued.trace) == (f"queue {task}-traced", "a" * 32)
