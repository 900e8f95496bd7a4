"""The checker of histories: it finds each lie."""

from tests.cluster.history import History, Kind

GOOD = [
    (Kind.SENT, 1, 0.0),
    (Kind.CREATED, 1, 0.0),
    (Kind.STARTED, 1, 10.0),
    (Kind.RESULT, 1, 0.0),
    (Kind.ENDED, 1, 10.0),
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
    assert broken((Kind.STARTED, 2, 11)) == ["job 2 was never submitted"]


AGAIN = "job 1 has run again after its end, with the same owner"


def test_job_that_runs_again_is_found():
    assert broken((Kind.STARTED, 1, 11)) == [AGAIN]


def again(shard, when):
    """Return the history of a job of shard 3 that runs again; a shard has changed."""
    history = History([*GOOD, (Kind.STARTED, 1, 12.0)], {1: 3})
    history.change([(shard, when)])
    return history


def test_job_may_run_again_if_the_owner_of_its_shard_has_changed():
    assert list(again(3, 11.0).broken()) == []
    assert again(3, 11.0).repeated == 1


def test_other_changes_of_owners_are_no_excuse():
    assert list(again(4, 11.0).broken()) == [AGAIN]
    assert list(again(3, 9.0).broken()) == [AGAIN]
    assert list(again(3, 13.0).broken()) == [AGAIN]


def test_job_may_run_again_if_its_end_is_not_certain():
    assert broken((Kind.STARTED, 1, 11), without=[(Kind.ENDED, 1, 10)]) == []


def test_start_notes_the_shard():
    history = History()
    history.start(5, b"H:host:130")
    assert history.shards == {5: 2}


def test_summary_has_the_numbers():
    assert "1 sent, 1 created, 0 refused" in History(GOOD).summary()
