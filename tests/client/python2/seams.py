"""Scenes about programs that replace methods of the library."""

from collections.abc import Iterator
from typing import Any

from tests.client.python2.stage import Stage, scene

Results = Iterator[tuple[str, Any]]


@scene
def an_own_client_handler(stage: Stage) -> Results:
    stage.worker.run(
        "def task(worker, job):\n"
        "    worker.send_job_data(job, 'part')\n"
        "    worker.send_job_status(job, 1, 2)\n"
        "    return 'whole'\n"
        "worker.register_task('task', task)"
    )
    stage.worker.start("worker.work_through(1)")
    stage.client.run(
        "from gearman.client_handler import GearmanClientCommandHandler as Base\n"
        "seen = []\n"
        "class Handler(Base):\n"
        "    def recv_job_created(self, job_handle):\n"
        "        seen.append(['created', job_handle])\n"
        "        return Base.recv_job_created(self, job_handle)\n"
        "    def recv_work_data(self, job_handle, data):\n"
        "        seen.append(['data', job_handle, self.decode_data(data)])\n"
        "        return Base.recv_work_data(self, job_handle, data)\n"
        "    def recv_work_status(self, job_handle, numerator, denominator):\n"
        "        seen.append(['status', job_handle, numerator, denominator])\n"
        "        return Base.recv_work_status(\n"
        "            self, job_handle, numerator, denominator)\n"
        "    def recv_work_complete(self, job_handle, data):\n"
        "        seen.append(['complete', sorted(self.handle_to_request_map)])\n"
        "        return Base.recv_work_complete(self, job_handle, data)\n"
        "client.command_handler_class = Handler"
    )
    yield "request", stage.client.run("client.submit_job('task', 'abc')")
    yield "seen", stage.client.run("seen")
    yield "work", stage.worker.result()
    yield (
        "kept",
        stage.client.run(
            "handler = list(client.handler_to_connection_map)[0]\n"
            "[dict(handler.handle_to_request_map), handler.requests_awaiting_handles]"
        ),
    )


@scene
def an_own_worker_handler(stage: Stage) -> Results:
    stage.worker.run(
        "from gearman.worker_handler import GearmanWorkerCommandHandler as Base\n"
        "seen = []\n"
        "class Handler(Base):\n"
        "    def send_command(self, cmd_type, **cmd_args):\n"
        "        name = gearman.protocol.get_command_name(cmd_type)\n"
        "        seen.append([name.replace('GEARMAN_COMMAND_', ''), cmd_args])\n"
        "        return Base.send_command(self, cmd_type, **cmd_args)\n"
        "    def recv_command(self, cmd_type, **cmd_args):\n"
        "        name = gearman.protocol.get_command_name(cmd_type)\n"
        "        seen.append([name.replace('GEARMAN_COMMAND_', ''), cmd_args])\n"
        "        return Base.recv_command(self, cmd_type, **cmd_args)\n"
        "worker.command_handler_class = Handler\n"
        "worker.set_client_id('me')\n"
        "worker.register_task('task', cast.upper)"
    )
    stage.client.run("client.submit_job('task', 'abc', 'key', background=True)")
    yield "work", stage.worker.run("worker.work_through(1)")
    yield "names", stage.worker.run("[name for name, _ in seen]")
    # The bytes of an encoder are compared as text.
    yield (
        "arguments",
        stage.worker.run(
            "decoded = lambda it: it.decode() if isinstance(it, bytes) else it\n"
            "[[key, decoded(each[key])] for _, each in seen for key in sorted(each)]"
        ),
    )


@scene
def methods_replaced_on_objects(stage: Stage) -> Results:
    stage.worker.run(
        "complete = worker.on_job_complete\n"
        "worker.on_job_complete = lambda job, result: complete(job, result + '!')\n"
        "worker.register_task('task', cast.upper)"
    )
    stage.worker.start("worker.work_through(2)")
    stage.client.run(
        "seen = []\n"
        "def noting(name):\n"
        "    method = getattr(client, name)\n"
        "    def replacement(*arguments, **keywords):\n"
        "        if not seen or seen[-1] != name:\n"
        "            seen.append(name)\n"
        "        return method(*arguments, **keywords)\n"
        "    setattr(client, name, replacement)\n"
        "for name in ('submit_multiple_jobs', 'submit_multiple_requests',\n"
        "             'wait_until_jobs_accepted', 'wait_until_jobs_completed',\n"
        "             'send_job_request', 'establish_request_connection',\n"
        "             'establish_connection', 'send_command', 'handle_write'):\n"
        "    noting(name)"
    )
    yield "request", stage.client.run("client.submit_job('task', 'abc')")
    yield "seen", stage.client.run("seen")
    stage.client.run(
        "client = gearman.GearmanClient([server])\n"
        "reads = []\n"
        "read = client.handle_read\n"
        "client.handle_read = lambda connection: reads.append(1) or read(connection)"
    )
    yield "reading", stage.client.run("client.submit_job('task', 'abc')")
    yield "read", stage.client.run("bool(reads)")
    yield "work", stage.worker.result()


@scene
def polling_by_hand(stage: Stage) -> Results:
    run = stage.client.run
    run("connections = client.connection_list")
    yield "not connected", run("client.poll_connections_once(connections, 0)")
    until = "client.poll_connections_until_stopped(connections, lambda any: {}, {})"
    yield "until stopped", run(until.format("True", "None"))
    run("client.submit_job('x', 'abc', background=True)")
    for timeout in ("0", "0.01", "-1"):
        yield timeout, run(f"client.poll_connections_once(connections, {timeout})")
    yield "handled", run("client.handle_connection_activity(set(), set(), set())")
    yield "stopped", run(until.format("False", "None"))
    yield "no time", run(until.format("True", "0"))
    yield "little time", run(until.format("True", "0.01"))
    yield (
        "dropped",
        run(
            "client.handle_error(connections[0])\n"
            "[connections[0].connected, dict(client.connection_to_handler_map),\n"
            " dict(client.handler_to_connection_map)]"
        ),
    )
    yield (
        "unknown packet",
        run(
            "client.establish_connection(connections[0])\n"
            "handler = client.connection_to_handler_map[connections[0]]\n"
            "handler.recv_command(12345)"
        ),
    )
    yield (
        "unexpected packet",
        run("handler.recv_command(gearman.protocol.GEARMAN_COMMAND_NOOP)"),
    )
    yield "unexpected handle", run("handler.recv_job_created('H:x:1')")
    yield "error", run("handler.recv_error('CODE', 'text')")


@scene
def the_lock_of_a_worker(stage: Stage) -> Results:
    run = stage.worker.run
    run(
        "worker.establish_worker_connections()\n"
        "handler = list(worker.handler_to_connection_map)[0]"
    )
    for call in (
        "check_job_lock(handler)",
        "set_job_lock(handler, False)",
        "set_job_lock(handler, True)",
        "set_job_lock(handler, lock=True)",
        "check_job_lock(handler) ",
        "set_job_lock(handler, lock=False)",
        "set_job_lock(object(), lock=True)",
        "command_handler_holding_job_lock",
    ):
        yield call, run(f"worker.{call}")
    yield (
        "a job by hand",
        run(
            "job = worker.create_job(handler, 'H:x:1', 'task', 'key', 'abc')\n"
            "[type(job), job.task, job.connection is worker.connection_list[0]]"
        ),
    )
    yield (
        "unexpected job",
        run(
            "worker.register_task('task', cast.echo)\n"
            "handler.recv_job_assign_uniq('H:x:1', 'task', 'key', b'abc')"
        ),
    )
    yield "unexpected answer", run("handler.recv_no_job()")
