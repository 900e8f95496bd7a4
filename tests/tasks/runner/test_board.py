"""What a process writes on its board, its parent reads."""

import os

from gearman.tasks.runner.board import _HEAD, _NUMBER, Board
from gearman.tasks.runner.model.actions import RunningJob

ONE = RunningJob("resize", "H:x:1", 1.5, 60.0)
TWO = RunningJob("mail", "H:x:2", 2.5)


def test_parent_sees_what_its_child_has_written() -> None:
    board = Board(2)
    child = os.fork()
    if not child:
        board.started(ONE)
        board.started(TWO)
        board.ended("mail", "H:x:2", failed=True)
        os._exit(0)
    os.waitpid(child, 0)
    assert board.jobs() == [ONE]
    assert board.counts() == (1, 1)
    board.close()


def test_rows_are_used_again() -> None:
    board = Board(1)
    for job in (ONE, TWO, ONE):
        board.started(job)
        assert board.jobs() == [job]
        board.ended(job.function, job.handle, failed=False)
    assert board.jobs() == []
    assert board.counts() == (3, 0)


def test_job_for_which_there_is_no_row_is_counted() -> None:
    board = Board(1)
    board.started(ONE)
    board.started(TWO)
    board.started(ONE)
    assert board.jobs() == [ONE]
    board.ended("mail", "H:x:2", failed=False)
    assert board.counts() == (1, 0)


def test_row_that_is_being_written_is_not_read() -> None:
    board = Board(2)
    board.started(ONE)
    _NUMBER.pack_into(board._memory, _HEAD.size, 3)
    assert board.jobs() == []


def test_long_names_are_cut() -> None:
    board = Board(1)
    board.started(RunningJob("f" * 500, "H:x:1", 1.0))
    assert board.jobs() == [RunningJob("f" * 104, "H:x:1", 1.0)]


def test_progress_of_a_running_job_is_seen() -> None:
    board = Board(1)
    board.progress("resize", "H:x:1", 0.25)
    board.started(ONE)
    board.progress("resize", "H:x:1", 0.5)
    assert [job.progress for job in board.jobs()] == [0.5]
    board.ended("resize", "H:x:1", failed=False)
    board.started(TWO)
    assert [job.progress for job in board.jobs()] == [None]
