"""Scenes about servers that are not running, stop, or start again."""

from collections.abc import Iterator
from typing import Any

from tests.client.python2.stage import Stage, scene, without
from tests.servers import HOST, free_port

Results = Iterator[tuple[str, Any]]
SUBMIT = "client.submit_job('x', 'abc', background=True)"


@scene
def no_server(stage: Stage) -> Results:
    stage.stop_server()
    for arguments in ("", ", max_retries=3", ", poll_timeout=1.0", ", poll_timeout=0"):
        call = f"client.submit_job('x', 'abc'{arguments})"
        yield f"submit{arguments}", stage.client.run(call)
    yield "worker", stage.worker.run("worker.work(poll_timeout=0.1)")
    yield "admin", stage.client.run("gearman.GearmanAdminClient([server]).get_status()")
    yield (
        "caught",
        stage.client.run(
            "try:\n"
            f"    {SUBMIT}\n"
            "except gearman.errors.ServerUnavailable:\n"
            "    caught = True\n"
            "caught"
        ),
    )
    stage.start_server()
    yield "later", stage.client.run(SUBMIT)


@scene
def no_server_in_the_list(stage: Stage) -> Results:
    for hosts in ("", "None", "[]"):
        client = f"gearman.GearmanClient({hosts})"
        yield f"client {hosts}", stage.client.run(f"{client}.submit_job('x', 'abc')")
    yield "worker", stage.client.run("gearman.GearmanWorker().work(0.1)")
    yield "admin", stage.client.run("gearman.GearmanAdminClient().get_status()")


@scene
def a_server_restarts_between_two_submits(stage: Stage) -> Results:
    for retries in (0, 1, 3):
        call = f"client.submit_job('x', 'a', background=True, max_retries={retries})"
        yield f"{retries} retries, before", stage.client.run(call)
        stage.stop_server()
        stage.start_server()
        yield f"{retries} retries, after", stage.client.run(call)
        yield f"{retries} retries, once more", stage.client.run(call)


@scene
def a_server_goes_between_two_submits(stage: Stage) -> Results:
    yield "before", stage.client.run(SUBMIT)
    stage.stop_server()
    yield "without it", stage.client.run(SUBMIT)
    yield "again", stage.client.run(SUBMIT)
    stage.start_server()
    yield "after", stage.client.run(SUBMIT)


@scene
def a_server_goes_while_a_client_waits(stage: Stage) -> Results:
    stage.client.run(
        "request = client.submit_job('x', 'abc', wait_until_complete=False)"
    )
    stage.client.start("client.wait_until_jobs_completed([request])")
    stage.stop_server()
    yield "waiting", stage.client.result()
    yield "request", stage.client.run("request")
    yield (
        "waiting again",
        stage.client.run(
            "client.wait_until_jobs_completed([request], poll_timeout=0.1)"
        ),
    )
    yield "status", stage.client.run("client.get_job_status(request)")
    stage.start_server()
    yield (
        "submitted again",
        stage.client.run("client.submit_multiple_requests([request], False)"),
    )


@scene
def a_server_goes_while_a_worker_waits(stage: Stage) -> Results:
    stage.worker.run(
        "worker.register_task('x', cast.echo)\n"
        "worker.wanted = 1\n"
        "def after_poll(any_activity):\n"
        "    if any_activity:\n"
        "        say('busy')\n"
        "    return True\n"
        "worker.after_poll = after_poll"
    )
    stage.worker.start("worker.work(poll_timeout=5.0)")
    yield "connected", stage.worker.said()
    stage.stop_server()
    yield "work", stage.worker.result(whatever_is_said=True)
    stage.worker.run("del worker.after_poll")
    stage.start_server()
    stage.worker.start("worker.work_through(1)")
    yield "after", stage.client.run("client.submit_job('x', 'abc', poll_timeout=5.0)")
    yield "work again", stage.worker.result()


@scene
def one_of_two_servers_is_not_there(stage: Stage) -> Results:
    stage.client.run(
        f"client = gearman.GearmanClient(['{HOST}:{free_port()}', server])\n"
        f"worker = gearman.GearmanWorker(['{HOST}:{free_port()}', server])"
    )
    call = "client.submit_job('x', 'abc', background=True).state"
    yield "jobs", stage.client.run(f"[{call} for _ in range(8)]")
    yield (
        "attempts",
        stage.client.run(
            "client.submit_job('x', 'abc', background=True).connection_attempts"
        ),
    )
    yield "connections", stage.client.run("len(worker.establish_worker_connections())")


@scene
def ways_to_name_a_server(stage: Stage) -> Results:
    for host in (
        "'localhost'",
        "'localhost:4731'",
        "('localhost', 4731)",
        "('localhost', None)",
        "('localhost', '4731')",
        "['localhost', 4731]",
        "'localhost:'",
        "'localhost:port'",
        "'[::1]:4731'",
        "'::1'",
        "('::1', 4731)",
        "None",
        "4731",
    ):
        call = f"gearman.GearmanClient([{host}]).connection_list[0].get_address()"
        yield host, stage.client.run(call)
    for hosts in ("server", "(server,)", "iter([server])", "'localhost'"):
        call = f"len(gearman.GearmanClient({hosts}).connection_list)"
        yield f"all hosts: {hosts}", stage.client.run(call)


@scene
def adding_a_server(stage: Stage) -> Results:
    stage.client.run("client = gearman.GearmanClient()")
    yield "added", stage.client.run("connection = client.add_connection(server)")
    yield "in the list", stage.client.run("client.connection_list == [connection]")
    yield "connected", stage.client.run("connection.connected")
    yield "submit", stage.client.run(SUBMIT)
    yield "connected now", stage.client.run("connection.connected")
    yield "shutdown", stage.client.run("client.shutdown()")
    yield "connected still", stage.client.run("connection.connected")
    yield "submit again", stage.client.run(SUBMIT)
    yield "once more", stage.client.run(SUBMIT)


@scene
def an_error_from_the_server(stage: Stage) -> Results:
    stage.client.run(
        "class Client(gearman.GearmanClient):\n"
        "    def on_gearman_error(self, error_code, error_text):\n"
        "        say([error_code, error_text])\n"
        "        return gearman.GearmanClient.on_gearman_error(\n"
        "            self, error_code, error_text)\n"
        "client = Client([server])"
    )
    stage.client.start("client.submit_job('x', 'abc', 'u' * 65, poll_timeout=1.0)")
    yield "said", stage.client.said()
    yield "request", stage.client.result()


@scene
def one_of_two_servers_goes(stage: Stage) -> Results:
    run = stage.client.run
    with stage.second_server() as second:
        run(
            f"client = gearman.GearmanClient([server, {second.address!r}])\n"
            "def choose(current_request):\n"
            "    chosen = client.connection_list[int(current_request.job.data)]\n"
            "    return client.establish_connection(chosen)\n"
            "client.establish_request_connection = choose\n"
            "jobs = [dict(task='x', data=data) for data in '01']\n"
            "requests = client.submit_multiple_jobs(jobs, wait_until_complete=False)"
        )
        yield "submitted", run("requests")
    yield "waiting", run("client.wait_until_jobs_completed(requests, 0.1)")
    yield "connected", run("[each.connected for each in client.connection_list]")
    yield "statuses", run("client.get_job_statuses(requests[:1], 5.0)")
    lost = run("client.get_job_statuses(requests, 5.0)")
    yield "of the lost one", without(second.port, lost)


@scene
def a_worker_of_two_servers(stage: Stage) -> Results:
    with stage.second_server() as second:
        stage.client.run(f"second = {second.address!r}")
        for name in ("server", "second"):
            client = f"gearman.GearmanClient([{name}])"
            call = f"{client}.submit_job('x', {name}, background=True)"
            yield f"submitted to {name}", stage.client.run(call)
        stage.worker.run(
            f"worker = cast.CountedWorker([server, {second.address!r}])\n"
            "done = []\n"
            "def task(worker, job):\n"
            "    host, port = job.connection.get_address()\n"
            "    done.append(job.data == host + ':' + str(port))\n"
            "    return ''\n"
            "worker.register_task('x', task)"
        )
        yield "work", stage.worker.run("worker.work_through(2)")
        yield "done", stage.worker.run("done")


@scene
def a_client_in_a_forked_process(stage: Stage) -> Results:
    yield "before", stage.client.run(SUBMIT)
    stage.client.run(
        "import os\n"
        "child = os.fork()\n"
        "if not child:\n"
        f"    state = {SUBMIT}.state\n"
        "    os._exit(0 if state == 'CREATED' else 1)"
    )
    yield "child", stage.client.run("os.waitpid(child, 0)[1]")
    yield "parent", stage.client.run(SUBMIT)
