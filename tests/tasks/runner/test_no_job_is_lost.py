"""No durable job is lost, whatever is killed; none is run twice without reason.

`python -m benchmarks.runner` does the same with 10,000 jobs.
"""

import os
import random
import signal
from collections import Counter
from contextlib import suppress

import pytest

from tests import servers
from tests.tasks.runner.stage import Stage

JOBS = 300
# After so many jobs a process is killed.
EACH = 15
DURABLE = ("-q", "sqlite", "--sqlite-db", "jobs.db")


def notes(stage: Stage) -> Counter[str]:
    """Return how often each job was run."""
    path = stage.file("notes")
    return Counter(path.read_text().split()) if path.exists() else Counter()


def test_each_job_is_run_once_while_processes_are_replaced(stage: Stage) -> None:
    stage.task("note").submit_many([str(number) for number in range(JOBS)])
    with stage.runner("-c", "2", "--max-jobs", "20") as runner:
        replaced = 0

        def are_run(count: int) -> bool:
            nonlocal replaced
            if runner.log.count(" is ready ") > replaced:
                replaced = runner.log.count(" is ready ")
                runner.send(signal.SIGHUP)
            return len(notes(stage)) >= count

        for count in range(EACH, JOBS + 1, EACH):
            servers.until(lambda count=count: are_run(count))  # type: ignore[misc]
        runner.send(signal.SIGTERM)
        assert runner.ends() == 0
    assert set(notes(stage).values()) == {1}
    assert "as --max-jobs says" in runner.log
    assert "killed" not in runner.log


@pytest.mark.parametrize("stage", [DURABLE], indirect=True)
def test_no_durable_job_is_lost_when_processes_are_killed(stage: Stage) -> None:
    choose = random.Random(1)
    with stage.runner("-c", "2", "--max-jobs", "50") as runner:
        for begin in range(0, JOBS, EACH):
            # So there are jobs for those that are started then.
            numbers = range(begin, begin + EACH)
            stage.task("note").submit_many([str(number) for number in numbers])
            servers.until(lambda begin=begin: len(notes(stage)) > begin)  # type: ignore[misc]
            servers.until(lambda: runner.pids)
            with suppress(ProcessLookupError):
                os.kill(choose.choice([*runner.pids.values()][-2:]), signal.SIGKILL)
        servers.until(lambda: len(notes(stage)) == JOBS)
        runner.until_logged("was killed by signal 9")
        servers.until(lambda: stage.waiting("note") == 0)
    assert set(notes(stage)) == {str(number) for number in range(JOBS)}
    # A process that was killed had one job, and may have done it.
    assert sum(notes(stage).values()) <= JOBS + JOBS // EACH


@pytest.mark.parametrize("stage", [DURABLE], indirect=True)
def test_no_durable_job_is_lost_when_the_runner_is_killed(stage: Stage) -> None:
    stage.task("note").submit_many([str(number) for number in range(JOBS)])
    with stage.runner("-c", "2") as runner:
        servers.until(lambda: notes(stage))
        runner.send(signal.SIGKILL)
        runner.ends()
        # Its processes end by themselves.
        servers.until(lambda: stage.functions() == [])
    with stage.runner("-c", "2"):
        servers.until(lambda: len(notes(stage)) == JOBS)
    assert set(notes(stage).values()) == {1}


def test_there_is_always_a_worker_while_processes_are_replaced(stage: Stage) -> None:
    with stage.runner("-c", "1") as runner:
        assert stage.call("version") == "one"
        for replaced in range(1, 4):
            runner.send(signal.SIGHUP)

            def submitted(wanted: int = replaced) -> bool:
                # The server refuses the job if there is no worker.
                stage.submit("note", "x", need_worker=True)
                return runner.log.count("the code was read again") == wanted

            servers.until(submitted)
