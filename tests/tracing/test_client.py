"""Spans of submissions: what the server gets, and how they end."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider, StatusCode, format_span_id

import gearman
import gearman.tracing
from gearman.options import JobOptions
from tests import servers
from tests.client.stage import Conversation, HandServer, meanwhile, unanswered
from tests.servers import DEADLINE, until
from tests.tracing.conftest import Spans

GIVEN = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.fixture
def hand() -> Iterator[HandServer]:
    with HandServer() as server:
        yield server


def answer(side: Conversation, extensions: bool = True) -> None:
    """Answer what a client asks at first."""
    assert side.expect("OPTION_REQ") == [b"exceptions"]
    side.send("OPTION_RES", b"exceptions")
    assert side.expect("OPTION_REQ") == [b"extensions"]
    if extensions:
        side.send("OPTION_RES", b"extensions")
    else:
        side.send("ERROR", b"UNKNOWN_OPTION", b"Server does not recognize it")


def options_of(side: Conversation) -> dict[str, str]:
    *_, options, _ = side.expect("SUBMIT_JOB_WITH")
    return dict(pair.split("=") for pair in options.decode().split("&"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"background": True}, {"background": "1"}),
        ({"options": JobOptions(retries=1)}, {"retries": "1"}),
        ({"options": {"retries": 1}}, {"retries": "1"}),
        (
            {"retries": 1, "priority": gearman.PRIORITY_LOW},
            {"retries": "1", "priority": "low"},
        ),
        ({"when_to_run": 5, "background": True}, {"at": "5", "background": "1"}),
    ],
)
def test_job_has_the_context_of_its_span(
    hand: HandServer, spans: Spans, given: Any, expected: dict[str, str]
) -> None:
    with gearman.GearmanClient([hand.address]) as client:
        submission = meanwhile(
            client.submit_job, "f", "x", wait_until_complete=False, **given
        )
        side = hand.accept()
        answer(side)
        options = options_of(side)
        side.send("JOB_CREATED", b"H:1")
        request = submission.result(DEADLINE)
    context = spans.one("send f").context
    assert context is not None
    # Flags: it is sampled, and the id is random.
    trace = f"00-{context.trace_id:032x}-{format_span_id(context.span_id)}-03"
    assert options == {"trace": trace, **expected}
    assert (request.options is None) == (not {"options", "retries"} & set(given))


@pytest.mark.parametrize("options", [JobOptions(trace=GIVEN), {"trace": GIVEN}])
def test_trace_of_the_program_stays(
    hand: HandServer, spans: Spans, options: Any
) -> None:
    with gearman.GearmanClient([hand.address]) as client:
        submission = meanwhile(
            client.submit_job, "f", "x", wait_until_complete=False, options=options
        )
        side = hand.accept()
        answer(side)
        assert options_of(side) == {"trace": GIVEN}
        side.send("JOB_CREATED", b"H:1")
        submission.result(DEADLINE)
    assert spans.one("send f").attributes


@pytest.mark.parametrize("provider", [TracerProvider(sampler=ALWAYS_OFF)])
def test_trace_that_is_not_sampled_says_so(hand: HandServer, spans: Spans) -> None:
    with gearman.GearmanClient([hand.address]) as client:
        meanwhile(client.submit_job, "f", "x")
        side = hand.accept()
        answer(side)
        assert int(options_of(side)["trace"][-2:]) & 1 == 0
    assert spans.named("send f") == []


def test_without_a_provider_jobs_are_submitted_as_ever(
    hand: HandServer, spans: Spans
) -> None:
    gearman.tracing.instrument(NoOpTracerProvider())
    with gearman.GearmanClient([hand.address]) as client:
        meanwhile(client.submit_job, "f", "x")
        side = hand.accept()
        assert side.expect("OPTION_REQ", "SUBMIT_JOB")[::2] == [b"f", b"x"]


@pytest.mark.parametrize("several", [False, True])
def test_server_without_options_gets_jobs_as_ever(
    hand: HandServer, spans: Spans, several: bool
) -> None:
    with gearman.GearmanClient([hand.address]) as client:
        jobs = [{"task": "f", "data": "x"}] * (1 + several)
        submission = meanwhile(
            client.submit_multiple_jobs, jobs, wait_until_complete=False
        )
        side = hand.accept()
        answer(side, extensions=False)
        for _ in jobs:
            assert side.expect("SUBMIT_JOB")[::2] == [b"f", b"x"]
            side.send("JOB_CREATED", b"H:1")
        assert [each.options for each in submission.result(DEADLINE)] == [None] * len(
            jobs
        )
        # Now it is known.
        meanwhile(client.submit_job, "f", "y", background=True)
        assert side.expect("SUBMIT_JOB_BG")[::2] == [b"f", b"y"]
    assert len(spans.named("send f")) == len(jobs)


def test_options_that_a_server_lacks_are_an_error_as_ever(
    hand: HandServer, spans: Spans
) -> None:
    with gearman.GearmanClient([hand.address]) as client:
        submission = meanwhile(client.submit_job, "f", "x", retries=1)
        answer(hand.accept(), extensions=False)
        with pytest.raises(gearman.errors.UnsupportedByServer) as caught:
            submission.result(DEADLINE)
    assert caught.value.lacking == ("retries",)
    # The first one ended when the answer came, the second one by the error.
    failed = spans.named("send f")[-1]
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes
    assert failed.attributes["error.type"] == "gearman.errors.UnsupportedByServer"


def test_job_with_a_reducer_gets_no_trace(hand: HandServer, spans: Spans) -> None:
    with gearman.GearmanClient([hand.address]) as client:
        meanwhile(client.submit_job, "f", "x", reducer="sum")
        side = hand.accept()
        side.expect("OPTION_REQ", "SUBMIT_REDUCE_JOB")


@pytest.mark.parametrize(
    "wrong", [{}, {"background": True, "priority": gearman.PRIORITY_HIGH}]
)
def test_what_is_wrong_without_traces_stays_wrong(
    hand: HandServer, spans: Spans, wrong: Any
) -> None:
    with (
        gearman.GearmanClient([hand.address]) as client,
        pytest.raises(ValueError, match="when_to_run"),
    ):
        client.submit_job("f", "x", when_to_run=time.time(), **wrong)
    span = spans.one("send f")
    assert span.attributes
    assert span.attributes["error.type"] == "ValueError"


def test_refused_job_fails_its_span(spans: Spans) -> None:
    with servers.ours() as server, gearman.GearmanClient([server.address]) as client:
        request = client.submit_job("f", "x", need_worker=True, poll_timeout=DEADLINE)
    assert request.state == gearman.JOB_FAILED
    span = spans.one("send f")
    assert span.attributes
    assert span.attributes["error.type"] == "QUEUE_ERROR"
    assert span.status.description
    assert "messaging.message.id" not in span.attributes


def test_error_that_is_about_no_job_ends_no_span(
    hand: HandServer, spans: Spans
) -> None:
    with gearman.GearmanClient([hand.address]) as client:
        submission = meanwhile(client.submit_job, "f", "x", background=True)
        side = hand.accept()
        answer(side)
        options_of(side)
        side.send("JOB_CREATED", b"H:1")
        side.send("ERROR", b"SOME", b"thing")
        submission.result(DEADLINE)
        with pytest.raises(gearman.errors.InvalidClientState):
            client._handler(client.connection_list[0]).recv_job_created("H:2")
    assert spans.one("send f").status.status_code is StatusCode.UNSET


def test_lost_connection_ends_the_span_and_the_next_attempt_has_its_own(
    hand: HandServer, spans: Spans
) -> None:
    with gearman.GearmanClient([hand.address]) as client:
        submission = meanwhile(client.submit_job, "f", "x", max_retries=1)
        del submission
        side = hand.accept()
        answer(side)
        first = options_of(side)["trace"]
        side.close()
        side = hand.accept()
        answer(side)
        assert options_of(side)["trace"] != first
    lost = spans.named("send f")[0]
    assert lost.attributes
    assert lost.attributes["error.type"] == "ConnectionError"


@pytest.mark.parametrize("trace", [None, GIVEN])
def test_options_of_a_request_may_be_a_dict(
    hand: HandServer, spans: Spans, trace: str | None
) -> None:
    request = gearman.GearmanJobRequest(gearman.GearmanJob(None, None, "f", "u", "x"))
    request.options = options = {"retries": 1} | ({"trace": trace} if trace else {})
    with gearman.GearmanClient([hand.address]) as client:
        meanwhile(client.submit_multiple_requests, [request])
        side = hand.accept()
        answer(side)
        found = options_of(side)
        assert found["retries"] == "1"
        assert (found["trace"] == GIVEN) == (trace is not None)
        side.send("JOB_CREATED", b"H:1")
        side.send("WORK_COMPLETE", b"H:1", b"")
        until(lambda: request.complete)
    assert request.options is options


def test_client_without_a_server_fails_the_span(spans: Spans) -> None:
    with (
        gearman.GearmanClient([unanswered()]) as client,
        pytest.raises(gearman.errors.ServerUnavailable),
    ):
        client.submit_job("f", "x")
    span = spans.one("send f")
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes
    assert "server.address" not in span.attributes


def test_job_that_was_submitted_before_has_no_span(
    hand: HandServer, spans: Spans, provider: TracerProvider
) -> None:
    gearman.tracing.uninstrument()
    with gearman.GearmanClient([hand.address]) as client:
        jobs = [{"task": "f", "data": "x"}] * 2
        submission = meanwhile(
            client.submit_multiple_jobs, jobs, wait_until_complete=False
        )
        side = hand.accept()
        side.expect("OPTION_REQ", "SUBMIT_JOB", "SUBMIT_JOB")
        gearman.tracing.instrument(provider)
        side.send("JOB_CREATED", b"H:1")
        side.send("ERROR", b"QUEUE_ERROR", b"full")
        created, refused = submission.result(DEADLINE)
    assert (created.state, refused.state) == (gearman.JOB_CREATED, gearman.JOB_FAILED)
    assert spans.named("send f") == []


def test_nothing_is_left_when_it_is_switched_off(
    hand: HandServer, spans: Spans
) -> None:
    gearman.tracing.uninstrument()
    with gearman.GearmanClient([hand.address]) as client:
        meanwhile(client.submit_job, "f", "x")
        hand.accept().expect("OPTION_REQ", "SUBMIT_JOB")
    assert spans.named("send f") == []
