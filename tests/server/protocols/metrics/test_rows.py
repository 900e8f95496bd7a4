"""Which functions have rows of their own, and what the others' row has."""

import pytest

from gearman.commands import Command
from gearman.server.protocols.metrics.rows import STEP, Row, Rows


@pytest.fixture
def client(server):
    return server.connect()


def filled(rows: Rows) -> dict[str, Row]:
    found: list[Row] = []
    for _ in rows.fill(found):
        pass
    labels = [row.label.decode() for row in found]
    assert len(set(labels)) == len(labels)
    return dict(zip(labels, found, strict=True))


def submit(client, **numbers: int) -> None:
    for name, number in numbers.items():
        for _ in range(number):
            client.submit(name.encode())


def test_new_server_has_no_rows(server):
    assert filled(Rows(server.broker, 10)) == {}


def test_row_has_jobs_workers_and_the_oldest(server, client):
    submit(client, f=3)
    worker = server.connect().can_do()
    server.after(1.5)
    assert worker.grab()
    row = filled(Rows(server.broker, 10))["f"]
    assert (row.jobs, row.running, row.workers, row.oldest) == (3, 1, 1, 1.5)
    assert row.stats is server.broker.functions.known[b"f"].stats


def test_function_whose_jobs_all_run_has_no_oldest(server, client):
    submit(client, f=1)
    worker = server.connect().can_do()
    worker.grab()
    server.after(2)
    assert filled(Rows(server.broker, 10))["f"].oldest == 0


def test_function_with_jobs_that_are_not_queued_has_no_oldest(server, client):
    options = (b"f", b"", b"delay=9", b"w")
    client.send(Command.OPTION_REQ, b"extensions")
    client.send(Command.SUBMIT_JOB_WITH, *options)
    server.after(2)
    row = filled(Rows(server.broker, 10))["f"]
    assert (row.jobs, row.oldest) == (1, 0)


def test_those_with_most_jobs_have_rows_of_their_own(server, client):
    submit(client, a=1, b=3, c=2, d=1)
    server.after(3)
    for name in (b"a", b"b"):
        server.connect().send(Command.CAN_DO, name)
    rows = filled(Rows(server.broker, 2))
    assert list(rows) == ["b", "c", "other"]
    other = rows["other"]
    assert (other.jobs, other.running, other.workers, other.oldest) == (2, 0, 1, 3)
    assert other.stats.submitted == 2


def test_earlier_function_is_preferred_if_both_have_as_many_jobs(server, client):
    submit(client, a=1, b=1, c=1)
    assert list(filled(Rows(server.broker, 2))) == ["a", "b", "other"]


def test_backlog_counts_like_jobs_since_the_start(server, client):
    submit(client, a=1, b=1)
    handle = server.connect().can_do(b"a").grab()
    server.broker.cancel(handle)
    assert list(filled(Rows(server.broker, 1))) == ["b", "other"]


def test_row_is_kept_until_another_function_has_twice_as_many_jobs(server, client):
    rows = Rows(server.broker, 1)
    submit(client, a=2, b=1)
    assert list(filled(rows)) == ["a", "other"]
    submit(client, b=2)
    assert list(filled(rows)) == ["a", "other"]
    assert list(filled(Rows(server.broker, 1))) == ["b", "other"]
    submit(client, b=3)
    assert list(filled(rows)) == ["b", "other"]


def test_all_functions_may_share_a_row(server, client):
    submit(client, a=1, b=1)
    rows = filled(Rows(server.broker, 0))
    assert list(rows) == ["other"]
    assert rows["other"].jobs == 2


def test_function_named_other_is_not_the_others(server, client):
    submit(client, other=2, b=1)
    rows = filled(Rows(server.broker, 1))
    assert len(rows) == 2
    assert rows["other"].jobs == 1


def test_forgotten_functions_are_counted_with_the_others(server, client):
    submit(client, a=1, b=1)
    server.broker.cancel(next(iter(server.broker.jobs.known.values())).handle)
    client.ask(b"drop function a")
    rows = filled(Rows(server.broker, 10))
    assert list(rows) == ["b", "other"]
    stats = rows["other"].stats
    assert (stats.submitted, stats.cancelled) == (1, 1)
    # What is counted there is not changed.
    assert server.broker.functions.gone.submitted == 1


def test_function_that_is_forgotten_in_between_is_counted_once(server, client):
    submit(client, a=1)
    server.broker.cancel(next(iter(server.broker.jobs.known.values())).handle)
    found: list[Row] = []
    steps = Rows(server.broker, 0).fill(found)
    next(steps)
    client.ask(b"drop function a")
    assert list(steps)[1:] == []
    assert [row.stats.submitted for row in found] == [1]


@pytest.mark.parametrize("most", [0, 10, 3 * STEP])
def test_rows_are_made_in_steps(server, most):
    for number in range(3 * STEP):
        server.broker.functions.of(b"f%d" % number)
    found: list[Row] = []
    assert sum(1 for _ in Rows(server.broker, most).fill(found)) >= 3
    assert len(found) == min(most, 3 * STEP) + (most < 3 * STEP)
