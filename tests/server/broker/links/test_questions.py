"""Any server tells how a job stands, how it ended, and cancels it."""

import pytest

from gearman.commands import Command
from gearman.server.broker.making import number_of
from gearman.server.cluster.home import SHARD_BITS
from tests.server.joined import Joined, got

C = Command


@pytest.fixture
def three() -> Joined:
    return Joined(3)


def status(*, running: bytes = b"0", done: bytes = b"0", of: bytes = b"0"):
    return (b"1", running, done, of)


class TestStatus:
    def test_owner_is_asked(self, three):
        client, asker = three.member(2).connect(), three.member(1).connect()
        handle = client.submit()
        before = three.member(3).packets
        assert asker.send(C.GET_STATUS, handle) == []
        assert got(three, asker) == [[(C.STATUS_RES, handle, *status())]]
        assert three.member(3).packets == before

    def test_progress_is_told(self, three):
        client, asker = three.member(2).connect(), three.member(1).connect()
        worker = three.member(2).connect().can_do()
        handle = client.submit()
        worker.grab()
        worker.send(C.WORK_STATUS, handle, b"3", b"4")
        asker.send(C.GET_STATUS, handle)
        three.run()
        found = status(running=b"1", done=b"3", of=b"4")
        assert asker.got() == [(C.STATUS_RES, handle, *found)]

    def test_own_job_is_answered_at_once(self, three):
        client = three.member(1).connect()
        handle = client.submit()
        found = client.send(C.GET_STATUS, handle)
        assert found == [(C.STATUS_RES, handle, *status())]

    def test_job_that_was_passed_on_is_asked_for(self, three):
        client = three.member(1).connect()
        client.send(C.SUBMIT_JOB, b"f", three.unique_of(2), b"w")
        three.run()
        ((_, handle),) = client.got()
        client.send(C.GET_STATUS, handle)
        assert got(three, client) == [[(C.STATUS_RES, handle, *status())]]

    def test_all_are_asked_if_the_owner_does_not_know_it(self, three):
        client, asker = three.member(3).connect(), three.member(1).connect()
        handle = client.submit()
        three.own([2 if owner == 3 else owner for owner in three.owners])
        asker.send(C.GET_STATUS, handle)
        assert got(three, asker) == [[(C.STATUS_RES, handle, *status())]]

    def test_new_owner_asks_the_others(self, three):
        client, asker = three.member(3).connect(), three.member(2).connect()
        handle = client.submit()
        three.own([2 if owner == 3 else owner for owner in three.owners])
        asker.send(C.GET_STATUS, handle)
        assert got(three, asker) == [[(C.STATUS_RES, handle, *status())]]

    def test_unknown_job_is_unknown(self, three):
        asker = three.member(1).connect()
        none = (b"0", b"0", b"0", b"0")
        asker.send(C.GET_STATUS, b"H:test:%d" % (1 << 20))
        asker.send(C.GET_STATUS, b"nonsense")
        three.run()
        assert [packet[2:] for packet in asker.got()] == [none, none]

    def test_server_that_does_not_answer_is_waited_for_two_seconds(self, three):
        asker = three.member(1).connect()
        handle = three.member(2).connect().submit()
        asker.send(C.GET_STATUS, handle)
        three.member(1).after(1.9)
        assert asker.got() == []
        assert three.member(1).after(0.1) > 2
        assert asker.got() == [(C.STATUS_RES, handle, b"0", b"0", b"0", b"0")]
        three.run()
        assert asker.got() == []

    @pytest.mark.parametrize("data", [b"", b"0\0000", b"0\0000\0000\0000\0000"])
    def test_answer_that_is_no_status_is_that_of_an_unknown_job(self, three, data):
        asker, links = three.member(1).connect(), three.member(1).links
        asker.send(C.GET_STATUS, b"H:test:1")
        asker.send(C.GET_STATUS_UNIQUE, three.unique_of(2))
        for token, remote in ((1, 2), (2, 2)):
            links.lookup.told(links.remotes[remote], token, True, data)
        nothing = [b"0"] * 4
        assert asker.got() == [
            (C.STATUS_RES, b"H:test:1", *nothing),
            (C.STATUS_RES_UNIQUE, three.unique_of(2), *nothing, b"0"),
        ]

    def test_others_are_asked_when_the_link_breaks(self, three):
        asker = three.member(1).connect()
        handle = three.member(2).connect().submit()
        asker.send(C.GET_STATUS, handle)
        three.cut(1, 2)
        assert got(three, asker) == [[(C.STATUS_RES, handle, b"0", b"0", b"0", b"0")]]

    def test_answers_keep_their_order(self, three):
        asker = three.member(1).connect()
        theirs, own = three.member(2).connect().submit(), asker.submit()
        asker.send(C.GET_STATUS, theirs)
        asker.send(C.GET_STATUS, own)
        asker.send(C.SUBMIT_JOB, b"f", b"", b"w")
        first, second, third = got(three, asker)[0]
        assert (first[1], second[1], third[0]) == (theirs, own, C.JOB_CREATED)

    def test_asker_may_leave(self, three):
        asker = three.member(1).connect()
        asker.send(C.GET_STATUS, three.member(2).connect().submit())
        asker.leave()
        three.run()


class TestUnique:
    def test_job_that_is_away_is_not_known_there(self, three):
        client, asker = three.member(1).connect(), three.member(3).connect()
        unique = three.unique_of(2)
        client.send(C.SUBMIT_JOB, b"f", unique, b"w")
        three.run()
        three.cut(2, 3)
        asker.send(C.GET_STATUS_UNIQUE, unique)
        three.run()
        assert asker.got()[0][2] == b"0"

    def test_home_is_asked(self, three):
        client, asker = three.member(2).connect(), three.member(1).connect()
        unique = three.unique_of(2)
        client.submit(unique=unique)
        client.submit(unique=unique)
        asker.send(C.GET_STATUS_UNIQUE, unique)
        found = (C.STATUS_RES_UNIQUE, unique, *status(), b"2")
        assert got(three, asker) == [[found]]

    def test_own_unique_is_answered_at_once(self, three):
        client = three.member(1).connect()
        unique = three.unique_of(1)
        client.submit(unique=unique)
        found = client.send(C.GET_STATUS_UNIQUE, unique)
        assert found == [(C.STATUS_RES_UNIQUE, unique, *status(), b"1")]

    @pytest.mark.parametrize("unique", [b"no such", b"-", b""])
    def test_unknown_unique_is_unknown(self, three, unique):
        asker = three.member(1).connect()
        asker.send(C.GET_STATUS_UNIQUE, unique)
        found = (C.STATUS_RES_UNIQUE, unique, b"0", b"0", b"0", b"0", b"0")
        assert got(three, asker) == [[found]]


class TestResult:
    def kept(self, three: Joined) -> bytes:
        """Return the handle of a job whose result server 2 keeps."""
        client, worker = three.member(2).connect(), three.member(2).connect().can_do()
        options = b"keep=60&background=1"
        ((_, handle),) = client.send(C.SUBMIT_JOB_WITH, b"f", b"", options, b"w")
        assert worker.grab() == handle
        assert isinstance(handle, bytes)
        return handle

    def end(self, three: Joined, handle: bytes, end: Command, *data: bytes) -> None:
        member = three.member(2)
        (worker,) = [peer for peer in member.broker.peers if peer.jobs]
        if end == C.WORK_COMPLETE:
            member.broker.workers.complete(worker, handle, *data)
        elif end == C.WORK_FAIL:
            member.broker.workers.fail(worker, handle)
        else:
            member.broker.workers.exception(worker, handle, *data)

    def test_result_is_told(self, three):
        handle, asker = self.kept(three), three.member(1).connect()
        asker.send(C.GET_RESULT, handle)
        assert got(three, asker) == [[(C.RESULT_RES, handle, b"running", b"")]]
        self.end(three, handle, C.WORK_COMPLETE, b"r\0r")
        asker.send(C.GET_RESULT, handle)
        assert got(three, asker) == [[(C.RESULT_RES, handle, b"done", b"r\0r")]]

    def test_own_result_is_answered_at_once(self, three):
        handle, asker = self.kept(three), three.member(2).connect()
        found = asker.send(C.GET_RESULT, handle)
        assert found == [(C.RESULT_RES, handle, b"running", b"")]

    def test_unknown_result_is_unknown(self, three):
        asker = three.member(1).connect()
        asker.send(C.GET_RESULT, b"H:test:77777")
        assert got(three, asker)[0][0][2:] == (b"unknown", b"")

    def test_watcher_is_told_the_end(self, three):
        handle, watcher = self.kept(three), three.member(1).connect()
        assert watcher.send(C.WATCH_JOB, handle) == []
        three.run()
        self.end(three, handle, C.WORK_COMPLETE, b"r")
        assert got(three, watcher) == [[(C.WORK_COMPLETE, handle, b"r")]]

    @pytest.mark.parametrize(
        ("end", "data", "wishes", "told"),
        [
            (C.WORK_COMPLETE, (b"r",), False, (C.WORK_COMPLETE, b"r")),
            (C.WORK_FAIL, (), False, (C.WORK_FAIL,)),
            (C.WORK_EXCEPTION, (b"!",), False, (C.WORK_FAIL,)),
            (C.WORK_EXCEPTION, (b"!",), True, (C.WORK_EXCEPTION, b"!")),
        ],
    )
    def test_watcher_may_come_after_the_end(self, three, end, data, wishes, told):
        handle, watcher = self.kept(three), three.member(1).connect()
        if wishes:
            watcher.send(C.OPTION_REQ, b"exceptions")
        self.end(three, handle, end, *data)
        watcher.send(C.WATCH_JOB, handle)
        command, *rest = told
        assert got(three, watcher) == [[(command, handle, *rest)]]

    def test_watcher_of_an_unknown_job_is_told_so(self, three):
        watcher = three.member(1).connect()
        watcher.send(C.WATCH_JOB, b"H:test:77777")
        assert got(three, watcher)[0][0][:2] == (C.ERROR, b"JOB_NOT_FOUND")

    def test_watcher_may_leave_before_the_answer(self, three):
        handle, watcher = self.kept(three), three.member(1).connect()
        watcher.send(C.WATCH_JOB, handle)
        watcher.leave()
        three.run()
        assert not three.member(2).broker.jobs.find(handle).clients

    def test_second_watcher_waits_too(self, three):
        handle = self.kept(three)
        watchers = [three.member(1).connect() for _ in range(2)]
        for watcher in watchers:
            watcher.send(C.WATCH_JOB, handle)
            three.run()
        self.end(three, handle, C.WORK_COMPLETE, b"r")
        end = [(C.WORK_COMPLETE, handle, b"r")]
        assert got(three, *watchers) == [end, end]

    def test_watched_job_fails_when_the_link_breaks(self, three):
        handle, watcher = self.kept(three), three.member(1).connect()
        watcher.send(C.WATCH_JOB, handle)
        three.run()
        three.cut(1, 2)
        assert watcher.got() == [(C.WORK_FAIL, handle)]

    def test_job_that_is_not_stored_yet_is_unknown(self):
        pair = Joined(2, persistent=True)
        client, watcher = pair.member(2).connect(), pair.member(1).connect()
        client.send(C.SUBMIT_JOB_BG, b"f", b"", b"w")
        job = pair.member(2).new_job()
        watcher.send(C.WATCH_JOB, job.handle)
        assert got(pair, watcher)[0][0][:2] == (C.ERROR, b"JOB_NOT_FOUND")


class TestCancel:
    def test_job_is_cancelled_by_any_server(self, three):
        client, admin = three.member(2).connect(), three.member(1).connect()
        handle = client.submit()
        assert admin.ask(b"cancel job " + handle) == b""
        three.run()
        assert admin.data() == b"OK\r\n"
        assert client.got() == [(C.WORK_FAIL, handle)]

    def test_unknown_job_is_told(self, three):
        admin = three.member(1).connect()
        admin.ask(b"cancel job H:test:77777")
        three.run()
        assert admin.data() == b"ERR UNKNOWN_JOB\r\n"

    def test_answers_of_commands_keep_their_order(self, three):
        admin = three.member(1).connect()
        handle = three.member(2).connect().submit()
        assert admin.ask(b"cancel job " + handle) == b""
        assert admin.ask(b"getpid") == b""
        three.run()
        assert admin.data() == b"OK\r\nOK 4321\n"

    def test_borrowed_job_that_waits_is_cancelled(self, three):
        client, admin = three.member(1).connect(), three.member(2).connect()
        three.member(2).worker()
        three.run()
        handle = client.submit()
        three.run()
        admin.ask(b"cancel job " + handle)
        three.run()
        assert admin.data() == b"OK\r\n"
        assert client.got() == [(C.WORK_FAIL, handle)]

    def test_borrowed_job_that_runs_is_cancelled(self, three):
        client, worker = three.member(1).connect(), three.member(2).worker()
        worker.send(C.OPTION_REQ, b"extensions")
        three.run()
        handle = client.submit()
        three.run()
        worker.grab()
        three.member(1).broker.cancel(handle)
        three.run()
        assert worker.got() == [(C.WORK_CANCEL, handle)]
        assert worker.send(C.WORK_COMPLETE, handle, b"") == []
        three.run()
        assert client.got() == [(C.WORK_FAIL, handle)]

    def test_job_that_was_passed_on_is_cancelled(self, three):
        client, admin = three.member(1).connect(), three.member(1).connect()
        client.send(C.SUBMIT_JOB, b"f", three.unique_of(2), b"w")
        (job,) = three.member(1).broker.jobs.known.values()
        # Nobody knows this handle, which is not that of the job.
        admin.ask(b"cancel job " + job.handle)
        three.run()
        ((_, handle),) = client.got()
        admin.data()
        admin.ask(b"cancel job " + handle)
        three.run()
        assert client.got() == [(C.WORK_FAIL, handle)]

    def test_purge_drops_borrowed_jobs_too(self, three):
        client, admin = three.member(1).connect(), three.member(2).connect()
        worker = three.member(2).worker()
        three.run()
        handle = client.submit()
        three.run()
        assert admin.ask(b"purge function f").startswith(b"OK 1")
        three.run()
        assert client.got() == [(C.WORK_FAIL, handle)]
        assert worker.grab() is None


def test_handles_name_the_shards_of_their_owners(three):
    for member in three:
        handle = member.connect().submit()
        number = number_of(handle)
        assert three.owners[number & SHARD_BITS] == member.number
