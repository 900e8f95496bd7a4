"""The traces of jobs: workers that ask for them are told, and so are listeners."""

from typing import Any

import pytest

from gearman.commands import Command
from gearman.server.protocols.events import NAMES, Event
from tests.server.broker.steered import submit

TRACE = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
GRABS = [
    (Command.GRAB_JOB, Command.JOB_ASSIGN),
    (Command.GRAB_JOB_UNIQ, Command.JOB_ASSIGN_UNIQ),
    (Command.GRAB_JOB_ALL, Command.JOB_ASSIGN_UNIQ),
]


def asking(server: Any) -> Any:
    worker = server.connect().can_do()
    answer = worker.send(Command.OPTION_REQ, b"traces")
    assert answer == [(Command.OPTION_RES, b"traces")]
    return worker


@pytest.mark.parametrize(("grab", "assigned"), GRABS)
def test_trace_comes_directly_before_its_job(server, grab, assigned) -> None:
    handle = submit(server.connect(), b"trace=" + TRACE)
    trace, job = asking(server).send(grab)
    assert trace == (Command.JOB_TRACE, handle, TRACE)
    assert job[:2] == (assigned, handle)


def test_job_without_a_trace_comes_alone(server) -> None:
    client, worker = server.connect(), asking(server)
    plain, optional = client.submit(), submit(client, b"retries=1&backoff=fixed:0")
    for handle in (plain, optional):
        ((_, told, *_),) = worker.send(Command.GRAB_JOB)
        assert told == handle
    # It has failed, but has no options.
    server.connect().ask(b"set function f retries=1&backoff=fixed:0")
    worker.send(Command.WORK_FAIL, plain)
    ((_, told, *_),) = worker.send(Command.GRAB_JOB)
    assert told == plain


def test_who_did_not_ask_gets_no_trace(server) -> None:
    handle = submit(server.connect(), b"trace=" + TRACE)
    worker = server.connect().can_do()
    worker.send(Command.OPTION_REQ, b"extensions")
    ((_, told, *_),) = worker.send(Command.GRAB_JOB)
    assert told == handle


class Taker:
    names = NAMES

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def wants(self, name: str, function: bytes | None) -> bool:
        return True

    def take(self, event: Event) -> None:
        self.records.append(event.record)

    def left(self, peer: object) -> None:
        raise AssertionError


def test_events_have_the_trace_and_the_time_in_the_queue(server) -> None:
    taker = Taker()
    client, worker = server.connect(), asking(server)
    server.site.events.add(taker)
    submit(client, b"trace=" + TRACE)
    server.after(2.5)
    worker.grab()
    submit(client, b"ttl=1&trace=" + TRACE)
    server.after(1.5)
    server.connect().submit()
    found = [(each["event"], each.get("waited")) for each in taker.records]
    assert found == [
        ("submitted", None),
        ("started", 2.5),
        ("submitted", None),
        ("expired", 1.5),
        ("submitted", None),
    ]
    traces = [each.get("trace") for each in taker.records]
    assert traces == [TRACE.decode()] * 4 + [None]
