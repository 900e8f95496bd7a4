"""Workers of any server do the jobs of all."""

from math import inf

import pytest

from gearman.commands import Command
from gearman.options import Policies, Policy
from gearman.server.broker.links.remote import KEPT_MEMORY
from gearman.server.broker.making import number_of
from tests.server.conftest import Wire
from tests.server.joined import LEASE, Joined, Member, got

C = Command


@pytest.fixture
def pair() -> Joined:
    return Joined(2)


@pytest.fixture
def three() -> Joined:
    return Joined(3)


def lent(joined: Joined) -> tuple[Wire, Wire, bytes]:
    """Have a worker of server 2 run a job of server 1; return its client, too."""
    client, worker = joined.member(1).connect(), joined.member(2).worker()
    joined.run()
    handle = client.submit()
    assert got(joined, worker) == [[(C.NOOP,)]]
    assert worker.grab() == handle
    return client, worker, handle


class TestLent:
    def test_sleeping_worker_elsewhere_is_woken(self, pair):
        client, worker, handle = lent(pair)
        worker.send(C.WORK_DATA, handle, b"d")
        worker.send(C.WORK_STATUS, handle, b"1", b"2")
        worker.send(C.WORK_COMPLETE, handle, b"r")
        assert got(pair, client) == [
            [
                (C.WORK_DATA, handle, b"d"),
                (C.WORK_STATUS, handle, b"1", b"2"),
                (C.WORK_COMPLETE, handle, b"r"),
            ]
        ]
        for member in pair:
            assert member.broker.jobs.known == {}

    def test_unique_reducer_and_trace_go_with_it(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).connect().can_do()
        worker.send(C.OPTION_REQ, b"traces")
        unique, trace = (
            pair.unique_of(1),
            b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01",
        )
        client.send(C.SUBMIT_REDUCE_JOB, b"f", unique, b"red", b"", b"1")
        client.send(C.SUBMIT_JOB_WITH, b"f", b"", b"trace=" + trace, b"2")
        worker.send(C.PRE_SLEEP)
        pair.run()
        found = worker.send(C.GRAB_JOB_ALL)[-1]
        assert (found[0], *found[3:]) == (C.JOB_ASSIGN_ALL, unique, b"red", b"1")
        worker.send(C.PRE_SLEEP)
        pair.run()
        told, job = worker.send(C.GRAB_JOB)[-2:]
        assert told[0] == C.JOB_TRACE
        assert told[2] == trace
        assert job[3] == b"2"

    def test_worker_here_is_preferred(self, pair):
        client, here = pair.member(1).connect(), pair.member(1).worker()
        there = pair.member(2).worker()
        pair.run()
        client.submit()
        assert got(pair, here, there) == [[(C.NOOP,)], []]

    def test_others_hear_of_a_job_that_a_woken_worker_does_not_take(self, pair):
        client, here = pair.member(1).connect(), pair.member(1).worker()
        there = pair.member(2).worker()
        pair.run()
        handle = client.submit()
        pair.after(0.06)
        assert got(pair, here, there) == [[(C.NOOP,)], [(C.NOOP,)]]
        assert there.grab() == handle

    def test_job_that_was_taken_meanwhile_is_not_lent(self, pair):
        client, here = pair.member(1).connect(), pair.member(1).worker()
        there = pair.member(2).worker()
        pair.run()
        client.submit()
        here.grab()
        pair.after(0.06)
        assert there.got() == []

    def test_no_more_jobs_are_asked_for_than_workers_sleep(self, pair):
        client = pair.member(1).connect()
        for _ in range(5):
            client.submit()
        workers = [pair.member(2).worker() for _ in range(2)]
        pair.run()
        assert len(pair.member(2).links.borrowing.jobs) == 2
        assert all(worker.grab() for worker in workers)
        assert workers[0].grab() is None

    def test_worker_that_goes_to_sleep_gets_the_next_job(self, pair):
        client = pair.member(1).connect()
        handles = [client.submit() for _ in range(3)]
        worker = pair.member(2).connect().can_do()
        for handle in handles:
            told = worker.send(C.PRE_SLEEP)
            pair.run()
            assert told + worker.got() == [(C.NOOP,)]
            assert worker.grab() == handle
            worker.send(C.WORK_COMPLETE, handle, b"")

    def test_jobs_that_find_a_worker_cost_the_link_nothing(self, pair):
        client, here = pair.member(1).connect(), pair.member(1).worker()
        pair.member(2).worker()
        pair.run()
        before = pair.member(2).packets
        for _ in range(10):
            handle = client.submit()
            assert here.grab() == handle
            here.send(C.WORK_COMPLETE, handle, b"")
            client.got()
            here.send(C.PRE_SLEEP)
            pair.run()
        assert pair.member(2).packets == before

    def test_told_of_more_jobs_than_there_are(self, pair):
        client, here = pair.member(1).connect(), pair.member(1).connect().can_do()
        there = pair.member(2).connect().can_do()
        pair.run()
        client.submit()
        client.submit()
        pair.run()
        assert here.grab()
        assert here.grab()
        there.send(C.PRE_SLEEP)
        pair.run()
        assert there.got() == []
        handle = client.submit()
        pair.run()
        assert there.grab() == handle

    def test_highest_priority_is_lent_first(self, pair):
        client = pair.member(1).connect()
        client.submit()
        high = client.submit(command=C.SUBMIT_JOB_HIGH)
        worker = pair.member(2).worker()
        pair.run()
        assert worker.grab() == high

    def test_paused_function_lends_nothing_until_it_goes_on(self, pair):
        client, admin = pair.member(1).connect(), pair.member(1).connect()
        worker = pair.member(2).worker()
        pair.run()
        admin.ask(b"pause function f")
        handle = client.submit()
        assert got(pair, worker) == [[]]
        admin.ask(b"resume function f")
        pair.run()
        assert worker.grab() == handle

    def test_paused_function_borrows_nothing(self, pair):
        client, admin = pair.member(1).connect(), pair.member(2).connect()
        pair.member(2).worker()
        pair.run()
        admin.ask(b"pause function f")
        client.submit()
        pair.run()
        assert pair.member(2).links.borrowing.jobs == {}

    def test_job_that_needs_a_worker_finds_it_elsewhere(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        pair.run()
        packets = client.send(C.SUBMIT_JOB_WITH, b"f", b"", b"need-worker=1", b"w")
        assert packets[0][0] == C.JOB_CREATED
        worker.leave()
        pair.run()
        packets = client.send(C.SUBMIT_JOB_WITH, b"f", b"", b"need-worker=1", b"w")
        assert packets[0][0] == C.ERROR

    def test_function_that_cannot_be_registered_is_not_lent(self, pair):
        pair.member(1).broker.limits.functions_per_worker = 1
        pair.member(2).worker(b"f", b"g")
        pair.run()
        client = pair.member(1).connect()
        client.submit(b"g")
        pair.run()
        assert len(pair.member(2).links.borrowing.jobs) == 0


class TestCrossing:
    """What is under way when things change is dealt with."""

    def test_one_job_is_asked_for_once(self, pair):
        client = pair.member(1).connect()
        for _ in range(2):
            pair.member(2).worker()
        pair.run()
        client.submit()
        pair.run()
        assert len(pair.member(2).links.borrowing.jobs) == 1

    def test_second_worker_sleeps_while_jobs_are_asked_for(self, pair):
        client, first = pair.member(1).connect(), pair.member(2).worker()
        handles = [client.submit() for _ in range(3)]
        pair.step()
        pair.step()
        second = pair.member(2).worker()
        pair.run()
        assert {first.grab(), second.grab()} == set(handles[:2])

    def test_link_breaks_while_jobs_are_asked_for(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        handle = client.submit()
        pair.step()
        pair.pass_on(1, 2)
        pair.cut(1, 2)
        assert client.got() == []
        pair.join(1, 2)
        assert worker.grab() == handle

    def test_others_wait_until_it_is_long(self, pair):
        client, other = pair.member(1).connect(), pair.member(2).connect()
        worker = pair.member(2).connect().can_do()
        client.submit()
        for _ in range(2):
            other.submit()
        pair.run()
        worker.grab()
        pair.run()
        assert pair.member(2).links.borrowing.jobs == {}

    def test_job_is_asked_for_again_before_the_answer(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        here = pair.member(1).connect().can_do()
        pair.run()
        client.submit()
        pair.step()
        here.grab()
        client.submit()
        pair.run()
        assert worker.grab() is not None

    def test_function_that_is_paused_meanwhile_gives_nothing(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).connect().can_do()
        pair.run()
        client.submit()
        pair.run()
        pair.member(1).connect().ask(b"pause function f")
        worker.send(C.PRE_SLEEP)
        pair.run()
        assert pair.member(2).links.borrowing.jobs == {}
        assert pair.member(2).broker.functions.known[b"f"].lenders is None

    def test_borrowing_goes_on_after_a_pause(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        pair.run()
        admin = pair.member(2).connect()
        admin.ask(b"pause function f")
        handle = client.submit()
        pair.run()
        admin.ask(b"resume function f")
        pair.run()
        assert worker.grab() == handle

    def test_withdrawn_function_gives_nothing(self, pair):
        links = pair.member(1).links
        remote = links.remotes[2]
        links.lending.withdrawn(remote, b"f")
        links.lending.grab(remote, b"f", 1, 1)
        data = b"".join(remote.peer.outbox)
        assert data.endswith(b"f\x000\x002")

    def test_job_that_is_not_there_is_not_given_back(self, pair):
        links = pair.member(1).links
        links.back(links.remotes[2], b"H:test:1", b"lost")
        links.borrowing.cancelled(b"H:test:1")

    def test_function_stays_lent_while_one_server_has_workers(self, three):
        client = three.member(1).connect()
        two, one = three.member(2).worker(), three.member(3).worker()
        three.run()
        two.leave()
        three.run()
        handle = client.submit()
        three.run()
        assert one.grab() == handle

    def test_servers_get_their_turn(self, three):
        worker = three.member(3).connect().can_do()
        handles = []
        for number in (1, 1, 2, 2):
            handles.append(three.member(number).connect().submit())
        three.run()
        done = []
        for _ in handles:
            worker.send(C.PRE_SLEEP)
            three.run()
            done.append(worker.grab())
            worker.send(C.WORK_COMPLETE, done[-1], b"")
        assert done[0] == handles[0]
        assert handles[2] in done[1:3]
        assert sorted(done) == sorted(handles)


class TestEnds:
    def test_failure_is_that_of_an_attempt(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        pair.run()
        client.send(C.SUBMIT_JOB_WITH, b"f", b"", b"retries=1&backoff=fixed:0", b"w")
        pair.run()
        handle = worker.grab()
        worker.send(C.WORK_FAIL, handle)
        pair.run()
        assert client.got() == []
        worker.send(C.PRE_SLEEP)
        pair.run()
        assert worker.grab() == handle
        worker.send(C.WORK_FAIL, handle)
        assert got(pair, client) == [[(C.WORK_FAIL, handle)]]

    def test_failure_after_an_exception_counts(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        pair.run()
        client.send(C.SUBMIT_JOB_WITH, b"f", b"", b"retries=1&backoff=fixed:0", b"w")
        pair.run()
        handle = worker.grab()
        worker.send(C.WORK_EXCEPTION, handle, b"!")
        worker.send(C.PRE_SLEEP)
        pair.run()
        assert worker.grab() == handle
        worker.send(C.WORK_FAIL, handle)
        assert got(pair, client) == [[(C.WORK_FAIL, handle)]]

    def test_exception_goes_to_the_client(self, pair):
        client, worker, handle = lent(pair)
        client.send(C.OPTION_REQ, b"exceptions")
        worker.send(C.WORK_WARNING, handle, b"!")
        worker.send(C.WORK_EXCEPTION, handle, b"!!")
        assert got(pair, client) == [
            [(C.WORK_WARNING, handle, b"!"), (C.WORK_EXCEPTION, handle, b"!!")]
        ]

    @pytest.mark.parametrize("seconds", [b"0", b"0+"])
    def test_worker_may_give_a_job_back(self, pair, seconds):
        client, worker, handle = lent(pair)
        worker.send(C.WORK_RETRY, handle, seconds, b"later")
        pair.run()
        if seconds == b"0":
            assert client.got() == [(C.WORK_FAIL, handle)]
        else:
            worker.send(C.PRE_SLEEP)
            pair.run()
            assert worker.grab() == handle

    def test_policy_of_the_server_of_the_worker_does_not_count(self, pair):
        policies = Policies({b"f": Policy(retries=5, timeout=1.0)})
        pair.member(2).broker.policies.load(policies)
        client, worker, handle = lent(pair)
        worker.send(C.WORK_FAIL, handle)
        assert got(pair, client) == [[(C.WORK_FAIL, handle)]]

    def test_result_that_is_too_large_is_an_exception(self, pair):
        client, worker, handle = lent(pair)
        client.send(C.OPTION_REQ, b"exceptions")
        pair.member(2).broker.workers.refuse_result(worker.peer, handle, 9, 8)
        (packets,) = got(pair, client)
        assert packets[0][:2] == (C.WORK_EXCEPTION, handle)

    def test_worker_hears_that_the_client_left(self, pair):
        client, worker, handle = lent(pair)
        worker.send(C.OPTION_REQ, b"extensions")
        client.leave()
        assert got(pair, worker) == [[(C.WORK_CANCEL, handle)]]
        assert worker.send(C.WORK_COMPLETE, handle, b"") == []
        pair.run()
        assert pair.member(1).broker.jobs.known == {}

    def test_worker_without_extensions_is_not_told(self, pair):
        client, worker, handle = lent(pair)
        client.leave()
        assert got(pair, worker) == [[]]
        assert worker.send(C.WORK_COMPLETE, handle, b"") == []

    def test_job_that_was_not_started_is_given_back_when_its_client_left(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        pair.run()
        client.submit()
        pair.run()
        client.leave()
        pair.run()
        assert pair.member(2).links.borrowing.jobs == {}
        assert pair.member(1).broker.jobs.known == {}
        assert worker.grab() is None


class TestLostWorker:
    def test_job_is_queued_again_and_that_is_counted_once(self, pair):
        client, worker, handle = lent(pair)
        worker.leave()
        pair.run()
        job = pair.member(1).broker.jobs.find(handle)
        assert job.retries == 1
        assert pair.member(1).broker.functions.known[b"f"].stats.lost == 1
        assert pair.member(2).broker.functions.known[b"f"].stats.lost == 0
        assert client.got() == []

    def test_job_is_given_up_if_the_owner_says_so(self):
        pair = Joined(2, retries=1)
        client, worker, handle = lent(pair)
        worker.leave()
        assert got(pair, client) == [[(C.WORK_FAIL, handle)]]

    def test_timeout_of_the_worker_counts(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).connect()
        worker.send(C.CAN_DO_TIMEOUT, b"f", b"2000")
        worker.send(C.PRE_SLEEP)
        pair.run()
        handle = client.submit()
        pair.run()
        assert worker.grab() == handle
        pair.after(3)
        assert pair.member(1).broker.jobs.find(handle).retries == 1
        worker.send(C.WORK_COMPLETE, handle, b"late")
        assert got(pair, client) == [[(C.WORK_COMPLETE, handle, b"late")]]

    def test_job_may_come_again_while_its_slow_worker_runs_it(self, pair):
        client, slow = pair.member(1).connect(), pair.member(2).connect()
        slow.send(C.CAN_DO_TIMEOUT, b"f", b"2000")
        slow.send(C.PRE_SLEEP)
        pair.run()
        handle = client.submit()
        pair.run()
        slow.grab()
        pair.after(3)
        worker = pair.member(2).worker()
        pair.run()
        assert worker.grab() == handle
        assert slow.send(C.WORK_COMPLETE, handle, b"late") == []
        worker.send(C.WORK_COMPLETE, handle, b"r")
        assert got(pair, client) == [[(C.WORK_COMPLETE, handle, b"r")]]

    def test_functions_of_a_server_without_workers_are_not_lent(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        pair.run()
        client.submit()
        pair.run()
        worker.leave()
        pair.run()
        function = pair.member(1).broker.functions.known[b"f"]
        assert function.borrowers is None
        assert function.workers == 0
        assert function.queues[1].count == 1

    def test_job_is_given_back_that_finds_no_worker(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker(b"f", b"g")
        pair.run()
        client.submit()
        pair.run()
        mine = pair.member(2).connect().submit(b"g", command=C.SUBMIT_JOB_HIGH)
        assert worker.grab() == mine
        assert len(pair.member(2).links.borrowing.jobs) == 1
        pair.after(1.1)
        assert pair.member(2).links.borrowing.jobs == {}
        assert pair.member(1).broker.functions.known[b"f"].queues[1].count == 1

    def test_jobs_are_given_back_one_after_the_other(self, pair):
        client = pair.member(1).connect()
        for name in (b"f", b"g"):
            pair.member(2).worker(name)
            pair.run()
            client.submit(name)
            pair.after(0.6)
        assert len(pair.member(2).links.borrowing.jobs) == 2
        pair.after(0.5)
        assert len(pair.member(2).links.borrowing.jobs) == 1

    def test_worker_that_left_meanwhile_gets_no_job(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        pair.run()
        client.submit()
        pair.step()
        worker.send(C.CANT_DO, b"f")
        pair.run()
        assert pair.member(2).links.borrowing.jobs == {}
        assert pair.member(1).broker.functions.known[b"f"].queues[1].count == 1


class TestFairness:
    def test_busy_workers_take_jobs_of_others_too(self, pair):
        client, other = pair.member(1).connect(), pair.member(2).connect()
        worker = pair.member(2).connect().can_do()
        theirs = [client.submit() for _ in range(3)]
        for _ in range(10):
            other.submit()
        pair.run()
        pair.after(0.2)
        done = []
        for _ in range(8):
            done.append(worker.grab())
            worker.send(C.WORK_COMPLETE, done[-1], b"")
            pair.run()
        assert [handle for handle in done if handle in theirs] == theirs

    def test_busy_workers_take_few_jobs_of_a_server_with_workers(self, pair):
        client, other = pair.member(1).connect(), pair.member(2).connect()
        pair.member(1).connect().can_do()
        worker = pair.member(2).connect().can_do()
        theirs = [client.submit() for _ in range(3)]
        for _ in range(10):
            other.submit()
        pair.run()
        found = []
        for _ in range(2):
            pair.after(0.2)
            done = []
            for _ in range(4):
                done.append(worker.grab())
                worker.send(C.WORK_COMPLETE, done[-1], b"")
                pair.run()
            found.append([handle for handle in done if handle in theirs])
        assert found == [theirs[:1], theirs[1:2]]

    def test_job_that_waits_here_first_is_not_lent_on(self, three):
        client, worker = three.member(1).connect(), three.member(2).worker()
        three.run()
        handle = client.submit()
        three.run()
        other = three.member(3).worker()
        three.member(2).connect().submit()
        three.after(0.06)
        three.after(0.06)
        assert other.got() == []
        assert worker.grab() == handle
        three.after(0.06)
        assert got(three, other) == [[(C.NOOP,)]]


class TestBrokenLink:
    def test_job_runs_on_and_its_result_counts_when_there_is_a_link_again(self, pair):
        client, worker, handle = lent(pair)
        pair.cut(1, 2)
        worker.send(C.WORK_DATA, handle, b"d")
        worker.send(C.WORK_COMPLETE, handle, b"r")
        assert client.got() == []
        pair.join(1, 2)
        assert client.got() == [
            (C.WORK_DATA, handle, b"d"),
            (C.WORK_COMPLETE, handle, b"r"),
        ]

    def test_broken_link_is_no_failed_attempt(self):
        pair = Joined(2, retries=1)
        client, worker, handle = lent(pair)
        pair.cut(1, 2)
        pair.after(LEASE + 6)
        job = pair.member(1).broker.jobs.find(handle)
        assert job is not None
        assert job.retries == 0
        assert client.got() == []
        here = pair.member(1).connect().can_do()
        assert here.grab() == handle
        assert worker.send(C.WORK_COMPLETE, handle, b"") == []

    def test_job_is_not_given_to_two_workers_while_the_link_may_come_back(self, pair):
        _, _, handle = lent(pair)
        pair.cut(1, 2)
        pair.after(LEASE)
        here = pair.member(1).connect().can_do()
        assert here.grab() is None
        pair.member(1).links.gone(2)
        pair.member(1).links.gone(3)
        assert here.grab() == handle

    def test_job_is_queued_again_that_the_other_server_does_not_run(self, pair):
        worker, client = pair.member(2).worker(), pair.member(1).connect()
        pair.run()
        handle = client.submit()
        pair.pass_on(1, 2)
        pair.pass_on_to(2, 1)
        assert handle in pair.member(1).links.remotes[2].worker.jobs
        pair.cut(1, 2)
        pair.join(1, 2)
        assert got(pair, worker) == [[(C.NOOP,)]]
        assert worker.grab() == handle
        assert client.got() == []

    def test_job_that_no_worker_has_started_there_is_left_to_its_server(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        pair.run()
        handle = client.submit()
        assert got(pair, worker) == [[(C.NOOP,)]]
        pair.cut(1, 2)
        assert worker.grab() is None
        pair.member(1).links.gone(2)
        here = pair.member(1).connect().can_do()
        assert here.grab() == handle

    def test_job_that_was_not_started_there_is_given_again_with_the_link(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        pair.run()
        handle = client.submit()
        pair.run()
        pair.cut(1, 2)
        assert worker.grab() is None
        pair.join(1, 2)
        worker.send(C.PRE_SLEEP)
        pair.run()
        assert worker.grab() == handle

    def test_result_that_was_lost_with_the_link_is_sent_again(self, pair):
        client, worker, handle = lent(pair)
        worker.send(C.WORK_COMPLETE, handle, b"r")
        pair.cut(1, 2)
        pair.join(1, 2)
        assert client.got() == [(C.WORK_COMPLETE, handle, b"r")]
        worker.send(C.PRE_SLEEP)
        assert got(pair, worker) == [[]]
        assert pair.member(1).broker.jobs.known == {}

    def test_result_that_had_arrived_changes_nothing(self, pair):
        client, worker, handle = lent(pair)
        worker.send(C.WORK_COMPLETE, handle, b"r")
        assert got(pair, client) == [[(C.WORK_COMPLETE, handle, b"r")]]
        pair.cut(1, 2)
        assert handle in pair.member(2).links.remotes[1].owner.kept
        pair.join(1, 2)
        assert got(pair, client, worker) == [[], []]
        assert pair.member(1).broker.jobs.known == {}
        assert pair.member(2).links.remotes[1].owner.kept == {}

    def test_results_that_have_arrived_are_forgotten(self, pair):
        pings = pair.pings(2, 1)
        owner = pair.member(2).links.remotes[1].owner
        pings.pinged = 1
        owner.send(C.WORK_COMPLETE, (b"H:test:2", b"r"))
        pings.pinged = 2
        owner.send(C.WORK_COMPLETE, (b"H:test:4", b"r"))
        # The first ping was sent before the first result.
        pings.answered = 1
        owner.send(C.WORK_COMPLETE, (b"H:test:6", b"r"))
        pings.answered = 2
        owner.send(C.WORK_COMPLETE, (b"H:test:8", b"r"))
        pair.cut(1, 2)
        assert [*owner.kept] == [b"H:test:4", b"H:test:6", b"H:test:8"]

    def test_results_under_way_have_a_limit(self, pair):
        owner = pair.member(2).links.remotes[1].owner
        for number in range(5):
            owner.send(C.WORK_COMPLETE, (b"H:test:%d" % number, bytes(20 * 1024**2)))
        pair.cut(1, 2)
        assert [*owner.kept] == [b"H:test:2", b"H:test:3", b"H:test:4"]
        pair.join(1, 2)
        owner.send(C.WORK_COMPLETE, (b"H:test:5", bytes(65 * 1024**2)))
        pair.cut(1, 2)
        assert owner.kept == {}

    def test_client_that_leaves_meanwhile_has_no_job(self, pair):
        client, worker, handle = lent(pair)
        pair.cut(1, 2)
        client.leave()
        worker.send(C.WORK_COMPLETE, handle, b"")
        pair.join(1, 2)
        assert pair.member(1).broker.jobs.known == {}

    def test_client_that_leaves_before_the_server_is_given_up_has_no_job(self, pair):
        client, _, _ = lent(pair)
        pair.cut(1, 2)
        client.leave()
        pair.after(LEASE + 6)
        assert pair.member(1).broker.jobs.known == {}

    def test_job_is_done_again_whose_results_were_too_many_to_keep(self, pair):
        client, worker, handle = lent(pair)
        pair.cut(1, 2)
        owner = pair.member(2).links.remotes[1].owner
        for _ in range(5):
            worker.send(C.WORK_DATA, handle, bytes(20 * 1024 * 1024))
        assert handle in owner.spoiled
        pair.join(1, 2)
        assert owner.spoiled == {}
        assert worker.send(C.WORK_COMPLETE, handle, b"") == []
        worker.send(C.PRE_SLEEP)
        pair.run()
        assert worker.grab() == handle
        assert client.got() == []

    def test_ended_job_is_done_again_whose_results_were_too_many(self, pair):
        client, worker, handle = lent(pair)
        pair.cut(1, 2)
        for _ in range(4):
            worker.send(C.WORK_DATA, handle, bytes(20 * 1024 * 1024))
        worker.send(C.WORK_COMPLETE, handle, b"")
        pair.join(1, 2)
        worker.send(C.PRE_SLEEP)
        pair.run()
        assert worker.grab() == handle
        assert client.got() == []

    def test_links_break_at_different_times(self, three):
        three.cut(1, 2)
        three.after(5)
        three.cut(1, 3)
        three.after(LEASE + 1)
        assert set(three.member(1).links.remotes) == {3}
        three.after(5)
        assert three.member(1).links.remotes == {}

    def test_other_functions_are_not_touched(self, pair):
        client, other = pair.member(1).connect(), pair.member(2).connect()
        pair.member(2).connect().can_do(b"f", b"g")
        client.submit(b"g")
        other.submit(b"h")
        pair.run()
        assert pair.member(2).broker.functions.known[b"g"].lenders is not None
        pair.cut(1, 2)
        assert pair.member(2).broker.functions.known[b"g"].lenders is None

    def test_results_that_are_kept_have_a_limit(self, pair):
        client, worker, handle = lent(pair)
        pair.cut(1, 2)
        owner = pair.member(2).links.remotes[1].owner
        for _ in range(5):
            owner.send(C.WORK_DATA, (handle, bytes(20 * 1024 * 1024)))
        assert owner.kept_size <= 64 * 1024 * 1024
        pair.after(LEASE + 6)
        assert (owner.kept, owner.kept_size) == ({}, 0)

    def test_results_that_are_kept_count_as_memory_of_jobs(self, pair):
        _, worker, handle = lent(pair)
        memory = pair.member(2).broker.memory
        before = memory.jobs
        pair.cut(1, 2)
        worker.send(C.WORK_DATA, handle, bytes(1000))
        assert memory.jobs == before + KEPT_MEMORY + len(handle) + 1000
        pair.join(1, 2)
        assert memory.jobs == before
        pair.cut(1, 2)
        worker.send(C.WORK_DATA, handle, bytes(1000))
        pair.after(LEASE + 6)
        assert memory.jobs == 0

    def test_second_connection_takes_the_place_of_the_first(self, pair):
        _, worker, handle = lent(pair)
        links = pair.member(2).links
        first = links.remotes[1].peer
        pair.join(1, 2)
        pair._links.clear()
        pair.join(1, 2)
        assert links.remotes[1].peer is not first
        assert handle in pair.member(1).links.remotes[2].worker.jobs
        pair.member(2).broker.disconnect(first)
        assert links.remotes[1].peer is not None

    def test_two_jobs_of_one_handle_do_not_meet(self, pair):
        client, other = pair.member(1).connect(), pair.member(2).connect()
        unique = pair.unique_of(2)
        handle = other.submit(unique=unique)
        client.send(C.SUBMIT_JOB, b"f", unique, b"w")
        assert got(pair, client) == [[(C.JOB_CREATED, handle)]]
        pair.cut(1, 2)
        pair.join(1, 2)
        first = pair.member(1).connect().can_do()
        assert first.grab() == handle
        second = pair.member(1).worker()
        pair.run()
        assert second.got() == []
        pair.cut(1, 2)
        pair.join(1, 2)
        assert second.got() == []
        # It is not time to give the other job back yet.
        pair.member(1).links.borrowing.give_up(pair.member(1).broker.now)
        assert pair.member(1).links.borrowing.first < inf
        first.send(C.WORK_COMPLETE, handle, b"1")
        assert client.got() == [(C.WORK_COMPLETE, handle, b"1")]
        pair.after(1.1)
        assert second.grab() == handle
        second.send(C.WORK_COMPLETE, handle, b"2")
        assert got(pair, other) == [[(C.WORK_COMPLETE, handle, b"2")]]

    def test_two_jobs_of_one_handle_do_not_meet_at_a_third_server(self, three):
        client, other = three.member(1).connect(), three.member(2).connect()
        unique = three.unique_of(2)
        handle = other.submit(unique=unique)
        client.send(C.SUBMIT_JOB, b"f", unique, b"w")
        three.run()
        three.cut(1, 2)
        workers = [three.member(3).worker() for _ in range(2)]
        three.run()
        assert len(three.member(3).links.borrowing.jobs) == 1
        found = {worker.grab() for worker in workers}
        assert found == {handle, None}


class TestTakeOver:
    def take_over(self, three: Joined, handle: bytes) -> list[int]:
        """Have server 1 load the job, and return when it may."""
        told: list[int] = []
        broker, links = three.member(1).broker, three.member(1).links
        links.taking_over.ask(frozenset(range(64)), lambda: told.append(1))
        three.run()
        number = number_of(handle)
        broker.stored.restore(number, handle, b"f", b"", b"w", 1, 0, 0, None)
        three.run()
        return told

    def submitted(self, three: Joined) -> tuple[Wire, bytes]:
        client, worker = three.member(2).connect(), three.member(3).worker()
        three.run()
        handle = client.submit(command=C.SUBMIT_JOB_BG)
        three.run()
        assert worker.grab() == handle
        three.cut(1, 2)
        three.cut(2, 3)
        three.own([1 if owner == 2 else owner for owner in three.owners])
        return worker, handle

    def test_job_goes_on_where_it_runs(self, three):
        worker, handle = self.submitted(three)
        assert self.take_over(three, handle) == [1]
        assert three.member(1).connect().can_do().grab() is None
        worker.send(C.WORK_COMPLETE, handle, b"r")
        three.run()
        assert three.member(1).broker.jobs.known == {}
        assert three.member(3).broker.jobs.known == {}

    def test_what_it_has_sent_meanwhile_counts(self, three):
        worker, handle = self.submitted(three)
        worker.send(C.WORK_STATUS, handle, b"1", b"2")
        self.take_over(three, handle)
        assert three.member(1).broker.jobs.find(handle).progress == (1, 2)

    def test_job_that_nobody_runs_is_queued(self, three):
        worker, handle = self.submitted(three)
        worker.leave()
        three.run()
        self.take_over(three, handle)
        assert three.member(1).connect().can_do().grab() == handle

    def test_result_that_was_kept_counts(self, three):
        worker, handle = self.submitted(three)
        worker.send(C.WORK_COMPLETE, handle, b"r")
        self.take_over(three, handle)
        assert three.member(1).broker.jobs.known == {}

    def test_job_is_queued_if_its_server_has_no_worker_any_more(self, three):
        worker, handle = self.submitted(three)
        worker.send(C.CANT_DO, b"f")
        self.take_over(three, handle)
        assert three.member(1).connect().can_do().grab() == handle

    def test_a_server_that_does_not_answer_is_waited_for_a_second(self, three):
        told = []
        links = three.member(1).links
        links.taking_over.ask(frozenset({1}), lambda: told.append(1))
        three.member(1).after(0.5)
        assert told == []
        three.member(1).after(0.6)
        assert told == [1]

    def test_a_link_that_breaks_is_not_waited_for(self, pair):
        told = []
        links = pair.member(1).links
        links.taking_over.ask(frozenset({1}), lambda: told.append(1))
        pair.cut(1, 2)
        assert told == [1]

    def test_job_that_was_never_lent_is_queued(self, pair):
        broker = pair.member(1).broker
        broker.stored.restore(64, b"H:test:64", b"f", b"", b"w", 1, 0, 0, None)
        assert pair.member(1).connect().can_do().grab() == b"H:test:64"

    def test_all_are_waited_for(self, three):
        told = []
        three.member(1).links.taking_over.ask(frozenset({1}), lambda: told.append(1))
        three.cut(1, 2)
        assert told == []
        three.cut(1, 3)
        assert told == [1]

    def test_without_links_nobody_is_asked(self, pair):
        pair.cut(1, 2)
        told = []
        links = pair.member(1).links
        links.taking_over.ask(frozenset({1}), lambda: told.append(1))
        assert told == [1]


class TestTakeOverOfWhatIsHere:
    def restore(self, member: Member, handle: bytes, unique: bytes = b"") -> None:
        number = number_of(handle)
        member.broker.stored.restore(number, handle, b"f", unique, b"w", 1, 0, 0, None)

    def borrowed(self, pair: Joined) -> tuple[Member, Wire, bytes]:
        """Have server 2 run a job of server 1, which is gone then."""
        worker = pair.member(2).worker()
        pair.run()
        handle = pair.member(1).connect().submit(command=C.SUBMIT_JOB_BG)
        pair.run()
        return pair.member(2), worker, handle

    def test_job_that_runs_here_goes_on(self, pair):
        member, worker, handle = self.borrowed(pair)
        assert worker.grab() == handle
        pair.cut(1, 2)
        self.restore(member, handle)
        assert member.connect().can_do().grab() is None
        worker.send(C.WORK_COMPLETE, handle, b"r")
        assert member.broker.jobs.known == {}
        assert member.links.borrowing.jobs == {}

    def test_job_that_waits_here_for_a_worker_is_queued(self, pair):
        member, worker, handle = self.borrowed(pair)
        pair.cut(1, 2)
        self.restore(member, handle)
        assert worker.grab() == handle
        worker.send(C.WORK_COMPLETE, handle, b"r")
        assert worker.grab() is None
        assert member.broker.jobs.known == {}

    def test_job_whose_worker_here_cannot_do_it_any_more_is_queued(self, pair):
        member, worker, handle = self.borrowed(pair)
        assert worker.grab() == handle
        worker.send(C.CANT_DO, b"f")
        pair.cut(1, 2)
        self.restore(member, handle)
        assert member.connect().can_do().grab() == handle
        worker.send(C.WORK_COMPLETE, handle, b"too late")
        assert len(member.broker.jobs.known) == 1

    @pytest.mark.parametrize(
        "end", [(C.WORK_COMPLETE, b"r"), (C.WORK_FAIL,), (C.WORK_EXCEPTION, b"e")]
    )
    def test_job_that_has_ended_here_does_not_run_again(self, pair, end):
        member, worker, handle = self.borrowed(pair)
        assert worker.grab() == handle
        pair.cut(1, 2)
        command, *data = end
        worker.send(C.WORK_DATA, handle, b"d")
        worker.send(command, handle, *data)
        self.restore(member, handle)
        assert worker.grab() is None
        assert member.broker.jobs.known == {}
        assert member.broker.functions.known[b"f"].running == 0

    def test_job_that_was_given_back_here_is_queued(self, pair):
        member, worker, handle = self.borrowed(pair)
        assert worker.grab() == handle
        pair.cut(1, 2)
        worker.leave()
        self.restore(member, handle)
        assert member.connect().can_do().grab() == handle

    def came_back(self, pair: Joined) -> tuple[Member, Wire, bytes, bytes]:
        """Have a job come back to server 1 which has a stored twin at server 2."""
        unique = pair.unique_of(2)
        stored = pair.member(2).connect().submit(b"f", unique, command=C.SUBMIT_JOB_BG)
        client = pair.member(1).connect()
        client.send(C.SUBMIT_JOB, b"f", unique, b"w")
        pair.run()
        assert client.got() == [(C.JOB_CREATED, stored)]
        pair.cut(1, 2)
        return pair.member(1), client, stored, unique

    def test_job_that_came_back_is_one_with_the_stored_job(self, pair):
        member, client, handle, unique = self.came_back(pair)
        self.restore(member, handle, unique)
        worker = member.connect().can_do()
        assert worker.grab() == handle
        assert worker.grab() is None
        worker.send(C.WORK_COMPLETE, handle, b"r")
        assert client.got() == [(C.WORK_COMPLETE, handle, b"r")]
        assert member.broker.jobs.known == {}

    def test_job_that_came_back_goes_on_as_the_stored_job(self, pair):
        member, client, handle, unique = self.came_back(pair)
        worker = member.connect().can_do()
        assert worker.grab() == handle
        self.restore(member, handle, unique)
        assert member.connect().can_do().grab() is None
        worker.send(C.WORK_COMPLETE, handle, b"r")
        assert client.got() == [(C.WORK_COMPLETE, handle, b"r")]
        assert member.broker.jobs.known == {}

    def test_an_abandoned_broker_keeps_no_job(self, pair):
        member, worker, handle = self.borrowed(pair)
        assert worker.grab() == handle
        member.connect().send(C.SUBMIT_JOB, b"f", pair.unique_of(1), b"w")
        pair.run()
        (remote,) = member.links.remotes.values()
        assert member.links.borrowing.jobs
        assert remote.away
        member.broker.abandon()
        assert not member.broker.jobs.known
        assert not member.links.borrowing.jobs
        assert not remote.away
        assert not remote.owner.waiting


class TestSeveralTakeOvers:
    def test_each_goes_on_when_its_answers_have_come(self, pair):
        told = []
        ask = pair.member(1).links.taking_over.ask
        ask(frozenset({1}), lambda: told.append(1))
        ask(frozenset({2}), lambda: told.append(2))
        assert told == []
        pair.run()
        assert told == [1, 2]

    def test_a_late_answer_is_not_taken_for_the_next_one(self, pair):
        told = []
        member = pair.member(1)
        member.links.taking_over.ask(frozenset({1}), lambda: told.append(1))
        member.after(1.5)
        assert told == [1]
        member.links.taking_over.ask(frozenset({2}), lambda: told.append(2))
        member.links.taking_over.told(next(iter(member.links.remotes.values())))
        assert told == [1]
        member.links.taking_over.told(next(iter(member.links.remotes.values())))
        assert told == [1, 2]

    def test_a_broken_link_ends_all(self, pair):
        told = []
        ask = pair.member(1).links.taking_over.ask
        ask(frozenset({1}), lambda: told.append(1))
        ask(frozenset({2}), lambda: told.append(2))
        pair.cut(1, 2)
        assert told == [1, 2]

    def test_answers_of_each_server_are_in_order(self, three):
        told = []
        links = three.member(1).links
        second, third = links.remotes[2], links.remotes[3]
        ask = links.taking_over.ask
        ask(frozenset({1}), lambda: told.append(1))
        links.taking_over.told(second)
        ask(frozenset({2}), lambda: told.append(2))
        links.taking_over.told(second)
        # Nothing was asked.
        links.taking_over.told(second)
        links.taking_over.lost(second)
        assert told == []
        links.taking_over.told(third)
        assert told == [1]
        links.taking_over.lost(third)
        assert told == [1, 2]

    def test_each_has_its_time(self, pair):
        told = []
        member = pair.member(1)
        member.links.taking_over.ask(frozenset({1}), lambda: told.append(1))
        member.after(0.7)
        member.links.taking_over.ask(frozenset({2}), lambda: told.append(2))
        member.after(0.5)
        assert told == [1]
        member.after(0.7)
        assert told == [1, 2]

    def test_what_was_told_before_is_forgotten(self, pair):
        worker = pair.member(2).worker()
        pair.run()
        client = pair.member(1).connect()
        handle = client.submit(command=C.SUBMIT_JOB_BG)
        pair.run()
        assert worker.grab() == handle
        # As if the job belonged to a server that is gone.
        remote = pair.member(1).links.remotes[2]
        number = number_of(handle)
        taking_over = pair.member(1).links.taking_over
        taking_over.runs(remote, handle)
        taking_over.ask(frozenset({(number + 1) % 64}), list)
        taking_over.ask(frozenset({number % 64}), list)
        pair.run()
        assert pair.member(1).broker.jobs.find(handle).worker is remote.worker


def test_a_spoiled_job_that_is_gone_is_no_problem(pair: Joined) -> None:
    pair.cut(1, 2)
    owner = pair.member(2).links.remotes[1].owner
    owner.spoiled[b"H:test:1"] = None
    pair.join(1, 2)
    assert not owner.spoiled
