"""Jobs are tried again, and given up, as their options and policies say."""

import pytest

from gearman.commands import Command
from gearman.server.broker.assignment.losses import MAX_LATE
from tests.server.broker.steered import (
    LOST,
    NO_JOB,
    NOOP,
    RUNS,
    UNKNOWN,
    WAITS,
    background,
    extended,
    policy,
    result,
    submit,
    taken,
)
from tests.server.conftest import Server, Wire

NO_PAUSE = b"backoff=fixed:0"


def fail(worker: Wire, handle: bytes) -> None:
    assert worker.send(Command.WORK_FAIL, handle) == []


def throw(worker: Wire, handle: bytes, data: bytes = b"oops") -> None:
    assert worker.send(Command.WORK_EXCEPTION, handle, data) == []


@pytest.fixture
def notices(server: Server) -> list[tuple[str, str, int]]:
    """What the log says: the event, the reason, the number of attempts."""

    class Kept(list[tuple[str, str, int]]):
        def __iter__(self):
            found = server.broker.losses.notices
            return iter([(event, why, n) for event, _, _, _, why, n in found])

    return Kept()


class TestRetries:
    @pytest.mark.parametrize("how", [fail, throw])
    def test_failed_job_is_tried_again_as_often_as_its_retries_say(self, server, how):
        client, worker = server.connect(), server.connect().can_do()
        handle = submit(client, b"retries=2&" + NO_PAUSE)
        for _ in range(2):
            how(worker, taken(server, worker))
            assert client.got() == []
            assert result(client, handle) == WAITS
        how(worker, taken(server, worker))
        assert client.got() == [(Command.WORK_FAIL, handle)]
        assert worker.grab() is None

    def test_job_with_success_at_the_last_attempt_is_done(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = submit(client, b"retries=1&" + NO_PAUSE)
        fail(worker, taken(server, worker))
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"r")
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"r")]

    def test_policy_gives_retries_to_jobs_of_any_client(self, server):
        policy(server, b"retries=1&" + NO_PAUSE)
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        fail(worker, taken(server, worker))
        assert client.got() == []
        fail(worker, taken(server, worker))
        assert client.got() == [(Command.WORK_FAIL, handle)]

    def test_own_retries_come_before_those_of_the_policy(self, server):
        policy(server, b"retries=5&" + NO_PAUSE)
        client, worker = server.connect(), server.connect().can_do()
        handle = submit(client, b"retries=0")
        fail(worker, taken(server, worker))
        assert client.got() == [(Command.WORK_FAIL, handle)]

    def test_timeout_is_a_failed_attempt(self, server, notices):
        client, worker = server.connect(), server.connect().can_do()
        handle = submit(client, b"retries=1&timeout=2&" + NO_PAUSE)
        taken(server, worker)
        server.after(1.9)
        assert result(client, handle) == RUNS
        server.after(0.1)
        assert client.got() == []
        assert result(client, handle) == WAITS
        taken(server, worker)
        server.after(2)
        assert client.got() == [(Command.WORK_FAIL, handle)]
        reason = "it took longer than its timeout"
        assert list(notices) == [("tried again", reason, 1), ("given up", reason, 2)]

    def test_policy_has_a_timeout_for_workers_without_one(self, server):
        policy(server, b"timeout=2")
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        taken(server, worker)
        server.after(2)
        assert client.got() == [(Command.WORK_FAIL, handle)]

    def test_shorter_timeout_of_the_worker_is_a_lost_worker(self, server, notices):
        client, worker = server.connect(), server.connect()
        worker.send(Command.CAN_DO_TIMEOUT, b"f", b"1000")
        handle = submit(client, b"timeout=2")
        taken(server, worker)
        server.after(1)
        assert client.got() == []
        assert result(client, handle) == WAITS
        assert list(notices)[0][0] == "queued again"

    def test_shorter_timeout_of_the_job_counts_before_that_of_the_worker(self, server):
        client, worker = server.connect(), server.connect()
        worker.send(Command.CAN_DO_TIMEOUT, b"f", b"9000")
        handle = submit(client, b"timeout=2")
        taken(server, worker)
        server.after(2)
        assert client.got() == [(Command.WORK_FAIL, handle)]

    def test_exception_with_a_fail_behind_it_is_one_attempt(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = submit(client, b"retries=1&" + NO_PAUSE)
        throw(worker, taken(server, worker))
        fail(worker, handle)
        assert result(client, handle) == WAITS
        throw(worker, taken(server, worker))
        fail(worker, handle)
        assert client.got() == [(Command.WORK_FAIL, handle)]

    def test_fail_of_the_next_attempt_counts_at_the_same_worker(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = submit(client, b"retries=1&" + NO_PAUSE)
        throw(worker, taken(server, worker))
        fail(worker, taken(server, worker))
        assert client.got() == [(Command.WORK_FAIL, handle)]

    def test_client_gets_the_last_exception_only(self, server):
        client, worker = server.connect(), server.connect().can_do()
        client.send(Command.OPTION_REQ, b"exceptions")
        handle = submit(client, b"retries=1&" + NO_PAUSE)
        throw(worker, taken(server, worker), b"first")
        throw(worker, taken(server, worker), b"second")
        assert client.got() == [(Command.WORK_EXCEPTION, handle, b"second")]

    def test_data_of_an_attempt_that_fails_reaches_the_client(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = submit(client, b"retries=1&" + NO_PAUSE)
        taken(server, worker)
        worker.send(Command.WORK_DATA, handle, b"d")
        fail(worker, handle)
        assert client.got() == [(Command.WORK_DATA, handle, b"d")]

    def test_status_of_an_attempt_ends_with_it(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = submit(client, b"retries=1&" + NO_PAUSE)
        taken(server, worker)
        worker.send(Command.WORK_STATUS, handle, b"1", b"2")
        fail(worker, handle)
        client.got()
        assert client.send(Command.GET_STATUS, handle) == [
            (Command.STATUS_RES, handle, b"1", b"0", b"0", b"0")
        ]

    def test_job_without_clients_is_not_tried_again(self, server):
        client, worker = server.connect(), server.connect().can_do()
        submit(client, b"retries=5&" + NO_PAUSE)
        handle = taken(server, worker)
        client.leave()
        fail(worker, handle)
        assert server.broker.jobs.known == {}
        assert worker.grab() is None

    def test_job_that_waits_to_be_tried_again_is_dropped_with_its_client(self, server):
        client, worker = server.connect(), server.connect().can_do()
        submit(client, b"retries=5&backoff=fixed:60")
        fail(worker, taken(server, worker))
        client.leave()
        assert server.broker.jobs.known == {}

    def test_background_job_is_tried_again_without_clients(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = background(client, b"retries=1&" + NO_PAUSE)
        client.leave()
        fail(worker, taken(server, worker))
        assert taken(server, worker) == handle

    def test_job_that_is_tried_again_comes_behind_those_that_wait(self, server):
        client, worker = server.connect(), server.connect().can_do()
        first = submit(client, b"retries=1&" + NO_PAUSE)
        second = submit(client)
        fail(worker, taken(server, worker))
        assert [worker.grab(), worker.grab()] == [second, first]

    def test_sleeping_worker_is_woken_for_the_next_attempt(self, server):
        client, worker, other = server.connect(), server.connect(), None
        worker.can_do()
        submit(client, b"retries=1&backoff=fixed:3")
        handle = taken(server, worker)
        other = server.worker()
        fail(worker, handle)
        assert other.got() == []
        server.after(3)
        assert other.got() == [NOOP]

    def test_failed_job_without_steering_is_not_mentioned_in_the_log(self, server):
        client, worker = server.connect(), server.connect().can_do()
        policy(server, b"max-running=3")
        client.submit()
        fail(worker, taken(server, worker))
        assert server.broker.losses.notices == []


class TestPauses:
    def waits(self, server: Server, worker: Wire, seconds: float) -> None:
        """Check that the next attempt may start after so many seconds, not before."""
        server.after(seconds - 0.01)
        assert worker.grab() is None
        server.after(0.02)
        handle = worker.grab()
        assert handle is not None
        fail(worker, handle)

    def test_fixed_pauses_are_the_same(self, server):
        client, worker = server.connect(), server.connect().can_do()
        submit(client, b"retries=3&backoff=fixed:7")
        fail(worker, taken(server, worker))
        self.waits(server, worker, 7)
        self.waits(server, worker, 7)

    def test_exponential_pauses_double_up_to_the_longest(self, server):
        client, worker = server.connect(), server.connect().can_do()
        submit(client, b"retries=5&backoff=exponential:2:9")
        fail(worker, taken(server, worker))
        for seconds in (2, 4, 8, 9):
            self.waits(server, worker, seconds)

    def test_pauses_without_a_backoff_begin_with_five_seconds(self, server):
        client, worker = server.connect(), server.connect().can_do()
        submit(client, b"retries=5")
        fail(worker, taken(server, worker))
        self.waits(server, worker, 5)
        self.waits(server, worker, 10)

    def test_pause_is_a_random_part_of_the_longest_one(self, make_server):
        chances = iter([0.25, 0.5, 0.0])
        server = make_server(chance=lambda: next(chances))
        client, worker = server.connect(), server.connect().can_do()
        submit(client, b"retries=5&backoff=fixed:8")
        fail(worker, taken(server, worker))
        self.waits(server, worker, 2)
        self.waits(server, worker, 4)
        assert worker.grab() is not None

    def test_job_between_two_attempts_counts_as_one_that_waits(self, server):
        client, worker = server.connect(), server.connect().can_do()
        submit(client, b"retries=1&backoff=fixed:8")
        fail(worker, taken(server, worker))
        assert client.ask(b"status") == b"f\t1\t0\t1\n.\n"

    def test_hundreds_of_attempts_do_not_overflow(self, server):
        client, worker = server.connect(), server.connect().can_do()
        submit(client, b"retries=3000&backoff=exponential:0.000001:0.000002")
        for _ in range(1500):
            fail(worker, taken(server, worker))
            server.after(0.001)


class TestLateResults:
    def late(self, server: Server, options: bytes) -> tuple[Wire, Wire, Wire, bytes]:
        """Return a client, a worker that is late, another worker, and the handle."""
        client, worker = server.connect(), server.connect().can_do()
        handle = submit(client, b"timeout=2&" + options)
        taken(server, worker)
        server.after(2)
        return client, worker, server.connect().can_do(), handle

    def test_result_counts_while_the_job_waits(self, server):
        client, worker, _, handle = self.late(server, b"retries=1&backoff=fixed:9")
        assert worker.send(Command.WORK_COMPLETE, handle, b"r") == []
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"r")]
        assert server.broker.jobs.known == {}

    def test_result_counts_while_another_worker_runs_the_job(self, server):
        client, worker, other, handle = self.late(server, b"retries=1&" + NO_PAUSE)
        assert other.grab() == handle
        assert worker.send(Command.WORK_COMPLETE, handle, b"r") == []
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"r")]
        assert other.send(Command.WORK_COMPLETE, handle, b"r") == [LOST]

    @pytest.mark.parametrize("how", [fail, throw])
    def test_failure_does_not_count_twice(self, server, how):
        client, worker, other, handle = self.late(server, b"retries=1&" + NO_PAUSE)
        assert other.grab() == handle
        how(worker, handle)
        assert client.got() == []
        assert result(client, handle) == RUNS
        assert other.send(Command.WORK_COMPLETE, handle, b"r") == []
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"r")]

    def test_wish_to_try_again_does_not_count_twice(self, server):
        client, worker, other, handle = self.late(server, b"retries=1&" + NO_PAUSE)
        assert other.grab() == handle
        assert worker.send(Command.WORK_RETRY, handle, b"0", b"why") == []
        assert result(client, handle) == RUNS

    def test_result_that_is_too_large_does_not_end_the_next_attempt(self, server):
        client, worker, other, handle = self.late(server, b"retries=1&" + NO_PAUSE)
        assert other.grab() == handle
        server.broker.workers.refuse_result(worker.peer, handle, 2, 1)
        assert [worker.got(), client.got()] == [[], []]
        assert other.send(Command.WORK_COMPLETE, handle, b"r") == []
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"r")]

    def test_result_of_a_job_that_was_given_up_is_ignored(self, server):
        client, worker, _, handle = self.late(server, b"retries=0")
        assert client.got() == [(Command.WORK_FAIL, handle)]
        assert worker.send(Command.WORK_COMPLETE, handle, b"r") == []
        assert client.got() == []

    def test_result_does_not_end_a_job_that_went_to_another_function(self, server):
        client, worker = server.connect(), server.connect().can_do()
        options = b"timeout=2&retries=1&dead=function:g&" + NO_PAUSE
        handle = background(client, options)
        taken(server, worker)
        server.after(2)
        other = server.connect().can_do(b"f", b"g")
        fail(other, taken(server, other))
        assert worker.send(Command.WORK_COMPLETE, handle, b"r") == [LOST]
        assert other.grab() == handle

    def test_only_the_latest_ones_are_remembered(self, server):
        client, worker = server.connect(), server.connect().can_do()
        policy(server, b"timeout=1&retries=9&" + NO_PAUSE)
        for _ in range(MAX_LATE + 10):
            background(client)
        for _ in range(MAX_LATE + 10):
            worker.grab()
        server.after(1)
        server.after(0)
        assert len(worker.peer.late) == MAX_LATE


class TestLostWorkers:
    def test_lost_worker_is_no_attempt(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = submit(client, b"retries=0")
        taken(server, worker)
        worker.leave()
        worker = server.connect().can_do()
        assert taken(server, worker) == handle
        assert client.got() == []

    @pytest.mark.parametrize("options", [b"retries=9", b"retries=9&dead=list"])
    def test_job_fails_after_so_many_lost_workers_as_ever(self, make_server, options):
        server = make_server(retries=2)
        client = server.connect()
        handle = background(client, options)
        client.send(Command.WATCH_JOB, handle)
        for _ in range(2):
            worker = server.connect().can_do()
            taken(server, worker)
            worker.leave()
        assert client.got() == [(Command.WORK_FAIL, handle)]
        dead = server.broker.dead.known
        assert [job.handle for job in dead.values()] == (
            [handle] if b"dead" in options else []
        )

    def test_options_of_a_stored_job_outlive_a_lost_worker(self, make_server):
        server = make_server(persistent=True)
        extra = b"submitted=1.0&options=retries%3D7&attempts=3"
        restore = server.broker.stored.restore
        restore(5, b"H:test:5", b"f", b"", b"w", 1, 0, 0, None, extra)
        worker = server.connect().can_do()
        taken(server, worker)
        worker.leave()
        (job,) = server.broker.jobs.changes
        assert b"attempts=3" in job.extra.record
        assert b"options=retries%3D7" in job.extra.record


class TestGivingBack:
    def test_job_is_tried_again_when_its_worker_says(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = submit(client, b"retries=1")
        taken(server, worker)
        assert worker.send(Command.WORK_RETRY, handle, b"2.5", b"busy") == []
        server.after(2.4)
        assert worker.grab() is None
        server.after(0.2)
        assert worker.grab() == handle

    def test_giving_back_is_a_failed_attempt(self, server, notices):
        client, worker = server.connect(), server.connect().can_do()
        handle = submit(client, b"retries=1")
        for _ in range(2):
            taken(server, worker)
            worker.send(Command.WORK_RETRY, handle, b"0", b"busy\n")
        assert client.got() == [(Command.WORK_FAIL, handle)]
        reason = "its worker gave it back: busy\\x0a"
        assert list(notices) == [("tried again", reason, 1), ("given up", reason, 2)]

    def test_giving_back_with_a_plus_is_no_failed_attempt(self, server, notices):
        client, worker = server.connect(), server.connect().can_do()
        handle = submit(client, b"retries=0")
        for _ in range(20):
            taken(server, worker)
            worker.send(Command.WORK_RETRY, handle, b"0+", b"")
        assert client.got() == []
        reason = "its worker gave it back: no reason given"
        assert set(notices) == {("tried again", reason, 0)}

    def test_job_without_retries_that_is_given_back_fails(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        taken(server, worker)
        worker.send(Command.WORK_RETRY, handle, b"0", b"")
        assert client.got() == [(Command.WORK_FAIL, handle)]

    def test_job_without_clients_is_not_kept_for_later(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = submit(client, b"retries=5")
        taken(server, worker)
        client.leave()
        worker.send(Command.WORK_RETRY, handle, b"0+", b"")
        assert server.broker.jobs.known == {}

    @pytest.mark.parametrize(
        "seconds",
        [b"", b"x", b"-1", b"1e3", b"+", b"1++", b" 1", b".5", b"9999999999", b"1\n"],
    )
    def test_seconds_that_are_none_are_refused(self, server, seconds):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        taken(server, worker)
        ((answer, code, _),) = worker.send(Command.WORK_RETRY, handle, seconds, b"")
        assert (answer, code) == (Command.ERROR, b"INVALID_ARGUMENTS")
        assert result(client, handle) == RUNS

    def test_job_of_another_worker_cannot_be_given_back(self, server):
        client, worker, other = (server.connect() for _ in range(3))
        handle = client.submit()
        taken(server, worker.can_do())
        assert other.send(Command.WORK_RETRY, handle, b"0", b"") == [LOST]
        assert result(client, handle) == RUNS


class TestCancelling:
    def test_running_job_is_gone_at_once_and_its_result_is_ignored(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        taken(server, worker)
        assert server.connect().ask(b"cancel job " + handle) == b"OK\r\n"
        assert server.broker.jobs.known == {}
        assert worker.got() == []
        for command in (Command.WORK_DATA, Command.WORK_COMPLETE):
            assert worker.send(command, handle, b"r") == []
        assert worker.send(Command.WORK_FAIL, handle) == []
        assert result(client, handle) == UNKNOWN

    def test_clients_of_a_running_job_are_told(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = client.submit()
        taken(server, worker)
        server.broker.cancel(handle)
        assert client.got() == [(Command.WORK_FAIL, handle)]

    def test_worker_that_asked_for_it_is_told(self, server):
        client, worker = server.connect(), extended(server)
        handle = client.submit()
        taken(server, worker)
        server.broker.cancel(handle)
        assert worker.got() == [(Command.WORK_CANCEL, handle)]

    def test_worker_is_told_that_the_time_of_its_job_is_up(self, server):
        client, worker = server.connect(), extended(server)
        handle = submit(client, b"timeout=2&retries=1")
        taken(server, worker)
        server.after(2)
        assert worker.got() == [(Command.WORK_CANCEL, handle)]

    def test_worker_is_told_that_nobody_wants_its_job(self, server):
        client, other, worker = server.connect(), server.connect(), extended(server)
        handle = client.submit(unique=b"u")
        assert other.submit(unique=b"u") == handle
        taken(server, worker)
        client.leave()
        assert worker.got() == []
        other.leave()
        assert worker.got() == [(Command.WORK_CANCEL, handle)]

    def test_worker_is_told_of_several_jobs_in_their_order(self, server):
        client, worker = server.connect(), extended(server)
        handles = [client.submit() for _ in range(50)]
        for _ in handles:
            taken(server, worker)
        client.leave()
        assert worker.got() == [(Command.WORK_CANCEL, handle) for handle in handles]

    def test_nobody_joins_a_job_whose_worker_was_told_to_end_it(self, server):
        client, other, worker = server.connect(), server.connect(), extended(server)
        handle = client.submit(unique=b"u")
        taken(server, worker)
        client.leave()
        again = other.submit(unique=b"u")
        assert again != handle
        worker.send(Command.WORK_FAIL, handle)
        assert other.got() == []
        assert taken(server, worker) == again

    def test_worker_that_has_left_is_not_told_that_it_wants_its_job_no_more(
        self, server
    ):
        worker = extended(server)
        worker.submit()
        taken(server, worker)
        worker.leave()
        assert worker.got() == []
        assert server.broker.jobs.known == {}

    @pytest.mark.parametrize("unique", [b"u", b"-", b""])
    def test_nothing_is_left_of_such_a_job(self, server, unique):
        client, worker = server.connect(), extended(server)
        client.submit(unique=unique)
        handle = taken(server, worker)
        client.leave()
        assert worker.send(Command.WORK_COMPLETE, handle, b"")[:1] == [
            (Command.WORK_CANCEL, handle)
        ]
        assert server.broker.jobs.known == {}
        assert server.broker.memory.jobs == 0

    def test_worker_that_did_not_ask_is_told_nothing(self, server):
        client, worker = server.connect(), server.connect().can_do()
        submit(client, b"timeout=2")
        taken(server, worker)
        client.leave()
        server.after(2)
        assert worker.got() == []

    def test_worker_may_go_on_after_a_cancelled_job(self, server):
        client, worker = server.connect(), server.connect().can_do()
        client.submit()
        handle = taken(server, worker)
        server.broker.cancel(handle)
        client.got()
        client.submit()
        assert worker.send(Command.GRAB_JOB)[0][0] == Command.JOB_ASSIGN
        assert worker.send(Command.GRAB_JOB) == [NO_JOB]


def test_result_that_is_too_large_ends_a_job_for_good(server):
    client, worker = server.connect(), server.connect().can_do()
    handle = background(client, b"retries=5&dead=list")
    client.send(Command.WATCH_JOB, handle)
    taken(server, worker)
    server.broker.workers.refuse_result(worker.peer, handle, 2, 1)
    assert client.got() == [(Command.WORK_FAIL, handle)]
    state, reason = result(client, handle)
    assert state == b"exception"
    assert reason == b"a packet of 2 bytes for it is over the limit of 1"


def test_result_that_is_too_large_for_an_unknown_job_is_refused(server):
    worker = server.connect().can_do()
    server.broker.workers.refuse_result(worker.peer, b"H:test:1", 2, 1)
    assert worker.got() == [LOST]
