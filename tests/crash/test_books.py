"""Which behaviour of the server the books reject, and which they allow."""

import pytest

from .books import Books


class Story:
    """A server that a test controls, and its books."""

    def __init__(self):
        self.books = Books()
        self.made = {}

    def submit(self, handle, unique=b"", **options):
        one = self.books.submit(b"f", unique, 10, **options)
        self.made.setdefault(handle, one)
        self.books.acknowledged(one, handle)

    def assign(self, handle, workload=None, now=0.0):
        one = self.made[handle]
        workload = workload or one.workload
        self.books.assigned(handle, one.function, one.unique, workload, now)

    def run(self, *handles):
        for handle in handles:
            self.assign(handle)
            self.books.finishing(handle)
            self.books.finished(handle)


@pytest.fixture
def story():
    return Story()


def test_job_that_was_run_is_not_lost(story):
    story.submit(b"1")
    assert story.books.lost() == [b"1"]
    story.run(b"1")
    assert story.books.lost() == []


def test_job_may_come_back_if_nothing_was_stored_after_it(story):
    story.submit(b"1")
    story.run(b"1")
    story.books.killed()
    story.run(b"1")


def test_job_may_not_come_back_if_a_later_one_was_stored(story):
    story.submit(b"1")
    story.run(b"1")
    story.submit(b"2")
    story.books.killed()
    with pytest.raises(AssertionError, match="came back"):
        story.run(b"1")


def test_later_job_tells_nothing_if_it_was_submitted_before_the_end(story):
    story.submit(b"1")
    early = story.books.submit(b"f", b"", 10)
    story.run(b"1")
    story.books.acknowledged(early, b"2")
    story.books.killed()
    story.run(b"1")


def test_repetition_tells_nothing_of_the_store(story):
    story.submit(b"1")
    story.submit(b"2", b"u")
    story.run(b"1")
    story.submit(b"2", b"u")
    story.books.killed()
    story.run(b"1")


def test_job_may_not_come_back_after_a_clean_stop(story):
    story.submit(b"1")
    story.run(b"1")
    story.books.stopped()
    with pytest.raises(AssertionError, match="came back"):
        story.run(b"1")


def test_job_may_not_run_again_in_one_life(story):
    story.submit(b"1")
    story.run(b"1")
    with pytest.raises(AssertionError, match="when finished"):
        story.run(b"1")


def test_job_may_be_held_once(story):
    story.submit(b"1")
    story.assign(b"1")
    with pytest.raises(AssertionError, match="twice"):
        story.assign(b"1")


def test_job_may_be_held_again_after_its_worker_left(story):
    story.submit(b"1")
    story.assign(b"1")
    story.books.left({b"1"})
    story.run(b"1")


def test_result_that_the_server_may_have_missed_counts_as_run(story):
    story.submit(b"1")
    story.assign(b"1")
    story.books.finishing(b"1")
    story.books.killed()
    assert story.books.lost() == []
    story.run(b"1")


def test_job_held_at_a_kill_is_not_run(story):
    story.submit(b"1")
    story.assign(b"1")
    story.books.killed()
    assert story.books.lost() == [b"1"]


def test_repetition_is_served_by_a_run_that_ends_after_it(story):
    story.submit(b"1", b"u")
    story.assign(b"1")
    story.submit(b"1", b"u")
    story.books.finishing(b"1")
    story.books.finished(b"1")
    assert story.books.lost() == []


def test_repetition_is_not_served_by_a_run_that_ended_before_it(story):
    story.submit(b"1", b"u")
    story.run(b"1")
    story.submit(b"1", b"u")
    assert story.books.lost() == [b"1"]


def test_foreground_job_may_be_lost(story):
    story.submit(b"1", background=False)
    assert story.books.lost() == []


def test_refused_job_may_be_run(story):
    one = story.books.submit(b"f", b"", 10)
    story.books.refused(one)
    story.made[b"1"] = one
    story.run(b"1")
    assert story.books.lost() == []


@pytest.mark.parametrize("unique", [b"", b"-"])
def test_handle_of_two_jobs_is_noticed(story, unique):
    story.submit(b"1", unique)
    with pytest.raises(AssertionError, match="two jobs"):
        story.submit(b"1", unique)


def test_handle_of_two_uniques_is_noticed(story):
    story.submit(b"1", b"u")
    with pytest.raises(AssertionError, match="two jobs"):
        story.submit(b"1", b"v")


def test_workload_of_another_job_is_noticed(story):
    story.submit(b"1")
    story.submit(b"2")
    with pytest.raises(AssertionError, match="two jobs"):
        story.assign(b"1", workload=story.made[b"2"].workload)


def test_damaged_workload_is_noticed(story):
    story.submit(b"1")
    with pytest.raises(AssertionError, match="damaged"):
        story.assign(b"1", workload=story.made[b"1"].workload[:-1])


def test_job_before_its_time_is_noticed(story):
    story.submit(b"1", when=100)
    with pytest.raises(AssertionError, match="before its time"):
        story.assign(b"1", now=99.9)
