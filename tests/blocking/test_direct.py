"""The direct way does the same as the usual way, and calls replaced methods."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest

import gearman
from gearman.blocking import direct
from gearman.client_handler import GearmanClientCommandHandler
from gearman.connection import GearmanConnection
from gearman.errors import InvalidClientState, ProtocolError, ServerUnavailable
from tests.client.stage import HandServer, working
from tests.servers import DEADLINE, Server
from tests.wire import RESPONSE, packet

CLIENT = gearman.GearmanClient
HANDLER = GearmanClientCommandHandler
CONNECTION = GearmanConnection

SEAMS = [
    *(
        (CLIENT, name)
        for name in (
            *("establish_request_connection", "establish_connection"),
            *("send_job_request", "send_command", "read_command"),
            *("poll_connections_until_stopped", "poll_connections_once"),
            *("handle_connection_activity", "handle_read", "handle_write"),
            *("submit_multiple_requests", "wait_until_jobs_accepted"),
            "_create_request_from_dictionary",
        )
    ),
    *(
        (HANDLER, name)
        for name in (
            *("send_job_request", "send_command", "encode_data"),
            *("fetch_commands", "recv_command", "recv_job_created"),
        )
    ),
    *(
        (CONNECTION, name)
        for name in (
            *("send_command", "_pack_command", "send_commands_to_buffer"),
            *("send_data_to_socket", "read_data_from_socket", "read_command"),
            *("read_commands_from_buffer", "fileno", "readable", "writable"),
        )
    ),
]


@pytest.fixture
def thread() -> Iterator[Executor]:
    """The only thread that uses a client: for two threads it takes the usual way."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


class Counted:
    """A method that counts its calls; it can be set on a class or an instance."""

    def __init__(self, method: Any) -> None:
        self.calls = 0
        self.method = method

    def on_class(self) -> Any:
        def call(this: Any, *arguments: Any, **options: Any) -> Any:
            self.calls += 1
            return self.method(this, *arguments, **options)

        return call

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        return self.method(*arguments, **options)


@pytest.mark.parametrize(
    ("kind", "name"), SEAMS, ids=[f"{kind.__name__}.{name}" for kind, name in SEAMS]
)
def test_a_method_replaced_on_the_class_is_called(
    kind: Any, name: str, monkeypatch: pytest.MonkeyPatch, server: Server, task: str
) -> None:
    with gearman.GearmanClient([server.address]) as client:
        client.submit_job(task, "", background=True)
        counted = Counted(getattr(kind, name))
        monkeypatch.setattr(kind, name, counted.on_class())
        assert client.submit_job(task, "", background=True).complete
        assert counted.calls
        counted.calls = 0
        jobs = [{"task": task, "data": ""}] * 5
        requests = client.submit_multiple_jobs(jobs, background=True)
        assert all(request.complete for request in requests)
        assert counted.calls


@pytest.mark.parametrize(
    ("kind", "name"), SEAMS, ids=[f"{kind.__name__}.{name}" for kind, name in SEAMS]
)
def test_a_method_replaced_on_the_object_is_called(
    kind: Any, name: str, server: Server, task: str
) -> None:
    with gearman.GearmanClient([server.address]) as client:
        client.submit_job(task, "", background=True)
        objects = {
            CLIENT: client,
            CONNECTION: client.connection_list[0],
            HANDLER: next(iter(client.handler_to_connection_map)),
        }
        counted = Counted(getattr(objects[kind], name))
        setattr(objects[kind], name, counted)
        assert client.submit_job(task, "", background=True).complete
        assert counted.calls


class Longer(gearman.GearmanClient):
    """Uses the usual way, since it replaces a method."""

    def handle_read(self, current_connection: Any) -> None:
        super().handle_read(current_connection)


@pytest.mark.parametrize("kind", [gearman.GearmanClient, Longer])
def test_both_ways_lead_to_the_same_requests(
    kind: Any, server: Server, worker: Any, task: str
) -> None:
    worker.register_task(task, lambda worker, job: job.data)
    jobs: list[Any] = [
        {"task": task, "data": "a", "priority": "HIGH", "unique": "u"},
        {"task": task, "data": b"b", "unique": "x" * 65},
        {"task": task.encode(), "data": "c"},
    ]
    with kind([server.address]) as client, working(worker):
        client.submit_job(task, "", background=True)
        single = client.submit_job(**jobs[0], poll_timeout=DEADLINE)
        many = client.submit_multiple_jobs(jobs, poll_timeout=DEADLINE)
        connection = client.connection_list[0]
        requests = [single, *many]
        assert [request.state for request in requests] == [
            *("COMPLETE", "COMPLETE", "FAILED", "COMPLETE")
        ]
        assert [request.result for request in requests] == ["a", "a", None, "c"]
        assert {request.connection_attempts for request in requests} == {1}
        assert {request.job.connection for request in requests} == {connection}
        assert not any(request.timed_out for request in requests)


def test_what_the_socket_does_not_take_at_once_follows(
    client: Any, worker: Any, task: str
) -> None:
    worker.register_task(task, lambda worker, job: str(len(job.data)))
    client.submit_job(task, "", background=True)
    with working(worker):
        request = client.submit_job(task, "x" * 20_000_000, poll_timeout=DEADLINE)
    assert request.result == "20000000"


def test_what_comes_with_the_handle_is_handled_too(thread: Executor, task: str) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        first = thread.submit(client.submit_job, task, "", background=True)
        side = server.accept()
        side.expect("OPTION_REQ", "SUBMIT_JOB_BG")
        side.send("JOB_CREATED", b"H:1")
        first.result(DEADLINE)
        second = thread.submit(client.submit_job, task, "")
        side.expect("SUBMIT_JOB")
        created = packet("JOB_CREATED", b"H:2", magic=RESPONSE)
        side.send_bytes(created + packet("WORK_FAIL", b"H:2", magic=RESPONSE))
        assert second.result(DEADLINE).state == gearman.JOB_FAILED
        third = thread.submit(client.submit_job, task, "", background=True)
        side.expect("SUBMIT_JOB_BG")
        side.send_bytes(packet("JOB_CREATED", b"H:3", magic=RESPONSE) * 2)
        assert isinstance(third.exception(DEADLINE), InvalidClientState)


def test_a_short_wait_ends_in_time_on_the_short_way(
    thread: Executor, task: str
) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        first = thread.submit(client.submit_job, task, "", background=True)
        side = server.accept()
        side.expect("OPTION_REQ", "SUBMIT_JOB_BG")
        side.send("JOB_CREATED", b"H:1")
        first.result(DEADLINE)
        short = thread.submit(
            client.submit_job, task, "", background=True, poll_timeout=0.01
        )
        request = short.result(DEADLINE)
        assert (request.state, request.timed_out) == (gearman.JOB_PENDING, True)
        side.expect("SUBMIT_JOB_BG")
        side.send("JOB_CREATED", b"H:2")
        client.wait_until_jobs_accepted([request], poll_timeout=DEADLINE)
        assert request.complete


def test_a_client_that_replaces_nothing_goes_directly(
    server: Server, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []
    send_and_wait = direct.send_and_wait

    def noting(*arguments: Any) -> None:
        taken.append(task)
        send_and_wait(*arguments)

    monkeypatch.setattr(direct, "send_and_wait", noting)
    for kind, times in ((Longer, 0), (gearman.GearmanClient, 1)):
        with kind([server.address]) as client:
            for _ in range(2):
                client.submit_job(task, "", background=True)
        assert len(taken) == times


def opened(client: Any, server: HandServer, task: str, thread: Executor) -> Any:
    """Let a client open its connection; return the server's side."""
    first = thread.submit(client.submit_job, task, "", background=True)
    side = server.accept()
    side.expect("OPTION_REQ", "SUBMIT_JOB_BG")
    side.send("JOB_CREATED", b"H:1")
    first.result(DEADLINE)
    return side


def test_a_job_that_was_accepted_and_lost_is_not_submitted_again(
    thread: Executor, task: str
) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        side = opened(client, server, task, thread)
        first = thread.submit(
            client.submit_job, task, "", wait_until_complete=False, max_retries=3
        )
        side.expect("SUBMIT_JOB")
        side.send("JOB_CREATED", b"H:2")
        request = first.result(DEADLINE)
        second = thread.submit(client.submit_job, task, "", max_retries=3)
        side.expect("SUBMIT_JOB")
        side.send("JOB_CREATED", b"H:3")
        side.close()
        assert isinstance(second.exception(DEADLINE), ServerUnavailable)
        assert request.state == gearman.JOB_UNKNOWN


@pytest.mark.parametrize("lost", [True, False])
def test_what_ends_while_a_result_is_awaited_directly(
    lost: bool, thread: Executor, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.client.active_count", lambda: 1)
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        side = opened(client, server, task, thread)
        second = thread.submit(
            client.submit_job, task, "", max_retries=3, poll_timeout=DEADLINE
        )
        side.expect("SUBMIT_JOB")
        side.send("JOB_CREATED", b"H:2")
        if lost:
            side.close()
            assert isinstance(second.exception(DEADLINE), ServerUnavailable)
        else:
            side.send("WORK_DATA", b"H:2", b"part")
            side.send("WORK_COMPLETE", b"H:2", b"whole")
            request = second.result(DEADLINE)
            assert (request.result, list(request.data_updates)) == ("whole", ["part"])


def test_what_cannot_be_sent_leaves_the_connection_alone(
    client: Any, task: str
) -> None:
    earlier = client.submit_job(task, "", background=True)
    (connection,) = client.connection_list
    opened = connection.gearman_socket
    with pytest.raises(ProtocolError, match="NUL"):
        client.submit_job(task + "\0", "", background=True)
    with pytest.raises(ProtocolError, match="non-binary"):
        client.submit_job(5, "", background=True)
    assert connection.gearman_socket is opened
    assert earlier.complete
    assert client.submit_job(task, "", background=True).complete


def test_what_comes_before_a_wrong_job_is_submitted(server: Server, task: str) -> None:
    with gearman.GearmanClient([server.address]) as client:
        client.submit_job(task, "", background=True)
        jobs: list[Any] = [{"task": task, "data": data} for data in ("a", "b", 5, "c")]
        requests = [
            client._create_request_from_dictionary(job, background=True) for job in jobs
        ]
        with pytest.raises(TypeError, match="not int"):
            client.submit_multiple_requests(requests)
        states = [request.state for request in requests]
        assert states == ["PENDING", "PENDING", "UNKNOWN", "UNKNOWN"]
        client.wait_until_jobs_accepted(requests[:2], poll_timeout=DEADLINE)
        assert [request.complete for request in requests[:2]] == [True, True]


def test_a_job_with_options_among_others_is_submitted_in_its_order(
    server: Server, task: str
) -> None:
    with gearman.GearmanClient([server.address]) as client:
        client.submit_job(task, "", background=True)
        options = [{}, {}, {"retries": 0}, {}, {"keep": 0}, {}]
        jobs = [{"task": task, "data": "", "options": each} for each in options]
        requests = client.submit_multiple_jobs(jobs, background=True)
        assert all(request.complete for request in requests)
        handles = [str(request.job.handle) for request in requests]
        plain = [handles[number] for number in (0, 1, 3, 5)]
        assert len({*handles}) == 6
        assert plain == sorted(plain, key=lambda handle: int(handle.split(":")[-1]))


def test_unsent_data_is_limited_when_jobs_are_large(
    server: Server, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsent: list[int] = []
    queue_all = GearmanConnection.queue_all

    def noting(this: Any, packets: list[bytes], size: int) -> None:
        queue_all(this, packets, size)
        unsent.append(this.unsent_bytes)

    with gearman.GearmanClient([server.address]) as client:
        client.submit_job(task, "", background=True)
        monkeypatch.setattr(GearmanConnection, "queue_all", noting)
        jobs = [{"task": task, "data": "x" * 400_000}] * 20
        requests = client.submit_multiple_jobs(jobs, background=True)
        assert all(request.complete for request in requests)
        assert len(unsent) > 1
        assert max(unsent) < 2_000_000


def test_a_name_that_is_not_utf_8_is_kept(thread: Executor, task: str) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        side = opened(client, server, task, thread)
        jobs = [{"task": task, "data": ""}] * 2
        both = thread.submit(client.submit_multiple_jobs, jobs, background=True)
        side.expect("SUBMIT_JOB_BG", "SUBMIT_JOB_BG")
        handles = [b"H:\xff", b"H:2"]
        created = (packet("JOB_CREATED", each, magic=RESPONSE) for each in handles)
        side.send_bytes(b"".join(created))
        requests = both.result(DEADLINE)
        assert [each.job.handle for each in requests] == ["H:\udcff", "H:2"]


def test_what_is_no_packet_ends_the_connection(thread: Executor, task: str) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        side = opened(client, server, task, thread)
        second = thread.submit(client.submit_job, task, "", background=True)
        side.expect("SUBMIT_JOB_BG")
        side.send_bytes(packet("JOB_CREATED", b"H:2"))
        assert isinstance(second.exception(DEADLINE), ProtocolError)
        assert not client.connection_list[0].connected
