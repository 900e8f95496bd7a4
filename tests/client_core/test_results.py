"""What answers to GET_RESULT mean, of one server and of several."""

import json

import pytest

from gearman.client_core.results import ResultAnswer, failure, of_all, reported
from gearman.encoders import JSONEncoder
from gearman.errors import (
    JobFailed,
    ResultNotReady,
    UnknownJob,
    UnsupportedByServer,
)
from gearman.payload import Payload
from tests.client_core.test_open_requests import Server

decode = JSONEncoder.decode


def answer(state: str = "", data: bytes = b"", without: bool = False) -> ResultAnswer:
    made = ResultAnswer("H:1", Server())
    made.state = state
    made.data = Payload(data)
    made.without = without
    return made


def test_the_result_of_a_job_that_is_done_is_decoded() -> None:
    assert answer("done", b"[1]").result(decode) == [1]


def test_a_result_that_cannot_be_decoded_raises_the_error_of_the_encoder() -> None:
    with pytest.raises(ValueError, match="Expecting value"):
        answer("done", b"?").result(decode)


def test_a_failed_job_has_a_reason() -> None:
    with pytest.raises(JobFailed, match="H:1 has failed: its worker was") as told:
        answer("failed", b"its worker was lost").result(decode)
    error = told.value
    assert (error.handle, error.exception) == ("H:1", None)
    assert error.reason == "its worker was lost"


def test_an_exception_is_decoded() -> None:
    details = {"type": "builtins.KeyError", "message": "'a'", "traceback": "..."}
    with pytest.raises(JobFailed, match="failed: builtins.KeyError: 'a'") as told:
        answer("exception", json.dumps(details).encode()).result(decode)
    assert told.value.exception == details


def test_an_exception_of_another_encoder_stays_as_it_is() -> None:
    assert reported(Payload(b"oops"), decode) == b"oops"
    error = failure("H:1", Payload(b"oops"))
    assert (error.reason, error.exception, str(error)) == (
        "",
        b"oops",
        "the job H:1 has failed: oops",
    )


def test_a_failure_without_anything_has_a_short_text() -> None:
    assert str(failure("H:1", None)) == "the job H:1 has failed"
    assert str(failure(None, "QUEUE_ERROR: full")) == (
        "the job has failed: QUEUE_ERROR: full"
    )


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_a_job_that_has_not_ended_has_no_result(state: str) -> None:
    one = answer(state)
    assert one.unended
    with pytest.raises(TimeoutError, match=f"H:1 has not ended: it is {state}") as told:
        one.result(decode)
    assert isinstance(told.value, ResultNotReady)
    assert told.value.state == state


def test_an_unknown_job_is_a_lookup_error() -> None:
    with pytest.raises(LookupError, match="no server knows the job H:1") as told:
        answer("unknown").result(decode)
    assert isinstance(told.value, UnknownJob)


def test_without_an_answer_there_is_no_result_either() -> None:
    one = answer()
    assert one.is_open
    with pytest.raises(ResultNotReady, match="no server has answered"):
        one.result(decode)


def test_an_answer_does_not_come_on_a_lost_connection() -> None:
    class Lost(Server):
        connected = False

    assert not ResultAnswer("H:1", Lost()).is_open
    assert not answer(without=True).is_open


def test_the_server_that_knows_the_job_counts() -> None:
    known, silent = answer("waiting"), answer()
    unknown, old = answer("unknown"), answer(without=True)
    assert of_all([unknown, old, silent, known]) is known
    assert of_all([unknown, silent]) is silent
    assert of_all([unknown]) is unknown


def test_a_server_that_cannot_be_asked_may_know_the_job() -> None:
    with pytest.raises(UnsupportedByServer, match="host:4730 cannot do this: results"):
        of_all([answer("unknown"), answer(without=True), answer()])
