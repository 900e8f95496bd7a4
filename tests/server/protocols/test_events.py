"""What happens, as `watch events` tells it."""

import json

import pytest

from gearman.commands import Command
from gearman.server.protocols.events import NAMES, Wish, parse_wish


class Watcher:
    """A peer that watches events."""

    def __init__(self, server, wish=b""):
        self._wire = server.connect("192.0.2.1", 9)
        self._wire.protocol.receive(
            b"watch events %b\n" % wish if wish else b"watch events\n"
        )
        assert [event["event"] for event in self.got()] == ["watching"]

    def got(self):
        """Return the events since the last call."""
        return [json.loads(line) for line in self._wire.data().splitlines()]

    def names(self):
        """Return the names of the events since the last call, with their states."""
        return [(each["event"], each.get("state")) for each in self.got()]


@pytest.fixture
def client(server):
    return server.connect()


@pytest.fixture
def watcher(server):
    return Watcher(server)


def test_job_from_its_submission_to_its_end(server, client):
    worker = server.connect(descriptor=12).can_do()
    worker.send(Command.SET_CLIENT_ID, b"w1")
    watcher = Watcher(server)
    handle = client.submit(unique=b"u").decode()
    server.after(1.5)
    worker.grab()
    server.after(2.5)
    worker.send(Command.WORK_COMPLETE, handle.encode(), b"r")
    job = {
        "handle": handle,
        "function": "f",
        "unique": "u",
        "priority": "normal",
        "background": False,
    }
    by = {"worker": {"descriptor": 12, "address": "127.0.0.1", "id": "w1"}}
    begin = server.wall - 4
    assert watcher.got() == [
        {"time": begin, "event": "submitted", "state": "waiting", **job},
        {
            "time": begin + 1.5,
            "event": "started",
            "state": "running",
            "waited": 1.5,
            **job,
            **by,
        },
        {
            "time": begin + 4,
            "event": "completed",
            "state": "gone",
            "waited": 1.5,
            "ran": 2.5,
            **job,
            **by,
        },
    ]


def test_job_that_ran_before_has_not_been_seen_waiting(server, client):
    worker = server.connect().can_do()
    handle = client.submit()
    worker.grab()
    watcher = Watcher(server)
    worker.send(Command.WORK_COMPLETE, handle, b"")
    (event,) = watcher.got()
    assert "waited" not in event
    assert event["ran"] == 0.0


@pytest.mark.parametrize(
    ("end", "name"),
    [(Command.WORK_FAIL, "failed"), (Command.WORK_EXCEPTION, "exception")],
)
def test_failed_job(server, client, watcher, end, name):
    worker = server.connect().can_do()
    handle = client.submit()
    worker.grab()
    watcher.got()
    worker.send(end, handle, *([b"why"] if end == Command.WORK_EXCEPTION else []))
    assert watcher.names() == [(name, "gone")]


@pytest.mark.parametrize("end", [Command.WORK_FAIL, Command.WORK_EXCEPTION])
def test_failed_job_that_is_tried_again_and_given_up(server, client, end):
    client.ask(b"set function f retries=1&backoff=fixed:0&dead=list")
    worker = server.connect().can_do()
    watcher = Watcher(server)
    error = [b"why"] if end == Command.WORK_EXCEPTION else []
    handle = client.submit(command=Command.SUBMIT_JOB_BG)
    for _ in range(2):
        worker.grab()
        worker.send(end, handle, *error)
    events = watcher.got()
    assert [(each["event"], each["state"]) for each in events] == [
        ("submitted", "waiting"),
        ("started", "running"),
        ("retried", "waiting"),
        ("started", "running"),
        ("given_up", "dead"),
    ]
    assert (events[2]["attempts"], events[-1]["attempts"]) == (1, 2)
    assert events[-1]["reason"].startswith("its worker sent WORK_")


def test_job_that_its_worker_gives_back(server, client, watcher):
    worker = server.connect().can_do()
    handle = client.submit()
    worker.grab()
    watcher.got()
    worker.send(Command.WORK_RETRY, handle, b"5+", b"")
    server.after(5)
    assert watcher.names() == [("retried", "scheduled"), ("queued", "waiting")]


def test_job_of_a_lost_worker_is_lost(server, client):
    worker = server.connect().can_do()
    client.submit()
    worker.grab()
    watcher = Watcher(server, b"events=lost,worker_left")
    worker.leave()
    assert watcher.names() == [("worker_left", None), ("lost", "waiting")]


def test_job_that_nobody_waits_for(server, client, watcher):
    client.submit()
    client.leave()
    assert watcher.names() == [("submitted", "waiting"), ("abandoned", "gone")]


def test_cancelled_job(server, client, watcher):
    handle = client.submit()
    client.ask(b"cancel job " + handle)
    assert watcher.names() == [("submitted", "waiting"), ("cancelled", "gone")]


def test_job_that_expires(server, client, watcher):
    client.ask(b"set function f ttl=5&dead=list")
    client.submit(command=Command.SUBMIT_JOB_BG)
    server.after(6)
    assert watcher.names() == [("submitted", "waiting"), ("expired", "dead")]


def test_dead_job_that_is_tried_again(server):
    handle = server.die()
    watcher = Watcher(server)
    server.connect().ask(b"retry job " + handle)
    assert watcher.names() == [("revived", "waiting")]


def test_dead_job_that_is_forgotten(server):
    handle = server.die()
    watcher = Watcher(server)
    server.connect().ask(b"forget job " + handle)
    assert watcher.names() == [("forgotten", "gone")]


def test_stored_job_is_submitted_once_it_is_durable(make_server):
    server = make_server(persistent=True)
    watcher = Watcher(server)
    server.connect().send(Command.SUBMIT_JOB_BG, b"f", b"", b"w")
    assert watcher.got() == []
    server.broker.stored.durable(list(server.broker.jobs.changes))
    assert watcher.names() == [("submitted", "waiting")]


def test_job_that_cannot_be_stored(make_server):
    server = make_server(persistent=True)
    watcher = Watcher(server)
    server.connect().send(Command.SUBMIT_JOB_BG, b"f", b"", b"w")
    server.broker.stored.failed(list(server.broker.jobs.changes), b"full")
    assert watcher.names() == [("refused", "gone")]


def test_stored_job_that_is_left_to_the_next_run(make_server):
    server = make_server(persistent=True)
    watcher = Watcher(server)
    server.broker.stored.restore(1, b"H:test:1", b"f", b"", b"w", 1, 0, 0, None)
    server.broker.stored.shelve()
    assert watcher.names() == [("restored", "waiting"), ("shelved", "gone")]


def test_worker_comes_with_its_first_function_and_leaves_with_its_last(server, watcher):
    worker = server.connect(descriptor=12).can_do(b"f", b"g")
    worker.send(Command.CANT_DO, b"f")
    assert watcher.names() == [("worker_came", None)]
    worker.send(Command.CANT_DO, b"g")
    worker.can_do()
    worker.send(Command.RESET_ABILITIES)
    worker.send(Command.RESET_ABILITIES)
    worker.leave()
    events = watcher.got()
    assert [event["event"] for event in events] == [
        *("worker_left", "worker_came", "worker_left"),
    ]
    assert events[0]["worker"] == {"descriptor": 12, "address": "127.0.0.1", "id": "-"}


def test_function_is_paused_and_resumed(server, client, watcher):
    client.submit()
    watcher.got()
    for line in (b"pause function f", b"pause function f", b"resume function f"):
        client.ask(line)
    assert [(event["event"], event["function"]) for event in watcher.got()] == [
        ("paused", "f"),
        ("resumed", "f"),
    ]


def test_outage_begins_and_ends(server, watcher):
    server.site.events.outage(b"the disk is full")
    server.site.events.outage(b"")
    assert watcher.names() == [("outage_began", None), ("outage_ended", None)]


def test_watcher_gets_only_what_it_wishes(server, client):
    some = Watcher(server, b"events=submitted,cancelled&functions=a*,b%2C?")
    ends = Watcher(server, b"events=cancelled")
    for name in (b"a", b"ab", b"b,c", b"b,cd", b"c"):
        client.ask(b"cancel job " + client.submit(name))
    client.submit(b"a")
    server.connect().can_do(b"a")
    assert [(each["event"], each["function"]) for each in some.got()] == [
        *(("submitted", "a"), ("cancelled", "a")),
        *(("submitted", "ab"), ("cancelled", "ab")),
        *(("submitted", "b,c"), ("cancelled", "b,c")),
        ("submitted", "a"),
    ]
    assert [each["function"] for each in ends.got()] == ["a", "ab", "b,c", "b,cd", "c"]


def test_only_what_somebody_wants_is_told(server, client):
    def told():
        return bin(server.broker.places.watched).count("1")

    ends = Watcher(server, b"events=completed")
    assert told() == 1
    retried = Watcher(server, b"events=retried")
    assert told() == 4
    worker = server.connect().can_do()
    handle = client.submit()
    worker.grab()
    worker.send(Command.WORK_COMPLETE, handle, b"")
    (event,) = ends.got()
    assert "waited" not in event
    assert retried.got() == []
    # To know how long a job has waited, each end must be told.
    Watcher(server, b"events=started")
    assert told() == 11


def test_names_that_are_not_utf_8_do_not_break_a_line(client, watcher):
    client.submit(b"\xff\n", unique=b"\x80")
    (event,) = watcher.got()
    assert event["function"] == {"base64": "/wo="}
    assert event["unique"] == {"base64": "gA=="}


def test_wish_without_arguments_is_for_all_events():
    assert parse_wish(b"") == Wish(NAMES, ())


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"watch", b"ERR INVALID_ARGUMENTS An+incomplete+set"),
        (b"watch jobs", b"ERR INVALID_ARGUMENTS An+incomplete+set"),
        (b"watch events events=x", b"ERR INVALID_ARGUMENTS 'x' is no event: choose"),
        (b"watch events x=1", b"ERR INVALID_ARGUMENTS 'x=1' is none of events, func"),
        (b"watch events functions=%zz", b"ERR INVALID_ARGUMENTS '%zz' must have two"),
        (
            b"watch events events=lost&events=lost",
            b"ERR INVALID_ARGUMENTS events is given twice",
        ),
    ],
)
def test_wrong_wishes_are_refused(client, line, answer):
    assert client.ask(line).startswith(answer)
