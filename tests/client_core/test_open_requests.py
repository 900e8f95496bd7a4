"""Which request an answer is for, and what it changes, without a server."""

import gc
import json
import weakref

import pytest

from gearman.client_core.open_requests import OpenRequests, is_unfinished
from gearman.client_core.results import ResultAnswer
from gearman.client_core.submission import begin_attempt, check_attempts, submission
from gearman.constants import (
    JOB_COMPLETE,
    JOB_CREATED,
    JOB_FAILED,
    JOB_PENDING,
    JOB_UNKNOWN,
)
from gearman.errors import ExceededConnectionAttempts, InvalidClientState
from gearman.job import GearmanJob, GearmanJobRequest, JobStatus, UniqueStatus
from gearman.payload import Payload
from gearman.protocol import GEARMAN_COMMAND_SUBMIT_REDUCE_JOB

NOW = 1.5


class Server:
    """The connection of a job, as far as a request needs it."""

    connected = True
    gearman_host = "host"
    gearman_port = 4730

    def get_address(self) -> tuple[str, int]:
        return self.gearman_host, self.gearman_port


def request(background: bool = False) -> GearmanJobRequest:
    job = GearmanJob(None, None, "task", "unique", "data")
    return GearmanJobRequest(job, background=background)


def accepted(
    core: OpenRequests, handle: str = "H:1", background: bool = False
) -> GearmanJobRequest:
    one = request(background)
    core.submitted(one)
    core.created(handle)
    return one


@pytest.fixture
def core() -> OpenRequests:
    return OpenRequests()


def test_handles_come_in_the_order_of_the_submissions(core: OpenRequests) -> None:
    first, second = request(), request()
    core.submitted(first)
    core.submitted(second)
    assert core.expects_answer
    core.created("H:1")
    assert (first.state, second.state) == (JOB_CREATED, JOB_PENDING)
    core.created("H:2")
    assert (first.job.handle, second.job.handle) == ("H:1", "H:2")
    assert not core.expects_answer
    with pytest.raises(InvalidClientState, match="no pending"):
        core.created("H:3")


def test_a_request_that_is_not_pending_gets_no_handle(core: OpenRequests) -> None:
    one = request()
    core.submitted(one)
    one.state = JOB_FAILED
    with pytest.raises(InvalidClientState, match="'PENDING'"):
        core.created("H:1")


def test_a_refused_request_has_failed(core: OpenRequests) -> None:
    one = request(background=True)
    core.submitted(one)
    assert not core.refused("UNKNOWN_OPTION", "exceptions")
    assert core.refused("QUEUE_ERROR", "full")
    assert (one.state, one.exception) == (JOB_FAILED, "QUEUE_ERROR: full")
    assert not is_unfinished(one)
    assert core.refused("OTHER", "for nobody")


def test_copies_of_an_update_go_to_one_request_each(core: OpenRequests) -> None:
    one, two = accepted(core), accepted(core)
    core.asked_status(two)
    core.data_came("H:1", Payload(b"a"), str)
    core.data_came("H:1", Payload(b"a"), str)
    core.warned("H:1", Payload(b"w"), str)
    assert (list(one.data_updates), list(two.data_updates)) == (["a"], ["a"])
    assert len(one.warning_updates) + len(two.warning_updates) == 1
    core.progressed("H:1", "1.5", "none", NOW)
    core.failed("H:1")
    assert {one.state, two.state} == {JOB_FAILED}
    assert not core.by_handle
    core.data_came("H:1", Payload(b"late"), str)


def test_a_result_that_cannot_be_decoded_fails_the_request(core: OpenRequests) -> None:
    good, bad = accepted(core), accepted(core, "H:2")
    core.completed("H:1", Payload(b"1"), json.loads)
    assert (good.state, good.result) == (JOB_COMPLETE, 1)
    with pytest.raises(ValueError, match="Expecting"):
        core.completed("H:2", Payload(b"no"), json.loads)
    assert bad.state == JOB_FAILED
    assert bad.exception.startswith("JSONDecodeError")


def test_an_exception_is_decoded_if_it_can_be(core: OpenRequests) -> None:
    one, two = accepted(core), accepted(core, "H:2")
    core.raised("H:1", Payload(b"1"), json.loads)
    core.raised("H:2", Payload(b"no"), json.loads)
    assert (one.exception, two.exception) == (1, "no")
    assert {one.state, two.state} == {JOB_FAILED}


def test_what_has_ended_does_not_end_again(core: OpenRequests) -> None:
    one = accepted(core)
    one.state = JOB_UNKNOWN
    with pytest.raises(InvalidClientState):
        core.failed("H:1")
    assert not is_unfinished(one)


def test_lost_requests_are_unknown(core: OpenRequests) -> None:
    waiting, running = request(), accepted(core)
    background, gone = (accepted(core, f"H:{n}", background=True) for n in (2, 3))
    ended = accepted(core, "H:4")
    core.asked_status(background)
    ended.state = JOB_FAILED
    core.submitted(waiting)
    del gone
    gc.collect()
    core.lost()
    states = {each.state for each in (waiting, running, background)}
    assert (states, ended.state) == ({JOB_UNKNOWN}, JOB_FAILED)


def test_an_accepted_background_request_is_not_kept(core: OpenRequests) -> None:
    kept = weakref.ref(accepted(core, background=True))
    assert kept() is None


def test_a_background_request_may_be_accepted_after_a_loss(core: OpenRequests) -> None:
    one = accepted(core, background=True)
    assert (one.state, one.complete) == (JOB_CREATED, True)
    core.lost()
    assert (one.state, one.complete) == (JOB_UNKNOWN, False)
    later = OpenRequests()
    later.submitted(one)
    assert one.state == JOB_PENDING
    later.created("H:2")
    assert (one.state, one.complete) == (JOB_CREATED, True)


def test_a_state_that_is_set_outlasts_the_session(core: OpenRequests) -> None:
    one = accepted(core, background=True)
    one.state = JOB_CREATED
    core.lost()
    assert one.state == JOB_CREATED


def test_several_handles_are_for_the_oldest_requests(core: OpenRequests) -> None:
    first, second = request(), request(background=True)
    core.submitted(first)
    core.submitted(second)
    handles = iter(["H:1", "H:2", "H:3", "H:4"])
    with pytest.raises(InvalidClientState, match="no pending"):
        core.all_created(handles)
    assert [each.job.handle for each in (first, second)] == ["H:1", "H:2"]
    assert next(handles) == "H:4"


@pytest.mark.parametrize(("known", "kept"), [("1", True), ("0", False)])
def test_a_status_is_told_to_all_who_asked(
    known: str, kept: bool, core: OpenRequests
) -> None:
    one = accepted(core)
    told: JobStatus = {}  # type: ignore[typeddict-item]
    core.asked_handle("H:1", told.update)
    assert core.expects_answer
    core.status_told("H:1", known, "1", "3.9", "1e999", NOW)
    assert told == one.status
    assert (told["numerator"], told["denominator"]) == (3, 0)
    assert ("H:1" in core.by_handle) is kept


def test_uniques_are_answered_in_the_order_of_the_questions(core: OpenRequests) -> None:
    first: UniqueStatus = {}  # type: ignore[typeddict-item]
    second: UniqueStatus = {}  # type: ignore[typeddict-item]
    core.asked_unique("long name", first.update)
    core.asked_unique("name", second.update)
    core.unique_status_told("name", "1", "0", "0", "0", "2", NOW)
    core.unique_status_told("long", "0", "0", "0", "0", "0", NOW)
    core.unique_status_told("more", "0", "0", "0", "0", "0", NOW)
    assert (second["clients"], first["known"]) == (2, False)


def test_a_request_is_submitted_as_often_as_it_may_be() -> None:
    one = request()
    begin_attempt(one, Server())
    assert one.connection_attempts == 1
    for check in (check_attempts, lambda each: begin_attempt(each, Server())):
        with pytest.raises(ExceededConnectionAttempts):
            check(one)
    two = request()
    two.state = JOB_PENDING
    with pytest.raises(InvalidClientState):
        begin_attempt(two, Server())


def test_a_reducer_is_one_of_the_arguments() -> None:
    one = request()
    one.reducer = "sum"
    values = ("task", "unique", "sum", b"", b"data")
    assert submission(one, b"data") == (GEARMAN_COMMAND_SUBMIT_REDUCE_JOB, values)


def test_a_request_is_held_until_the_extensions_are_known(core: OpenRequests) -> None:
    core.options.asked("extensions")
    held = request()
    core.hold(held, b"data")
    assert held.state == JOB_PENDING
    assert core.expects_answer
    assert core.release() == []
    core.options.accepted("extensions")
    assert core.release() == [(held, b"data")]
    assert held.state == JOB_UNKNOWN
    assert core.release() == []


def test_a_held_request_is_unknown_if_the_connection_is_lost(
    core: OpenRequests,
) -> None:
    held = request()
    core.hold(held, b"data")
    core.lost()
    assert held.state == JOB_UNKNOWN


def test_a_refused_option_is_no_error_of_a_request(core: OpenRequests) -> None:
    core.options.asked("extensions")
    one = request()
    core.submitted(one)
    assert not core.refused("unknown_option", "no")
    assert core.options.extensions is False
    assert one.state == JOB_PENDING


def test_a_result_goes_to_all_that_have_asked(core: OpenRequests) -> None:
    answers = [ResultAnswer("H:1", Server()) for _ in range(2)]
    for answer in answers:
        core.asked_result(answer)
    assert core.expects_answer
    core.result_told("H:1", "done", Payload(b"x"))
    assert [(each.state, each.data) for each in answers] == [("done", b"x")] * 2
    assert not core.expects_answer
    core.result_told("H:1", "done", Payload(b"x"))


def test_a_watcher_hears_of_the_end_of_a_job(core: OpenRequests) -> None:
    assert core.watcher("H:1") is None
    watching = request()
    watching.job.handle = "H:1"
    core.watched(watching)
    assert core.watcher("H:1") is watching
    core.completed("H:1", Payload(b"x"), str)
    assert (watching.state, watching.result) == (JOB_COMPLETE, "x")


def test_a_background_request_does_not_hear_of_the_end(core: OpenRequests) -> None:
    one = accepted(core, background=True)
    core.asked_status(one)
    assert core.watcher("H:1") is None


def test_a_job_that_is_not_there_to_be_watched_refuses_no_submission(
    core: OpenRequests,
) -> None:
    one = request()
    core.submitted(one)
    core.asked_result(ResultAnswer("H:1", Server()))
    assert not core.refused("JOB_NOT_FOUND", "There is no such job")
    assert one.state == JOB_PENDING
    core.result_told("H:1", "unknown", Payload())
    assert core.refused("JOB_NOT_FOUND", "?")
    assert one.state == JOB_FAILED


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_request_that_no_longer_watches_leaves_the_others(
    left: int, core: OpenRequests
) -> None:
    requests = [accepted(core, "H:1") for _ in range(3)]
    core.unwatch(requests[left])
    assert requests[left].state == JOB_UNKNOWN
    core.completed("H:1", Payload(b"x"), str)
    states = [each.state for each in requests]
    assert states.count(JOB_COMPLETE) == 2
    assert states[left] == JOB_UNKNOWN


def test_the_only_request_may_stop_watching(core: OpenRequests) -> None:
    watching = accepted(core, "H:1")
    core.unwatch(watching)
    assert core.watcher("H:1") is None
    core.unwatch(watching)
