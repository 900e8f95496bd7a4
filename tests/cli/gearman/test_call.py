"""The events that a call keeps."""

from typing import cast

import pytest

from gearman.cli.gearman.call import Call, Event
from gearman.constants import JOB_COMPLETE, JOB_CREATED, JOB_FAILED
from gearman.job import GearmanJob, JobStatus


@pytest.fixture
def call() -> Call:
    return Call(GearmanJob(None, None, b"f", b"unique", b"data"))


def test_events_are_kept_in_their_order(call: Call) -> None:
    status = cast(JobStatus, {"numerator": 1, "denominator": 2})
    call.warning_updates.append(b"careful")
    call.status = status
    call.data_updates.append(b"part")
    assert list(call.events) == [
        Event("warning", b"careful"),
        Event("status", status),
        Event("data", b"part"),
    ]
    assert call.status == status


def test_a_call_that_is_reset_has_no_events(call: Call) -> None:
    call.data_updates.append(b"part")
    call.reset()
    assert not call.events
    call.data_updates.append(b"again")
    assert list(call.events) == [Event("data", b"again")]


def test_a_failure_without_a_handle_is_a_refusal(call: Call) -> None:
    call.state = JOB_FAILED
    assert call.refused
    call.job.handle = "H:1"
    assert not call.refused


def test_in_the_background_acceptance_is_the_end(call: Call) -> None:
    call.state = JOB_CREATED
    assert not call.ended
    call.background = True
    assert call.ended
    assert call.accepted_in_background


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("state", [JOB_FAILED, JOB_COMPLETE])
def test_failed_and_complete_calls_have_ended(
    call: Call, state: str, background: bool
) -> None:
    call.background = background
    call.state = state
    assert call.ended == (state == JOB_FAILED or not background)
