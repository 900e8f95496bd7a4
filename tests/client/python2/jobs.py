"""Scenes about submitting jobs, and their results."""

from collections.abc import Iterator
from typing import Any

from tests.client.python2.stage import Stage, scene

Results = Iterator[tuple[str, Any]]
PRIORITIES = ("None", "gearman.PRIORITY_LOW", "gearman.PRIORITY_HIGH")


@scene
def foreground_jobs_of_each_priority(stage: Stage) -> Results:
    stage.worker.run("worker.register_task('upper', cast.upper)")
    stage.worker.start("worker.work_through(3)")
    for priority in PRIORITIES:
        call = f"client.submit_job('upper', 'abc', priority={priority})"
        yield priority, stage.client.run(call)
    yield "work", stage.worker.result()


@scene
def background_jobs_of_each_priority(stage: Stage) -> Results:
    for priority in PRIORITIES:
        call = f"client.submit_job('log', '{priority}', None, {priority}, True)"
        yield priority, stage.client.run(call)
    stage.worker.run(
        "done = []\n"
        "worker.register_task('log', lambda worker, job: done.append(job.data) or '')"
    )
    yield "work", stage.worker.run("worker.work_through(3)")
    yield "done", stage.worker.run("done")


@scene
def all_arguments_by_position(stage: Stage) -> Results:
    stage.worker.run("worker.register_task('echo', cast.echo)")
    stage.worker.start("worker.work_through(1)")
    call = "client.submit_job('echo', 'abc', 'key', 'HIGH', False, True, 3, 5.0)"
    yield "request", stage.client.run(f"request = {call}\nrequest")
    for name in ("priority", "background", "max_connection_attempts"):
        yield name, stage.client.run(f"request.{name}")
    yield "unique", stage.client.run("request.job.unique")
    yield "work", stage.worker.result()


@scene
def a_job_as_both_sides_see_it(stage: Stage) -> Results:
    stage.worker.run(
        "def look(worker, job):\n"
        "    say([job.task, job.unique, job.data, job.handle, job.to_dict()])\n"
        "    say([job.connection is worker.connection_list[0], type(job)])\n"
        "    say(repr(job))\n"
        "    return job.data[::-1]\n"
        "worker.register_task('look', look)"
    )
    stage.worker.start("worker.work_through(1)")
    stage.client.run("request = client.submit_job('look', 'abc', 'key')")
    yield "worker's job", stage.worker.said()
    yield "its connection and class", stage.worker.said()
    yield "its repr there", stage.worker.said()
    yield "work", stage.worker.result()
    yield "result", stage.client.run("request.result")
    yield "job", stage.client.run("request.job.to_dict()")
    yield "same job", stage.client.run("request.job is request.gearman_job")
    yield "its repr", stage.client.run("repr(request.job)")
    yield "request's repr", stage.client.run("repr(request)")
    yield (
        "connection",
        stage.client.run("request.job.connection is client.connection_list[0]"),
    )


@scene
def several_jobs_at_once(stage: Stage) -> Results:
    stage.worker.run("worker.register_task('upper', cast.upper)")
    stage.worker.start("worker.work_through(5)")
    stage.client.run("jobs = [dict(task='upper', data=data) for data in 'abc']")
    yield "list", stage.client.run("client.submit_multiple_jobs(jobs)")
    yield "tuple", stage.client.run("client.submit_multiple_jobs(tuple(jobs[:2]))")
    yield "nothing", stage.client.run("client.submit_multiple_jobs([])")
    for wrong in ("jobs[0]", "iter(jobs)", "None", "'jobs'"):
        yield wrong, stage.client.run(f"client.submit_multiple_jobs({wrong})")
    yield "work", stage.worker.result()


@scene
def incomplete_descriptions_of_jobs(stage: Stage) -> Results:
    for wrong in ("{}", "{'task': 'x'}", "{'data': 'x'}", "'x'", "None"):
        yield wrong, stage.client.run(f"client.submit_multiple_jobs([{wrong}])")


@scene
def requests_come_back_in_the_container_they_were_given_in(stage: Stage) -> Results:
    stage.client.run(
        "def requests():\n"
        "    info = {'task': 'x', 'data': 'abc', 'priority': 'LOW'}\n"
        "    make = client._create_request_from_dictionary\n"
        "    return [make(info, background=True, max_retries=2) for _ in range(2)]"
    )
    for container in ("list", "tuple", "set"):
        stage.client.run(f"given = {container}(requests())")
        yield (
            container,
            stage.client.run(
                "back = client.submit_multiple_requests(given)\n"
                "[back is given, list(back), [r.connection_attempts for r in back]]"
            ),
        )
    yield "iterator", stage.client.run("client.submit_multiple_requests(iter(given))")


@scene
def submitting_now_and_waiting_later(stage: Stage) -> Results:
    stage.client.run(
        "jobs = [dict(task='upper', data=data, unique=data) for data in 'abc']\n"
        "requests = client.submit_multiple_jobs(jobs, wait_until_complete=False)"
    )
    yield "submitted", stage.client.run("requests")
    wait = "client.wait_until_jobs_completed(requests, poll_timeout={})"
    yield "no worker", stage.client.run(wait.format(0.05))
    yield "no time", stage.client.run(wait.format(0))
    stage.worker.run("worker.register_task('upper', cast.upper)")
    stage.worker.start("worker.work_through(3)")
    yield "completed", stage.client.run(wait.format(None))
    yield "work", stage.worker.result()
    yield "again", stage.client.run(wait.format(1.0))
    yield "accepted", stage.client.run("client.wait_until_jobs_accepted(requests)")


@scene
def timeouts(stage: Stage) -> Results:
    # Within a second the server has the job, even on a busy machine.
    for timeout in ("1.0", "0", "0.0", "-1", "1e-9"):
        call = f"client.submit_job('nobody', 'abc', poll_timeout={timeout})"
        yield timeout, stage.client.run(call)
    call = "client.submit_job('nobody', 'x', background=True, poll_timeout=0)"
    yield "queued", stage.client.run(f"request = {call}\nrequest")
    yield "sent", stage.client.run("client.wait_until_jobs_accepted([request])")


@scene
def uniques(stage: Stage) -> Results:
    call = "client.submit_job('x', 'data', {}, background=True).job.unique"
    for unique in ("'key'", "None", "''", "'-'"):
        yield unique, stage.client.run(call.format(unique))
    stage.client.run("short = gearman.GearmanClient([server], 4)")
    unique = "short.submit_job('x', 'data', background=True).job.unique"
    yield "of four bytes", stage.client.run(f"len({unique})")


@scene
def two_requests_of_one_unique(stage: Stage) -> Results:
    stage.client.run(
        "jobs = [dict(task='upper', data='abc', unique='key') for _ in range(2)]\n"
        "first, second = client.submit_multiple_jobs(\n"
        "    jobs, wait_until_complete=False)"
    )
    yield "one handle", stage.client.run("first.job.handle == second.job.handle")
    stage.worker.run("worker.register_task('upper', cast.upper)")
    yield "work", stage.worker.run("worker.work_through(1)")
    wait = "client.wait_until_jobs_completed([first, second], poll_timeout=1.0)"
    yield "completed", stage.client.run(wait)
    yield "first", stage.client.run("first")
    yield "second", stage.client.run("second")


@scene
def a_unique_that_is_too_long(stage: Stage) -> Results:
    stage.client.run("unique = 'u' * 65")
    call = "client.submit_job('x', 'abc', unique, background=True, poll_timeout=0.3)"
    yield "request", stage.client.run(call)


@scene
def wrong_types(stage: Stage) -> Results:
    call = "gearman.GearmanClient([server]).submit_job({}, background=True)"
    for arguments in (
        "'x', 1",
        "'x', None",
        "'x', ['a']",
        "'x', 1.5",
        "1, 'abc'",
        "None, 'abc'",
        "'x', 'abc', 1",
        "'x', 'abc', None, 'URGENT'",
        "'x', 'abc', None, 1",
        "'x', u'abc'",
        "u'x', 'abc'",
        "'x', 'abc', u'key'",
        "b'x', b'abc', b'key'",
    ):
        yield arguments, stage.client.run(call.format(arguments))
    yield (
        "not a number of seconds",
        stage.client.run("client.submit_job('x', 'abc', poll_timeout='soon')"),
    )


@scene
def a_request_is_an_ordinary_object(stage: Stage) -> Results:
    stage.client.run("request = client.submit_job('x', 'abc', background=True)")
    yield "extra attribute", stage.client.run("request.mine = 5\nrequest.mine")
    yield "in a set", stage.client.run("request in {request}")
    yield (
        "unlike another",
        stage.client.run("request == client.submit_job('x', 'abc', background=True)"),
    )
    stage.client.run("import weakref")
    for name in ("request", "request.job", "client", "request.job.connection"):
        yield f"weak {name}", stage.client.run(f"weakref.ref({name})() is {name}")
    yield "reset", stage.client.run("request.reset()")
    yield "afterwards", stage.client.run("request")
    yield (
        "connection and handle",
        stage.client.run("[request.connection, request.handle]"),
    )
    yield (
        "old names",
        stage.client.run("[request.status_updates, request.server_status]"),
    )


@scene
def an_own_job_and_request_class(stage: Stage) -> Results:
    stage.client.run(
        "class Job(gearman.job.GearmanJob):\n"
        "    pass\n"
        "class Request(gearman.job.GearmanJobRequest):\n"
        "    def initialize_request(self):\n"
        "        gearman.job.GearmanJobRequest.initialize_request(self)\n"
        "        self.note = 'made here'\n"
        "class Client(gearman.GearmanClient):\n"
        "    job_class = Job\n"
        "    job_request_class = Request\n"
        "client = Client([server])\n"
        "request = client.submit_job('x', 'abc', background=True)"
    )
    yield "request", stage.client.run("[isinstance(request, Request), request.note]")
    yield "job", stage.client.run("isinstance(request.job, Job)")
    yield (
        "by itself",
        stage.client.run(
            "job = gearman.job.GearmanJob(None, None, 'x', 'key', 'abc')\n"
            "request = gearman.job.GearmanJobRequest(job, 'HIGH', True, 2)\n"
            "client.submit_multiple_requests([request])"
        ),
    )
    yield "attempts", stage.client.run("request.connection_attempts")
