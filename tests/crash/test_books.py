"""Which behaviour of the server the books reject, and which they allow."""

import time

import pytest

from gearman.queue import StoredJob

from .books import Attempt, Books
from .inspection import Inspection
from .plans import EXPIRED, FREE, HEIR, RUN, TICK, Plan


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


class Steered:
    """The same with jobs that have options, and a store."""

    def __init__(self):
        self.books = Books()
        self.made = {}

    def submit(self, handle, **plan):
        one = self.books.submit(FREE, b"", 10, plan=Plan(**plan))
        self.made[handle] = one
        self.books.acknowledged(one, handle)

    def later(self):
        """Have all that happened so far stored."""
        self.submit(b"later%d" % len(self.made))

    def assign(self, handle, function=FREE):
        one = self.made[handle]
        self.books.assigned(handle, function, b"", one.workload, time.time())

    def end(self, handle, attempt, function=FREE):
        self.assign(handle, function)
        self.books.finishing(handle, attempt)
        self.books.finished(handle)

    def fail(self, handle, **options):
        self.end(handle, Attempt(**options))

    def stored(self, handle, extra=b"", workload=b""):
        return StoredJob(1, handle, FREE, b"", workload, extra=extra)

    def inspect(self, *content):
        """Inspect a store that has also the later jobs."""
        later = [self.stored(each) for each in self.made if each.startswith(b"later")]
        Inspection(self.books, [*content, *later]).check()


DEAD = b"kind=dead&died=1.0&reason=trouble&attempts=%d"
DONE = b"kind=result&state=done&expires=9.0"


@pytest.fixture
def steered():
    return Steered()


def test_failed_job_must_be_tried_again(steered):
    steered.submit(b"1", retries=1)
    steered.fail(b"1")
    assert steered.books.lost() == [b"1"]
    steered.end(b"1", Attempt(b"r"))
    assert steered.books.lost() == []


def test_job_that_failed_too_often_may_not_run_again(steered):
    steered.submit(b"1", retries=1)
    steered.fail(b"1")
    steered.fail(b"1")
    assert steered.books.lost() == []
    with pytest.raises(AssertionError, match="when finished"):
        steered.assign(b"1")


def test_durable_attempts_count_after_a_kill(steered):
    steered.submit(b"1", retries=1)
    steered.fail(b"1")
    steered.later()
    steered.books.killed()
    steered.fail(b"1")
    with pytest.raises(AssertionError, match="when finished"):
        steered.assign(b"1")


def test_attempt_that_was_not_durable_may_be_forgotten(steered):
    steered.submit(b"1", retries=1)
    steered.fail(b"1")
    steered.books.killed()
    steered.fail(b"1")
    # Now it may be dead, or not.
    assert steered.books.lost() == []
    steered.fail(b"1")


def test_job_that_is_given_back_is_not_tried_before_its_time(steered):
    steered.submit(b"1", retries=1)
    steered.fail(b"1", counts=False, pause=60.0)
    with pytest.raises(AssertionError, match="before its time"):
        steered.assign(b"1")


def test_job_may_be_handed_over_after_its_attempts_only(steered):
    steered.submit(b"1", retries=1, dead="function")
    steered.fail(b"1")
    with pytest.raises(AssertionError, match="given up too early"):
        steered.assign(b"1", HEIR)
    steered.submit(b"2", dead="function")
    steered.fail(b"2")
    assert b"2" in steered.books.lost()
    steered.end(b"2", Attempt(b"r"), HEIR)
    assert b"2" not in steered.books.lost()


def test_job_that_was_handed_over_does_not_come_back(steered):
    steered.submit(b"1", dead="function")
    steered.fail(b"1")
    steered.later()
    steered.books.killed()
    with pytest.raises(AssertionError, match="failed too often"):
        steered.assign(b"1")


def test_job_may_not_start_before_the_one_that_it_follows(steered):
    steered.submit(b"1")
    steered.submit(b"2", after=b"1")
    with pytest.raises(AssertionError, match="did not wait"):
        steered.assign(b"2")


def test_job_may_expire(steered):
    steered.submit(b"1", ttl=1e-6)
    time.sleep(0.01)
    assert steered.books.lost() == []
    assert steered.books.open == {b"1"}
    steered.books.bury()
    assert steered.books.open == set()


def test_job_must_start_within_its_time_to_live(steered):
    for handle in b"1", b"2":
        steered.submit(handle, ttl=1.0, dead="function")
        steered.made[handle].wall -= 100.0
        steered.made[handle].latest -= 100.0
    with pytest.raises(AssertionError, match="after its time to live"):
        steered.assign(b"1")
    # It has expired, and so it was handed over.
    steered.assign(b"2", HEIR)


def test_result_that_was_told_stays(steered):
    steered.submit(b"1", keep=60.0)
    steered.end(b"1", Attempt(b"r"))
    steered.books.told(b"1", b"running", b"", 0.0)
    steered.books.told(b"1", b"done", b"r", 0.0)
    with pytest.raises(AssertionError, match="was lost"):
        steered.books.told(b"1", b"unknown", b"", 0.0)
    with pytest.raises(AssertionError, match="was lost"):
        steered.books.watched(b"1", "ERROR", b"")
    steered.books.watched(b"1", "WORK_COMPLETE", b"r")


def test_result_of_nobody_is_noticed(steered):
    steered.submit(b"1", keep=60.0)
    steered.end(b"1", Attempt(b"r"))
    with pytest.raises(AssertionError, match="strange result"):
        steered.books.told(b"1", b"done", b"s", 0.0)


def test_job_that_is_unknown_but_waits_is_noticed(steered):
    steered.submit(b"1")
    with pytest.raises(AssertionError, match="was lost"):
        steered.books.told(b"1", b"unknown", b"", 0.0)


def test_store_must_have_the_open_jobs(steered):
    steered.submit(b"1")
    steered.inspect(steered.stored(b"1"))
    with pytest.raises(AssertionError, match="not in the store"):
        steered.inspect()


@pytest.mark.parametrize("attempts", [0, 2])
def test_store_must_have_the_attempts(steered, attempts):
    steered.submit(b"1", retries=3)
    steered.fail(b"1")
    steered.later()
    steered.books.killed()
    steered.inspect(steered.stored(b"1", b"attempts=1"))
    with pytest.raises(AssertionError, match="failed attempts"):
        steered.inspect(steered.stored(b"1", b"attempts=%d" % attempts))


@pytest.mark.parametrize("attempts", [1, 3])
def test_store_must_have_dead_jobs_with_their_attempts(steered, attempts):
    steered.submit(b"1", retries=1, dead="list")
    steered.fail(b"1")
    steered.fail(b"1")
    steered.later()
    steered.books.killed()
    steered.inspect(steered.stored(b"1", DEAD % 2))
    with pytest.raises(AssertionError, match="are missing"):
        steered.inspect()
    with pytest.raises(AssertionError, match="is dead after"):
        steered.inspect(steered.stored(b"1", DEAD % attempts))
    with pytest.raises(AssertionError, match="still there"):
        steered.inspect(steered.stored(b"1"))


def test_job_that_died_too_early_is_noticed(steered):
    steered.submit(b"1", ttl=60.0, dead="list")
    with pytest.raises(AssertionError, match="too early"):
        steered.inspect(
            steered.stored(b"1", b"kind=dead&died=1.0&reason=" + EXPIRED),
        )


def test_store_must_have_the_results(steered):
    steered.submit(b"1", keep=60.0)
    steered.end(b"1", Attempt(b"r"))
    steered.later()
    steered.books.killed()
    steered.inspect(steered.stored(b"1", DONE, b"r"))
    with pytest.raises(AssertionError, match="result of"):
        steered.inspect()


def test_store_must_have_the_policies_that_were_set(steered):
    books = steered.books
    for text in b"weight=1", b"weight=2", b"weight=3":
        setting = books.setting(b"f", text)
        if text != b"weight=3":
            books.was_set(setting)
    steered.later()
    books.killed()
    extra = b"kind=setting&what=policy"
    row = StoredJob(1, b"", b"f", b"", b"weight=3", extra=extra)
    steered.inspect(row)
    steered.inspect(row._replace(workload=b"weight=2"))
    with pytest.raises(AssertionError, match="another policy"):
        steered.inspect(row._replace(workload=b"weight=1"))
    with pytest.raises(AssertionError, match="has no policy"):
        steered.inspect()


class Clockwork:
    """Runs of a schedule, and the file that names them."""

    def __init__(self, path):
        self.path = path / "diary"
        self.books = Books(self.path)

    def note(self, handle, time):
        with self.path.open("ab") as file:
            file.write(b"%s schedule=often&run=%d\n" % (handle, time))

    def assign(self, handle):
        self.books.assigned(handle, TICK, b"", RUN, 0.0)


def test_only_one_job_of_a_time_may_run(tmp_path):
    clockwork = Clockwork(tmp_path)
    clockwork.note(b"1", 60)
    clockwork.note(b"2", 120)
    clockwork.assign(b"1")
    clockwork.assign(b"2")
    clockwork.note(b"3", 60)
    with pytest.raises(AssertionError, match="has the jobs"):
        clockwork.assign(b"3")


def test_run_that_was_noted_as_the_last_must_be_there(tmp_path):
    clockwork = Clockwork(tmp_path)
    clockwork.note(b"1", 60)
    last = b"kind=setting&what=schedule&last=60.0"
    setting = StoredJob(1, b"", b"often", b"", b"", extra=last)
    with pytest.raises(AssertionError, match="is not there"):
        Inspection(clockwork.books, [setting]).check()
    clockwork.assign(b"1")
    with pytest.raises(AssertionError, match="not in the store"):
        Inspection(clockwork.books, [setting]).check()
    run = StoredJob(1, b"1", TICK, b"", RUN)
    Inspection(clockwork.books, [setting, run]).check()
