"""What a history notes of clients, workers, servers and the database."""

from itertools import count
from math import inf

from tests.cluster.history import Answer, Change, History, Outage


def history():
    return History(clock=map(float, count(10)).__next__)


def test_submissions_and_runs_have_their_times():
    told = history()
    it = told.sent(4730, b"u", background=False)
    told.created(it, b"H:1")
    run = told.started(4731, it.job, b"H:1")
    assert told.ends == 0
    told.result(run)
    told.ended(run)
    told.answer(it, Answer.RESULT, b"1")
    assert told.ends == 1
    assert (it.sent, it.created, it.answered) == (10, 11, 15)
    assert (run.started, run.result, run.ended) == (12, 13, 14)
    assert (it.job, it.result, run.number) == (1, 1, 1)
    assert told.sent(4730, b"", background=True).job == 2


def test_changes_of_owners_are_in_the_order_of_their_times():
    told = history()
    told.change([(3, 7.0, 4730), (3, 5.0, 4731), (4, 6.0, 0)])
    assert told.changes == {
        3: [Change(5.0, 4731), Change(7.0, 4730)],
        4: [Change(6, 0)],
    }


def test_servers_may_leave_more_than_once():
    told = history()
    told.leave([(4730, 5.0), (4730, 7.0)])
    assert told.gone == {4730: [5.0, 7.0]}


def test_link_is_missing_between_its_loss_and_the_next_one():
    told = history()
    lines = [(1.0, 2, True), (3.0, 2, False), (4.0, 5, False), (6.0, 2, True)]
    told.link(4730, lines)
    assert told.outages == [Outage(4730, 2, 3.0, 6.0), Outage(4730, 5, 4.0, inf)]


def test_link_to_a_server_that_has_ended_is_not_missing():
    told = history()
    told.ends_of_servers = {5: 7.0, 4731: 2.0}
    told.link(4730, [(4.0, 5, False)])
    told.link(4731, [(4.0, 4730, False)])
    assert told.outages == [Outage(4730, 5, 4.0, 7.0), Outage(4731, 4730, 4.0, 4.0)]


def test_summary_has_the_numbers():
    told = history()
    for _ in range(2):
        told.created(told.sent(4730, b"u", background=True), b"H:1")
    told.answer(told.sent(4730, b"", background=False), Answer.LOST)
    text = told.summary()
    for part in "3 sent", "2 stored", "1 joined by uniques", "1 lost connections":
        assert part in text


def test_what_is_known_of_a_job_is_told():
    told = history()
    it = told.sent(4730, b"u", background=True)
    told.created(it, b"H:host:67")
    told.started(4731, it.job, b"H:host:67")
    told.change([(3, 7.0, 4730), (4, 7.0, 4730)])
    first, run, changes = told.about({it.job, 9}).splitlines()
    assert (first, run) == (str(it), str(told.runs[0]))
    assert changes == f"3: {told.changes[3]}"
