"""Waiting changes: the last change of a job counts, the oldest are taken first."""

import pytest

from gearman.server.broker import Record
from gearman.server.storage import journal
from gearman.server.storage.journal import FULL_BYTES, FULL_JOBS, MANY, Journal


@pytest.fixture
def jobs(make_server):
    """Return jobs with workloads of these sizes."""

    def make(*sizes):
        server = make_server()
        client = server.connect()
        for size in sizes:
            client.submit(b"f", b"", bytes(size))
        return list(server.broker.jobs.known.values())

    return make


def test_changes_come_out_in_their_order(jobs):
    one, two = jobs(1, 1)
    changes = Journal()
    changes.write([one, two, 7])
    assert list(changes.take().items()) == [
        (one.number, one),
        (two.number, two),
        (7, None),
    ]
    assert changes.take() == {}


def test_removal_beats_an_earlier_addition(jobs):
    (job,) = jobs(1)
    changes = Journal()
    changes.write([job, job.number])
    assert not changes.urgent
    assert changes.take() == {job.number: None}


def test_addition_beats_an_earlier_removal(jobs):
    (job,) = jobs(1)
    changes = Journal()
    changes.write([job.number])
    changes.write([job])
    assert changes.take() == {job.number: job}


def test_removals_that_failed_are_kept_before_all_else(jobs):
    one, two = jobs(1, 1)
    changes = Journal()
    changes.write([one, 7])
    taken = changes.take()
    changes.write([two])
    changes.put_back(taken)
    assert list(changes.take().items()) == [(7, None), (two.number, two)]


def test_news_of_a_job_beats_its_removal_that_failed(jobs):
    (job,) = jobs(1)
    changes = Journal()
    changes.write([job.number])
    taken = changes.take()
    changes.write([job])
    changes.put_back(taken)
    assert changes.take() == {job.number: job}


def test_jobs_that_wait_can_be_given_up(jobs):
    one, two = jobs(1, 1)
    changes = Journal()
    changes.write([one, two, 7])
    assert changes.drop_jobs() == [one, two]
    assert not changes.urgent
    assert changes.take() == {7: None}


def test_jobs_and_many_removals_are_urgent(jobs):
    changes = Journal()
    changes.write(range(1, MANY))
    assert not changes.urgent
    changes.write([MANY])
    assert changes.urgent
    changes.take()
    changes.write(jobs(1))
    assert changes.urgent


def test_one_commit_takes_no_more_than_so_many_changes():
    changes = Journal()
    changes.write(range(1, journal.MAX_CHANGES + 2))
    assert list(changes.take()) == list(range(1, journal.MAX_CHANGES + 1))
    assert list(changes.take()) == [journal.MAX_CHANGES + 1]


def test_one_commit_takes_no_more_than_so_many_bytes(jobs, monkeypatch):
    monkeypatch.setattr(journal, "MAX_BYTES", 10)
    one, two, three, four = jobs(11, 6, 4, 1)
    changes = Journal()
    changes.write([one, two, three, four])
    taken = []
    while changes:
        taken.append(list(changes.take().values()))
        changes.landed()
    assert taken == [[one], [two, three], [four]]


def test_what_is_kept_of_options_and_attempts_counts_as_it_was(
    make_server, monkeypatch
):
    monkeypatch.setattr(journal, "MAX_BYTES", 10)
    server = make_server()
    client = server.connect()
    for _ in range(3):
        client.submit(b"f", b"", b"w")
    one, two, three = server.broker.jobs.known.values()
    for job in (one, two, three):
        server.broker.jobs.extend(job).record = b"x" * 6
    changes = Journal()
    changes.write([one, two, three])
    # It is made anew while the job waits for its commit.
    one.extra.record = b""
    changes.write([three, Record(9, b"x" * 10)])
    taken = []
    while changes:
        taken.append(list(changes.take()))
        changes.landed()
    assert taken == [[one.number], [two.number], [three.number], [9]]
    # Nothing of them is left.
    one.workload, two.workload = b"w" * 4, b"w" * 6
    changes.write([one])
    two.extra = None
    changes.write([two])
    assert len(changes.take()) == 2


def test_record_without_data_is_a_removal():
    changes, kept = Journal(), Record(8, b"kept")
    changes.write_records([Record(7, b""), kept])
    assert changes.take() == {7: None, 8: kept}


def test_it_is_full_of_so_many_jobs_until_there_is_an_outcome(jobs):
    (job,) = jobs(1)
    changes = Journal()
    for number in range(1, FULL_JOBS + 1):
        assert not changes.full
        job.number = number
        changes.write([job])
    assert changes.full
    changes.take()
    assert changes.full
    changes.landed()
    assert not changes.full


def test_it_is_full_of_so_many_bytes(jobs):
    changes = Journal()
    one, two = jobs(FULL_BYTES // 2, FULL_BYTES // 2)
    changes.write([one])
    assert not changes.full
    changes.write([two])
    assert changes.full
