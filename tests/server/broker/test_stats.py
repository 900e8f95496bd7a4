"""What has happened to the jobs of a function is counted, in either build."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gearman.commands import Command
from gearman.options import parse_policy
from gearman.server.broker import Function
from gearman.server.broker.stats import BOUNDS, BUCKETS, COUNTERS
from gearman.server.broker.stats import Histogram as PlainHistogram

Histogram = type(Function(b"f", 0).stats.waits)
Stats = type(Function(b"f", 0).stats)


def counts(server, name: bytes = b"f") -> dict[str, int]:
    """Return the counters of a function that are not 0."""
    stats = server.broker.functions.known[name].stats
    found = {each: getattr(stats, each) for each in COUNTERS}
    return {each: number for each, number in found.items() if number}


def policy(server, text: bytes) -> None:
    server.broker.policies.set(b"f", parse_policy(text))


@pytest.fixture
def client(server):
    return server.connect()


@pytest.fixture
def worker(server):
    return server.connect().can_do()


class TestHistogram:
    @pytest.mark.parametrize(
        ("seconds", "bucket"),
        [
            *((0.0, 0), (0.0005, 0), (0.001, 0), (0.0011, 1), (0.002, 1)),
            *((0.0021, 2), (0.004, 2), (1.0, 10), (1.024, 10), (1.0241, 11)),
            *((86400.0, 27), (1e6, BUCKETS), (1e12, BUCKETS)),
        ],
    )
    def test_time_is_counted_up_to_its_bound(self, seconds, bucket):
        times = Histogram()
        times.add(seconds)
        assert times.counts() == [
            int(number == bucket) for number in range(BUCKETS + 1)
        ]
        assert bucket == BUCKETS or seconds <= BOUNDS[bucket]
        assert not bucket or seconds > BOUNDS[bucket - 1]
        assert (times.count(), times.total) == (1, seconds)

    def test_bounds_reach_from_a_millisecond_over_a_day(self):
        assert BOUNDS[0] == 0.001
        assert BOUNDS[-1] > 86400
        assert len(BOUNDS) == BUCKETS

    @given(st.lists(st.floats(0, 1e9) | st.sampled_from(BOUNDS)))
    def test_both_builds_count_the_same(self, times):
        plain, other = PlainHistogram(), Histogram()
        for seconds in times:
            plain.add(seconds)
            other.add(seconds)
        assert plain.counts() == other.counts()
        assert plain.sums() == other.sums() == [*accumulate(plain.counts())]
        assert plain.total == other.total

    def test_two_are_added_up(self):
        one, two = Histogram(), Histogram()
        one.add(2**-10)
        for seconds in (2**-10, 5.0):
            two.add(seconds)
        one.merge(two)
        assert (one.count(), one.total) == (3, 5 + 2**-9)
        assert one.counts()[0] == 2


class TestCounters:
    def test_new_function_has_none(self):
        stats = Stats()
        assert {getattr(stats, name) for name in COUNTERS} == {0}

    def test_submission_and_result(self, server, client, worker):
        client.submit(workload=b"12345")
        handle = worker.grab()
        worker.send(Command.WORK_DATA, handle, b"12")
        worker.send(Command.WORK_COMPLETE, handle, b"123")
        assert counts(server) == {
            "submitted": 1, "completed": 1, "bytes_in": 5, "bytes_out": 5,
        }  # fmt: skip

    def test_submission_that_joins_a_job(self, server, client):
        for _ in range(3):
            client.submit(unique=b"u", workload=b"w")
        assert counts(server) == {"submitted": 1, "joined": 2, "bytes_in": 1}

    @pytest.mark.parametrize(
        ("command", "name"),
        [(Command.WORK_FAIL, "failed"), (Command.WORK_EXCEPTION, "exceptions")],
    )
    @pytest.mark.parametrize("text", [b"", b"retries=1&backoff=fixed:0"])
    def test_failures(self, server, client, worker, command, name, text):
        policy(server, text or b"keep=9")
        client.submit(workload=b"")
        times = 2 if text else 1
        for _ in range(times):
            handle = worker.grab()
            worker.send(command, *([handle, b"x"][: 1 + (name == "exceptions")]))
            server.after(1)
        expected = {"submitted": 1, name: times, "given_up": 1}
        assert counts(server) == expected | ({"retried": 1} if text else {})

    def test_failure_of_a_job_without_options(self, server, client, worker):
        client.submit(workload=b"")
        worker.send(Command.WORK_FAIL, worker.grab())
        assert counts(server) == {"submitted": 1, "failed": 1}

    def test_exception_and_then_failure_are_one(self, server, client, worker):
        client.submit(workload=b"")
        handle = worker.grab()
        worker.send(Command.WORK_EXCEPTION, handle, b"x")
        worker.send(Command.WORK_FAIL, handle)
        assert counts(server) == {"submitted": 1, "exceptions": 1}

    def test_lost_workers(self, make_server):
        server = make_server(retries=2)
        server.connect().submit(workload=b"")
        for _ in range(2):
            worker = server.connect().can_do()
            worker.grab()
            worker.leave()
        assert counts(server) == {"submitted": 1, "lost": 2, "given_up": 1}

    def test_timeouts(self, server, client):
        worker = server.connect()
        worker.send(Command.CAN_DO_TIMEOUT, b"f", b"2")
        client.submit(workload=b"")
        worker.grab()
        server.after(2)
        assert counts(server) == {"submitted": 1, "timeouts": 1}

    def test_job_that_expires(self, server, client):
        policy(server, b"ttl=5")
        client.submit(workload=b"")
        server.after(5)
        assert counts(server) == {"submitted": 1, "expired": 1, "given_up": 1}

    def test_cancelled_job(self, server, client):
        server.broker.cancel(client.submit(workload=b""))
        assert counts(server) == {"submitted": 1, "cancelled": 1}

    def test_job_whose_client_leaves(self, server, client):
        client.submit(workload=b"")
        client.leave()
        assert counts(server) == {"submitted": 1, "abandoned": 1}

    def test_job_whose_client_leaves_before_its_worker(self, server, client, worker):
        client.submit(workload=b"")
        worker.grab()
        client.leave()
        worker.leave()
        assert counts(server) == {"submitted": 1, "abandoned": 1, "lost": 1}

    def test_counts_of_a_forgotten_function_are_kept(self, server, client):
        for name in (b"f", b"g"):
            server.broker.cancel(client.submit(name, workload=b"12"))
            client.got()
            assert server.broker.functions.drop(name)
        gone = server.broker.functions.gone
        assert (gone.submitted, gone.cancelled, gone.bytes_in) == (2, 2, 4)


class TestTimes:
    def test_waiting_and_running(self, server, client, worker):
        client.submit()
        server.after(3)
        handle = worker.grab()
        server.after(10)
        worker.send(Command.WORK_COMPLETE, handle, b"r")
        stats = server.broker.functions.known[b"f"].stats
        assert (stats.waits.total, stats.waits.count()) == (3.0, 1)
        assert (stats.runs.total, stats.runs.count()) == (10.0, 1)

    def test_job_that_is_tried_again_waits_again(self, server, client, worker):
        policy(server, b"retries=1&backoff=fixed:0")
        client.submit()
        server.after(3)
        worker.send(Command.WORK_FAIL, worker.grab())
        server.after(4)
        worker.grab()
        waits = server.broker.functions.known[b"f"].stats.waits
        assert (waits.total, waits.count()) == (7.0, 2)

    def test_scheduled_job_waits_from_its_time_on(self, server, client, worker):
        when = b"%d" % (server.wall + 100)
        client.send(Command.SUBMIT_JOB_EPOCH, b"f", b"", when, b"w")
        server.after(100)
        server.after(2)
        worker.grab()
        assert server.broker.functions.known[b"f"].stats.waits.total == 2.0
