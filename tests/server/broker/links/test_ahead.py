"""A worker that comes back for jobs of other servers finds the next one."""

import pytest

from gearman.commands import Command
from gearman.server.broker.links.ahead import MOST, QUICK, SHORT
from gearman.server.broker.links.waiting import BEHIND, PATIENCE
from tests.server.conftest import Wire
from tests.server.joined import Joined, Member

C = Command

# Seconds of a job whose worker has one more asked for.
ONE = 2 * QUICK / MOST
# Of one whose worker has several.
BRIEF = SHORT / 2


@pytest.fixture
def pair() -> Joined:
    return Joined(2)


@pytest.fixture
def three() -> Joined:
    return Joined(3)


def lent(joined: Joined, *functions: bytes, seconds: float = ONE) -> tuple[Wire, Wire]:
    """Have a worker of server 2 do a job of server 1, in so many seconds."""
    client = joined.member(1).connect()
    worker = joined.member(2).worker(*functions or (b"f",))
    joined.run()
    handle = client.submit()
    joined.run()
    assert worker.grab() == handle
    joined.after(seconds)
    worker.send(C.WORK_COMPLETE, handle, b"")
    joined.run()
    client.got()
    worker.send(C.PRE_SLEEP)
    return client, worker


def wanted(joined: Joined, name: bytes = b"f", owner: int = 1) -> int:
    """Return how many jobs server 2 waits for, on which both servers agree."""
    lending = joined.member(owner).links.lending
    remote = joined.member(owner).links.remotes[2]
    count: int = lending.wanted.get(name, {}).get(remote, 0)
    borrowing = joined.member(2).links.borrowing
    assert borrowing.ahead.asked(joined.member(2).links.remotes[owner], name) == count
    return count


def borrowed(member: Member) -> int:
    return len(member.links.borrowing.jobs)


class TestAsking:
    def test_next_job_costs_one_packet_each_way(self, pair):
        client, worker = lent(pair)
        before = [member.packets for member in pair]
        handle = client.submit()
        pair.run()
        assert worker.got() == [(C.NOOP,)]
        assert worker.grab() == handle
        pair.run()
        assert [member.packets for member in pair] == [before[0], before[1] + 1]

    def test_slow_worker_gets_nothing_ahead(self, pair):
        client, worker = lent(pair, seconds=QUICK * 2)
        assert wanted(pair) == 0
        handle = client.submit()
        pair.run()
        assert worker.grab() == handle

    def test_worker_that_becomes_slow_gets_nothing_more_ahead(self, pair):
        client, worker = lent(pair)
        handle = client.submit()
        pair.run()
        assert worker.grab() == handle
        pair.after(QUICK * 2)
        worker.send(C.WORK_COMPLETE, handle, b"")
        pair.run()
        assert wanted(pair) == 0

    def test_one_for_each_worker(self, pair):
        client = pair.member(1).connect()
        workers = [pair.member(2).worker() for _ in range(3)]
        pair.run()
        handles = [client.submit() for _ in workers]
        pair.run()
        assert sorted(filter(None, [w.grab() for w in workers])) == sorted(handles)
        pair.after(ONE)
        for worker in workers:
            for handle in list(worker.peer.jobs):
                worker.send(C.WORK_COMPLETE, handle, b"")
        pair.run()
        client.got()
        assert wanted(pair) == 3
        handles = [client.submit() for _ in range(5)]
        pair.run()
        assert borrowed(pair.member(2)) == 3
        assert [worker.grab() for worker in workers] == handles[:3]

    def test_job_that_is_there_is_fetched_while_the_worker_runs_one(self, pair):
        client, worker = lent(pair)
        handles = [client.submit() for _ in range(4)]
        pair.run()
        for handle in handles:
            assert worker.grab() == handle
            pair.run()
            worker.send(C.WORK_COMPLETE, handle, b"")

    def test_jobs_that_wait_here_come_first(self, pair):
        client, worker = lent(pair)
        handle = client.submit()
        pair.run()
        mine = pair.member(2).connect().submit()
        assert worker.grab() == handle
        worker.send(C.WORK_COMPLETE, handle, b"")
        pair.run()
        assert wanted(pair) == 0
        assert worker.grab() == mine

    def test_paused_function_asks_for_nothing(self, pair):
        client, worker = lent(pair)
        handle = client.submit()
        pair.run()
        assert worker.grab() == handle
        pair.member(2).connect().ask(b"pause function f")
        pair.run()
        worker.send(C.WORK_COMPLETE, handle, b"")
        pair.run()
        assert wanted(pair) == 0

    def test_owner_whose_link_is_broken_is_not_asked(self, pair):
        client, worker = lent(pair)
        handle = client.submit()
        pair.run()
        assert worker.grab() == handle
        pair.cut(1, 2)
        worker.send(C.WORK_COMPLETE, handle, b"")
        assert wanted(pair) == 0

    def test_server_that_has_a_job_is_asked_before_the_owner(self, three):
        _, worker = lent(three)
        handle = three.member(1).connect().submit()
        three.run()
        assert worker.grab() == handle
        other = three.member(3).connect().submit()
        three.run()
        worker.send(C.WORK_COMPLETE, handle, b"")
        three.run()
        assert worker.grab() == other

    def test_worker_counts_for_the_function_of_its_last_job(self, pair):
        client, worker = lent(pair, b"f", b"g")
        handle = client.submit(b"g")
        pair.run()
        assert worker.grab() == handle
        pair.after(ONE)
        worker.send(C.WORK_COMPLETE, handle, b"")
        pair.run()
        assert wanted(pair, b"f") == 0
        assert wanted(pair, b"g") == 1

    def test_worker_that_cannot_do_it_any_more_gets_nothing_ahead(self, pair):
        client, worker = lent(pair)
        handle = client.submit()
        pair.run()
        assert worker.grab() == handle
        pair.member(2).worker()
        worker.send(C.CANT_DO, b"f")
        worker.send(C.WORK_COMPLETE, handle, b"")
        pair.run()
        assert wanted(pair) == 0


class TestShortJobs:
    def test_worker_has_several_asked_for_in_one_packet(self, pair):
        before = pair.member(1).packets
        lent(pair, seconds=BRIEF)
        # CAN_DO, GRAB_JOBS for a worker that sleeps, WORK_COMPLETE, and GRAB_JOBS.
        assert pair.member(1).packets == before + 4
        assert wanted(pair) == MOST

    def test_jobs_that_were_taken_and_ended_in_a_turn_are_asked_for_together(
        self, pair
    ):
        client, worker = lent(pair, seconds=BRIEF)
        handles = [client.submit() for _ in range(MOST)]
        pair.run()
        before = pair.member(1).packets
        for handle in handles:
            assert worker.grab() == handle
            worker.send(C.WORK_COMPLETE, handle, b"")
        pair.run()
        assert pair.member(1).packets == before + MOST + 1
        assert wanted(pair) == MOST

    def test_worker_runs_them_without_a_way_over_the_link(self, pair):
        client, worker = lent(pair, seconds=BRIEF)
        handles = [client.submit() for _ in range(MOST)]
        pair.run()
        for handle in handles:
            assert worker.grab() == handle
            worker.send(C.WORK_COMPLETE, handle, b"")

    @pytest.mark.parametrize(
        ("seconds", "count"), [(SHORT + QUICK / MOST / 4, MOST), (ONE, 1)]
    )
    def test_worker_keeps_several_until_the_last_would_wait_too_long(
        self, pair, seconds, count
    ):
        client, worker = lent(pair, seconds=BRIEF)
        handles = [client.submit() for _ in range(MOST)]
        pair.run()
        for handle in handles:
            assert worker.grab() == handle
            pair.after(seconds)
            worker.send(C.WORK_COMPLETE, handle, b"")
            pair.run()
        assert wanted(pair) == count

    def test_first_job_that_is_not_short_is_followed_by_one(self, pair):
        lent(pair, seconds=SHORT + QUICK / MOST / 4)
        assert wanted(pair) == 1

    def test_all_are_called_off_if_the_worker_leaves(self, pair):
        _, worker = lent(pair, seconds=BRIEF)
        worker.leave()
        pair.run()
        assert wanted(pair) == 0

    def test_all_that_wait_go_back_if_the_worker_leaves(self, pair):
        client, worker = lent(pair, seconds=BRIEF)
        for _ in range(MOST):
            client.submit()
        pair.run()
        assert borrowed(pair.member(2)) == MOST
        worker.leave()
        pair.run()
        assert borrowed(pair.member(2)) == 0
        assert pair.member(1).broker.functions.known[b"f"].queued() == MOST

    def test_they_go_back_if_the_worker_that_is_left_is_busy(self, pair):
        client, worker = lent(pair, seconds=BRIEF)
        for _ in range(MOST):
            client.submit()
        pair.run()
        second = pair.member(2).connect().can_do()
        mine = pair.member(2).connect().submit(command=C.SUBMIT_JOB_HIGH)
        assert second.grab() == mine
        worker.leave()
        pair.after(PATIENCE + 0.01)
        assert borrowed(pair.member(2)) == 0
        assert pair.member(1).broker.functions.known[b"f"].queued() == MOST

    def test_job_that_waits_here_when_the_link_breaks_is_submitted_again(self, pair):
        client, worker = lent(pair, seconds=BRIEF)
        client = pair.member(2).connect()
        client.send(C.SUBMIT_JOB, b"f", pair.unique_of(1), b"w")
        pair.run()
        assert [packet[0] for packet in client.got()] == [C.JOB_CREATED]
        assert borrowed(pair.member(2)) == 1
        pair.cut(1, 2)
        assert borrowed(pair.member(2)) == 0
        pair.own([2] * len(pair.owners))
        handle = worker.grab()
        assert handle is not None
        worker.send(C.WORK_COMPLETE, handle, b"done")
        assert [packet[0] for packet in client.got()] == [C.WORK_COMPLETE]


class TestCallingOff:
    def test_worker_that_gets_a_job_of_its_server(self, pair):
        _, worker = lent(pair)
        assert wanted(pair) == 1
        mine = pair.member(2).connect().submit()
        assert worker.grab() == mine
        pair.run()
        assert wanted(pair) == 0

    def test_other_servers_still_wait(self, three):
        client = three.member(1).connect()
        workers = [three.member(number).worker() for number in (2, 3)]
        three.run()
        for _ in workers:
            client.submit()
        three.run()
        for worker in workers:
            worker.send(C.WORK_COMPLETE, worker.grab(), b"")
            worker.send(C.PRE_SLEEP)
        three.run()
        client.got()
        three.member(2).connect().submit()
        assert workers[0].grab() is not None
        three.run()
        assert wanted(three) == 0
        handle = client.submit()
        three.run()
        assert workers[1].grab() == handle

    @pytest.mark.parametrize("others", [0, 1])
    def test_worker_that_leaves(self, pair, others):
        _, worker = lent(pair)
        for _ in range(others):
            pair.member(2).worker()
        worker.leave()
        pair.run()
        assert wanted(pair) == 0
        assert pair.member(1).links.lending.wanted == {}

    def test_worker_that_runs_a_job_and_has_none_ahead_leaves(self, pair):
        client, worker = lent(pair)
        client.submit()
        pair.run()
        assert worker.grab()
        worker.leave()
        pair.run()
        assert wanted(pair) == 0

    def test_job_on_its_way_is_given_back_soon(self, pair):
        client, worker = lent(pair)
        mine = pair.member(2).connect().submit()
        client.submit()
        assert worker.grab() == mine
        pair.run()
        assert wanted(pair) == 0
        assert borrowed(pair.member(2)) == 1
        pair.after(BEHIND + 0.01)
        assert borrowed(pair.member(2)) == 0
        assert pair.member(1).broker.functions.known[b"f"].queues[1].count == 1

    def test_job_for_a_woken_worker_waits_longer(self, pair):
        client, worker = lent(pair)
        handle = client.submit()
        pair.run()
        pair.after((BEHIND + PATIENCE) / 2)
        assert worker.grab() == handle

    def test_both_kinds_are_given_back(self, pair):
        client, worker = lent(pair)
        client.submit()
        pair.run()
        mine = pair.member(2).connect().submit(command=C.SUBMIT_JOB_HIGH)
        assert worker.grab() == mine
        pair.after(PATIENCE + 0.01)
        assert borrowed(pair.member(2)) == 0
        assert pair.member(2).links.borrowing.first > 1e9

    def test_broken_link_ends_all(self, pair):
        client, worker = lent(pair)
        assert wanted(pair) == 1
        pair.cut(1, 2)
        pair.join(1, 2)
        assert wanted(pair) == 0
        handle = client.submit()
        pair.run()
        assert worker.grab() == handle


class TestGiving:
    def test_worker_here_is_preferred(self, pair):
        client, there = lent(pair)
        here = pair.member(1).worker()
        handle = client.submit()
        pair.run()
        assert there.got() == []
        assert here.grab() == handle

    def test_job_that_is_taken_in_the_same_turn_is_not_given(self, pair):
        client, there = lent(pair)
        here = pair.member(1).connect().can_do()
        handle = client.submit()
        assert here.grab() == handle
        pair.run()
        assert there.got() == []
        assert wanted(pair) == 1

    def test_paused_function_gives_nothing_until_it_goes_on(self, pair):
        client, worker = lent(pair)
        admin = pair.member(1).connect()
        admin.ask(b"pause function f")
        pair.run()
        handle = client.submit()
        pair.run()
        assert worker.got() == []
        admin.ask(b"resume function f")
        pair.run()
        assert worker.grab() == handle

    def test_waiting_servers_take_turns(self, three):
        client = three.member(1).connect()
        workers = {number: three.member(number).worker() for number in (2, 3)}
        three.run()
        for _ in range(2):
            client.submit()
        three.run()
        for worker in workers.values():
            worker.send(C.WORK_COMPLETE, worker.grab(), b"")
        three.run()
        client.got()
        handles = [client.submit() for _ in range(2)]
        three.run()
        assert {worker.grab() for worker in workers.values()} == set(handles)

    def test_what_is_left_is_said_with_the_job(self, pair):
        client, worker = lent(pair)
        second = pair.member(2).worker()
        handles = [client.submit() for _ in range(2)]
        pair.run()
        assert worker.grab() == handles[0]
        second.send(C.GRAB_JOB)
        second.send(C.PRE_SLEEP)
        pair.run()
        assert second.grab() == handles[1]

    def test_jobs_are_in_order_and_before_those_of_the_server(self, pair):
        client, worker = lent(pair)
        second = pair.member(2).worker()
        mine = [pair.member(2).connect().submit() for _ in range(2)]
        handles = [client.submit() for _ in range(2)]
        remote = pair.member(1).links.remotes[2]
        pair.member(1).links.lending.grab(remote, b"f", 0, 1)
        ahead = pair.member(2).links.borrowing.ahead
        ahead.ask(pair.member(2).links.remotes[1], b"f", 1)
        pair.run()
        found = [peer.grab() for peer in (worker, second, worker, second)]
        assert found == [*handles, *mine]

    def test_server_without_the_function_is_told_that_it_gets_none(self, pair):
        links = pair.member(1).links
        remote = links.remotes[2]
        links.lending.grab(remote, b"f", 1, 2)
        assert b"".join(remote.peer.outbox).endswith(b"f\x000\x003")
        assert links.lending.wanted == {}
