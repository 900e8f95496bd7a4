"""Processes of a runner: started, drained, replaced, killed."""

import os
import pwd
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from gearman import GearmanAdminClient
from tests import servers
from tests.tasks.runner.stage import PROGRAM, Stage, alive, started


def test_jobs_are_run_by_several_processes(stage: Stage) -> None:
    with stage.runner("-c", "2"):
        one = stage.submit("wait", "one")
        two = stage.submit("wait", "two")
        # Neither ends before the other has begun.
        stage.until_started("one")
        stage.until_started("two")
        pids = {stage.file(f"{each}.started").read_text() for each in ("one", "two")}
        assert len(pids) == 2
        assert one.handle != two.handle
        stage.file("one").touch()
        stage.file("two").touch()


def test_threads_of_a_process_run_jobs_at_the_same_time(stage: Stage) -> None:
    with stage.runner("-c", "1", "--threads", "2"), ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(stage.call, "meet") for _ in range(2)]
        one, two = (each.result(servers.DEADLINE) for each in calls)
        assert one == two


def test_async_tasks_run_many_jobs_at_a_time_beside_the_plain_ones(
    stage: Stage,
) -> None:
    with stage.runner("-c", "1"), ThreadPoolExecutor(10) as threads:
        stage.submit("wait", "file")
        calls = [threads.submit(stage.call, "gather") for _ in range(10)]
        assert {each.result(servers.DEADLINE) for each in calls} == {10}
        stage.file("file").touch()


def test_async_concurrency_is_limited(stage: Stage) -> None:
    options = ("-c", "1", "--async-concurrency", "9")
    with stage.runner(*options, "--grace", "0.1") as runner:
        for _ in range(10):
            stage.submit("gather")
        servers.until(lambda: stage.running("gather") == 9)
        runner.send(signal.SIGTERM)
        assert runner.ends() == 0
        assert stage.waiting("gather") == 10


# Stopping.


def test_first_signal_lets_running_jobs_end(stage: Stage) -> None:
    with stage.runner("-c", "1", "--log-level", "debug") as runner:
        stage.submit("wait", "file")
        stage.submit("wait", "never")
        stage.until_started("file")
        runner.send(signal.SIGTERM)
        # The runner says so, and then its process.
        runner.until_logged("no more jobs are taken", times=2)
        stage.file("file").touch()
        assert runner.ends() == 0
        assert stage.waiting("wait") == 1
        assert not stage.file("never.started").exists()


def test_job_that_takes_longer_than_the_grace_is_given_back(stage: Stage) -> None:
    with stage.runner("-c", "1", "--grace", "0.1") as runner:
        stage.submit("wait", "file")
        stage.until_started("file")
        runner.send(signal.SIGINT)
        assert runner.ends() == 0
        assert "the grace of 0.1 s is over; job " in runner.log
        assert stage.waiting("wait") == 1


def test_second_signal_ends_all_at_once(stage: Stage) -> None:
    with stage.runner("-c", "1") as runner:
        stage.submit("wait", "file")
        stage.until_started("file")
        runner.send(signal.SIGTERM)
        runner.until_logged("stopping")
        runner.send(signal.SIGTERM)
        assert runner.ends() == 0
        assert stage.waiting("wait") == 1


def test_processes_end_after_their_jobs_if_the_runner_is_killed(stage: Stage) -> None:
    with stage.runner("-c", "2") as runner:
        stage.submit("wait", "file")
        stage.until_started("file")
        (pid,) = {int(stage.file("file.started").read_text())}
        runner.send(signal.SIGKILL)
        runner.ends()
        # The one without a job.
        servers.until(lambda: len(stage.functions()) == 1)
        assert alive(pid)
        stage.file("file").touch()
        servers.until(lambda: stage.functions() == [])
        assert stage.waiting("wait") == 0


# HUP.


def test_hup_replaces_processes_while_jobs_run_on(stage: Stage) -> None:
    with stage.runner("-c", "1") as runner:
        stage.submit("wait", "file")
        stage.until_started("file")
        stage.write(PROGRAM.replace('"one"', '"two"'))
        runner.send(signal.SIGHUP)
        # The only process that is not busy is a new one.
        assert stage.call("version") == "two"
        assert stage.waiting("wait") == 1
        stage.file("file").touch()
        servers.until(lambda: stage.waiting("wait") == 0)
        runner.until_logged("process 2 replaces 1")
        assert "killed" not in runner.log


def test_old_code_is_used_while_the_new_one_cannot_be_imported(stage: Stage) -> None:
    with stage.runner("-c", "1") as runner:
        assert stage.call("version") == "one"
        stage.write("1/0")
        runner.send(signal.SIGHUP)
        runner.until_logged("the processes with the old code stay")
        assert "program cannot be imported: ZeroDivisionError: " in runner.log
        assert stage.call("version") == "one"
        stage.write(PROGRAM.replace('"one"', '"two"'))
        runner.send(signal.SIGHUP)
        servers.until(lambda: stage.call("version") == "two")


def test_hup_brings_processes_for_new_functions(stage: Stage) -> None:
    with stage.runner("-c", "0") as runner:
        stage.call("version")
        more = "\n@app.task\ndef other() -> int:\n    return 7\n"
        stage.write(PROGRAM + more)
        runner.send(signal.SIGHUP)
        assert stage.call("other") == 7
        assert ["other"] in stage.functions()


# Crashes.


def test_process_that_dies_is_started_again(stage: Stage) -> None:
    with stage.runner("-c", "1") as runner:
        first = stage.call("pid")
        os.kill(first, signal.SIGKILL)
        runner.until_logged("was killed by signal 9; another one is started now")
        assert stage.call("pid") != first


@pytest.mark.parametrize("stage", [("-j", "1")], indirect=True)
def test_job_that_ends_its_process_is_named(stage: Stage) -> None:
    with stage.runner("-c", "1") as runner:
        job = stage.submit("die")
        runner.until_logged(
            f"process 1 has failed: it ended with status 3; job {job.handle} of die was"
            " lost with it; another one is started now"
        )
        assert stage.call("version") == "one"


@pytest.mark.parametrize("stage", [("-j", "1")], indirect=True)
def test_job_that_ends_its_thread_ends_its_process(stage: Stage) -> None:
    with stage.runner("-c", "1", "--threads", "2") as runner:
        first = stage.call("pid")
        stage.submit("leave")
        text = "process 1 has failed: a worker has ended: SystemExit: no more; another"
        runner.until_logged(text)
        servers.until(lambda: stage.call("pid") != first)


def test_process_ends_as_it_should_at_a_signal(stage: Stage) -> None:
    with stage.runner("-c", "1") as runner:
        first = stage.call("pid")
        os.kill(first, signal.SIGTERM)
        runner.until_logged("process 1 ends: it has got a signal")
        servers.until(lambda: stage.call("pid") != first)
        assert "failed" not in runner.log


# Limits.


def test_process_runs_exactly_as_many_jobs_as_allowed(stage: Stage) -> None:
    with stage.runner("-c", "1", "--max-jobs", "3") as runner:
        pids = [stage.call("pid") for _ in range(9)]
        assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 3]
        runner.until_logged("ends: it has run 3 jobs, as --max-jobs says", times=3)


def test_old_process_is_replaced(stage: Stage) -> None:
    with stage.runner("-c", "1", "--max-age", "0.05") as runner:
        runner.until_logged("it is as old as --max-age allows", times=3)
        assert stage.call("version") == "one"


def test_large_process_is_replaced(stage: Stage) -> None:
    with stage.runner("-c", "1", "--max-memory", "150M") as runner:
        first = stage.call("pid")
        stage.call("grow")
        runner.until_logged("more than --max-memory")
        servers.until(lambda: stage.call("pid") != first)


def test_job_over_its_timeout_is_killed_and_the_others_go_on(stage: Stage) -> None:
    with stage.runner("-c", "2", "--kill-after", "0.1") as runner:
        stage.submit("wait", "file")
        stage.until_started("file")
        limits = {"timeout": 0.5, "retries": 1, "backoff": "fixed:600"}
        job = stage.submit("hang", "hang", **limits)
        runner.until_logged(f"is killed: job {job.handle} of hang runs for ")
        assert stage.call("version") == "one"
        assert stage.waiting("wait") == 1
        stage.file("file").touch()
        servers.until(lambda: stage.waiting("wait") == 0)
        # On a busy machine the server may notice the kill before the timeout. Then the
        # job is queued again at once, and another process is killed with it.
        killed = [line for line in runner.log.splitlines() if "is killed" in line]
        assert killed
        assert all(f"job {job.handle} of hang runs for " in line for line in killed)


def test_process_whose_event_loop_is_blocked_is_killed(stage: Stage) -> None:
    with stage.runner("-c", "1", "--kill-after", "0.1") as runner:
        job = stage.submit("block", timeout=0.5)
        runner.until_logged(f"is killed: job {job.handle} of block runs for ")
        assert stage.call("version") == "one"


# Which functions a process has.


def test_dedicated_processes_have_one_function(stage: Stage) -> None:
    with stage.runner("-c", "1", "--function", "wait=2") as runner:
        runner.until_logged("is ready", times=3)
        found = stage.functions()
        # The common process has two workers: one of its tasks are `async def`.
        assert len(found) == 4
        assert found.count(["wait"]) == 2


def test_jobs_and_failures_are_logged_with_handle_and_function(stage: Stage) -> None:
    with stage.runner("-c", "1", "--log-level", "DEBUG") as runner:
        job = stage.submit("version")
        runner.until_logged(f"[1] {job.handle} version: done in ")
        broken = stage.submit("fail")
        runner.until_logged(f"[1] {broken.handle} fail: failed in ")
        runner.until_logged("ValueError: it is broken")


def test_runner_survives_the_end_of_the_process_that_imports(stage: Stage) -> None:
    with stage.runner("-c", "1") as runner:
        stage.call("version")
        stage.write("import os\nos.kill(os.getpid(), 9)\n")
        runner.send(signal.SIGHUP)
        runner.until_logged(
            "the process that imports the app was killed by signal 9; the processes"
            " with the old code stay"
        )
        assert stage.call("version") == "one"


# The configuration file, the log, the user.


def test_configuration_file_is_read_again_at_hup(stage: Stage) -> None:
    file = stage.file("worker.toml")
    file.write_text("processes = 1\n[functions.wait]\ntimeout = 60\n")
    with stage.runner("--config", "worker.toml") as runner:
        runner.until_logged("process 1 is ready")
        file.write_text("processes = ")
        runner.send(signal.SIGHUP)
        runner.until_logged("the options in use are kept")
        runner.until_logged("process 2 is ready")
        file.write_text(
            "processes = 1\nkill-after = 0.1\nlog-level = 'DEBUG'\n"
            "[functions.wait]\ntimeout = 0.1\ndedicated_count = 1\n"
        )
        runner.send(signal.SIGHUP)
        runner.until_logged(" replaces 2: ")
        # The old one, whose timeout is another, may take jobs until it has ended.
        servers.until(lambda: not alive(runner.pids[2]))
        servers.until(lambda: ["wait"] in stage.functions())
        stage.submit("wait", "file")
        runner.until_logged(" of wait runs for ")
        assert ", and its timeout is 0.1 s" in runner.log
        stage.file("file").touch()
        stage.call("version")
        runner.until_logged("version: done in")


def test_log_file_may_be_moved_away(stage: Stage) -> None:
    with stage.runner("-c", "1", "--log-file", "worker.log") as runner:
        file = stage.file("worker.log")
        servers.until(lambda: file.exists() and " is ready " in file.read_text())
        file.rename(stage.file("worker.log.1"))
        runner.send(signal.SIGUSR1)
        stage.submit("fail")
        servers.until(lambda: file.exists() and "it is broken" in file.read_text())
        assert "[1] Job H:" in file.read_text()
        runner.send(signal.SIGTERM)
        assert runner.ends() == 0
    assert runner.log == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")
def test_processes_run_as_another_user(stage: Stage) -> None:
    """The program is a command, since that user may not read this folder."""
    user = pwd.getpwnam("nobody")
    words = ["--task", "who=id -u; echo $HOME", "--servers", stage.address]
    files = ["--log-file", "worker.log", "--pid-file", "worker.pid"]
    with started(stage.folder, [*words, *files, "--user", "nobody"]) as runner:
        pid_file = stage.file("worker.pid")
        servers.until(pid_file.exists)
        assert stage.raw("who", b"") == f"{user.pw_uid}\n{user.pw_dir}\n".encode()
        for name in ("worker.pid", "worker.log"):
            assert stage.file(name).stat().st_uid == user.pw_uid
        runner.send(signal.SIGTERM)
        assert runner.ends() == 0


# Schedules.

SCHEDULED = """
from gearman.tasks import App

app = App({name})

@app.task(schedule={cron!r})
def nightly() -> None: ...
"""


def write_schedule(stage: Stage, cron: str | None, name: str = "") -> None:
    stage.write(SCHEDULED.format(cron=cron, name=name))


def schedules(stage: Stage) -> list[tuple[str, str | None]]:
    with GearmanAdminClient([stage.address]) as admin:
        return [(each["cron"], each["owner"]) for each in admin.get_schedules()]


def test_schedules_are_registered_at_the_start_and_with_new_code(stage: Stage) -> None:
    write_schedule(stage, "0 3 * * *")
    with stage.runner("-c", "1") as runner:
        runner.until_logged("schedules that are registered: nightly")
        assert schedules(stage) == [("0 3 * * *", "program:app")]
        write_schedule(stage, "@hourly")
        runner.send(signal.SIGHUP)
        servers.until(lambda: schedules(stage) == [("@hourly", "program:app")])
    write_schedule(stage, "@hourly", "name='shop'")
    with stage.runner("-c", "1") as runner:
        runner.until_logged(
            "the schedules are not registered: schedules were refused: nightly:"
            " program:app has set it"
        )
        with GearmanAdminClient([stage.address]) as admin:
            admin.unset_schedule("nightly")
        runner.send(signal.SIGHUP)
        servers.until(lambda: schedules(stage) == [("@hourly", "shop")])
        write_schedule(stage, None, "name='shop'")
        runner.send(signal.SIGHUP)
        servers.until(lambda: schedules(stage) == [])


def test_schedules_are_not_registered_if_that_is_not_wanted(stage: Stage) -> None:
    write_schedule(stage, "0 3 * * *")
    with stage.runner("-c", "1", "--no-schedules") as runner:
        runner.until_logged("process 1 is ready")
        assert schedules(stage) == []
    assert "schedules" not in runner.log
