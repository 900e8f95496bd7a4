"""A running server with a queue: which peers wait for the store."""

import logging
import socket
import sys
import time
from datetime import UTC

import pytest

from gearman.commands import Command
from gearman.errors import Fenced, QueueError, StartupError
from gearman.framing import BUILD
from gearman.options import Schedule
from gearman.queue import StoredJob, Unreadable
from gearman.server.broker import Broker
from gearman.server.net.engine import Engine
from gearman.server.storage import restoring
from gearman.server.storage.restoring import replay
from gearman.server.storage.store import OUTAGE
from tests import servers
from tests.queues.backend_sqlite import outage
from tests.queues.sqlite_files import fill, sql
from tests.queues.sqlite_files import job as sqlite_job
from tests.server.net.test_listener import run
from tests.server.storage.slow_queue import Slow
from tests.servers import DEADLINE
from tests.wire import Peer, packet

BACKGROUND = "SUBMIT_JOB_BG", b"f", b"", b"w"
FOREGROUND = "SUBMIT_JOB", b"f", b"", b"w"


@pytest.fixture
def queue():
    return Slow()


@pytest.fixture(params=["asyncio", "engine"])
def server(request, queue):
    """Yield a server with each kind of connection."""
    if request.param == "engine" and Engine is None:
        if BUILD == "speedups" and sys.platform == "linux":
            pytest.fail("the speedups are there, but not the engine")
        pytest.skip("the engine is not built")
    with run(engine=request.param == "engine", queue=queue) as server:
        yield server
        for _ in range(20):
            queue.results.put(None)
    assert queue.closed


def created(peer: Peer) -> bytes:
    (handle,) = peer.expect("JOB_CREATED")
    return handle


def grabbed(worker: Peer) -> bytes:
    """Grab a job, and return its handle."""
    worker.send("GRAB_JOB")
    return worker.expect("JOB_ASSIGN")[0]


def number_of(handle: bytes) -> int:
    return int(handle.rpartition(b":")[2])


def test_background_job_is_acknowledged_after_its_commit(server, queue):
    with server.peer() as client:
        client.send(*BACKGROUND)
        assert client.fence() == []
        (numbers, _) = queue.started()
        assert client.fence() == []
        queue.results.put(None)
        assert [number_of(created(client))] == numbers


def test_other_connections_do_not_wait(server, queue):
    with server.peer() as client, server.peer() as other, server.peer() as worker:
        client.send(*BACKGROUND)
        queue.started()
        worker.send("CAN_DO", b"f")
        other.send(*FOREGROUND)
        handle = created(other)
        assert grabbed(worker) == handle
        worker.send("WORK_COMPLETE", handle, b"r")
        assert other.expect("WORK_COMPLETE") == [handle, b"r"]
        queue.results.put(None)
        created(client)


def test_sleeping_worker_is_woken_by_a_stored_job(server, queue):
    with server.peer() as client, server.peer() as worker:
        worker.send("CAN_DO", b"f")
        worker.send("PRE_SLEEP")
        client.send(*BACKGROUND)
        queue.started()
        assert worker.fence() == []
        queue.results.put(None)
        worker.expect("NOOP")
        assert grabbed(worker) == created(client)


def test_server_ends_when_another_one_owns_the_jobs(server, queue):
    with server.peer() as client:
        client.send(*BACKGROUND)
        queue.call(Fenced("another server owns them"))
        assert client.socket.recv(1) == b""
    assert server.listener.deposed


def test_finished_job_is_removed(server, queue):
    with server.peer() as client, server.peer() as worker:
        client.send(*BACKGROUND)
        queue.call()
        handle = created(client)
        worker.send("CAN_DO", b"f")
        worker.send("WORK_COMPLETE", grabbed(worker), b"r")
        assert queue.call() == ([], [number_of(handle)])


def test_one_commit_takes_what_came_during_the_one_before(server, queue):
    with server.peer() as client:
        for _ in range(10):
            client.send(*BACKGROUND)
        client.fence()
        (first, _) = queue.started()
        for _ in range(10):
            client.send(*BACKGROUND)
        # A turn ends with its answers: the second answer is from a later turn.
        client.fence()
        client.fence()
        queue.results.put(None)
        (second, _) = queue.call()
        numbers = [number_of(created(client)) for _ in range(20)]
        assert numbers == first + second


def test_client_is_answered_in_the_order_of_its_submissions(server, queue):
    with server.peer() as client, server.peer() as worker:
        worker.send("CAN_DO", b"f")
        client.send(*BACKGROUND)
        client.send(*FOREGROUND)
        queue.call()
        first, second = created(client), created(client)
        assert number_of(first) < number_of(second)
        assert {grabbed(worker), grabbed(worker)} == {first, second}


def test_client_that_asks_too_much_is_not_read_from(server, queue, monkeypatch):
    monkeypatch.setattr("gearman.server.storage.journal.FULL_JOBS", 2)
    with server.peer() as client:
        client.send(*BACKGROUND)
        client.fence()
        queue.started()
        client.send(*BACKGROUND)
        (connection,) = server.listener.connections
        server.until(lambda: connection.pressure.held_by)
        client.send("ECHO_REQ", b"late")
        queue.results.put(None)
        created(client)
        assert client.expect("ECHO_RES") == [b"late"]
        queue.call()
        created(client)


def test_client_is_read_from_again_when_another_server_has_answered(server):
    answers = server.listener.broker.answers
    answers.links = True
    receipts = []
    with server.peer() as client:
        client.fence()
        (peer,) = server.listener.broker.peers
        server.call(lambda: receipts.append(answers.promise(peer)))
        client.send(*FOREGROUND)
        server.until(lambda: peer.connection.pressure.held_by)

        def answer() -> None:
            answers.fulfil(receipts[0], Command.ECHO_RES, (b"told",))
            answers.pay()

        server.call(answer)
        with server.peer() as other:
            other.fence()
        assert client.expect("ECHO_RES") == [b"told"]
        created(client)
        client.fence()


class TestOutage:
    @pytest.fixture(autouse=True)
    def patience(self, monkeypatch):
        monkeypatch.setattr("gearman.server.storage.store.FIRST_PAUSE", 0.001)
        monkeypatch.setattr("gearman.server.storage.store.LAST_PAUSE", 0.002)

    def test_jobs_are_refused_until_it_is_over(self, server, queue):
        with server.peer() as client, server.peer() as watcher:
            watcher.ask(b"watch events events=outage_began,outage_ended")
            client.send(*BACKGROUND)
            for _ in range(2):
                queue.call(QueueError("no disk"))
            assert client.expect("ERROR") == [b"QUEUE_ERROR", OUTAGE]
            assert b'"outage_began"' in watcher.receive_line()
            queue.started()
            client.send(*BACKGROUND)
            assert client.expect("ERROR") == [b"QUEUE_ERROR", OUTAGE]
            # The remaining jobs are removed, and new ones would be accepted.
            for _ in range(2):
                queue.results.put(None)
            server.until(lambda: not server.listener.broker.outage)
            assert b'"outage_ended"' in watcher.receive_line()
            client.send(*BACKGROUND)
            queue.call()
            created(client)

    def test_jobs_in_memory_go_on(self, server, queue):
        with server.peer() as client, server.peer() as worker:
            client.send(*BACKGROUND)
            queue.call()
            handle = created(client)
            client.send(*BACKGROUND)
            for _ in range(2):
                queue.call(QueueError("no disk"))
            client.expect("ERROR")
            worker.send("CAN_DO", b"f")
            assert grabbed(worker) == handle

    def test_attempts_and_results_are_stored_when_it_is_over(self, server, queue):
        steered = "SUBMIT_JOB_WITH", b"f", b"", b"background=1&retries=1&keep=60", b"w"
        with server.peer() as client, server.peer() as worker:
            for _ in range(2):
                client.send(*steered)
                queue.call()
            failed, done = created(client), created(client)
            worker.send("CAN_DO", b"f")
            assert [grabbed(worker), grabbed(worker)] == [failed, done]
            worker.send("WORK_FAIL", failed)
            worker.send("WORK_COMPLETE", done, b"r")
            worker.fence()
            # Two attempts of the commit fail; then the store works again.
            queue.call(QueueError("no disk"))
            queue.call(QueueError("no disk"))
            stored: dict[int, StoredJob] = {}
            while {number_of(failed), number_of(done)} - stored.keys():
                added, _ = queue.calls.get(timeout=DEADLINE)
                stored.update((job.number, job) for job in added)
                queue.results.put(None)
            assert b"attempts=1" in stored[number_of(failed)].extra
            assert b"kind=result" in stored[number_of(done)].extra


def test_what_waits_is_stored_before_the_server_stops(server, queue):
    with server.peer() as client, server.peer() as worker:
        client.send(*BACKGROUND)
        queue.call()
        created(client)
        worker.send("CAN_DO", b"f")
        handle = grabbed(worker)
        worker.send("WORK_COMPLETE", handle, b"r")
        worker.fence()
        client.send(*BACKGROUND)
        client.fence()
        server.call(server.listener.stop)
        removed = []
        while number_of(handle) not in removed:
            removed += queue.call()[1]
        created(client)
        server.join()


def test_drained_server_leaves_queued_jobs_in_the_queue(server, queue):
    with server.peer() as client, server.peer() as worker:
        worker.send("CAN_DO", b"f")
        for _ in range(2):
            client.send(*BACKGROUND)
            queue.call()
            created(client)
        handle = grabbed(worker)
        server.call(server.listener.drain)
        worker.send("WORK_COMPLETE", handle, b"r")
        assert queue.call()[1] == [number_of(handle)]
        server.join()


def test_server_that_stops_takes_no_results_that_it_could_not_remove(server, queue):
    with server.peer() as client, server.peer() as worker:
        client.send(*BACKGROUND)
        queue.call()
        created(client)
        worker.send("CAN_DO", b"f")
        handle = grabbed(worker)
        client.send(*BACKGROUND)
        queue.started()
        connections = list(server.listener.connections)
        server.call(server.listener.stop)
        server.until(lambda: all(one.pressure.held_by for one in connections))
        worker.send("WORK_COMPLETE", handle, b"r")
        worker.send("ECHO_REQ", b"taken?")
        queue.results.put(None)
        created(client)
        assert worker.receive_end() == b""
        server.join()


def test_server_that_stops_takes_no_jobs_from_who_just_came(server, queue):
    theirs, ours = socket.socketpair()
    theirs.sendall(packet(*BACKGROUND))

    listener = server.listener
    ours.setblocking(False)
    with server.peer() as client, theirs:
        client.send(*BACKGROUND)
        queue.started()
        server.call(listener.stop)
        server.until(lambda: listener.durability._closing)
        # It was accepted before, but asyncio had not set it up.
        server.call(lambda: listener._accept(listener._gear, ours, ""))
        server.until(lambda: len(listener.connections) == 2)
        for _ in range(5):
            server.call(lambda: None)
        queue.results.put(None)
        created(client)
        server.join()
    assert queue.calls.empty()


class TestReplay:
    JOB = StoredJob(7, b"H:old:7", b"f", b"u", b"w", retries=2)

    @pytest.fixture
    def lines(self, monkeypatch):
        lines = []
        logger = logging.getLogger("gearman.server")
        monkeypatch.setattr(logger, "handle", lambda r: lines.append(r.getMessage()))
        monkeypatch.setattr(logger, "level", logging.INFO)
        monkeypatch.setattr(logger, "_cache", {})
        return lines

    def test_jobs_of_an_earlier_run_are_there(self):
        queue = Slow(self.JOB)
        with run(queue=queue) as server, server.peer() as worker:
            worker.send("CAN_DO", b"f")
            assert grabbed(worker) == b"H:old:7"
            queue.results.put(None)

    def test_what_is_no_job_is_reported_and_passed_over(self, lines):
        broker = Broker(persistent=True)
        broken = self.JOB._replace(number=8, priority=9)
        replay(Slow(Unreadable("row 3", "it is odd"), broken, self.JOB), broker)
        assert [job.number for job in broker.jobs.known.values()] == [7]
        assert lines[:2] == [
            "stored job row 3 is left alone: it is odd",
            "stored job 8 is left alone: its priority is 9",
        ]
        assert lines[2].startswith("took up 1 stored jobs in ")

    def test_log_tells_how_far_it_has_come(self, lines, monkeypatch):
        monkeypatch.setattr(restoring, "PROGRESS_JOBS", 2)
        monkeypatch.setattr(restoring, "PROGRESS_INTERVAL", 0.0)
        jobs = [self.JOB._replace(number=n, handle=b"") for n in range(1, 6)]
        replay(Slow(*jobs), Broker(persistent=True))
        assert lines[:-1] == [
            "taking up stored jobs: 2 so far",
            "taking up stored jobs: 4 so far",
        ]

    def test_no_schedule_runs_before_its_pause_is_known(self):
        class Always:
            def following(self, schedule, after):
                return 1.0

            def preceding(self, schedule, until):
                return 0.0

        broker = Broker(persistent=True)
        schedule = Schedule("s", "* * * * *", UTC, b"f")
        broker.schedules.load([schedule], Always(), 0.0)
        extra = b"kind=setting&what=schedule&last=0.0&paused=1"
        replay(Slow(StoredJob(7, b"", b"s", b"", b"", extra=extra)), broker)
        assert broker.schedules.first == 1.0
        assert broker.schedules.known["s"].number == 7
        assert broker.jobs.known == {}
        assert not broker.jobs.changes
        assert not broker.jobs.records

    def test_back_end_that_fails_is_a_start_error(self):
        class Failing(Slow):
            def replay(self):
                raise QueueError("no disk")

        with pytest.raises(StartupError, match=r"cannot be read: no disk$"):
            replay(Failing(), Broker(persistent=True))


class TestProcess:
    """A server process whose file is deleted or damaged."""

    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "jobs.db"

    @staticmethod
    def running(path):
        return servers.ours("-q", "sqlite", "--sqlite-db", str(path))

    @staticmethod
    def submitted_in_the_end(client: Peer) -> bytes:
        """Submit repeatedly until the store accepts the job, and return its handle."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            client.send(*BACKGROUND)
            answer = client.receive()
            if answer.name == "JOB_CREATED":
                return answer.body
            assert answer.arguments[0] == b"QUEUE_ERROR"
        raise AssertionError("the store does not work again")

    def test_outage_is_survived_and_nothing_is_forgotten(self, path):
        with self.running(path) as server:
            with Peer(server.port) as client, Peer(server.port) as worker:
                client.send(*BACKGROUND)
                finished = created(client)
                worker.send("CAN_DO", b"f")
                assert grabbed(worker) == finished
                with outage({"db": path}):
                    worker.send("WORK_COMPLETE", finished, b"r")
                    client.send(*BACKGROUND)
                    assert client.expect("ERROR") == [b"QUEUE_ERROR", OUTAGE]
                    client.send(*FOREGROUND)
                    foreground = created(client)
                    assert grabbed(worker) == foreground
                    worker.send("WORK_COMPLETE", foreground, b"r")
                    assert client.expect("WORK_COMPLETE") == [foreground, b"r"]
                stored = self.submitted_in_the_end(client)
            server.process.kill()
            server.process.wait(DEADLINE)
        with self.running(path) as server, Peer(server.port) as worker:
            worker.send("CAN_DO", b"f")
            assert grabbed(worker) == stored
            worker.send("GRAB_JOB")
            worker.expect("NO_JOB")

    def test_row_that_cannot_be_read_is_reported_and_the_server_starts(self, path):
        fill(path, *(sqlite_job(number) for number in (1, 2, 3)))
        sql(path, "UPDATE gearman_queue_records SET priority = 9 WHERE number = 2")
        row = "row 2 of the table gearman_queue_records"
        for _ in range(2):
            with self.running(path) as server, Peer(server.port) as worker:
                worker.send("CAN_DO", b"f")
                assert [grabbed(worker) for _ in "13"] == [b"H:host:1", b"H:host:3"]
                worker.send("GRAB_JOB")
                worker.expect("NO_JOB")
                log = server.log.read_text()
            assert f"stored job {row} is left alone: its priority is 9" in log
            assert "took up 2 stored jobs" in log
