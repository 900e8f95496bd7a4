"""Scenes about asking for the status of a job."""

from collections.abc import Iterator
from typing import Any

from tests.client.python2.stage import Stage, scene

Results = Iterator[tuple[str, Any]]
ASK = "client.get_job_status(request, poll_timeout=5.0)"


@scene
def status_of_a_background_job(stage: Stage) -> Results:
    stage.worker.run(
        "def task(worker, job):\n"
        "    worker.send_job_status(job, 3, 10)\n"
        "    say('running')\n"
        "    return hear()\n"
        "worker.register_task('task', task)"
    )
    stage.client.run("request = client.submit_job('task', 'abc', background=True)")
    yield "waiting", stage.client.run(ASK)
    stage.worker.start("worker.work_through(1)")
    yield "said", stage.worker.said()
    # The worker's packets may not have arrived yet.
    stage.client.run(f"while {ASK}.status['numerator'] != 3: pass")
    yield "running", stage.client.run("request")
    yield "same request", stage.client.run(f"{ASK} is request")
    stage.worker.tell("result")
    yield "work", stage.worker.result()
    # The worker's process may end before its last packet has arrived.
    stage.client.run(f"while {ASK}.status['known']: pass")
    yield "finished", stage.client.run("request")
    yield "asked again", stage.client.run(ASK)
    yield (
        "old names",
        stage.client.run("[request.status_updates, request.server_status]"),
    )


@scene
def status_of_a_finished_foreground_job(stage: Stage) -> Results:
    stage.worker.run("worker.register_task('upper', cast.upper)")
    stage.worker.start("worker.work_through(1)")
    stage.client.run("request = client.submit_job('upper', 'abc')")
    yield "work", stage.worker.result()
    yield "first", stage.client.run(ASK)
    yield "second", stage.client.run(ASK)


@scene
def status_of_a_foreground_job_that_goes_on(stage: Stage) -> Results:
    stage.worker.run(
        "def task(worker, job):\n"
        "    say('running')\n"
        "    worker.send_job_status(job, 1, int(hear()))\n"
        "    return 'done'\n"
        "worker.register_task('task', task)"
    )
    stage.client.run(
        "request = client.submit_job('task', 'abc', wait_until_complete=False)"
    )
    stage.worker.start("worker.work_through(1)")
    yield "said", stage.worker.said()
    yield "running", stage.client.run(ASK)
    stage.worker.tell("7")
    yield "work", stage.worker.result()
    yield "completed", stage.client.run("client.wait_until_jobs_completed([request])")


@scene
def several_statuses(stage: Stage) -> Results:
    stage.client.run(
        "jobs = [dict(task='task', data=data) for data in 'abc']\n"
        "requests = client.submit_multiple_jobs(jobs, background=True)"
    )
    yield "statuses", stage.client.run("client.get_job_statuses(requests)")
    yield "same list", stage.client.run("client.get_job_statuses(requests) is requests")
    yield "none", stage.client.run("client.get_job_statuses([])")
    yield "one", stage.client.run("client.get_job_statuses(requests[0])")
    yield "no time", stage.client.run("client.get_job_statuses(requests, 0)")
    yield (
        "waited for",
        stage.client.run(
            "client.wait_until_job_statuses_received(requests, poll_timeout=5.0)"
        ),
    )


@scene
def status_of_a_job_that_was_never_sent(stage: Stage) -> Results:
    stage.client.run(
        "info = {'task': 'x', 'data': 'abc'}\n"
        "request = client._create_request_from_dictionary(info)"
    )
    yield "status", stage.client.run(ASK)
    yield (
        "waited for",
        stage.client.run("client.wait_until_jobs_completed([request], 1)"),
    )


@scene
def status_from_another_client(stage: Stage) -> Results:
    stage.client.run(
        "request = client.submit_job('x', 'abc', background=True)\n"
        "other = gearman.GearmanClient([server])"
    )
    yield "unconnected", stage.client.run("other.get_job_status(request)")
    stage.client.run("other.submit_job('x', 'abc', background=True)")
    yield "its connection", stage.client.run("other.get_job_status(request)")
    stage.client.run("request.job.connection = other.connection_list[0]")
    yield "own connection", stage.client.run("other.get_job_status(request)")
