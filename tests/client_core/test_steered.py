"""The packets for requests with options, and what a server without them is told."""

from typing import Any

import pytest

from gearman.client_core.steered import (
    NAMES,
    checked,
    server_name,
    steer,
    steered_submission,
    united,
)
from gearman.constants import PRIORITY_HIGH, PRIORITY_LOW
from gearman.errors import InvalidClientState, OptionError, UnsupportedByServer
from gearman.job import GearmanJob, GearmanJobRequest
from gearman.options import Backoff, JobOptions
from gearman.protocol import (
    GEARMAN_COMMAND_SUBMIT_JOB,
    GEARMAN_COMMAND_SUBMIT_JOB_BG,
    GEARMAN_COMMAND_SUBMIT_JOB_EPOCH,
    GEARMAN_COMMAND_SUBMIT_JOB_HIGH,
    GEARMAN_COMMAND_SUBMIT_JOB_LOW_BG,
    GEARMAN_COMMAND_SUBMIT_JOB_WITH,
)
from tests.client_core.test_open_requests import Server

NOW = 1000.25


def request(
    options: Any, priority: str | None = None, background: bool = False
) -> GearmanJobRequest:
    job = GearmanJob(Server(), None, "task", "unique", "data")
    made = GearmanJobRequest(job, initial_priority=priority, background=background)
    made.options = options
    return made


def test_names_are_those_of_submit_job() -> None:
    assert sorted(NAMES) == [
        *("after", "at", "backoff", "dead", "delay", "keep", "need_worker"),
        *("retries", "timeout", "trace", "ttl"),
    ]


def test_named_options_count_more_than_those_of_the_dict() -> None:
    both = {"ttl": 6, "retries": 1}
    assert united({"ttl": 5, "retries": 1}, {"ttl": 6}) == both
    assert united(JobOptions(ttl=5, retries=1), {"ttl": 6, "keep": None}) == both
    assert united({"need-worker": True, "ttl": 5}, {"need_worker": False}) == {
        "need_worker": False,
        "ttl": 5,
    }
    assert united(None, {"dead": "list"}) == {"dead": "list"}
    assert united({}, {}) == {}


def test_a_named_option_that_is_none_is_not_given() -> None:
    assert united({"ttl": 5}, {"ttl": None}) == {"ttl": 5}
    assert united(None, {"ttl": None}) is None


def test_a_job_goes_to_the_server_of_the_jobs_that_it_waits_for() -> None:
    first, second, later = request(None), request(None), request(None)
    first.job.handle, second.job.handle = "H:1", "H:2"
    second.job.connection = first.job.connection
    steer(later, {"after": [first, "H:3", second]})
    assert later.options == JobOptions(after=(b"H:1", b"H:3", b"H:2"))
    assert later.bound_to is first.job.connection
    second.job.connection = Server()
    with pytest.raises(OptionError, match="after must be jobs of one server"):
        steer(later, {"after": [first, second]})


@pytest.mark.parametrize("options", [{"after": "H:1"}, JobOptions(ttl=5), {"ttl": 5}])
def test_a_job_that_waits_for_none_goes_anywhere(options: Any) -> None:
    later = request(None)
    steer(later, options)
    assert later.bound_to is None


def test_a_wrong_name_is_a_type_error_as_for_any_function() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        united(None, {"colour": "red"})
    with pytest.raises(TypeError, match="'background'"):
        united({}, {"background": True})


@pytest.mark.parametrize("options", [{"priority": "high"}, JobOptions(background=True)])
def test_an_option_with_an_argument_of_its_own_is_refused(options: Any) -> None:
    with pytest.raises(OptionError, match="an argument of its own"):
        checked(options)


def test_jobs_to_wait_for_may_be_requests_or_handles() -> None:
    first = request(None)
    first.job.handle = "H:1"
    for after in (first, [first], (first,), {first}, "H:1", [b"H:1"]):
        assert checked({"after": after}).after == (b"H:1",)
    assert checked({"after": []}).after is None


def test_a_job_to_wait_for_needs_a_handle() -> None:
    with pytest.raises(InvalidClientState, match="after needs jobs with a handle"):
        checked({"after": [request(None)]})


@pytest.mark.parametrize(
    ("background", "priority", "text"),
    [
        (False, None, b"ttl=5&retries=2&backoff=fixed:3"),
        (True, None, b"ttl=5&retries=2&backoff=fixed:3&background=1"),
        (
            True,
            PRIORITY_HIGH,
            b"ttl=5&retries=2&backoff=fixed:3&background=1&priority=high",
        ),
        (False, PRIORITY_LOW, b"ttl=5&retries=2&backoff=fixed:3&priority=low"),
    ],
)
def test_a_server_with_extensions_is_told_all(
    background: bool, priority: str | None, text: bytes
) -> None:
    options = {"ttl": 5, "retries": 2, "backoff": Backoff("fixed", 3, 3)}
    packet = steered_submission(request(options, priority, background), b"x", True, NOW)
    assert packet == (GEARMAN_COMMAND_SUBMIT_JOB_WITH, ("task", "unique", text, b"x"))


def test_when_to_run_is_the_option_at() -> None:
    one = request({"ttl": 5})
    one.when_to_run = 17.5
    _, arguments = steered_submission(one, b"", True, NOW)
    assert arguments[2] == b"at=17.5&ttl=5"


def test_options_that_exclude_others_are_refused() -> None:
    one = request({"at": 5})
    one.when_to_run = 17.5
    with pytest.raises(ValueError, match="both at and when_to_run"):
        steered_submission(one, b"", True, NOW)
    one.reducer = "sum"
    with pytest.raises(ValueError, match="cannot have a reducer"):
        steered_submission(one, b"", True, NOW)


@pytest.mark.parametrize(
    ("options", "priority", "background", "command"),
    [
        ({}, None, False, GEARMAN_COMMAND_SUBMIT_JOB),
        ({"retries": 0, "keep": 0}, None, True, GEARMAN_COMMAND_SUBMIT_JOB_BG),
        ({"dead": "none"}, PRIORITY_HIGH, False, GEARMAN_COMMAND_SUBMIT_JOB_HIGH),
        ({"need_worker": False}, PRIORITY_LOW, True, GEARMAN_COMMAND_SUBMIT_JOB_LOW_BG),
        ({"delay": 0}, None, False, GEARMAN_COMMAND_SUBMIT_JOB),
        ({"after": []}, None, True, GEARMAN_COMMAND_SUBMIT_JOB_BG),
    ],
)
def test_what_any_server_does_needs_no_extensions(
    options: Any, priority: str | None, background: bool, command: int
) -> None:
    one = request(options, priority, background)
    assert steered_submission(one, b"x", False, NOW) == (
        command,
        ("task", "unique", b"x"),
    )


@pytest.mark.parametrize(
    ("options", "epoch"),
    [
        ({"delay": 0.5}, "1001"),
        ({"delay": 1}, "1002"),
        ({"at": 1000.0}, "1000"),
        ({"at": 1000.5}, "1001"),
        ({"at": 1000, "delay": 100}, "1101"),
        ({"at": 5000, "delay": 100}, "5000"),
    ],
)
def test_another_server_is_told_the_next_whole_second(options: Any, epoch: str) -> None:
    packet = steered_submission(request(options, background=True), b"x", False, NOW)
    assert packet == (
        GEARMAN_COMMAND_SUBMIT_JOB_EPOCH,
        ("task", "unique", epoch, b"x"),
    )


@pytest.mark.parametrize(
    ("options", "priority", "background", "lacking"),
    [
        ({"retries": 1, "ttl": 2}, None, True, ("ttl", "retries")),
        ({"delay": 1}, None, False, ("delay of a job in the foreground",)),
        ({"at": 1}, PRIORITY_LOW, True, ("at of a job with a priority",)),
        ({"keep": 1, "delay": 1}, None, True, ("keep",)),
        ({"need_worker": True}, None, False, ("need_worker",)),
        ({"after": "H:1"}, None, True, ("after",)),
        ({"dead": "list"}, None, True, ("dead",)),
    ],
)
def test_another_server_cannot_do_the_rest(
    options: Any, priority: str | None, background: bool, lacking: tuple[str, ...]
) -> None:
    with pytest.raises(UnsupportedByServer, match="host:4730") as caught:
        steered_submission(request(options, priority, background), b"", False, NOW)
    assert caught.value.lacking == lacking
    assert caught.value.server == "host:4730"


def test_a_server_without_connection_has_no_name() -> None:
    assert server_name(None) == ""
    assert "the server cannot do this: a, b" in str(UnsupportedByServer("", ["a", "b"]))
