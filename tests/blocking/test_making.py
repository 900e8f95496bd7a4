"""Requests are made as the classes of a program want it."""

from typing import Any

import pytest

import gearman
from gearman.job import GearmanJob, GearmanJobRequest


class Named(GearmanJobRequest):
    """Takes its options by keyword only."""

    def __init__(self, job: GearmanJob, **options: Any) -> None:
        super().__init__(job, **options)
        self.own = sorted(options)


class Client(gearman.GearmanClient):
    """Submits nothing: it only keeps what was made."""

    def submit_multiple_requests(self, job_requests: Any, *_: Any, **__: Any) -> Any:
        return job_requests


def made(client: Client, *jobs: dict[str, Any]) -> list[GearmanJobRequest]:
    return client.submit_multiple_jobs(list(jobs), background=True, max_retries=2)


def test_a_class_of_the_program_gets_keywords() -> None:
    client = Client(["127.0.0.1"])
    client.job_request_class = Named
    (request,) = made(client, {"task": "t", "data": "d"})
    assert isinstance(request, Named)
    assert request.own == ["background", "initial_priority", "max_attempts"]
    assert (request.background, request.max_connection_attempts) == (True, 3)


def test_all_that_a_description_says_is_in_the_request() -> None:
    job = {"task": "t", "data": "d", "unique": "u", "priority": "HIGH"}
    first, second, third = made(
        Client(["127.0.0.1"]), job, {**job, "when_to_run": 5}, {**job, "reducer": "r"}
    )
    assert (first.job.task, first.job.unique, first.job.data) == ("t", "u", "d")
    assert (first.priority, first.when_to_run, first.reducer) == ("HIGH", None, None)
    assert (second.when_to_run, third.reducer) == (5, "r")


def test_a_job_without_a_unique_gets_one_of_its_own() -> None:
    job = {"task": "t", "data": "d"}
    requests = made(Client(["127.0.0.1"], random_unique_bytes=4), job, job)
    uniques = {str(request.job.unique) for request in requests}
    assert {len(unique) for unique in uniques} == {8}
    assert len(uniques) == 2


@pytest.mark.parametrize("missing", ["task", "data"])
def test_a_description_that_lacks_something_is_refused(missing: str) -> None:
    job = {"task": "t", "data": "d"}
    del job[missing]
    with pytest.raises(KeyError, match=missing):
        made(Client(["127.0.0.1"]), job)
