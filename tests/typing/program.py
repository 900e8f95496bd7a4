"""A program that uses each public method of the library, and says what it returns.

It is not run: mypy and pyright check it, as the program of a user. `assert_type` fails
for both where a method returns anything else.
"""

from typing import Any, assert_type

import gearman
from gearman.admin_client_handler import Answer
from gearman.blocking.worker.job_execution import ExcInfo
from gearman.command_handler import GearmanCommandHandler
from gearman.connection import GearmanConnection
from gearman.job import JobStatus, UniqueStatus
from gearman.options import Backoff, Dead, JobOptions
from gearman.protocol import Received, Sendable
from gearman.worker_handler import GearmanWorkerCommandHandler


class Client(gearman.GearmanClient):
    """Overrides what is done with connections and commands."""

    def handle_read(self, current_connection: GearmanConnection) -> None:
        return super().handle_read(current_connection)

    def handle_write(self, current_connection: GearmanConnection) -> None:
        return super().handle_write(current_connection)

    def handle_error(self, current_connection: GearmanConnection) -> None:
        return super().handle_error(current_connection)

    def on_gearman_error(self, error_code: str, error_text: str) -> bool:
        return super().on_gearman_error(error_code, error_text)

    def read_command(
        self, command_handler: GearmanCommandHandler
    ) -> tuple[int, Received] | None:
        return super().read_command(command_handler)

    def send_command(
        self, command_handler: GearmanCommandHandler, cmd_type: int, cmd_args: Sendable
    ) -> None:
        return super().send_command(command_handler, cmd_type, cmd_args)


class Admin(gearman.GearmanAdminClient):
    """Overrides how the admin client opens its connection and waits."""

    def establish_admin_connection(self) -> None:
        return super().establish_admin_connection()

    def wait_until_server_responds(self, expected_type: str | int) -> Answer:
        return super().wait_until_server_responds(expected_type)


class Worker(gearman.GearmanWorker):
    """Overrides what python-gearman's programs do."""

    data_encoder = gearman.JSONEncoder

    def create_job(
        self,
        command_handler: GearmanCommandHandler,
        job_handle: str,
        task: str | bytes,
        unique: str | bytes | None,
        data: Any,
    ) -> gearman.GearmanJob:
        return super().create_job(command_handler, job_handle, task, unique, data)

    def set_job_lock(self, command_handler: GearmanCommandHandler, lock: bool) -> bool:
        return super().set_job_lock(command_handler, lock)

    def check_job_lock(self, command_handler: GearmanCommandHandler) -> bool:
        return super().check_job_lock(command_handler)

    def handle_error(self, current_connection: GearmanConnection) -> None:
        return super().handle_error(current_connection)

    def on_job_execute(self, current_job: gearman.GearmanJob) -> bool:
        return super().on_job_execute(current_job)

    def on_job_exception(
        self, current_job: gearman.GearmanJob, exc_info: ExcInfo
    ) -> bool:
        return super().on_job_exception(current_job, exc_info)

    def on_job_complete(self, current_job: gearman.GearmanJob, job_result: Any) -> bool:
        return super().on_job_complete(current_job, job_result)

    def after_poll(self, any_activity: bool) -> bool:
        return True

    def after_job(self) -> bool:
        return True


def task(worker: gearman.GearmanWorker, job: gearman.GearmanJob) -> str:
    assert_type(job.handle, str | None)
    assert_type(job.task, str | bytes | None)
    assert_type(job.unique, str | bytes | None)
    assert_type(job.reducer, str | None)
    assert_type(job.to_dict(), dict[str, Any])
    if job.connection is not None:
        assert_type(job.connection.get_address(), tuple[str, int])
    assert_type(worker.send_job_status(job, 1, 2, poll_timeout=5.0), None)
    assert_type(worker.send_job_data(job, "part"), None)
    assert_type(worker.send_job_warning(job, b"careful"), None)
    assert_type(worker.wait_until_updates_sent([job], poll_timeout=5.0), None)
    return f"{job.data}"


def ending(worker: Worker, job: gearman.GearmanJob) -> dict[str, int]:
    assert_type(job.cancelled, bool)
    assert_type(worker.is_cancelled(job), bool)
    if job.cancelled:
        raise gearman.errors.JobRetry(5.0, "cancelled", counts=False)
    assert_type(worker.send_job_retry(job), None)
    worker.send_job_retry(job, delay=5, reason="busy", counts=False, poll_timeout=1.0)
    worker.send_job_exception(job, "broken")
    worker.send_job_failure(job)
    worker.send_job_complete(job, {"result": 1})
    return {"result": 1}


def work() -> None:
    worker = Worker(["localhost", ("localhost", 4730)], reconnect=True, grab_all=False)
    assert_type(worker.register_task("name", task), str)
    assert_type(worker.register_task(b"name", ending, timeout=1.5), bytes)
    worker.register_task("other", lambda worker, job: job.data)
    assert_type(worker.unregister_task("name"), str)
    assert_type(worker.set_client_id("me"), str)
    assert_type(worker.establish_worker_connections(), list[GearmanConnection])
    assert_type(worker.has_job_lock(), bool)
    assert_type(worker.work(poll_timeout=1.0), None)
    assert_type(worker.stop(), None)
    assert_type(worker.shutdown(), None)


def submit(client: gearman.GearmanClient) -> None:
    request = client.submit_job(
        "name",
        {"any": "object"},
        unique=b"unique",
        priority=gearman.PRIORITY_HIGH,
        background=False,
        wait_until_complete=True,
        max_retries=3,
        poll_timeout=5.0,
    )
    assert_type(request, gearman.GearmanJobRequest)
    client.submit_job("name", "", background=True, when_to_run=1e9)
    client.submit_job("name", "", reducer="reducer")
    client.submit_job(
        "name",
        "",
        at=1e9,
        delay=5,
        ttl=60.0,
        timeout=None,
        retries=3,
        backoff="exponential:5:60",
        keep=3600,
        dead="list",
        after=[request, "H:host:1", b"H:host:2"],
        need_worker=True,
        trace=None,
    )
    client.submit_job("name", "", options={"retries": 3}, after=request)
    request.options = JobOptions(retries=3, backoff=Backoff("fixed", 5, 5))
    client.submit_job("name", "", options=request.options, dead=Dead("none"))
    jobs = [{"task": "name", "data": "1"}, {"task": "name", "data": "2"}]
    requests = client.submit_multiple_jobs(jobs, background=True, poll_timeout=5.0)
    assert_type(requests, list[gearman.GearmanJobRequest])
    several = tuple(requests)
    assert_type(
        client.submit_multiple_requests(requests, wait_until_complete=False),
        list[gearman.GearmanJobRequest],
    )
    assert_type(
        client.wait_until_jobs_accepted(several, poll_timeout=5.0),
        tuple[gearman.GearmanJobRequest, ...],
    )
    assert_type(
        client.wait_until_jobs_completed(set(requests), poll_timeout=5.0),
        set[gearman.GearmanJobRequest],
    )
    assert_type(client.send_job_request(request), gearman.GearmanJobRequest)
    assert_type(client.establish_request_connection(request), GearmanConnection)


def fetch(client: gearman.GearmanClient, request: gearman.GearmanJobRequest) -> None:
    assert_type(client.get_result(request), Any)
    assert_type(client.get_result("H:host:1", wait=5, poll_timeout=1.0), Any)
    try:
        client.get_result(b"H:host:1")
    except gearman.errors.ResultNotReady as error:
        assert_type(error.state, str)
    except gearman.errors.JobFailed as error:
        assert_type(error.reason, str)
        assert_type(error.handle, str | None)
    except gearman.errors.UnsupportedByServer as error:
        assert_type(error.server, str)
        assert_type(error.lacking, tuple[str, ...])
    except gearman.errors.UnknownJob:
        pass


def look_at(request: gearman.GearmanJobRequest) -> None:
    assert_type(request.job, gearman.GearmanJob)
    assert_type(request.gearman_job, gearman.GearmanJob)
    assert_type(request.state, str)
    assert_type(request.complete, bool)
    assert_type(request.timed_out, bool)
    assert_type(request.background, bool)
    assert_type(request.priority, str | None)
    assert_type(request.connection_attempts, int)
    assert_type(request.max_connection_attempts, int)
    assert_type(request.status, JobStatus)
    assert_type(request.server_status, JobStatus)
    assert_type(request.when_to_run, float | None)
    assert_type(request.reducer, str | bytes | None)
    assert_type(request.result, Any)
    assert_type(request.exception, Any)
    assert_type(request.exception_details, gearman.JobException | None)
    assert_type(request.status_updates.popleft(), tuple[int, int])
    assert_type(request.data_updates.popleft(), Any)
    assert_type(request.warning_updates.popleft(), Any)
    if request.status:
        assert_type(request.status["known"], bool)
        assert_type(request.status["numerator"], int)
        assert_type(request.status["time_received"], float)
    assert_type(request.initialize_request(), None)
    assert_type(request.reset(), None)


def ask(client: gearman.GearmanClient, request: gearman.GearmanJobRequest) -> None:
    assert_type(client.get_job_status(request), gearman.GearmanJobRequest)
    assert_type(client.get_job_status("H:host:1", 5.0), gearman.GearmanJobRequest)
    assert_type(
        client.get_job_statuses((request, request), poll_timeout=5.0),
        tuple[gearman.GearmanJobRequest, gearman.GearmanJobRequest],
    )
    assert_type(
        client.get_job_statuses(["H:host:1", b"H:host:2", request]),
        list[gearman.GearmanJobRequest],
    )
    assert_type(
        client.wait_until_job_statuses_received([request], poll_timeout=5.0),
        list[gearman.GearmanJobRequest],
    )
    status = client.get_unique_status("unique", poll_timeout=5.0)
    assert_type(status, UniqueStatus | None)
    if status is not None:
        assert_type(status["clients"], int)


def manage(client: gearman.GearmanClient) -> None:
    connection = client.add_connection("[::1]:4730")
    assert_type(connection, GearmanConnection)
    client.add_ssl_connection("localhost", 4730, "key.pem", "cert.pem", "ca.pem")
    assert_type(client.establish_connection(connection), GearmanConnection)
    assert_type(client.connection_list, list[GearmanConnection])
    found = client.poll_connections_once(client.connection_list, timeout=0.0)
    assert_type(
        found,
        tuple[set[GearmanConnection], set[GearmanConnection], set[GearmanConnection]],
    )
    client.handle_connection_activity(*found)
    assert_type(
        client.poll_connections_until_stopped(
            [connection], lambda any_activity: not any_activity, timeout=1.0
        ),
        bool,
    )
    assert_type(client.current_time(), float)
    client.shutdown()
    client.close()


def handle(
    manager: gearman.GearmanClient | gearman.GearmanAdminClient | gearman.GearmanWorker,
    handler: GearmanCommandHandler,
    connection: GearmanConnection,
) -> None:
    """Call what the manager calls for a connection, and what handlers call."""
    assert_type(manager.handle_read(connection), None)
    assert_type(manager.handle_write(connection), None)
    assert_type(manager.handle_error(connection), None)
    assert_type(manager.on_gearman_error("code", "text"), bool)
    command = manager.read_command(handler)
    assert_type(command, tuple[int, dict[str, str | gearman.Payload]] | None)
    assert_type(manager.send_command(handler, 16, {"data": b"echo"}), None)
    named: dict[str, str] = {"data": "echo"}
    assert_type(manager.send_command(handler, 16, named), None)


def handle_jobs(worker: Worker, handler: GearmanWorkerCommandHandler) -> None:
    """Call what the handlers of a worker call."""
    job = worker.create_job(handler, "H:host:1", "name", None, {"any": "object"})
    assert_type(job, gearman.GearmanJob)
    assert_type(worker.set_job_lock(handler, lock=True), bool)
    assert_type(worker.check_job_lock(handler), bool)
    assert_type(worker.lend_job_lock(handler), GearmanCommandHandler | None)
    assert_type(worker.queue_grab(handler, after_job=True), bool)
    assert_type(worker.announce_soon(), None)


def administer_by_hand(admin: gearman.GearmanAdminClient) -> None:
    assert_type(admin.establish_admin_connection(), None)
    answer = admin.wait_until_server_responds("version")
    assert_type(answer, Answer)
    if isinstance(answer, str):
        assert_type(answer.split(), list[str])


def administer() -> None:
    with gearman.GearmanAdminClient(["localhost"], poll_timeout=5.0) as admin:
        assert_type(admin, gearman.GearmanAdminClient)
        assert_type(admin.ping_server(), float)
        assert_type(admin.get_version(), str)
        assert_type(admin.get_pid(), str)
        assert_type(admin.get_verbosity(), str)
        assert_type(admin.send_maxqueue("name", 5), str)
        assert_type(admin.send_shutdown(graceful=True), None)
        assert_type(admin.cancel_job("H:host:1"), str)
        assert_type(admin.create_function("name"), str)
        assert_type(admin.drop_function(b"name"), str)
        assert_type(admin.get_status()[0]["workers"], int)
        assert_type(admin.get_priority_status()[0]["high"], int)
        assert_type(admin.get_workers()[0]["tasks"], tuple[str, ...])
        assert_type(admin.get_jobs()[0]["queued"], int)
        assert_type(admin.get_unique_jobs()[0]["unique"], str)
        assert_type(admin.set_function("name", retries=3, backoff="fixed:1"), str)
        assert_type(admin.unset_function(b"name"), str)
        assert_type(admin.get_stats(), tuple[dict[str, Any], ...])
        assert_type(admin.get_cluster(), tuple[dict[str, Any], ...])
        assert_type(admin.get_policies()[0]["policy"], dict[str, str])
        assert_type(admin.pause_function("name"), str)
        assert_type(admin.resume_function("name"), str)
        assert_type(admin.purge_function("name"), int)
        assert_type(admin.get_dead_jobs()[0]["reason"], str)
        assert_type(admin.retry_job("H:host:1"), str)
        assert_type(admin.forget_job(b"H:host:1"), str)
        assert_type(admin.retry_function("name"), int)
        assert_type(admin.forget_function("name"), int)
        assert_type(admin.get_job("H:host:1")["size"], int)
        assert_type(admin.get_workload("H:host:1")["size"], int)
        jobs = admin.list_jobs(task="name", state="dead", limit=10, after="H:host:1")
        assert_type(jobs[0]["state"], str)
        assert_type(jobs[0].get("due"), float | None)
        assert_type(admin.get_schedules()[0]["next"], int | None)
        assert_type(admin.get_schedules()[0]["paused"], bool)
        assert_type(admin.get_schedules()[0]["owner"], str | None)
        assert_type(admin.set_schedule("name", "@daily", b"f", owner="o"), str)
        assert_type(admin.unset_schedule("name"), str)
        assert_type(admin.run_schedule("name"), str)
        assert_type(admin.pause_schedule("name"), str)
        assert_type(admin.resume_schedule("name"), str)


def encode() -> None:
    assert_type(gearman.NoopEncoder.encode("text"), str | bytes)
    assert_type(gearman.NoopEncoder.decode(b"bytes"), gearman.Payload)
    assert_type(gearman.TextEncoder.encode("text"), bytes)
    assert_type(gearman.TextEncoder.decode(b"bytes"), str)
    assert_type(gearman.JSONEncoder.encode({"a": 1}), bytes)
    assert_type(gearman.JSONEncoder.decode(b"{}"), Any)
    assert_type(gearman.PickleEncoder.encode({"a": 1}), bytes)
    assert_type(gearman.PickleEncoder.decode(b""), Any)


def main() -> None:
    options: dict[str, str] = {"host": "h", "port": "1"}
    with gearman.GearmanClient(
        ["localhost:4730", "unix:/run/gearmand.sock", options],
        connect_timeout=5.0,
        read_timeout=None,
        keepalive=gearman.Keepalive(idle=10),
        max_packet=1 << 20,
        consistent_hashing=True,
    ) as client:
        client.data_encoder = gearman.PickleEncoder
        submit(client)
        manage(client)
        request = client.submit_job("name", "")
        look_at(request)
        ask(client, request)
    work()
    administer()
    encode()
