"""What `show stats` says of the server and of its functions."""

import json

import pytest

from gearman.commands import Command
from gearman.options import parse_policy
from gearman.server.broker import Limits
from gearman.server.protocols.lines import PIECE_LINES


def stats(peer):
    """Return the objects of the list."""
    *lines, end = peer.ask(b"show stats").split(b"\n")[:-1]
    assert end == b"."
    return [json.loads(line) for line in lines]


@pytest.fixture
def client(server):
    return server.connect()


def test_new_server_has_no_functions(client):
    first, last = stats(client)
    assert first["kind"] == "server"
    assert (first["jobs"], first["functions"], first["dead"]) == (0, 0, 0)
    assert first["memory"]["peers"] > 0
    assert last["kind"] == "forgotten"
    assert last["submitted"] == 0


def test_function_is_described(server, client):
    worker = server.connect().can_do()
    client.submit(workload=b"123")
    client.submit()
    handle = worker.grab()
    server.after(2.5)
    worker.send(Command.WORK_COMPLETE, handle, b"result")
    client.got()
    _, function, _ = stats(client)
    assert function == {
        "kind": "function",
        "function": "f",
        "workers": 1,
        "running": 0,
        "queued": 1,
        "scheduled": 0,
        "awaiting": 0,
        "pending": 0,
        "dead": 0,
        "held": False,
        "oldest": 2.5,
        "unstaffed": None,
        "submitted": 2,
        "joined": 0,
        "started": 1,
        "completed": 1,
        "failed": 0,
        "exceptions": 0,
        "retried": 0,
        "given_up": 0,
        "expired": 0,
        "cancelled": 0,
        "abandoned": 0,
        "passed_on": 0,
        "lost": 0,
        "timeouts": 0,
        "bytes_in": 4,
        "bytes_out": 6,
        "waits": {"seconds": 0.0, "counts": [1]},
        "runs": {"seconds": 2.5, "counts": [0] * 12 + [1]},
    }


def test_function_that_has_lost_its_workers(server, client):
    worker = server.connect().can_do()
    worker.leave()
    server.after(7)
    _, function, _ = stats(client)
    assert (function["workers"], function["unstaffed"]) == (0, 7.0)


def test_function_that_never_had_a_worker(server, client):
    client.submit()
    server.after(7)
    _, function, _ = stats(client)
    assert (function["oldest"], function["unstaffed"]) == (7.0, None)


def test_paused_function_is_held(server, client):
    server.broker.policies.set(b"f", parse_policy(b"paused=1"))
    client.submit()
    assert stats(client)[1]["held"] is True


def test_functions_that_are_gone_are_counted_together(server, client):
    for name in (b"f", b"g"):
        server.broker.cancel(client.submit(name))
        client.got()
        client.ask(b"drop function " + name)
    *_, gone = stats(client)
    assert (gone["submitted"], gone["cancelled"]) == (2, 2)


def test_limits_that_were_hit_are_counted(make_server):
    server = make_server(limits=Limits(jobs=1))
    client = server.connect()
    client.submit()
    client.send(Command.SUBMIT_JOB, b"f", b"", b"w")
    assert stats(client)[0]["limit_hits"] == {"max-jobs": 1}


def test_odd_name_stays_on_its_line(server, client):
    client.submit(b"\n\xff<b>")
    _, function, _ = stats(client)
    assert function["function"] == {"base64": "Cv88Yj4="}


def test_many_functions_come_in_pieces(server, client):
    for number in range(3 * PIECE_LINES):
        server.broker.functions.of(b"f%d" % number)
    assert len(stats(client)) == 3 * PIECE_LINES + 2


def test_other_words_are_refused(client):
    assert client.ask(b"show stats f") == b"ERR UNKNOWN_SHOW_ARGUMENTS\r\n"
