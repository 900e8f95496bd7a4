"""The checker of histories: it finds each lie."""

from tests.cluster.history import History, Kind

GOOD = [
    (Kind.OWNER, 0, 0),
    (Kind.SENT, 1, 0),
    (Kind.CREATED, 1, 0),
    (Kind.STARTED, 1, 1),
    (Kind.RESULT, 1, 0),
    (Kind.ENDED, 1, 1),
]


def broken(*more, without=()):
    events = [event for event in GOOD if event not in without]
    return list(History([*events, *more]).broken())


def test_good_history_has_no_fault():
    assert broken() == []
    assert broken((Kind.SENT, 2, 0), (Kind.REFUSED, 2, 0), (Kind.SENT, 3, 0)) == []


def test_lost_job_is_found():
    lost = "job 1 was acknowledged, and is lost"
    assert broken(without=[(Kind.RESULT, 1, 0)]) == [lost]


def test_job_that_nobody_submitted_is_found():
    assert broken((Kind.STARTED, 2, 1)) == ["job 2 was never submitted"]


def test_job_that_runs_again_is_found():
    again = "job 1 has run again after its end, with the same owner"
    assert broken((Kind.STARTED, 1, 1)) == [again]


def test_job_may_run_again_if_the_owner_has_changed():
    events = [*GOOD, (Kind.OWNER, 0, 0), (Kind.STARTED, 1, 2)]
    assert list(History(events).broken()) == []
    assert History(events).repeated == 1


def test_job_may_run_again_if_its_end_is_not_certain():
    assert broken((Kind.STARTED, 1, 1), without=[(Kind.ENDED, 1, 1)]) == []


def test_summary_has_the_numbers():
    assert "1 sent, 1 created, 0 refused" in History(GOOD).summary()
