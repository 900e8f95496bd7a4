"""Programs as they are written for python-gearman run with this library, unchanged.

Some use str for names, others bytes; some treat payloads as str, others as bytes.
"""

import json
import pickle
import weakref
from threading import Event
from typing import Any

import pytest

import gearman
from tests import servers
from tests.client.stage import counts, meanwhile, unanswered, working
from tests.servers import DEADLINE, Server, until


class JSONDataEncoder(gearman.DataEncoder):
    @classmethod
    def encode(cls, encodable_object: Any) -> Any:
        return json.dumps(encodable_object)

    @classmethod
    def decode(cls, decodable_string: Any) -> Any:
        return json.loads(decodable_string)


class PickleDataEncoder(gearman.DataEncoder):
    @classmethod
    def encode(cls, encodable_object: Any) -> Any:
        return pickle.dumps(encodable_object)

    @classmethod
    def decode(cls, decodable_string: Any) -> Any:
        return pickle.loads(decodable_string)


class SecretEncoder(gearman.DataEncoder):
    """Inverts every bit. It is used as an instance, not as a class."""

    def __init__(self, key: int) -> None:
        self.key = key

    def encode(self, encodable_object: Any) -> Any:  # type: ignore[override]
        return bytes(byte ^ self.key for byte in encodable_object.encode("utf-8"))

    def decode(self, decodable_string: Any) -> Any:  # type: ignore[override]
        return bytes(byte ^ self.key for byte in decodable_string).decode("utf-8")


@pytest.mark.parametrize("name", [str, str.encode], ids=["str", "bytes"])
@pytest.mark.parametrize(
    ("encoder", "thing"),
    [
        (JSONDataEncoder, {"a": [1, 2.5, None]}),
        (PickleDataEncoder, {"a": {1, 2}}),
        (SecretEncoder(0x55), "grüße"),
    ],
)
def test_a_program_with_an_encoder_of_its_own(
    encoder: Any, thing: Any, name: Any, server: Server, task: str
) -> None:
    class EncodingWorker(gearman.GearmanWorker):
        data_encoder = encoder

    client = gearman.GearmanClient([server.address])
    client.data_encoder = encoder
    worker = EncodingWorker([server.address])
    worker.register_task(name(task), lambda gearman_worker, gearman_job: [thing, 1][0])
    with working(worker):
        request = client.submit_job(name(task), thing, poll_timeout=DEADLINE)
    assert request.result == thing
    client.shutdown()


def test_a_daemon_that_survives_its_server(task: str) -> None:
    port = servers.free_port()
    failures: list[Exception] = []

    def daemon() -> None:
        worker = gearman.GearmanWorker([f"127.0.0.1:{port}"])
        worker.register_task(task, lambda worker, job: job.data)
        worker.register_task(f"{task}-end", lambda worker, job: worker.stop())
        while True:
            try:
                worker.work()
            except gearman.errors.ServerUnavailable as error:
                failures.append(error)
                # The worker sleeps here, and is woken again.
                Event().wait(0.01)
            else:
                return

    running = meanwhile(daemon)
    for _ in range(2):
        with servers.ours(port=port) as server:
            client = gearman.GearmanClient([server.address])
            assert client.submit_job(task, "a", poll_timeout=DEADLINE).result == "a"
            client.shutdown()
    with servers.ours(port=port) as server:
        client = gearman.GearmanClient([server.address])
        client.submit_job(f"{task}-end", "", poll_timeout=DEADLINE)
        running.result(DEADLINE)
        client.shutdown()
    assert failures


def test_a_program_that_converts_bytes_by_itself(
    client: Any, worker: Any, task: str
) -> None:
    """Programs that were ported to Python 3 with payloads as bytes."""

    def handle(gearman_worker: Any, gearman_job: Any) -> bytes:
        data = json.loads(gearman_job.data.decode("utf-8"))
        return pickle.dumps({"task": gearman_job.task.decode(), "data": data})

    worker.register_task(task.encode(), handle)
    with working(worker):
        request = client.submit_job(
            task.encode(), json.dumps({"a": 1}).encode(), poll_timeout=DEADLINE
        )
    assert pickle.loads(request.result) == {"task": task, "data": {"a": 1}}


def test_a_program_that_takes_everything_for_text(
    client: Any, worker: Any, task: str
) -> None:
    """Programs that were not ported, and programs for python3-gearman."""

    def handle(gearman_worker: Any, gearman_job: Any) -> Any:
        if "," not in gearman_job.data:
            return "nothing"
        words = gearman_job.data.split(",")
        return "<" + gearman_job.data + "> %s %d" % (words[0], len(words))  # noqa: UP031

    worker.register_task(task, handle)
    with working(worker):
        request = client.submit_job(task, "é,b", poll_timeout=DEADLINE)
        assert request.result == "<é,b> é 2"
        assert client.submit_job(task, "b").result == "nothing"
    assert f"job {request.job.handle}: {request.result}".endswith("<é,b> é 2")


def test_a_program_that_polls_the_status(client: Any, worker: Any, task: str) -> None:
    def count(gearman_worker: Any, gearman_job: Any) -> str:
        for number in range(1, 4):
            gearman_worker.send_job_status(gearman_job, number, 3)
        return "counted"

    worker.register_task(task, count)
    request = client.submit_job(task, "", background=True)
    with working(worker):
        known = True
        while known:
            client.get_job_status(request, poll_timeout=DEADLINE)
            known = request.status["known"]
    assert request.complete


def test_a_monitor_that_shows_the_server_as_json(
    admin: Any, worker: Any, client: Any, task: str
) -> None:
    worker.set_client_id("monitored")
    worker.register_task(task.encode(), lambda worker, job: "")
    with working(worker):
        client.submit_job(task, "", poll_timeout=DEADLINE)
        shown = json.loads(
            json.dumps({"status": admin.get_status(), "workers": admin.get_workers()})
        )
    assert task in [row["task"] for row in shown["status"]]
    assert "monitored" in [row["client_id"] for row in shown["workers"]]


def test_a_monitor_of_a_server_that_is_down() -> None:
    shown = "up"
    try:
        gearman.GearmanAdminClient([unanswered()]).get_status()
    except gearman.admin_client.ServerUnavailable:
        shown = "down"
    assert shown == "down"


def test_a_program_that_leaves_after_some_jobs(server: Server, task: str) -> None:
    class Limited(gearman.GearmanWorker):
        left = 3

        def on_job_complete(self, current_job: Any, job_result: Any) -> Any:
            self.left -= 1
            return super().on_job_complete(current_job, job_result)

        def after_poll(self, any_activity: bool) -> bool:
            return self.left > 0

    client = gearman.GearmanClient([server.address])
    client.submit_multiple_jobs([{"task": task, "data": ""}] * 5, background=True)
    worker = Limited([server.address])
    worker.register_task(task, lambda worker, job: "")
    worker.work(poll_timeout=gearman.worker.POLL_TIMEOUT_IN_SECONDS)
    admin = gearman.GearmanAdminClient([server.address])
    until(lambda: counts(admin, task) == (2, 0, 0))
    admin.shutdown()
    client.shutdown()


def test_workers_in_threads(server: Server, client: Any, task: str) -> None:
    workers = [gearman.GearmanWorker([server.address]) for _ in range(4)]
    for worker in workers:
        worker.register_task(task, lambda worker, job: job.data[::-1])
    threads = [meanwhile(worker.work) for worker in workers]
    jobs = [{"task": task, "data": f"{number}-"} for number in range(200)]
    requests = client.submit_multiple_jobs(jobs, poll_timeout=DEADLINE)
    assert [request.result for request in requests] == [
        f"-{str(number)[::-1]}" for number in range(200)
    ]
    for worker in workers:
        worker.stop()
    for thread in threads:
        thread.result(DEADLINE)


def test_a_program_that_extends_requests_and_connections(
    server: Server, task: str
) -> None:
    class Connection(gearman.connection.GearmanConnection):
        sent = 0

        def send_command(self, cmd_type: int, cmd_args: Any) -> None:
            self.sent += 1
            super().send_command(cmd_type, cmd_args)

    class Request(gearman.job.GearmanJobRequest):
        def initialize_request(self) -> None:
            super().initialize_request()
            self.note = "mine"

    class Handler(gearman.client_handler.GearmanClientCommandHandler):
        seen: list[str] = []

        def recv_job_created(self, job_handle: str) -> bool:
            self.seen.append(job_handle)
            return super().recv_job_created(job_handle)

    class Client(gearman.GearmanClient):
        connection_class = Connection
        job_request_class = Request
        command_handler_class = Handler
        commands: list[int] = []

        def send_command(self, handler: Any, cmd_type: int, cmd_args: Any) -> None:
            self.commands.append(cmd_type)
            super().send_command(handler, cmd_type, cmd_args)

    client: Any = Client([server.address])
    request = client.submit_job(task, "", background=True)
    assert request.note == "mine"
    assert Handler.seen == [request.job.handle]
    assert client.commands[-1] == gearman.protocol.GEARMAN_COMMAND_SUBMIT_JOB_BG
    assert client.connection_list[0].sent == len(client.commands)
    client.shutdown()


def test_methods_may_be_replaced_at_any_time(server: Server, task: str) -> None:
    client = gearman.GearmanClient([server.address])
    client.submit_job(task, "", background=True)
    polls: list[Any] = []
    original = client.poll_connections_once

    def counted(connections: Any, timeout: Any = None) -> Any:
        polls.append(timeout)
        return original(connections, timeout=timeout)

    client.poll_connections_once = counted  # type: ignore[method-assign,assignment]
    assert client.submit_job(task, "", background=True).complete
    assert len(polls) >= 2
    client.shutdown()


def test_a_double_may_be_mixed_in(task: str) -> None:
    class Recorder:
        submitted: list[Any]

        def submit_multiple_requests(self, job_requests: Any, **_: Any) -> Any:
            self.submitted = list(job_requests)
            return job_requests

    class Double(Recorder, gearman.GearmanClient):  # type: ignore[misc]
        pass

    client = Double(["nowhere.invalid"])
    request = client.submit_job(task, "data")
    assert client.submitted == [request]
    assert request.job.data == "data"


@pytest.mark.parametrize(
    "kind", [gearman.GearmanClient, gearman.GearmanWorker, gearman.GearmanAdminClient]
)
def test_objects_take_attributes_and_can_be_referred_to_weakly(kind: Any) -> None:
    thing = kind(["nowhere.invalid"])
    thing.note = "mine"
    (connection,) = thing.connection_list
    connection.note = "mine"
    assert weakref.ref(thing)() is thing
    assert weakref.ref(connection)() is connection
    assert len({thing, connection}) == 2
