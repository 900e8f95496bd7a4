"""A job whose unique belongs to another server is passed on to that."""

import pytest

from gearman.commands import Command
from gearman.server.broker import Limits
from tests.server.broker.moves import ALL
from tests.server.broker.sizes import counted
from tests.server.conftest import Wire
from tests.server.joined import Joined, got

C = Command


@pytest.fixture
def pair() -> Joined:
    return Joined(2)


def submitted(
    joined: Joined,
    client: Wire,
    unique: bytes,
    command: Command = C.SUBMIT_JOB,
    name: bytes = b"f",
) -> bytes:
    """Submit a job that is passed on, and return its handle."""
    assert client.send(command, name, unique, b"w") == []
    ((answer,),) = got(joined, client)
    assert answer[0] == C.JOB_CREATED
    handle = answer[1]
    assert isinstance(handle, bytes)
    return handle


class TestPassedOn:
    def test_job_is_made_by_the_owner_of_its_shard(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        handle = submitted(pair, client, pair.unique_of(2))
        assert pair.member(2).broker.jobs.find(handle) is not None
        assert worker.got() == [(C.NOOP,)]
        assert worker.grab() == handle

    def test_own_unique_stays_here(self, pair):
        client = pair.member(1).connect()
        client.submit(unique=pair.unique_of(1))
        assert pair.member(2).broker.jobs.known == {}

    def test_updates_and_result_come_back_in_order(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        handle = submitted(pair, client, pair.unique_of(2))
        worker.grab()
        worker.send(C.WORK_DATA, handle, b"d")
        worker.send(C.WORK_WARNING, handle, b"!")
        worker.send(C.WORK_STATUS, handle, b"1", b"2")
        worker.send(C.WORK_COMPLETE, handle, b"r")
        assert got(pair, client) == [
            [
                (C.WORK_DATA, handle, b"d"),
                (C.WORK_WARNING, handle, b"!"),
                (C.WORK_STATUS, handle, b"1", b"2"),
                (C.WORK_COMPLETE, handle, b"r"),
            ]
        ]
        assert pair.member(1).broker.jobs.known == {}

    def test_failure_comes_back(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        handle = submitted(pair, client, pair.unique_of(2))
        worker.grab()
        worker.send(C.WORK_FAIL, handle)
        assert got(pair, client) == [[(C.WORK_FAIL, handle)]]

    def test_exception_is_for_clients_that_asked_for_it(self, pair):
        client, other = pair.member(1).connect(), pair.member(1).connect()
        worker = pair.member(2).worker()
        client.send(C.OPTION_REQ, b"exceptions")
        handle = submitted(pair, client, pair.unique_of(2))
        assert other.submit(unique=pair.unique_of(2)) == handle
        worker.grab()
        worker.send(C.WORK_EXCEPTION, handle, b"!")
        assert got(pair, client, other) == [
            [(C.WORK_EXCEPTION, handle, b"!")],
            [(C.WORK_FAIL, handle)],
        ]

    def test_options_reducer_and_priority_go_with_it(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        unique = pair.unique_of(2)
        client.send(C.SUBMIT_JOB_WITH, b"f", unique, b"priority=high&keep=9", b"w")
        ((_, handle),) = got(pair, client)[0]
        job = pair.member(2).broker.jobs.find(handle)
        assert (job.priority, job.extra.options.keep) == (0, 9.0)
        worker.grab()
        worker.send(C.WORK_COMPLETE, handle, b"")
        pair.run()
        client.send(C.SUBMIT_REDUCE_JOB, b"f", unique, b"r", b"", b"w")
        pair.run()
        handle = client.got()[-1][1]
        assert pair.member(2).broker.jobs.find(handle).reducer == b"r"

    def test_background_job_is_forgotten_here(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        handle = submitted(pair, client, pair.unique_of(2), C.SUBMIT_JOB_BG)
        assert pair.member(1).broker.jobs.known == {}
        assert worker.grab() == handle

    def test_time_of_a_job_goes_with_it(self, pair):
        client = pair.member(1).connect()
        when = b"%d" % (pair.member(1).wall + 60)
        client.send(C.SUBMIT_JOB_EPOCH, b"f", pair.unique_of(2), when, b"w")
        ((_, handle),) = got(pair, client)[0]
        assert pair.member(2).broker.jobs.find(handle).when == int(when)

    def test_workload_is_the_unique_of_a_job_with_a_hyphen(self, pair):
        client = pair.member(1).connect()
        workload = pair.unique_of(2)
        assert client.send(C.SUBMIT_JOB, b"f", b"-", workload) == []
        ((_, handle),) = got(pair, client)[0]
        assert pair.member(2).broker.jobs.find(handle).workload == workload


class TestCoalesced:
    def test_clients_of_two_servers_get_one_job(self, pair):
        client, other = pair.member(1).connect(), pair.member(2).connect()
        worker = pair.member(2).worker()
        handle = submitted(pair, client, pair.unique_of(2))
        assert other.submit(unique=pair.unique_of(2)) == handle
        worker.grab()
        worker.send(C.WORK_COMPLETE, handle, b"r")
        end = (C.WORK_COMPLETE, handle, b"r")
        assert got(pair, client, other) == [[end], [end]]

    def test_client_that_joins_twice_gets_two_results(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        handle = submitted(pair, client, pair.unique_of(2))
        assert client.submit(unique=pair.unique_of(2)) == handle
        worker.grab()
        worker.send(C.WORK_COMPLETE, handle, b"r")
        assert got(pair, client) == [[(C.WORK_COMPLETE, handle, b"r")] * 2]

    def test_client_that_joins_before_the_answer_waits_for_it(self, pair):
        client, other = pair.member(1).connect(), pair.member(1).connect()
        unique = pair.unique_of(2)
        assert client.send(C.SUBMIT_JOB, b"f", unique, b"w") == []
        assert other.send(C.SUBMIT_JOB, b"f", unique, b"w") == []
        first, second = got(pair, client, other)
        assert first == second != []

    def test_client_that_joins_without_a_link_to_the_new_owner_waits_as_well(self):
        three = Joined(3)
        first, second = three.member(1).connect(), three.member(1).connect()
        unique = three.unique_of(2)
        assert first.send(C.SUBMIT_JOB, b"f", unique, b"w") == []
        three.cut(1, 3)
        three.own([3 if owner == 2 else owner for owner in three.owners])
        assert second.send(C.SUBMIT_JOB, b"f", unique, b"w") == []
        worker = three.member(2).connect().can_do()
        told = got(three, first, second)
        handle = worker.grab() or b""
        assert told == [[(C.JOB_CREATED, handle)]] * 2
        worker.send(C.WORK_COMPLETE, handle, b"r")
        assert got(three, first, second) == [[(C.WORK_COMPLETE, handle, b"r")]] * 2

    def test_background_submission_makes_it_a_background_job(self, pair):
        client = pair.member(1).connect()
        handle = submitted(pair, client, pair.unique_of(2))
        again = submitted(pair, client, pair.unique_of(2), C.SUBMIT_JOB_BG)
        assert handle == again
        client.leave()
        pair.run()
        assert pair.member(2).broker.jobs.find(handle).background

    def test_watched_job_that_is_submitted_here_too_is_one(self, pair):
        watcher, client = pair.member(1).connect(), pair.member(1).connect()
        other, worker = pair.member(2).connect(), pair.member(2).worker()
        handle = other.submit(unique=pair.unique_of(2))
        watcher.send(C.WATCH_JOB, handle)
        pair.run()
        assert submitted(pair, client, pair.unique_of(2)) == handle
        worker.grab()
        worker.send(C.WORK_DATA, handle, b"d")
        worker.send(C.WORK_COMPLETE, handle, b"r")
        told = [(C.WORK_DATA, handle, b"d"), (C.WORK_COMPLETE, handle, b"r")]
        assert got(pair, watcher, client, other) == [told, told, told]


class TestOrder:
    def test_answers_keep_their_order(self, pair):
        client = pair.member(1).connect()
        assert client.send(C.SUBMIT_JOB, b"f", pair.unique_of(2), b"1") == []
        assert client.send(C.SUBMIT_JOB, b"f", b"", b"2") == []
        ((_, one), (_, two)) = got(pair, client)[0]
        assert pair.member(2).broker.jobs.find(one).workload == b"1"
        assert pair.member(1).broker.jobs.find(two).workload == b"2"

    def test_client_that_has_its_answers_is_read_from_again(self, pair):
        client, answers = pair.member(1).connect(), pair.member(1).broker.answers
        client.send(C.SUBMIT_JOB, b"f", pair.unique_of(2), b"1")
        client.send(C.SUBMIT_JOB, b"f", b"", b"2")
        assert answers.deferring == [client.peer]
        pair.run()
        assert answers.caught_up == [client.peer]


class TestRefused:
    def test_refusal_of_the_owner_is_passed_on(self, pair):
        client = pair.member(1).connect()
        pair.member(2).broker.limits.jobs = 1
        pair.member(2).connect().submit()
        client.send(C.SUBMIT_JOB, b"f", pair.unique_of(2), b"w")
        ((command, code, _),) = got(pair, client)[0]
        assert (command, code) == (C.ERROR, b"QUEUE_ERROR")
        assert pair.member(1).broker.jobs.known == {}

    def test_background_job_is_refused_too(self, pair):
        client = pair.member(1).connect()
        pair.member(2).broker.outage = b"no disk"
        client.send(C.SUBMIT_JOB_BG, b"f", pair.unique_of(2), b"w")
        assert got(pair, client) == [[(C.ERROR, b"QUEUE_ERROR", b"no disk")]]

    def test_limits_of_this_server_hold_too(self):
        pair = Joined(2, limits=Limits(jobs=1))
        client = pair.member(1).connect()
        client.submit()
        ((command, code, _),) = client.send(C.SUBMIT_JOB, b"f", pair.unique_of(2), b"")
        assert (command, code) == (C.ERROR, b"QUEUE_ERROR")
        assert pair.member(1).broker.hits.counts["max-jobs"] == 1

    def test_options_that_the_owner_does_not_know_are_refused(self, pair):
        links, sent = pair.member(2).links, (b"1", b"f", b"u", b"1 0 0", b"")
        remote = links.remotes[1]
        links.submitted(remote, *sent, b"new=1", b"w")
        assert b"INVALID_ARGUMENTS" in b"".join(remote.peer.outbox)


class TestLeaving:
    def test_owner_forgets_a_job_that_nobody_waits_for(self, pair):
        client = pair.member(1).connect()
        handle = submitted(pair, client, pair.unique_of(2))
        client.leave()
        pair.run()
        assert pair.member(2).broker.jobs.find(handle) is None
        assert pair.member(1).broker.jobs.known == {}

    def test_client_may_leave_before_the_answer(self, pair):
        client = pair.member(1).connect()
        client.send(C.SUBMIT_JOB, b"f", pair.unique_of(2), b"w")
        client.leave()
        pair.run()
        assert pair.member(2).broker.jobs.known == {}
        assert pair.member(1).broker.jobs.known == {}

    def test_worker_is_told_that_its_job_is_not_needed(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        worker.send(C.OPTION_REQ, b"extensions")
        handle = submitted(pair, client, pair.unique_of(2))
        worker.grab()
        client.leave()
        pair.run()
        assert worker.got() == [(C.WORK_CANCEL, handle)]

    def test_others_that_wait_get_the_result(self, pair):
        client, other = pair.member(1).connect(), pair.member(1).connect()
        worker = pair.member(2).worker()
        handle = submitted(pair, client, pair.unique_of(2))
        assert other.submit(unique=pair.unique_of(2)) == handle
        client.leave()
        pair.run()
        worker.grab()
        worker.send(C.WORK_COMPLETE, handle, b"r")
        assert got(pair, other) == [[(C.WORK_COMPLETE, handle, b"r")]]

    def test_leaving_of_a_job_that_has_ended_is_nothing(self, pair):
        pair.member(2).links.left(pair.member(2).links.remotes[1], b"H:test:1")


class TestBrokenLink:
    def test_job_that_was_not_started_is_done_here(self, pair):
        client, worker = pair.member(1).connect(), pair.member(1).connect().can_do()
        handle = submitted(pair, client, pair.unique_of(2))
        pair.cut(1, 2)
        assert worker.grab() == handle
        worker.send(C.WORK_COMPLETE, handle, b"r")
        assert client.got() == [(C.WORK_COMPLETE, handle, b"r")]

    def test_job_that_was_started_fails(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        handle = submitted(pair, client, pair.unique_of(2))
        worker.grab()
        pair.run()
        pair.cut(1, 2)
        assert client.got() == [(C.WORK_FAIL, handle)]

    def test_job_that_ran_already_when_it_was_joined_fails(self, pair):
        unique = pair.unique_of(2)
        first, worker = pair.member(2).connect(), pair.member(2).worker()
        handle = first.submit(unique=unique)
        assert worker.grab() == handle
        client = pair.member(1).connect()
        assert submitted(pair, client, unique) == handle
        pair.cut(1, 2)
        assert client.got() == [(C.WORK_FAIL, handle)]
        assert pair.member(1).broker.jobs.known == {}

    def test_job_whose_client_left_before_the_answer_takes_no_memory(self, pair):
        client, broker = pair.member(1).connect(), pair.member(1).broker
        client.send(C.SUBMIT_JOB, b"f", pair.unique_of(2), b"w")
        client.leave()
        pair.cut(1, 2)
        assert (broker.memory.jobs, broker.memory.peers) == counted(broker)

    def test_job_that_runs_at_a_worker_here_fails(self, pair):
        client, worker = pair.member(1).connect(), pair.member(1).worker()
        handle = pair.member(2).connect().submit(unique=pair.unique_of(2))
        pair.run()
        assert worker.grab() == handle
        client.send(C.SUBMIT_JOB, b"f", pair.unique_of(2), b"w")
        pair.pass_on(1, 2)
        # The link breaks when it has told the handle, and not that the job was started.
        links = pair.member(1).links
        links.away.created(links.remotes[2], 1, handle)
        pair.cut(1, 2)
        assert client.got() == [(C.JOB_CREATED, handle), (C.WORK_FAIL, handle)]

    def test_update_says_that_a_job_was_started(self, pair):
        pair.member(1).broker.places.watched = ALL
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        handle = submitted(pair, client, pair.unique_of(2))
        worker.grab()
        worker.send(C.WORK_STATUS, handle, b"1", b"2")
        pair.run()
        pair.cut(1, 2)
        assert client.got()[-1] == (C.WORK_FAIL, handle)

    def test_submission_without_an_answer_is_answered_here(self, pair):
        client = pair.member(1).connect()
        client.send(C.SUBMIT_JOB, b"f", pair.unique_of(2), b"w")
        client.send(C.SUBMIT_JOB_BG, b"f", pair.unique_of(2), b"w")
        pair.cut(1, 2)
        ((one, _), (two, _)) = client.got()
        assert one == two == C.JOB_CREATED
        assert len(pair.member(1).broker.jobs.known) == 2

    def test_background_job_is_stored_here(self):
        pair = Joined(2, persistent=True)
        client, broker = pair.member(1).connect(), pair.member(1).broker
        client.send(C.SUBMIT_JOB_BG, b"f", pair.unique_of(2), b"w")
        pair.cut(1, 2)
        assert client.got() == []
        job = pair.member(1).new_job()
        broker.stored.durable([job])
        assert client.got() == [(C.JOB_CREATED, job.handle)]

    def test_background_job_that_comes_back_hides_none_of_its_unique(self):
        pair = Joined(2, persistent=True)
        client, broker = pair.member(1).connect(), pair.member(1).broker
        unique = pair.unique_of(2)
        client.send(C.SUBMIT_JOB_BG, b"f", unique, b"w")
        pair.own([1] * 64)
        client.send(C.SUBMIT_JOB_BG, b"f", unique, b"w")
        first = pair.member(1).new_job()
        broker.stored.durable([first])
        broker.jobs.changes.clear()
        pair.cut(1, 2)
        broker.stored.durable([pair.member(1).new_job()])
        back, here = (handle for _, handle in client.got())
        assert back != here == first.handle
        joined = client.send(C.SUBMIT_JOB_BG, b"f", unique, b"w")
        assert joined == [(C.JOB_CREATED, first.handle)]

    def test_background_job_is_refused_in_an_outage(self):
        pair = Joined(2, persistent=True)
        client, broker = pair.member(1).connect(), pair.member(1).broker
        client.send(C.SUBMIT_JOB_BG, b"f", pair.unique_of(2), b"w")
        broker.outage = b"no disk"
        pair.cut(1, 2)
        assert client.got() == [(C.ERROR, b"QUEUE_ERROR", b"no disk")]
        assert broker.jobs.known == {}

    def test_job_goes_to_the_new_owner(self):
        three = Joined(3)
        client = three.member(1).connect()
        handle = submitted(three, client, three.unique_of(2))
        three.own([3 if owner == 2 else owner for owner in three.owners])
        three.cut(1, 2)
        three.run()
        assert client.got() == []
        worker = three.member(3).connect().can_do()
        again = worker.grab() or b""
        worker.send(C.WORK_DATA, again, b"d")
        worker.send(C.WORK_COMPLETE, again, b"r")
        assert got(three, client) == [
            [(C.WORK_DATA, handle, b"d"), (C.WORK_COMPLETE, handle, b"r")]
        ]

    def test_new_owner_may_refuse_it(self):
        three = Joined(3)
        client = three.member(1).connect()
        handle = submitted(three, client, three.unique_of(2))
        three.own([3 if owner == 2 else owner for owner in three.owners])
        three.member(3).broker.limits.jobs = 1
        three.member(3).connect().submit()
        three.cut(1, 2)
        assert got(three, client) == [[(C.WORK_FAIL, handle)]]

    def test_options_count_here_too(self, pair):
        client = pair.member(1).connect()
        client.send(C.SUBMIT_JOB_WITH, b"f", pair.unique_of(2), b"delay=60", b"w")
        pair.cut(1, 2)
        ((_, handle),) = client.got()
        (job,) = pair.member(1).broker.jobs.known.values()
        assert job.extra.due > pair.member(1).wall

    def test_owner_forgets_the_clients_there(self, pair):
        client = pair.member(1).connect()
        handle = submitted(pair, client, pair.unique_of(2))
        pair.cut(1, 2)
        assert pair.member(2).broker.jobs.find(handle) is None

    def test_client_that_left_before_the_answer_has_no_job(self, pair):
        client = pair.member(1).connect()
        client.send(C.SUBMIT_JOB, b"f", pair.unique_of(2), b"w")
        client.leave()
        pair.cut(1, 2)
        assert pair.member(1).broker.jobs.known == {}

    def test_unique_is_for_this_server_while_there_is_no_link(self, pair):
        client = pair.member(1).connect()
        pair.cut(1, 2)
        client.submit(unique=pair.unique_of(2))
        assert len(pair.member(1).broker.jobs.known) == 1


class TestCrossing:
    """What is under way when it is not needed any more is dropped."""

    def test_updates_of_a_job_that_nobody_waits_for(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        handle = submitted(pair, client, pair.unique_of(2))
        worker.grab()
        pair.run()
        client.leave()
        worker.send(C.WORK_DATA, handle, b"d")
        worker.send(C.WORK_COMPLETE, handle, b"r")
        pair.run()
        assert pair.member(1).broker.jobs.known == {}

    def test_start_of_a_job_that_nobody_waits_for(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        submitted(pair, client, pair.unique_of(2))
        worker.grab()
        client.leave()
        pair.run()
        assert pair.member(1).broker.jobs.known == {}

    def test_answers_to_nothing(self, pair):
        links = pair.member(1).links
        links.away.created(links.remotes[2], 99, b"H:test:1")
        links.away.refused(links.remotes[2], 99, b"QUEUE_ERROR", b"full")
        assert pair.member(1).broker.jobs.known == {}


class TestBackPressure:
    def test_link_is_held_by_a_client_that_reads_nothing(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        handle = submitted(pair, client, pair.unique_of(2))
        worker.grab()
        client.peer.blocked = True
        worker.send(C.WORK_DATA, handle, b"d")
        pair.run()
        link = pair.member(1).links.remotes[2].peer
        assert pair.member(1).broker.jobs.congested == [(link, client.peer)]

    def test_worker_is_held_by_a_link_that_is_full(self, pair):
        client, worker = pair.member(1).connect(), pair.member(2).worker()
        handle = submitted(pair, client, pair.unique_of(2))
        worker.grab()
        remote = pair.member(2).links.remotes[1]
        remote.peer.blocked = True
        worker.send(C.WORK_DATA, handle, b"d")
        congested = pair.member(2).broker.jobs.congested
        assert congested == [(worker.peer, remote.client)]
        pair.cut(1, 2)
        assert congested == []
