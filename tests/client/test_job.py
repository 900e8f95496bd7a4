"""Jobs and requests as objects, without a server."""

import weakref
from typing import cast

import pytest

from gearman.job import GearmanJob, GearmanJobRequest, JobException, JobStatus


def job() -> GearmanJob:
    return GearmanJob(None, "H:1", "task", "unique", "data")


def request(background: bool = False) -> GearmanJobRequest:
    return GearmanJobRequest(job(), background=background)


def test_a_job_can_be_shown_as_a_dict() -> None:
    assert job().to_dict() == {
        "task": "task",
        "job_handle": "H:1",
        "unique": "unique",
        "data": "data",
    }


def test_a_job_tells_what_it_is() -> None:
    assert repr(job()) == (
        "<GearmanJob connection/handle=(None, 'H:1'), task=task, unique=unique, "
        "data='data'>"
    )


def test_requests_are_told_apart_and_take_any_attribute() -> None:
    one, two = request(), request()
    assert len({one, two}) == 2
    one.note = "mine"  # type: ignore[attr-defined]
    assert weakref.ref(one)() is one


@pytest.mark.parametrize(
    ("background", "complete"),
    [(True, {"CREATED"}), (False, {"FAILED", "COMPLETE"})],
)
def test_complete_depends_on_where_it_runs(
    background: bool, complete: set[str]
) -> None:
    found = set()
    for state in ("UNKNOWN", "PENDING", "CREATED", "FAILED", "COMPLETE"):
        asked = request(background=background)
        asked.state = state
        if asked.complete:
            found.add(state)
    assert found == complete


def test_updates_stay_until_the_request_is_reset() -> None:
    asked = request()
    asked.data_updates.append("part")
    asked.warning_updates.append("careful")
    asked.status = cast(JobStatus, {"numerator": 1, "denominator": 2})
    assert list(asked.data_updates) == ["part"]
    assert list(asked.status_updates) == [(1, 2)]
    assert asked.server_status is asked.status
    asked.reset()
    assert not asked.data_updates
    assert not asked.warning_updates
    assert not asked.status_updates
    assert asked.state == "UNKNOWN"


def test_an_exception_that_was_reported_can_be_taken_apart() -> None:
    asked = request()
    asked.exception = b'{"type": "T", "message": "m", "traceback": "t"}'
    assert asked.exception_details == JobException("T", "m", "t")


@pytest.mark.parametrize("exception", [None, b"no json", b"[1]", b"5", {"a": 1}, "{}"])
def test_an_exception_in_other_words_has_no_details(exception: object) -> None:
    asked = request()
    asked.exception = exception
    assert asked.exception_details is None
