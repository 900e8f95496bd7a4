"""Jobs move from place to place as the table allows, and each row is used."""

from typing import Any

import pytest

from gearman.commands import Command
from gearman.server.broker.states import (
    ABANDONED,
    ASSIGNED,
    AWAITING,
    AWAY,
    CANCELLED,
    COMPLETED,
    DEAD,
    DUE,
    FAILED,
    GONE,
    LOST,
    MOVES,
    NEW,
    PENDING,
    QUEUED,
    RAISED,
    RESTORED,
    RUNNING,
    SCHEDULED,
    SHELVED,
    STORED,
    SUBMITTED,
    UNSTORED,
)
from tests.server.broker.moves import ALL, Moves
from tests.server.conftest import Server, Wire

PLACES = {PENDING, AWAITING, SCHEDULED, QUEUED, RUNNING, DEAD, AWAY}


@pytest.fixture
def site() -> Server:
    return recorded(Server())


@pytest.fixture
def storing() -> Server:
    return recorded(Server(persistent=True))


def recorded(server: Server) -> Server:
    server.broker.places.watch = Moves()
    server.broker.places.watched = ALL
    return server


def last(server: Server) -> tuple[int, int, int]:
    moves: Any = server.broker.places.watch
    (move,) = moves.made
    assert isinstance(move, tuple)
    return move


def later(wire: Wire, server: Server, seconds: int = 60) -> bytes:
    when = b"%d" % (server.wall + seconds)
    ((_, handle),) = wire.send(Command.SUBMIT_JOB_EPOCH, b"f", b"", when, b"w")
    assert isinstance(handle, bytes)
    return handle


def stored(server: Server, *, at: int = 0) -> list[Any]:
    """Submit a background job, and return the jobs to be stored."""
    client = server.connect()
    if at:
        when = b"%d" % (server.wall + at)
        client.send(Command.SUBMIT_JOB_EPOCH, b"f", b"", when, b"w")
    else:
        client.send(Command.SUBMIT_JOB_BG, b"f", b"", b"w")
    changes = list(server.broker.jobs.changes)
    server.broker.jobs.changes.clear()
    return changes


def restore(server: Server, when: int = 0) -> None:
    server.broker.stored.restore(1, b"H:test:1", b"f", b"", b"w", 1, when, 0, None)


def running(server: Server, *, timeout: bytes = b"0") -> tuple[Wire, Wire, bytes]:
    client, worker = server.connect(), server.connect()
    worker.send(Command.CAN_DO_TIMEOUT, b"f", timeout)
    handle = client.submit()
    assert worker.grab() == handle
    return client, worker, handle


def test_submitted_job_is_queued(site: Server) -> None:
    site.connect().submit()
    assert last(site) == (SUBMITTED, NEW, QUEUED)


def test_submitted_job_for_later_is_scheduled(site: Server) -> None:
    later(site.connect(), site)
    assert last(site) == (SUBMITTED, NEW, SCHEDULED)


def test_job_is_pending_until_the_store_has_it(storing: Server) -> None:
    stored(storing)
    assert last(storing) == (SUBMITTED, NEW, PENDING)


def test_stored_job_is_queued(storing: Server) -> None:
    storing.broker.stored.durable(stored(storing))
    assert last(storing) == (STORED, PENDING, QUEUED)


def test_stored_job_for_later_is_scheduled(storing: Server) -> None:
    storing.broker.stored.durable(stored(storing, at=60))
    assert last(storing) == (STORED, PENDING, SCHEDULED)


def test_stored_job_of_a_server_that_stops_is_left_to_the_next(storing: Server) -> None:
    jobs = stored(storing)
    storing.broker.stored.shelve()
    storing.broker.stored.durable(jobs)
    assert last(storing) == (SHELVED, PENDING, GONE)


def test_job_that_cannot_be_stored_is_gone(storing: Server) -> None:
    storing.broker.stored.failed(stored(storing), b"the disk is full")
    assert last(storing) == (UNSTORED, PENDING, GONE)


@pytest.mark.parametrize(("seconds", "place"), [(0, QUEUED), (60, SCHEDULED)])
def test_restored_job_waits_as_it_did(
    storing: Server, seconds: int, place: int
) -> None:
    restore(storing, int(storing.wall) + seconds)
    assert last(storing) == (RESTORED, NEW, place)


def test_restored_job_of_a_server_that_stops_is_left_to_the_next(
    storing: Server,
) -> None:
    storing.broker.stored.shelve()
    restore(storing)
    assert last(storing) == (SHELVED, NEW, GONE)


@pytest.mark.parametrize(("seconds", "place"), [(0, QUEUED), (60, SCHEDULED)])
def test_waiting_job_is_shelved(storing: Server, seconds: int, place: int) -> None:
    restore(storing, int(storing.wall) + seconds)
    storing.broker.stored.shelve()
    assert last(storing) == (SHELVED, place, GONE)


def test_scheduled_job_is_queued_when_its_time_has_come(site: Server) -> None:
    later(site.connect(), site)
    site.after(60)
    assert last(site) == (DUE, SCHEDULED, QUEUED)


def test_grabbed_job_runs(site: Server) -> None:
    running(site)
    assert last(site) == (ASSIGNED, QUEUED, RUNNING)


@pytest.mark.parametrize(
    ("end", "event"),
    [
        ((Command.WORK_COMPLETE, b"r"), COMPLETED),
        ((Command.WORK_EXCEPTION, b"r"), RAISED),
        ((Command.WORK_FAIL,), FAILED),
    ],
)
def test_ended_job_is_gone(site: Server, end: tuple[Any, ...], event: int) -> None:
    _, worker, handle = running(site)
    command, *data = end
    worker.send(command, handle, *data)
    assert last(site) == (event, RUNNING, GONE)


def test_late_result_ends_a_job_that_is_queued_again(site: Server) -> None:
    _, worker, handle = running(site, timeout=b"1000")
    site.after(1)
    worker.send(Command.WORK_COMPLETE, handle, b"r")
    assert last(site) == (COMPLETED, QUEUED, GONE)


def test_job_of_a_lost_worker_is_queued_again(site: Server) -> None:
    _, worker, _ = running(site)
    worker.leave()
    assert last(site) == (LOST, RUNNING, QUEUED)


def test_job_of_a_lost_worker_for_nobody_is_gone(site: Server) -> None:
    client, worker, _ = running(site)
    client.leave()
    worker.leave()
    assert last(site) == (ABANDONED, RUNNING, GONE)


def test_job_that_nobody_waits_for_is_gone(site: Server) -> None:
    client = site.connect()
    client.submit()
    client.leave()
    assert last(site) == (ABANDONED, QUEUED, GONE)


def test_cancelled_job_is_gone(site: Server) -> None:
    site.broker.cancel(site.connect().submit())
    assert last(site) == (CANCELLED, QUEUED, GONE)
    site.broker.cancel(later(site.connect(), site))
    assert last(site) == (CANCELLED, SCHEDULED, GONE)


def test_cancelled_job_that_is_to_be_stored_is_gone(storing: Server) -> None:
    (job,) = stored(storing)
    storing.broker.cancel(job.handle)
    assert last(storing) == (CANCELLED, PENDING, GONE)


def test_cancelled_job_that_runs_is_gone(site: Server) -> None:
    _, _, handle = running(site)
    site.broker.cancel(handle)
    assert last(site) == (CANCELLED, RUNNING, GONE)


def test_no_event_takes_a_job_back_that_is_gone() -> None:
    assert not any(GONE in rows for rows in MOVES.values())


def test_every_place_is_left_by_some_event() -> None:
    assert {place for rows in MOVES.values() for place in rows} == PLACES | {NEW}
