"""The commands of admin clients, and how they parse the answers."""

from typing import Any

import pytest

import gearman
from gearman.admin_client_handler import GearmanAdminClientCommandHandler
from gearman.errors import InvalidAdminClientState, ProtocolError, ServerUnavailable
from tests.client.stage import HandServer, meanwhile, unanswered, working
from tests.servers import DEADLINE, Server


def test_the_status_counts_jobs_and_workers(client: Any, admin: Any, task: str) -> None:
    client.submit_multiple_jobs([{"task": task, "data": ""}] * 2, background=True)
    assert {"task": task, "queued": 2, "running": 0, "workers": 0} in admin.get_status()


def test_workers_are_listed_with_what_they_can_do(
    client: Any, worker: Any, admin: Any, task: str
) -> None:
    worker.set_client_id(f"{task} with a space")
    worker.register_task(task, lambda worker, job: "")
    worker.register_task(f"{task}:2", lambda worker, job: "")
    with working(worker):
        client.submit_job(task, "", poll_timeout=DEADLINE)
        rows = admin.get_workers()
    (row,) = [row for row in rows if row["client_id"] == f"{task} with a space"]
    assert set(row["tasks"]) == {task, f"{task}:2"}
    assert row["ip"] == "127.0.0.1"
    assert row["file_descriptor"].isdigit()
    assert isinstance(rows, tuple)


def test_a_server_tells_what_it_is(admin: Any, server: Server) -> None:
    assert admin.get_version().startswith("OK ")
    assert admin.get_pid() == f"OK {server.process.pid}"
    assert 0 < admin.ping_server() < DEADLINE


@pytest.mark.parametrize("name", [str, str.encode], ids=["str", "bytes"])
def test_a_queue_can_be_limited(name: Any, client: Any, admin: Any, task: str) -> None:
    client.submit_job(task, "", background=True)
    assert admin.send_maxqueue(name(task), 1) == "OK"
    refused = client.submit_job(task, "", background=True, poll_timeout=DEADLINE)
    assert refused.exception == "QUEUE_ERROR: Job queue is full"


def test_jobs_are_listed_and_can_be_cancelled(
    client: Any, admin: Any, task: str
) -> None:
    request = client.submit_job(task, "", f"{task} unique", background=True)
    handle = request.job.handle
    assert handle in [job["handle"] for job in admin.get_jobs()]
    assert {"unique": f"{task} unique"} in admin.get_unique_jobs()
    assert admin.cancel_job(handle) == "OK"
    assert admin.cancel_job("H:none:1") == "ERR UNKNOWN_JOB"


def test_the_priority_status_counts_waiting_jobs(
    client: Any, admin: Any, task: str
) -> None:
    for priority in ("HIGH", None, None, "LOW"):
        client.submit_job(task, "", priority=priority, background=True)
    row = {"task": task, "high": 1, "normal": 2, "low": 1, "workers": 0}
    assert row in admin.get_priority_status()


def test_a_server_tells_how_much_it_logs(admin: Any) -> None:
    assert admin.get_verbosity().startswith("OK ")


@pytest.mark.parametrize("name", [str, str.encode], ids=["str", "bytes"])
def test_a_function_can_be_created_and_dropped(
    name: Any, admin: Any, task: str
) -> None:
    assert admin.create_function(name(task)) == "OK"
    assert task in [row["task"] for row in admin.get_status()]
    assert admin.drop_function(name(task)) == "OK"
    assert task not in [row["task"] for row in admin.get_status()]
    assert admin.drop_function(task).startswith("ERR ")


def test_one_admin_client_asks_one_server() -> None:
    with pytest.raises(ValueError, match="2"):
        gearman.GearmanAdminClient(["one", "two"])


def test_a_server_that_is_down_is_unavailable() -> None:
    with pytest.raises(ServerUnavailable, match="refused"):
        gearman.GearmanAdminClient([unanswered()]).get_status()
    with pytest.raises(gearman.admin_client.ServerUnavailable):
        gearman.GearmanAdminClient([unanswered()]).ping_server()


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    with HandServer() as server:
        admin = gearman.GearmanAdminClient([server.address], poll_timeout=0.02)
        with pytest.raises(InvalidAdminClientState, match="timed out after 0.02"):
            admin.get_version()
        late = server.accept()
        # There may have been no time to send it.
        assert late.read_line() in (b"version\r\n", b"")
        admin.poll_timeout = DEADLINE
        answer = meanwhile(admin.get_version)
        second = server.accept()
        second.read_line()
        second.send_bytes(b"OK 2\n")
        assert answer.result(DEADLINE) == "OK 2"
        assert late.ended()
        admin.close()


@pytest.mark.parametrize(
    ("ask", "line", "sentence"),
    [
        ("get_status", b"a\tb\n", "Received 2 tokens, expected 4"),
        ("get_status", b"a\tb\tc\td\n", "Expected a number, received 'b'"),
        ("get_workers", b"nonsense\n", "Malformed worker response"),
        ("get_jobs", b"x\n", "Received 1 tokens"),
        ("get_version", b"\0BAD00000000", "no packet begins with"),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(
    ask: str, line: bytes, sentence: str
) -> None:
    with (
        HandServer() as server,
        gearman.GearmanAdminClient([server.address]) as admin,
    ):
        answer = meanwhile(getattr(admin, ask))
        side = server.accept()
        side.read_line()
        side.send_bytes(line)
        with pytest.raises(ProtocolError, match=sentence):
            answer.result(DEADLINE)
        assert side.ended()


@pytest.mark.parametrize("hosts", [None, []])
def test_an_admin_client_without_a_server_says_so(hosts: Any) -> None:
    admin = gearman.GearmanAdminClient(hosts)
    with pytest.raises(ServerUnavailable, match="there are no servers: name some"):
        admin.ping_server()


def test_an_admin_client_asks_one_server() -> None:
    with pytest.raises(ValueError, match="asks one server, not 2: make one for each"):
        gearman.GearmanAdminClient(["one", "two"])


def test_a_refused_limit_is_told() -> None:
    with (
        HandServer() as server,
        gearman.GearmanAdminClient([server.address]) as admin,
    ):
        answer = meanwhile(admin.send_maxqueue, "task", 5)
        side = server.accept()
        assert side.read_line() == b"maxqueue task 5\r\n"
        side.send_bytes(b"ERR no\r\n")
        with pytest.raises(ProtocolError, match="Expected 'OK', received: ERR no"):
            answer.result(DEADLINE)


@pytest.mark.parametrize(
    ("graceful", "line"), [(True, b"shutdown graceful\r\n"), (False, b"shutdown\r\n")]
)
def test_a_server_can_be_asked_to_end(graceful: bool, line: bytes) -> None:
    with (
        HandServer() as server,
        gearman.GearmanAdminClient([server.address]) as admin,
    ):
        answer = meanwhile(admin.send_shutdown, graceful=graceful)
        side = server.accept()
        assert side.read_line() == line
        side.send_bytes(b"OK\n")
        assert answer.result(DEADLINE) is None


@pytest.mark.parametrize("name", ["a b", "a\nshutdown", "", b"a\tb"])
def test_a_name_cannot_smuggle_in_another_command(name: Any, admin: Any) -> None:
    with pytest.raises(ProtocolError, match="cannot be part of an admin command"):
        admin.send_maxqueue(name, 1)


def test_an_unknown_command_is_not_sent() -> None:
    handler = GearmanAdminClientCommandHandler()
    with pytest.raises(ProtocolError, match="unknown server command: 'drop'"):
        handler.send_text_command("drop")
    with pytest.raises(ProtocolError, match="is one line"):
        handler.send_text_command("status\nshutdown")


def test_an_answer_without_a_question_is_an_error() -> None:
    handler = GearmanAdminClientCommandHandler()
    with pytest.raises(InvalidAdminClientState):
        handler.recv_text_command("OK")
    with pytest.raises(InvalidAdminClientState):
        handler.pop_response()
