"""The broker of a server that may not own the stored jobs any more."""

import pytest

from gearman.commands import Command
from tests.server.broker.steered import policy
from tests.server.broker.test_durable import commit, stored

NOOP = (Command.NOOP,)


@pytest.fixture
def server(make_server):
    return make_server(persistent=True)


@pytest.fixture
def client(server):
    return server.connect()


def foreground(client, name=b"f", command=Command.SUBMIT_JOB):
    [(_, handle)] = client.send(command, name, b"", b"w")
    return handle


def owned(server, seconds):
    server.broker.own(server.broker.now + seconds)


def test_stored_jobs_are_handed_out_in_time_only(server, client):
    stored(server, client)
    second = stored(server, client)
    owned(server, 10)
    worker = server.connect().can_do(b"f")
    assert worker.grab() is not None
    server.after(10)
    assert worker.grab() is None
    owned(server, 10)
    assert worker.grab() == second


def test_time_that_is_over_counts_at_once(server, client):
    stored(server, client)
    owned(server, 0)
    assert server.connect().can_do(b"f").grab() is None


def test_workers_that_sleep_are_woken_when_the_jobs_are_owned_again(server, client):
    handle = stored(server, client)
    owned(server, 0)
    worker = server.connect().can_do(b"f")
    assert worker.send(Command.PRE_SLEEP) == []
    owned(server, 10)
    assert worker.got() == [NOOP]
    assert worker.grab() == handle


def test_foreground_jobs_go_on_until_a_stored_one_is_next(server, client):
    first = foreground(client)
    stored(server, client)
    foreground(client)
    other = foreground(client, b"g")
    owned(server, 0)
    worker = server.connect().can_do(b"f")
    assert worker.grab() == first
    assert worker.grab() is None
    assert server.connect().can_do(b"g").grab() == other


def test_stored_job_of_any_priority_is_next(server, client):
    stored(server, client, command=Command.SUBMIT_JOB_LOW_BG)
    foreground(client, command=Command.SUBMIT_JOB_HIGH)
    owned(server, 0)
    assert server.connect().can_do(b"f").grab() is None


def test_cancelled_job_holds_its_function_no_more(server, client):
    handle = stored(server, client)
    second = foreground(client)
    owned(server, 0)
    worker = server.connect().can_do(b"f")
    worker.send(Command.PRE_SLEEP)
    assert server.broker.cancel(handle)
    assert worker.got() == [NOOP]
    assert worker.grab() == second


def test_job_of_a_lost_worker_is_not_handed_out(server, client):
    stored(server, client)
    worker = server.connect().can_do(b"f")
    assert worker.grab() is not None
    owned(server, 0)
    worker.leave()
    other = server.connect().can_do(b"f")
    assert other.grab() is None
    commit(server)
    owned(server, 10)
    assert other.grab() is not None


def test_worker_may_end_its_job(server, client):
    handle = stored(server, client)
    worker = server.connect().can_do(b"f")
    assert worker.grab() == handle
    owned(server, 0)
    assert worker.send(Command.WORK_COMPLETE, handle, b"r") == []
    assert server.broker.jobs.find(handle) is None


def test_paused_function_stays_so(server, client):
    stored(server, client)
    policy(server, b"paused=1")
    owned(server, 0)
    owned(server, 10)
    assert server.connect().can_do(b"f").grab() is None


def test_abandoned_broker_has_no_queued_jobs(server, client):
    stored(server, client)
    function = server.broker.functions.known[b"f"]
    server.broker.abandon()
    assert not function.ready()


def test_stored_job_is_not_joined_in_doubt(server, client):
    """Its new owner may have ended it."""
    handle = stored(server, client, unique=b"u")
    owned(server, 0)
    submission = Command.SUBMIT_JOB_BG, b"f", b"u", b"w"
    [(command, code, text)] = client.send(*submission)
    assert (command, code) == (Command.ERROR, b"QUEUE_ERROR")
    assert text.startswith(b"The server has lost touch with its cluster")
    owned(server, 10)
    assert client.send(*submission) == [(Command.JOB_CREATED, handle)]
