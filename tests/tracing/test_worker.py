"""Spans of jobs that run: their parents, and how they end."""

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import StatusCode

import gearman
from tests.client.stage import Conversation, HandServer, meanwhile, working
from tests.servers import DEADLINE
from tests.tracing.conftest import Spans

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.fixture
def hand() -> Iterator[HandServer]:
    with HandServer() as server:
        yield server


def awake(side: Conversation, *answer: bytes) -> None:
    """Answer what a worker sends first, and wake it."""
    assert side.expect("OPTION_REQ") == [b"traces"]
    side.send("OPTION_RES" if len(answer) == 1 else "ERROR", *answer)
    side.expect("RESET_ABILITIES", "CAN_DO", "PRE_SLEEP")
    side.send("NOOP")
    side.expect("GRAB_JOB_UNIQ")


@pytest.mark.parametrize("answer", [(b"traces",), (b"UNKNOWN_OPTION", b"what?")])
def test_job_without_a_trace_begins_one(
    hand: HandServer, spans: Spans, answer: tuple[bytes, ...]
) -> None:
    with gearman.GearmanWorker([hand.address]) as worker:
        worker.register_task("f", lambda *_: "y")
        with working(worker):
            side = hand.accept()
            awake(side, *answer)
            # This one is about another job.
            side.send("JOB_TRACE", b"H:0", TRACE.encode())
            side.send("JOB_ASSIGN_UNIQ", b"H:1", b"f", b"u", b"x")
            assert side.expect("WORK_COMPLETE") == [b"H:1", b"y"]
            side.expect("GRAB_JOB_UNIQ")
            worker.stop()
            side.send("NO_JOB")
    span = spans.one("process f")
    assert span.parent is None
    assert span.attributes
    assert span.attributes["messaging.message.id"] == "H:1"


def test_span_is_the_current_one_of_the_function(
    hand: HandServer, spans: Spans, provider: TracerProvider
) -> None:
    def function(worker: Any, job: Any) -> str:
        with provider.get_tracer("mine").start_as_current_span("inner"):
            worker.send_job_data(job, "part")
            worker.send_job_failure(job)
        return "ignored"

    with gearman.GearmanWorker([hand.address]) as worker:
        worker.register_task("f", function)
        with working(worker):
            side = hand.accept()
            awake(side, b"traces")
            side.send("JOB_TRACE", b"H:1", TRACE.encode())
            side.send("JOB_ASSIGN", b"H:1", b"f", b"x")
            side.expect("WORK_DATA", "WORK_FAIL", "WORK_COMPLETE", "GRAB_JOB_UNIQ")
            worker.stop()
            side.send("NO_JOB")
    span, inner = spans.one("process f"), spans.one("inner")
    assert span.parent is not None
    assert span.parent.span_id == int("b" * 16, 16)
    assert inner.parent is not None
    assert inner.parent.span_id == span.context.span_id
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes
    assert span.attributes["error.type"] == "WORK_FAIL"
    assert not trace.get_current_span().get_span_context().is_valid


def test_exception_is_reported_as_well(
    worker: Any, client: Any, task: str, spans: Spans
) -> None:
    def function(worker: Any, job: Any) -> None:
        raise KeyError("missing")

    worker.report_exceptions = True
    worker.register_task(task, function)
    with working(worker):
        request = client.submit_job(task, "", poll_timeout=DEADLINE)
    assert request.exception_details.type == "builtins.KeyError"
    span = spans.one(f"process {task}")
    assert span.attributes
    assert span.attributes["error.type"] == "KeyError"


def test_what_is_sent_for_a_job_that_does_not_run_marks_no_span(
    worker: Any, client: Any, task: str, spans: Spans
) -> None:
    kept: list[Any] = []
    worker.register_task(task, lambda worker, job: kept.insert(0, job))
    with working(worker):
        assert client.submit_job(task, "", poll_timeout=DEADLINE).complete
    spans.one(f"process {task}")
    handler = gearman.worker_handler.GearmanWorkerCommandHandler(Silent())
    handler._options.accepted("extensions")
    handler.send_job_failure(kept[0])
    handler.send_job_retry(kept[0], "0+", "why")
    assert spans.one(f"process {task}").status.status_code is StatusCode.UNSET


class Silent:
    """A worker whose packets go nowhere."""

    def send_command(self, *_: Any) -> None:
        pass


def test_lost_connection_fails_the_span(hand: HandServer, spans: Spans) -> None:
    def function(worker: Any, job: Any) -> None:
        worker.shutdown()
        worker.send_job_data(job, "part")

    with gearman.GearmanWorker([hand.address]) as worker:
        worker.register_task("f", function)
        work = meanwhile(worker.work)
        side = hand.accept()
        awake(side, b"traces")
        side.send("JOB_ASSIGN", b"H:1", b"f", b"x")
        assert side.ended()
        hand.listener.close()
        worker.stop()
        work.exception(DEADLINE)
    span = spans.one("process f")
    assert span.attributes
    assert span.attributes["error.type"] == "gearman.errors.ServerUnavailable"
