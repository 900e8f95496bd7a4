"""A connection that the server has closed is not used again."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import gearman
from gearman.blocking import sockets
from gearman.errors import ExceededConnectionAttempts, ServerUnavailable
from tests import servers
from tests.certificates import Authority
from tests.client.stage import HandServer, meanwhile, working
from tests.servers import DEADLINE, HOST, Server

Start = Callable[[], AbstractContextManager[Server]]


class Place(NamedTuple):
    """How to start a server, always at the same address, and how to connect to it."""

    start: Start
    address: Any
    options: dict[str, Any]

    def client(self, *others: str) -> Any:
        return gearman.GearmanClient([self.address, *others], **self.options)


@pytest.fixture(
    params=["tcp", "unix", "tls", pytest.param("gearmand", marks=pytest.mark.interop)]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    port = servers.free_port()
    start: Start = partial(servers.ours, port=port)
    if request.param == "gearmand":
        start = partial(servers.gearmand, port=port)
    if request.param == "unix":
        path = tmp_path / "socket"
        start = partial(servers.ours, "-L", f"unix:{path}", port=port)
        return Place(start, f"unix:{path}", {})
    if request.param == "tls":
        authority = Authority(tmp_path)
        context = authority.trust()
        start = partial(servers.ours, *authority.options(), port=port, tls=context)
        return Place(start, (HOST, port), {"ssl_context": context})
    return Place(start, (HOST, port), {})


def submit_in_background(client: Any, task: str) -> bool:
    request = client.submit_job(task, "", background=True, poll_timeout=DEADLINE)
    assert request.connection_attempts == 1
    return bool(request.complete)


def submit_several(client: Any, task: str) -> bool:
    jobs = [{"task": task, "data": ""}] * 3
    requests = client.submit_multiple_jobs(jobs, background=True, poll_timeout=DEADLINE)
    assert [request.connection_attempts for request in requests] == [1, 1, 1]
    return all(request.complete for request in requests)


def submit_in_foreground(client: Any, task: str) -> bool:
    request = client.submit_job(
        task, "", wait_until_complete=False, poll_timeout=DEADLINE
    )
    assert request.connection_attempts == 1
    return bool(request.state == gearman.JOB_CREATED)


def ask_for_a_handle(client: Any, task: str) -> bool:
    request = client.get_job_status("H:nobody:1", poll_timeout=DEADLINE)
    return bool(request.status["known"] is False)


def ask_for_a_unique(client: Any, task: str) -> bool:
    status = client.get_unique_status(task, poll_timeout=DEADLINE)
    return bool(status["known"] is False)


CALLS = [
    *(submit_in_background, submit_in_foreground, submit_several),
    *(ask_for_a_handle, submit_in_background, ask_for_a_unique),
]


def test_a_client_finds_a_server_that_was_started_again(
    place: Place, task: str
) -> None:
    with place.client() as client:
        for call in CALLS:
            with place.start():
                assert call(client, task)


def test_a_client_of_several_servers_finds_one_that_was_started_again(
    task: str,
) -> None:
    port, other = servers.free_port(), servers.free_port()
    with gearman.GearmanClient([(HOST, port), (HOST, other)]) as client:
        for call in CALLS:
            with servers.ours(port=port):
                assert call(client, task)


def test_the_status_of_a_job_can_be_asked_after_a_restart(
    place: Place, task: str
) -> None:
    with place.client() as client:
        with place.start():
            request = client.submit_job(task, "", background=True)
        with place.start():
            status = client.get_job_status(request, poll_timeout=DEADLINE).status
    assert (status["known"], request.timed_out) == (False, False)


def test_a_job_goes_to_another_server_when_its_own_has_ended(task: str) -> None:
    with servers.ours() as other:
        with servers.ours() as ended:
            client = gearman.GearmanClient([ended.address, other.address])
            # Both connections are open.
            client.get_unique_status(task, poll_timeout=DEADLINE)
        with client:
            for _ in range(8):
                assert submit_in_background(client, task)


def test_a_server_that_has_ended_and_is_not_back_is_unavailable(
    place: Place, task: str
) -> None:
    with place.client() as client:
        with place.start():
            request = client.submit_job(task, "", background=True)
        for _ in range(2):
            with pytest.raises(ServerUnavailable, match="refused|No such file"):
                client.submit_job(task, "", background=True)
            with pytest.raises(ServerUnavailable, match="refused|No such file"):
                client.get_job_status(request)


def test_an_admin_client_finds_a_server_that_was_started_again(place: Place) -> None:
    with gearman.GearmanAdminClient([place.address], **place.options) as admin:
        for _ in range(3):
            with place.start() as server:
                assert admin.get_pid() == f"OK {server.process.pid}"
                assert admin.ping_server() < DEADLINE


def test_a_worker_that_was_connected_before_finds_it(place: Place, task: str) -> None:
    with gearman.GearmanWorker([place.address], **place.options) as worker:
        worker.register_task(task, lambda worker, job: "done")
        with place.start():
            worker.establish_worker_connections()
        with place.start(), working(worker), place.client() as client:
            assert client.submit_job(task, "", poll_timeout=DEADLINE).result == "done"


@pytest.mark.parametrize("event", [sockets._ENDING, 0], ids=["event", "peek"])
def test_a_result_that_came_right_before_the_end_is_kept(
    event: int, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "_ENDING", event)
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        call = partial(client.submit_job, task, "", poll_timeout=DEADLINE)
        first = meanwhile(call, wait_until_complete=False)
        side = server.accept()
        side.expect("OPTION_REQ", "SUBMIT_JOB")
        side.send("JOB_CREATED", b"H:1")
        request = first.result(DEADLINE)
        if event:
            side.send("WORK_COMPLETE", b"H:1", b"result")
        side.close()
        servers.until(client.connection_list[0].has_ended)
        second = meanwhile(call, background=True)
        other = server.accept()
        other.expect("OPTION_REQ", "SUBMIT_JOB_BG")
        other.send("JOB_CREATED", b"H:2")
        assert second.result(DEADLINE).complete
    assert request.result == (b"result" if event else None)


@pytest.mark.parametrize("event", [sockets._ENDING, 0], ids=["event", "peek"])
def test_something_to_be_read_is_no_end(
    event: int, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "_ENDING", event)
    with HandServer() as server, gearman.GearmanAdminClient([server.address]) as admin:
        admin.establish_admin_connection()
        side = server.accept()
        connection = admin.connection_list[0]
        assert not connection.has_ended()
        side.send_bytes(b"x")
        opened = connection.gearman_socket
        assert opened is not None
        servers.until(lambda: opened.recv(1, 2))
        assert not connection.has_ended()


def test_a_job_that_may_have_arrived_is_still_not_submitted_again(task: str) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        for _ in range(2):
            submission = meanwhile(client.submit_job, task, "", background=True)
            side = server.accept()
            side.expect("OPTION_REQ", "SUBMIT_JOB_BG")
            side.close()
            error = submission.exception(DEADLINE)
            assert isinstance(error, ExceededConnectionAttempts)
