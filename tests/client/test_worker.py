"""How workers run jobs, which updates they send, and how they end."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest

import gearman
from gearman.errors import InvalidWorkerState, ServerUnavailable
from tests import servers
from tests.client.stage import (
    Conversation,
    HandServer,
    counts,
    meanwhile,
    unanswered,
    working,
)
from tests.servers import DEADLINE, Server, until


def submit(client: Any, task: str, data: Any = "", **options: Any) -> Any:
    return client.submit_job(task, data, poll_timeout=DEADLINE, **options)


@pytest.mark.parametrize("name", [str, str.encode], ids=["str", "bytes"])
def test_a_job_is_what_was_registered_and_submitted(
    name: Any, client: Any, worker: Any, task: str
) -> None:
    seen: list[Any] = []
    worker.register_task(name(task), lambda worker, job: seen.append(job))
    with working(worker):
        request = submit(client, task, b"\xff", unique="key")
    (job,) = seen
    assert (job.task, type(job.task)) == (name(task), type(name(task)))
    assert (job.unique, job.data, job.handle) == ("key", b"\xff", request.job.handle)
    assert job.connection is worker.connection_list[0]


def test_updates_reach_the_client(client: Any, worker: Any, task: str) -> None:
    def tell(worker: Any, job: Any) -> str:
        worker.send_job_data(job, "one")
        worker.send_job_data(job, b"two")
        worker.send_job_warning(job, "careful")
        worker.send_job_status(job, 0.5, 2)
        return "done"

    worker.register_task(task, tell)
    with working(worker):
        request = submit(client, task)
    assert list(request.data_updates) == ["one", "two"]
    assert list(request.warning_updates) == ["careful"]
    assert request.status["denominator"] == 2
    assert request.result == "done"


def test_a_status_needs_numbers(client: Any, worker: Any, task: str) -> None:
    worker.register_task(task, lambda worker, job: worker.send_job_status(job, "1", 2))
    with working(worker):
        assert submit(client, task).state == gearman.JOB_FAILED


def test_an_exception_makes_the_job_fail_and_the_worker_go_on(
    client: Any, worker: Any, task: str
) -> None:
    def divide(worker: Any, job: Any) -> str:
        return str(10 // int(job.data))

    worker.register_task(task, divide)
    with working(worker):
        assert submit(client, task, "0").state == gearman.JOB_FAILED
        assert submit(client, task, "5").result == "2"


@pytest.mark.parametrize(
    "encoder", [gearman.NoopEncoder, gearman.JSONEncoder, gearman.PickleEncoder]
)
def test_an_exception_can_be_reported(encoder: Any, server: Server, task: str) -> None:
    def fail(worker: Any, job: Any) -> None:
        raise LookupError("nothing there")

    with (
        gearman.GearmanWorker([server.address], report_exceptions=True) as worker,
        gearman.GearmanClient([server.address]) as client,
    ):
        worker.data_encoder = client.data_encoder = encoder
        worker.register_task(task, fail)
        with working(worker):
            request = submit(client, task, "")
    assert request.state == gearman.JOB_FAILED
    details = request.exception_details
    assert (details.type, details.message) == ("builtins.LookupError", "nothing there")
    assert "in fail" in details.traceback


def test_hooks_are_called_between_jobs(server: Server, client: Any, task: str) -> None:
    class Counting(gearman.GearmanWorker):
        polls = 0
        jobs = 0

        def after_poll(self, any_activity: bool) -> bool:
            self.polls += 1
            return True

        def after_job(self) -> bool:
            self.jobs += 1
            assert not self.has_job_lock()
            return self.jobs < 2

    worker = Counting([server.address])
    worker.register_task(task, lambda worker, job: "")
    for _ in range(3):
        client.submit_job(task, "", background=True)
    worker.work()
    assert worker.jobs == 2
    assert worker.polls > 2
    assert not worker.connection_list[0].connected


@pytest.mark.parametrize("connections", [1, 2])
def test_a_poll_that_merely_timed_out_was_no_activity(
    connections: int, server: Server
) -> None:
    class Idle(gearman.GearmanWorker):
        def after_poll(self, any_activity: bool) -> bool:
            seen.append(any_activity)
            return len(seen) < 50 and seen[-3:] != [False] * 3

    seen: list[bool] = []
    # Each wait begins with a False: three in a row come only after a poll has ended.
    Idle([server.address] * connections).work(poll_timeout=0.01)
    assert True in seen
    assert seen[-3:] == [False] * 3


def test_a_false_after_poll_ends_the_work_before_it_begins(server: Server) -> None:
    class Leaving(gearman.GearmanWorker):
        def after_poll(self, any_activity: bool) -> bool:
            seen.append(any_activity)
            return False

    seen: list[bool] = []
    Leaving([server.address]).work()
    assert seen == [False]


def test_overridden_hooks_see_every_job(server: Server, client: Any, task: str) -> None:
    class Watching(gearman.GearmanWorker):
        seen: list[str] = []

        def on_job_execute(self, current_job: Any) -> Any:
            self.seen.append("execute")
            return super().on_job_execute(current_job)

        def on_job_exception(self, current_job: Any, exc_info: Any) -> Any:
            self.seen.append(exc_info[0].__name__)
            return super().on_job_exception(current_job, exc_info)

        def on_job_complete(self, current_job: Any, job_result: Any) -> Any:
            self.seen.append("complete")
            super().on_job_complete(current_job, job_result)
            # The update is sent already: the client gets it while this job runs.
            assert not current_job.connection.writable()
            return True

    with Watching([server.address]) as worker:
        worker.register_task(task, lambda worker, job: job.data[int(job.data)])
        worker.register_task(f"{task}-echo", lambda worker, job: job.data)
        with working(worker):
            submit(client, task, "7")
            submit(client, f"{task}-echo", "7")
    assert worker.seen == ["execute", "IndexError", "execute", "complete"]


def test_bound_methods_and_lambdas_are_tasks(
    client: Any, worker: Any, task: str
) -> None:
    class Tasks:
        def upper(self, worker: Any, job: Any) -> Any:
            return job.data.upper()

    worker.register_task(task, Tasks().upper)
    with working(worker):
        assert submit(client, task, "a").result == "A"


def test_a_client_can_be_used_in_a_task(
    server: Server, client: Any, worker: Any, task: str
) -> None:
    def outer(worker: Any, job: Any) -> Any:
        with gearman.GearmanClient([server.address]) as inner:
            return inner.submit_job(f"{task}-inner", job.data).result + "!"

    worker.register_task(task, outer)
    with gearman.GearmanWorker([server.address]) as second:
        second.register_task(f"{task}-inner", lambda worker, job: job.data.upper())
        with working(worker), working(second):
            assert submit(client, task, "a").result == "A!"


def test_tasks_can_be_registered_and_unregistered_while_it_works(
    client: Any, worker: Any, admin: Any, task: str
) -> None:
    new = f"{task}-new"

    def swap(worker: Any, job: Any) -> str:
        assert worker.register_task(new, lambda worker, job: "new") == new
        assert worker.unregister_task(task) == task
        assert worker.unregister_task("never registered") == "never registered"
        return "swapped"

    worker.register_task(task, swap)
    with working(worker):
        assert submit(client, task).result == "swapped"
        assert submit(client, new).result == "new"
        tasks = [set(row["tasks"]) for row in admin.get_workers()]
    assert {new} in tasks
    assert not any(task in names for names in tasks)


def test_the_server_lists_the_client_id(
    client: Any, worker: Any, admin: Any, task: str
) -> None:
    def rename(worker: Any, job: Any) -> None:
        worker.set_client_id(f"{task} second")

    assert worker.set_client_id(f"{task} first") == f"{task} first"
    worker.register_task(task, rename)
    worker.register_task(f"{task}-nothing", lambda worker, job: "")
    with working(worker):
        submit(client, f"{task}-nothing")
        assert f"{task} first" in [row["client_id"] for row in admin.get_workers()]
        submit(client, task)
        submit(client, f"{task}-nothing")
        assert f"{task} second" in [row["client_id"] for row in admin.get_workers()]


def test_a_task_may_have_a_timeout(task: str) -> None:
    with HandServer() as server, gearman.GearmanWorker([server.address]) as worker:
        worker.register_task(task, lambda worker, job: "", timeout=2.5)
        with working(worker):
            side = server.accept()
            assert side.expect("RESET_ABILITIES", "CAN_DO_TIMEOUT") == [
                task.encode(),
                b"2500",
            ]


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(0.0001, b"1"), (2.0001, b"2001"), (0, b"0")]
)
def test_a_timeout_is_not_cut(seconds: float, milliseconds: bytes, task: str) -> None:
    with HandServer() as server, gearman.GearmanWorker([server.address]) as worker:
        worker.register_task(task, lambda worker, job: "", timeout=seconds)
        with working(worker):
            side = server.accept()
            told = side.expect("RESET_ABILITIES", "CAN_DO_TIMEOUT")
            assert told[1] == milliseconds


def test_what_is_no_function_is_not_registered(worker: Any) -> None:
    with pytest.raises(TypeError, match="'x' needs a function, not str"):
        worker.register_task("x", "no function")
    assert not worker.worker_abilities


def test_a_worker_says_why_no_server_is_there() -> None:
    address = unanswered()
    worker = gearman.GearmanWorker([address, "nowhere.invalid"])
    with pytest.raises(ServerUnavailable) as caught:
        worker.work()
    text = str(caught.value)
    assert f"<{address}> ConnectionRefusedError" in text
    assert "<nowhere.invalid:4730> gaierror" in text


def test_a_worker_says_how_it_lost_its_server(worker: Any) -> None:
    with HandServer() as server, gearman.GearmanWorker([server.address]) as worker:
        work = meanwhile(worker.work)
        side = server.accept()
        side.expect("RESET_ABILITIES", "PRE_SLEEP")
        side.close()
        assert f"<{server.address}> remote disconnected" in str(
            work.exception(DEADLINE)
        )


@pytest.mark.parametrize("reconnect", [False, True])
def test_a_worker_without_servers_says_so(reconnect: bool) -> None:
    with pytest.raises(ServerUnavailable, match="there are no servers: name some"):
        gearman.GearmanWorker([], reconnect=reconnect).work()


_FAILING = """
import sys, gearman
class Worker(gearman.GearmanWorker):
    def after_job(self):
        return False
worker = Worker([sys.argv[1]])
def divide(worker, job):
    return 1 / int(job.data)
worker.register_task("{task}", divide)
worker.work()
"""


def test_a_failing_function_is_told_where_no_logging_is_set_up(
    client: Any, server: Server, task: str
) -> None:
    program = [sys.executable, "-P", "-c", _FAILING.replace("{task}", task)]
    with subprocess.Popen(
        [*program, server.address],
        env=servers.package_environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        request = submit(client, task, "0")
        _, said = process.communicate(timeout=DEADLINE)
    first, *trace = said.splitlines()
    assert first == f"Job {request.job.handle} of '{task}' failed"
    assert trace[0] == "Traceback (most recent call last):"
    assert trace[-1] == "ZeroDivisionError: division by zero"


def test_a_hook_may_return_nothing_where_2_0_2_did_not_look(
    server: Server, task: str
) -> None:
    class Client(gearman.GearmanClient):
        def handle_connection_activity(self, *found: Any) -> Any:
            super().handle_connection_activity(*found)

    class Worker(gearman.GearmanWorker):
        active = False

        def handle_connection_activity(self, *found: Any) -> Any:
            super().handle_connection_activity(*found)

        def after_poll(self, any_activity: bool) -> bool:
            self.active = self.active or any_activity
            return super().after_poll(any_activity)

    with Client([server.address]) as client, Worker([server.address]) as worker:
        worker.register_task(task, lambda worker, job: "done")
        with working(worker):
            assert submit(client, task).result == "done"
        assert worker.active


def test_stop_lets_the_running_job_end_and_takes_no_other(
    client: Any, worker: Any, admin: Any, task: str
) -> None:
    def last(worker: Any, job: Any) -> str:
        worker.stop()
        return "done"

    worker.register_task(task, last)
    requests = client.submit_multiple_jobs(
        [{"task": task, "data": ""}] * 2, wait_until_complete=False
    )
    worker.work()
    client.wait_until_jobs_completed(requests[:1], poll_timeout=DEADLINE)
    assert requests[0].result == "done"
    until(lambda: counts(admin, task) == (1, 0, 0))
    worker.work()
    client.wait_until_jobs_completed(requests, poll_timeout=DEADLINE)
    assert requests[1].complete


def test_a_signal_stops_an_idle_worker(worker: Any, task: str) -> None:
    idle = Event()

    def after_poll(any_activity: bool) -> bool:
        idle.set()
        return True

    worker.after_poll = after_poll
    worker.register_task(task, lambda worker, job: "")

    def send_signal() -> None:
        idle.wait(DEADLINE)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: worker.stop())
    try:
        sent = meanwhile(send_signal)
        worker.work()
        sent.result(DEADLINE)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_signals_wake_a_worker_only_while_it_works(worker: Any, task: str) -> None:
    found = []

    def after_poll(any_activity: bool) -> bool:
        found.append(signal.set_wakeup_fd(-1))
        signal.set_wakeup_fd(found[0])
        return False

    worker.after_poll = after_poll
    worker.register_task(task, lambda worker, job: "")
    worker.work(poll_timeout=0.01)
    assert found[0] != -1
    assert signal.set_wakeup_fd(-1) == -1


def test_a_wakeup_of_the_program_is_kept(worker: Any, task: str) -> None:
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        try:
            worker.after_poll = lambda any_activity: False
            worker.register_task(task, lambda worker, job: "")
            worker.work(poll_timeout=0.01)
        finally:
            assert signal.set_wakeup_fd(-1) == writer.fileno()


def test_a_signal_lets_a_running_job_end(client: Any, worker: Any, task: str) -> None:
    def interrupted(worker: Any, job: Any) -> str:
        os.kill(os.getpid(), signal.SIGUSR1)
        return "done"

    worker.register_task(task, interrupted)
    before = signal.signal(signal.SIGUSR1, lambda *_: worker.stop())
    try:
        request = client.submit_job(task, "", wait_until_complete=False)
        worker.work()
    finally:
        signal.signal(signal.SIGUSR1, before)
    client.wait_until_jobs_completed([request], poll_timeout=DEADLINE)
    assert request.result == "done"


def test_stop_waits_for_the_job_that_is_on_its_way(task: str) -> None:
    with HandServer() as server, gearman.GearmanWorker([server.address]) as worker:
        worker.register_task(task, lambda worker, job: "done")
        with working(worker) as work:
            side = server.accept()
            side.expect("RESET_ABILITIES", "CAN_DO", "PRE_SLEEP")
            side.send("NOOP")
            side.expect("GRAB_JOB_UNIQ")
            worker.stop()
            side.send("JOB_ASSIGN_UNIQ", b"H:1", task.encode(), b"", b"")
            assert side.expect("WORK_COMPLETE") == [b"H:1", b"done"]
            work.result(DEADLINE)
            assert side.ended()


def test_a_result_and_the_next_grab_leave_in_one_write(task: str) -> None:
    with HandServer() as server, gearman.GearmanWorker([server.address]) as worker:
        worker.register_task(task, lambda worker, job: "done")
        with working(worker):
            side = server.accept()
            side.expect("RESET_ABILITIES", "CAN_DO", "PRE_SLEEP")
            side.send("NOOP")
            side.expect("GRAB_JOB_UNIQ")
            side.send("JOB_ASSIGN_UNIQ", b"H:1", task.encode(), b"", b"")
            data = side.peer.recv(65536)
            assert b"WORK_COMPLETE" not in data
            assert [data[n + 7] for n in (0, 20)] == [13, 30]
            side.send("NO_JOB")
            side.expect("PRE_SLEEP")


def test_one_job_at_a_time_over_all_servers_by_turns(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.worker._PATIENCE", DEADLINE)

    class Telling(gearman.GearmanWorker):
        def queue_grab(self, command_handler: Any, after_job: bool = False) -> bool:
            queued = super().queue_grab(command_handler, after_job)
            if self.has_job_lock():
                woken.set()
            return queued

    woken = Event()
    with (
        HandServer() as one,
        HandServer() as two,
        Telling([one.address, two.address]) as worker,
    ):
        worker.register_task(task, lambda worker, job: "")
        with working(worker):
            first, second = one.accept(), two.accept()
            for side in (first, second):
                side.expect("RESET_ABILITIES", "CAN_DO", "PRE_SLEEP")
            first.send("NOOP")
            first.expect("GRAB_JOB_UNIQ")
            second.send("NOOP")
            assert woken.wait(DEADLINE)
            give(first, task)
            second.expect("GRAB_JOB_UNIQ")
            give(second, task)
            first.expect("GRAB_JOB_UNIQ")
            first.send("NO_JOB")
            first.expect("PRE_SLEEP")
            second.expect("GRAB_JOB_UNIQ")
            second.send("NO_JOB")


def give(side: Conversation, task: str) -> None:
    side.send("JOB_ASSIGN_UNIQ", b"H:1", task.encode(), b"", b"")
    side.expect("WORK_COMPLETE")


def test_a_job_that_was_not_asked_for_is_an_error(task: str) -> None:
    with HandServer() as server, gearman.GearmanWorker([server.address]) as worker:
        worker.register_task(task, lambda worker, job: "")
        work = meanwhile(worker.work)
        server.accept().send("JOB_ASSIGN_UNIQ", b"H:1", task.encode(), b"", b"")
        assert isinstance(work.exception(DEADLINE), InvalidWorkerState)


def test_without_a_server_there_is_no_work() -> None:
    for hosts in ([], [unanswered()]):
        with pytest.raises(ServerUnavailable):
            gearman.GearmanWorker(hosts).work()


def test_work_ends_as_soon_as_the_only_server_does(task: str) -> None:
    with servers.ours() as server, gearman.GearmanWorker([server.address]) as worker:
        worker.register_task(task, lambda worker, job: "")
        work = meanwhile(worker.work)
        with gearman.GearmanClient([server.address]) as client:
            submit(client, task)
        servers.end(server.process)
        assert isinstance(work.exception(DEADLINE), ServerUnavailable)


def test_a_worker_may_wait_for_its_server(task: str) -> None:
    port = servers.free_port()
    worker = gearman.GearmanWorker([("127.0.0.1", port)], reconnect=True)
    worker.connection_list[0].connect_cooldown_seconds = 0.02
    worker.register_task(task, lambda worker, job: "done")
    with working(worker):
        for _ in range(2):
            with (
                servers.ours(port=port) as server,
                gearman.GearmanClient([server.address]) as client,
            ):
                assert submit(client, task).result == "done"


def test_a_worker_that_waits_for_its_server_can_be_stopped() -> None:
    worker = gearman.GearmanWorker([unanswered()], reconnect=True)
    worker.connection_list[0].connect_cooldown_seconds = 1000
    with working(worker) as work:
        assert not work.done()


def test_a_lost_server_is_tried_again_while_another_gives_work(task: str) -> None:
    port = servers.free_port()
    with (
        HandServer() as steady,
        gearman.GearmanWorker([steady.address, ("127.0.0.1", port)]) as worker,
    ):
        for connection in worker.connection_list:
            connection.connect_cooldown_seconds = 0.02
        worker.register_task(task, lambda worker, job: "done")
        with working(worker):
            side = steady.accept()
            side.expect("RESET_ABILITIES", "CAN_DO", "PRE_SLEEP")
            for _ in range(2):
                with (
                    servers.ours(port=port) as server,
                    gearman.GearmanClient([server.address]) as client,
                ):
                    assert submit(client, task).result == "done"


def test_losing_the_connection_of_a_job_loses_only_that_job(task: str) -> None:
    with (
        HandServer() as one,
        HandServer() as two,
        gearman.GearmanWorker([one.address, two.address]) as worker,
    ):
        sides: list[Conversation] = []

        def run(worker: Any, job: Any) -> str:
            if job.data == "cut":
                sides[0].close()
                for _ in range(1000):
                    worker.send_job_status(job, 1, 2)
            return "done"

        worker.register_task(task, run)
        with working(worker):
            sides += [one.accept(), two.accept()]
            for side, data in zip(sides, (b"cut", b""), strict=True):
                side.expect("RESET_ABILITIES", "CAN_DO", "PRE_SLEEP")
                side.send("NOOP")
                side.expect("GRAB_JOB_UNIQ")
                side.send("JOB_ASSIGN_UNIQ", b"H:1", task.encode(), b"", data)
            sides[1].expect("WORK_COMPLETE", "GRAB_JOB_UNIQ")
            sides[1].send("NO_JOB")


def test_shutdown_in_a_task_gives_the_job_back(
    client: Any, worker: Any, admin: Any, task: str
) -> None:
    worker.register_task(task, lambda worker, job: worker.shutdown())
    client.submit_job(task, "", background=True)
    with pytest.raises(ServerUnavailable):
        worker.work()
    until(lambda: counts(admin, task) == (1, 0, 0))
    worker.register_task(task, lambda worker, job: worker.stop())
    worker.work()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_ends_the_program_ends_the_work(
    kind: Any, client: Any, worker: Any, admin: Any, task: str
) -> None:
    def leave(worker: Any, job: Any) -> None:
        raise kind

    worker.register_task(task, leave)
    client.submit_job(task, "", background=True)
    with pytest.raises(kind):
        worker.work()
    worker.register_task(task, lambda worker, job: worker.stop())
    worker.work()


def test_an_idle_worker_polls_once_for_each_timeout(worker: Any, task: str) -> None:
    seen: list[bool] = []

    def after_poll(any_activity: bool) -> bool:
        seen.append(any_activity)
        return len(seen) < 8

    worker.register_task(task, lambda worker, job: "")
    worker.after_poll = after_poll
    worker.work(poll_timeout=0.01)
    # It has sent its abilities, and nothing more.
    assert seen.count(True) == 1


def test_attributes_hold_what_was_registered(worker: Any, task: str) -> None:
    def run(worker: Any, job: Any) -> None: ...

    worker.register_task(task.encode(), run)
    worker.set_client_id("me")
    assert worker.worker_abilities == {task.encode(): run}
    assert worker.worker_client_id == "me"
    assert worker.handler_initial_state == {
        "abilities": [task.encode()],
        "client_id": "me",
    }


class TestServerThatDoesNotAnswer:
    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gearman.worker._PATIENCE", 0.01)
        monkeypatch.setattr("gearman.worker._LAST_ANSWER", 0.01)

    @pytest.fixture
    def servers(self) -> Iterator[tuple[HandServer, HandServer]]:
        with HandServer() as hung, HandServer() as other:
            yield hung, other

    @contextmanager
    def awaiting(
        self, servers: tuple[HandServer, HandServer], task: str
    ) -> Iterator[tuple[Conversation, Conversation]]:
        """Let a worker wait for the answer of the first of two servers."""
        addresses = [server.address for server in servers]
        with gearman.GearmanWorker(addresses) as worker:
            worker.register_task(task, lambda worker, job: job.data)
            with working(worker):
                hung, other = (server.accept() for server in servers)
                for side in (hung, other):
                    side.expect("RESET_ABILITIES", "CAN_DO", "PRE_SLEEP")
                hung.send("NOOP")
                hung.expect("GRAB_JOB_UNIQ")
                yield hung, other

    def run_one(self, side: Conversation, task: str, handle: bytes = b"H:1") -> None:
        side.send("JOB_ASSIGN_UNIQ", handle, task.encode(), b"", b"result")
        assert side.expect("WORK_COMPLETE") == [handle, b"result"]

    def test_others_are_served_meanwhile(self, servers: Any, task: str) -> None:
        with self.awaiting(servers, task) as (_, other):
            other.send("NOOP")
            for _ in range(3):
                other.expect("GRAB_JOB_UNIQ")
                self.run_one(other, task)

    def test_job_that_comes_late_is_run(self, servers: Any, task: str) -> None:
        with self.awaiting(servers, task) as (hung, other):
            other.send("NOOP")
            other.expect("GRAB_JOB_UNIQ")
            self.run_one(hung, task)
            # The other handler has the lock again; its server has not answered either.
            self.run_one(other, task, b"H:2")
            hung.expect("GRAB_JOB_UNIQ")

    def test_no_job_may_come_late(self, servers: Any, task: str) -> None:
        with self.awaiting(servers, task) as (hung, other):
            other.send("NOOP")
            other.expect("GRAB_JOB_UNIQ")
            hung.send("NO_JOB")
            hung.expect("PRE_SLEEP")
            hung.send("NOOP")
            self.run_one(other, task)
            hung.expect("GRAB_JOB_UNIQ")
            self.run_one(hung, task)

    def test_it_is_lost_after_the_read_timeout(
        self, servers: Any, task: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gearman.GearmanWorker, "read_timeout", 0.1)
        with self.awaiting(servers, task) as (hung, other):
            assert hung.ended()
            monkeypatch.setattr(gearman.GearmanWorker, "read_timeout", DEADLINE)
            other.send("NOOP")
            other.expect("GRAB_JOB_UNIQ")
            other.send("NO_JOB")
            other.expect("PRE_SLEEP")

    def test_error_is_an_answer_to_a_grab(self, servers: Any, task: str) -> None:
        with self.awaiting(servers, task) as (hung, other):
            hung.send("ERROR", b"SOMETHING", b"went wrong")
            hung.expect("PRE_SLEEP")
            other.send("NOOP")
            other.expect("GRAB_JOB_UNIQ")
            other.send("NO_JOB")
            other.expect("PRE_SLEEP")
            hung.send("NOOP")
            hung.expect("GRAB_JOB_UNIQ")
            self.run_one(hung, task)

    def test_error_may_come_late(self, servers: Any, task: str) -> None:
        with self.awaiting(servers, task) as (hung, other):
            other.send("NOOP")
            # The worker waits for the first one no more.
            other.expect("GRAB_JOB_UNIQ")
            hung.send("ERROR", b"SOMETHING", b"went wrong")
            hung.expect("PRE_SLEEP")
            other.send("NO_JOB")
            other.expect("PRE_SLEEP")
            hung.send("NOOP")
            hung.expect("GRAB_JOB_UNIQ")
            self.run_one(hung, task)


def test_task_that_was_refused_is_announced_again(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.worker._ANNOUNCE_AGAIN", 0.01)
    with HandServer() as server, gearman.GearmanWorker([server.address]) as worker:
        worker.register_task(task, lambda worker, job: "done")
        with working(worker):
            side = server.accept()
            side.expect("RESET_ABILITIES", "CAN_DO", "PRE_SLEEP")
            for _ in range(3):
                side.send("ERROR", b"QUEUE_ERROR", b"too many functions")
                assert side.expect("CAN_DO") == [task.encode()]
                side.expect("PRE_SLEEP")
            side.send("NOOP")
            side.expect("GRAB_JOB_UNIQ")
            side.send("NO_JOB")
            side.expect("PRE_SLEEP")
