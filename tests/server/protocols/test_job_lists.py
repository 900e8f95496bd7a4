"""The admin commands that show jobs, one after the other or page by page."""

import json

import pytest

from gearman.commands import Command
from gearman.server.protocols.job_lists import LIMIT, MOST, MOST_SHOWN
from gearman.server.protocols.lines import PIECE_LINES


def listed(peer, words=b""):
    """Return the objects of a list, and their number from their handles."""
    *lines, end = peer.ask(b"list jobs" + (b" " + words if words else b"")).split(b"\n")
    assert lines.pop() == b"."
    assert end == b""
    return [json.loads(line) for line in lines]


def handles(peer, words=b""):
    return [job["handle"].encode() for job in listed(peer, words)]


class TestShowJob:
    def test_has_all_that_is_known(self, server):
        peer = server.connect()
        peer.send(Command.SET_CLIENT_ID, b"me")
        options = b"background=1&retries=2&ttl=60&priority=high"
        ((_, handle),) = peer.send(
            Command.SUBMIT_JOB_WITH, b"f", b"u", options, b"data"
        )
        record, end = peer.ask(b"SHOW job " + handle).splitlines()
        assert end == b"."
        expected = {
            "handle": handle.decode(),
            "function": "f",
            "unique": "u",
            "state": "waiting",
            "priority": "high",
            "background": True,
            "attempts": 0,
            "retries": 0,
            "size": 4,
            "submitted": server.wall,
            "expires": server.wall + 60,
            "options": "ttl=60&retries=2&background=1&priority=high",
        }
        assert json.loads(record) == expected
        peer.can_do().grab()
        worker = {"descriptor": 7, "address": "127.0.0.1", "id": "me"}
        server.after(2.5)
        expected |= {"state": "running", "worker": worker, "ran": 2.5}
        del expected["expires"]
        record, _ = peer.ask(b"show job " + handle).splitlines()
        assert json.loads(record) == expected

    def test_simple_job_has_no_more_than_it_needs(self, server):
        peer = server.connect()
        handle = peer.submit(command=Command.SUBMIT_JOB_LOW)
        (record, _) = peer.ask(b"show job " + handle).splitlines()
        assert json.loads(record) == {
            "handle": handle.decode(),
            "function": "f",
            "unique": "",
            "state": "waiting",
            "priority": "low",
            "background": False,
            "attempts": 0,
            "retries": 0,
            "size": 1,
        }

    def test_dead_job_has_its_end(self, server):
        peer = server.connect()
        peer.ask(b"set function f dead=list")
        handle = peer.submit(command=Command.SUBMIT_JOB_BG)
        worker = server.connect().can_do()
        worker.grab()
        worker.send(Command.WORK_EXCEPTION, handle, b"\xff")
        record = json.loads(peer.ask(b"show job " + handle).splitlines()[0])
        assert record["state"] == "dead"
        assert record["attempts"] == 1
        assert record["died"] == server.wall
        assert record["reason"] == "its worker sent WORK_EXCEPTION"
        assert record["error"] == {"base64": "/w=="}
        assert "error" not in listed(peer)[0]

    def test_unknown_job(self, server):
        assert server.connect().ask(b"show job x") == b"ERR UNKNOWN_JOB\r\n"
        answer = server.connect().ask(b"show job")
        assert answer == b"ERR UNKNOWN_SHOW_ARGUMENTS\r\n"


class TestWorkload:
    @pytest.mark.parametrize(
        ("data", "shown"),
        [
            (b"", ""),
            (b'{"a": 1}\n.\n', '{"a": 1}\n.\n'),
            (b"\xff\0", {"base64": "/wA="}),
            (b"x" * (MOST_SHOWN + 1), "x" * MOST_SHOWN),
        ],
        ids=["empty", "text", "bytes", "long"],
    )
    def test_is_shown_up_to_a_limit(self, server, data, shown):
        peer = server.connect()
        handle = peer.submit(workload=data)
        line, end = peer.ask(b"workload " + handle).splitlines()
        expected = {"handle": handle.decode(), "size": len(data), "workload": shown}
        assert json.loads(line) == expected
        assert end == b"."

    def test_of_a_dead_job(self, server):
        peer = server.connect()
        peer.ask(b"set function f dead=list")
        handle = peer.submit(command=Command.SUBMIT_JOB_BG)
        worker = server.connect().can_do()
        worker.grab()
        worker.send(Command.WORK_FAIL, handle)
        assert b'"size": 1' in peer.ask(b"workload " + handle)

    def test_of_no_job(self, server):
        assert server.connect().ask(b"workload x") == b"ERR UNKNOWN_JOB\r\n"
        for line in (b"workload", b"workload x y"):
            assert server.connect().ask(line).startswith(b"ERR INVALID_ARGUMENTS")


def test_names_that_are_no_text_or_would_forge_lines_are_written_safely(server):
    peer = server.connect()
    peer.submit(b"\xff\n", b"a\n.\n\x85\xc3")
    peer.submit("Größe\n.".encode(), b"")
    first, second = listed(peer)
    assert first["function"] == {"base64": "/wo="}
    assert first["unique"] == {"base64": "YQouCoXD"}
    assert second["function"] == "Größe\n."
    assert listed(peer, b"function=%FF%0a") == [first]


class TestListJobs:
    @pytest.mark.parametrize("line", [b"list", b"list x", b"list jobs a b"])
    def test_incomplete(self, server, line):
        answer = server.connect().ask(line)
        assert answer.startswith(b"ERR INVALID_ARGUMENTS An+incomplete")

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (b"x=1", b"'x=1' is none of function, unique, state, limit, after with ="),
            (b"limit", b"'limit' is none of"),
            (b"limit=0", b"limit must be a number from 1 to 10000, not '0'"),
            (b"limit=10001", b"limit must be a number from 1 to 10000, not '10001'"),
            (b"limit=x", b"limit must be a number from 1 to 10000, not 'x'"),
            (b"state=x", b"state must be one of waiting, scheduled, awaiting, pending"),
            (b"after=x", b"after must be a handle, not 'x'"),
            (b"limit=1&limit=1", b"limit is given twice: leave one out"),
            (b"unique=%f", b"'%f' must have two hexadecimal digits after each %"),
        ],
    )
    def test_wrong_words_are_a_sentence(self, server, words, sentence):
        answer = server.connect().ask(b"list jobs " + words)
        assert answer.startswith(b"ERR INVALID_ARGUMENTS " + sentence)

    def test_every_state_is_listed_in_the_order_of_the_numbers(self, make_server):
        server = make_server(persistent=True)
        dead = die_stored(server)
        peer = server.connect()
        running = peer.submit(b"g")
        server.connect().can_do(b"g").grab()
        waiting = peer.submit()
        when = server.wall + 60
        peer.send(Command.SUBMIT_JOB_WITH, b"f", b"", b"at=%d" % when, b"w")
        peer.send(Command.SUBMIT_JOB_WITH, b"f", b"", b"after=" + running, b"w")
        peer.send(Command.SUBMIT_JOB_BG, b"f", b"", b"pending")
        jobs = listed(peer)
        states = ["dead", "running", "waiting", "scheduled", "awaiting", "pending"]
        assert [job["state"] for job in jobs] == states
        assert [job["handle"].encode() for job in jobs[:3]] == [dead, running, waiting]
        assert jobs[3]["due"] == when
        for job in jobs:
            assert listed(peer, b"state=" + job["state"].encode()) == [job]

    def test_jobs_are_chosen_by_function_and_unique(self, server):
        peer = server.connect()
        one, two, three = (
            peer.submit(name, unique)
            for name, unique in ((b"f", b"u"), (b"f", b"v"), (b"g", b"u"))
        )
        assert handles(peer) == [one, two, three]
        assert handles(peer, b"function=f") == [one, two]
        assert handles(peer, b"unique=u") == [one, three]
        assert handles(peer, b"unique=u&function=g&state=waiting") == [three]
        assert handles(peer, b"unique=u&state=running") == []

    def test_pages_follow_each_other(self, server):
        peer = server.connect()
        all_of_them = [peer.submit() for _ in range(3 * LIMIT - 1)]
        pages, after = [], b""
        while page := handles(peer, after):
            pages.append(page)
            after = b"after=" + page[-1]
        assert list(map(len, pages)) == [LIMIT, LIMIT, LIMIT - 1]
        assert sum(pages, []) == all_of_them
        assert handles(peer, b"limit=%d" % MOST) == all_of_them
        assert handles(peer, b"limit=2&after=" + all_of_them[5]) == all_of_them[6:8]

    def test_page_begins_after_a_job_that_is_gone(self, server):
        peer, client = server.connect(), server.connect()
        one, two, three = (client.submit() for _ in range(3))
        server.broker.cancel(two)
        assert handles(peer, b"after=" + two) == [three]
        assert handles(peer, b"after=" + one) == [three]
        assert handles(peer, b"after=" + three) == []

    def test_is_made_in_pieces_of_what_is_there(self, server):
        client = server.connect()
        own = [client.submit() for _ in range(1000)]
        pieces = server.gear.admin.answer(b"list jobs limit=1000", "unix")
        first = next(pieces)
        assert first.count(b"\n") < PIECE_LINES
        for handle in own[100:]:
            server.broker.cancel(handle)
        server.connect().submit()
        lines = (first + b"".join(pieces)).splitlines()
        assert [json.loads(line)["handle"].encode() for line in lines[:-1]] == own[:100]


def die_stored(server):
    """Have a stored job go to the dead list, and return its handle."""
    peer = server.connect()
    peer.ask(b"set function f dead=list")
    assert peer.send(Command.SUBMIT_JOB_BG, b"f", b"", b"w") == []
    jobs, server.broker.jobs.changes = server.broker.jobs.changes, []
    server.broker.stored.durable(jobs)
    ((_, handle),) = peer.got()
    worker = server.connect().can_do()
    assert worker.grab() == handle
    worker.send(Command.WORK_FAIL, handle)
    worker.leave()
    return handle


def test_dead_jobs_are_shown_with_the_reason(server):
    one, two = server.die(), server.die(b"g\th")
    rows = [
        b"%b\tf\t1\t%d\tits worker sent WORK_FAIL" % (one, server.wall),
        rb"%b" % two
        + rb"	g\x09h	1	%d	its worker sent WORK_FAIL" % server.wall,
        b".",
    ]
    assert server.connect().ask(b"show dead").splitlines() == rows


def test_dead_jobs_that_are_gone_meanwhile_are_left_out(server):
    one, two = server.die(), server.die()
    pieces = server.gear.admin.answer(b"show dead", "unix")
    server.broker.dead.forget(server.broker.dead.find(one))
    assert b"".join(pieces).split(b"\t")[0] == two
