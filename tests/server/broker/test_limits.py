"""The limits of the broker, and what happens to requests that exceed them."""

import pytest

from gearman.commands import Command
from gearman.server.broker import FULL, Limits
from gearman.server.broker.constants import SWEEP
from gearman.server.broker.functions import MANY_FUNCTIONS
from gearman.server.broker.memory import JOB_MEMORY


def limited(make_server, **limits: int):
    return make_server(limits=Limits(**limits))


def refused(limit: str) -> tuple[object, ...]:
    return Command.ERROR, b"QUEUE_ERROR", FULL[limit]


def submit(peer, function=b"f", workload=b"w", unique=b""):
    (answer,) = peer.send(Command.SUBMIT_JOB_BG, function, unique, workload)
    return answer


class TestJobs:
    @pytest.mark.parametrize(
        ("limits", "name"),
        [
            ({"jobs": 2}, "max-jobs"),
            ({"jobs_per_function": 2}, "max-jobs-per-function"),
            ({"job_memory": 2 * (JOB_MEMORY + 1)}, "max-job-memory"),
        ],
    )
    def test_one_too_many_is_refused_until_there_is_room(
        self, make_server, limits, name
    ):
        server = limited(make_server, **limits)
        client, worker = server.connect(), server.connect().can_do()
        handles = [submit(client)[1] for _ in range(2)]
        assert submit(client) == refused(name)
        assert worker.grab() == handles[0]
        assert submit(client) == refused(name)
        worker.send(Command.WORK_COMPLETE, handles[0], b"")
        assert submit(client)[0] == Command.JOB_CREATED
        assert server.broker.hits.counts == {name: 2}
        assert server.broker.hits.reached == {name}
        assert len(server.broker.jobs.known) == 2

    def test_job_that_is_there_can_be_joined_over_the_limit(self, make_server):
        server = limited(make_server, jobs=1)
        handle = server.connect().submit(unique=b"u")
        assert server.connect().submit(unique=b"u") == handle
        assert submit(server.connect(), unique=b"u") == (Command.JOB_CREATED, handle)

    def test_job_whose_worker_is_lost_is_queued_over_the_limit(self, make_server):
        server = limited(make_server, jobs=1)
        handle = server.connect().submit(command=Command.SUBMIT_JOB_BG)
        worker = server.connect().can_do()
        assert worker.grab() == handle
        worker.leave()
        assert server.connect().can_do().grab() == handle

    def test_stored_jobs_are_taken_up_over_all_limits(self, make_server):
        server = limited(
            make_server, jobs=1, jobs_per_function=1, job_memory=1, functions=1
        )
        for number in range(3):
            name = b"f%d" % number
            server.broker.stored.restore(number, b"", name, b"", b"w", 1, 0, 0, None)
        assert len(server.broker.jobs.known) == len(server.broker.functions.known) == 3

    def test_memory_counts_what_workloads_take(self, make_server):
        server = limited(make_server, job_memory=10_000)
        client = server.connect()
        assert submit(client, workload=b"x" * 10_000) == refused("max-job-memory")
        assert server.broker.memory.jobs == 0
        submit(client, workload=b"x" * 5000)
        assert server.broker.memory.jobs == 5000 + JOB_MEMORY
        assert submit(client, workload=b"x" * 5000) == refused("max-job-memory")

    def test_limit_of_a_function_beats_the_usual_one(self, make_server):
        server = limited(make_server, jobs_per_function=1)
        client = server.connect()
        for line, jobs in (
            (b"maxqueue f 3", 3),
            (b"maxqueue f 0", 5),
            (b"maxqueue g 7 2", 2),
        ):
            name = line.split()[1]
            assert client.ask(line) == b"OK\r\n"
            while len(server.broker.jobs.known) < jobs:
                assert submit(client, name)[0] == Command.JOB_CREATED
            if line != b"maxqueue f 0":
                assert submit(client, name) == refused("max-jobs-per-function")
            for job in list(server.broker.jobs.known.values()):
                server.broker.cancel(job.handle)

    def test_limit_of_a_function_can_be_taken_back(self, make_server):
        server = limited(make_server, jobs_per_function=1)
        client = server.connect()
        client.ask(b"maxqueue f 3")
        client.ask(b"maxqueue f")
        submit(client)
        assert submit(client) == refused("max-jobs-per-function")


class TestFunctions:
    def test_new_one_takes_the_place_of_an_unused_one(self, make_server):
        server = limited(make_server, functions=2)
        peer = server.connect()
        handle = peer.submit(b"busy")
        server.connect().can_do(b"left").leave()
        server.connect().can_do(b"new")
        assert set(server.broker.functions.known) == {b"busy", b"new"}
        assert server.connect().can_do(b"busy").grab() == handle
        assert not server.broker.hits.counts

    @pytest.mark.parametrize(
        "line", [b"create function x", b"maxqueue x 5", b"maxqueue x"]
    )
    def test_one_too_many_is_refused(self, make_server, line):
        server = limited(make_server, functions=3)
        peer = server.connect()
        server.connect().can_do(b"able")
        peer.submit(b"queued")
        assert peer.ask(b"maxqueue kept 5") == b"OK\r\n"
        assert submit(peer, b"x") == refused("max-functions")
        sentence = FULL["max-functions"].replace(b" ", b"+")
        assert peer.ask(line) == b"ERR QUEUE_ERROR %b\r\n" % sentence
        assert set(server.broker.functions.known) == {b"able", b"queued", b"kept"}
        assert server.broker.hits.counts["max-functions"] == 2
        assert submit(peer, b"able")[0] == Command.JOB_CREATED

    def test_those_that_have_jobs_only_keep_no_worker_out(self, make_server):
        server = limited(make_server, functions=2)
        client, worker = server.connect(), server.connect()
        client.submit(b"one")
        client.submit(b"two")
        worker.can_do(b"a")
        assert worker.send(Command.CAN_DO_TIMEOUT, b"b", b"1000") == []
        for name in (b"c", b"d"):
            assert worker.send(Command.CAN_DO, name) == [refused("max-functions")]
        worker.can_do(b"one")
        assert server.broker.functions.staffed == 3
        worker.leave()
        assert server.broker.functions.staffed == 0

    def test_dropped_one_makes_room(self, make_server):
        server = limited(make_server, functions=1)
        peer = server.connect()
        peer.ask(b"maxqueue kept 5")
        assert peer.ask(b"drop function kept") == b"OK\r\n"
        for _ in range(3):
            assert peer.ask(b"create function f") == b"OK\r\n"
        peer.ask(b"drop function f")
        peer.submit(b"new")
        assert submit(peer, b"x") == refused("max-functions")

    def test_unused_one_is_found_among_many_after_a_while(self, make_server):
        size = 3 * SWEEP
        server = limited(make_server, functions=size)
        peer = server.connect()
        for number in range(size - 1):
            peer.submit(b"%d" % number)
        peer.ask(b"create function unused")
        tries = 1
        while submit(peer, b"new")[0] == Command.ERROR:
            tries += 1
        assert tries == 3
        assert b"unused" not in server.broker.functions.known

    def test_endless_names_take_bounded_room(self, make_server):
        server = limited(make_server, functions=10)
        peer = server.connect()
        for number in range(1000):
            peer.can_do(b"%d" % number)
            assert peer.send(Command.CANT_DO, b"%d" % number) == []
        assert (
            len(server.broker.functions.known)
            == len(server.broker.functions._round)
            == 10
        )

    def test_without_a_limit_unused_ones_are_forgotten_for_new_ones(self, make_server):
        server = make_server()
        broker, peer = server.broker, server.connect().peer
        for number in range(MANY_FUNCTIONS + 1000):
            broker.workers.can_do(peer, b"%d" % number)
            broker.workers.cant_do(peer, b"%d" % number)
        assert (
            len(broker.functions.known)
            == len(broker.functions._round)
            == MANY_FUNCTIONS
        )
        for number in range(MANY_FUNCTIONS + 1000):
            broker.functions.of(b"%d" % number).running = 1
        broker.workers.can_do(peer, b"new")
        assert len(broker.functions.known) == MANY_FUNCTIONS + 1001
        assert not broker.hits.counts

    def test_worker_has_so_many_at_most(self, make_server):
        server = limited(make_server, functions_per_worker=2)
        worker = server.connect().can_do(b"a", b"b")
        limit = refused("max-functions-per-worker")
        assert worker.send(Command.CAN_DO, b"c") == [limit]
        assert b"c" not in server.broker.functions.known
        worker.can_do(b"a")
        worker.send(Command.CANT_DO, b"a")
        worker.can_do(b"c")
        assert server.connect().can_do(b"d", b"e")
        assert server.broker.hits.counts == {"max-functions-per-worker": 1}
