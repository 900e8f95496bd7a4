"""The worker with servers whose packets the test writes."""

import asyncio
from collections.abc import Awaitable, Callable
from threading import Event

import pytest

from gearman.aio import RunningJob, Worker
from gearman.errors import JobRetry
from tests.aio.scripted import Scripted, Talk, scripted
from tests.aio.stage import run, soon
from tests.servers import DEADLINE, until

Scene = Callable[[Scripted, Worker], Awaitable[None]]


async def echo(job: RunningJob) -> bytes:
    return job.workload


def play(scene: Scene, concurrency: int = 1) -> None:
    """Play a scene with a scripted server and a worker, which is stopped at the end."""

    async def main() -> None:
        async with scripted() as script:
            worker = Worker(script.address, concurrency=concurrency)
            worker.register("f", echo, timeout=1.5)
            work = asyncio.create_task(worker.work())
            await scene(script, worker)
            if not work.done():
                worker.stop()
            await work
            assert worker.slots.free == concurrency

    run(main())


async def asleep(script: Scripted) -> Talk:
    """Return the connection of a worker that sleeps."""
    talk = await script.accept()
    assert await talk.expect("CAN_DO_TIMEOUT") == [b"f", b"1500"]
    assert await talk.expect("OPTION_REQ") == [b"extensions"]
    await talk.expect("PRE_SLEEP")
    return talk


def assign(talk: Talk, handle: bytes, function: bytes = b"f") -> None:
    talk.send("JOB_ASSIGN_UNIQ", handle, function, b"unique", b"workload")


def test_it_asks_for_one_job_first_and_then_for_more() -> None:
    async def scene(script: Scripted, worker: Worker) -> None:
        talk = await asleep(script)
        talk.send("NOOP")
        await talk.expect("GRAB_JOB_UNIQ")
        assign(talk, b"H:1")
        await talk.expect("GRAB_JOB_UNIQ", "GRAB_JOB_UNIQ", "WORK_COMPLETE")
        assign(talk, b"H:2")
        talk.send("NO_JOB")
        names = [(await talk.receive()).name for _ in range(4)]
        assert names.count("GRAB_JOB_UNIQ") == 3
        for _ in range(3):
            talk.send("NO_JOB")
        await talk.expect("PRE_SLEEP")

    play(scene, concurrency=8)


def test_it_sleeps_after_the_last_answer_only() -> None:
    async def scene(script: Scripted, worker: Worker) -> None:
        talk = await asleep(script)
        talk.send("NOOP")
        await talk.expect("GRAB_JOB_UNIQ")
        talk.send("NOOP")
        talk.send("NO_JOB")
        await talk.expect("PRE_SLEEP")

    play(scene)


def test_an_unknown_function_fails() -> None:
    async def scene(script: Scripted, worker: Worker) -> None:
        talk = await asleep(script)
        talk.send("OPTION_RES", b"extensions")
        talk.send("WORK_CANCEL", b"H:0")
        talk.send("NOOP")
        await talk.expect("GRAB_JOB_UNIQ")
        assign(talk, b"H:1", b"unknown")
        assert b"KeyError" in (await talk.expect("WORK_EXCEPTION"))[1]
        await talk.expect("GRAB_JOB_UNIQ")
        talk.send("NO_JOB")

    play(scene)


def test_a_job_that_was_not_asked_for_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gearman.aio.servers._FIRST_REST", 0.001)

    async def scene(script: Scripted, worker: Worker) -> None:
        talk = await asleep(script)
        assign(talk, b"H:1")
        assert await talk.ended()
        talk = await asleep(script)
        talk.send("JOB_CREATED", b"H:1")
        assert await talk.ended()
        await asleep(script)

    play(scene)


def test_a_refused_function_is_announced_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gearman.aio.worker_link._ANNOUNCE_AGAIN", 0.01)

    async def scene(script: Scripted, worker: Worker) -> None:
        talk = await asleep(script)
        talk.send("ERROR", b"UNKNOWN_OPTION", b"no")
        for _ in range(2):
            talk.send("ERROR", b"QUEUE_ERROR", b"too many functions")
        await talk.expect("CAN_DO_TIMEOUT", "PRE_SLEEP")
        monkeypatch.setattr("gearman.aio.worker_link._ANNOUNCE_AGAIN", 60)
        talk.send("ERROR", b"QUEUE_ERROR", b"too many functions")
        await soon(lambda: worker._links()[0]._again)

    play(scene)


def test_a_server_without_extensions_cannot_try_a_job_again() -> None:
    async def retry(job: RunningJob) -> None:
        raise JobRetry(1)

    async def scene(script: Scripted, worker: Worker) -> None:
        talk = await asleep(script)
        talk.send("NOOP")
        await talk.expect("GRAB_JOB_UNIQ")
        await soon(lambda: worker._links()[0].grabbing.owed)
        # It does not sleep, so it need not be told that it should look.
        worker.register("retry", retry)
        await talk.expect("CAN_DO")
        assign(talk, b"H:1", b"retry")
        assert b"UnsupportedByServer" in (await talk.expect("WORK_EXCEPTION"))[1]
        await talk.expect("GRAB_JOB_UNIQ")
        talk.send("NO_JOB")

    play(scene)


def test_no_job_is_asked_for_while_results_wait_to_be_sent() -> None:
    large = b"x" * 8_000_000

    async def answer(job: RunningJob) -> bytes:
        return large

    async def scene(script: Scripted, worker: Worker) -> None:
        worker.register("large", answer)
        talk = await script.accept("CAN_DO_TIMEOUT", "CAN_DO")
        await talk.expect("OPTION_REQ", "PRE_SLEEP")
        talk.send("NOOP")
        await talk.expect("GRAB_JOB_UNIQ")
        assign(talk, b"H:1", b"large")
        (link,) = worker._links()
        await soon(lambda: link.blocked)
        assert not link.grabbing.owed
        assert (await talk.expect("WORK_COMPLETE")) == [b"H:1", large]
        await talk.expect("GRAB_JOB_UNIQ")
        talk.send("NO_JOB")

    play(scene)


def test_a_thread_waits_while_the_server_accepts_no_data() -> None:
    # More than the buffers of the system take.
    large = b"x" * 64_000_000
    received = Event()

    def much(job: RunningJob) -> None:
        # If the loop is quick, this waits already, otherwise the next one.
        job.send_data(large)
        until(lambda: job.link.blocked or received.is_set())
        job.send_data(b"more")

    async def scene(script: Scripted, worker: Worker) -> None:
        worker.register("much", much)
        talk = await script.accept("CAN_DO_TIMEOUT", "CAN_DO")
        await talk.expect("OPTION_REQ", "PRE_SLEEP")
        talk.send("NOOP")
        await talk.expect("GRAB_JOB_UNIQ")
        assign(talk, b"H:1", b"much")
        (link,) = worker._links()
        # The thread waits among those who want to send.
        await soon(lambda: link._blocked)
        assert await talk.expect("WORK_DATA") == [b"H:1", large]
        received.set()
        assert await talk.expect("WORK_DATA") == [b"H:1", b"more"]
        await talk.expect("WORK_COMPLETE", "GRAB_JOB_UNIQ")
        talk.send("NO_JOB")

    play(scene)


def test_an_error_may_be_the_answer_to_a_grab() -> None:
    async def scene(script: Scripted, worker: Worker) -> None:
        talk = await asleep(script)
        talk.send("NOOP")
        await talk.expect("GRAB_JOB_UNIQ")
        talk.send("ERROR", b"SOME", b"thing")
        await talk.expect("PRE_SLEEP")
        # The answer comes late.
        assign(talk, b"H:1")
        await talk.expect("WORK_COMPLETE", "GRAB_JOB_UNIQ")
        talk.send("NO_JOB")

    play(scene)


def test_a_stopped_worker_runs_the_job_that_it_has_asked_for() -> None:
    async def scene(script: Scripted, worker: Worker) -> None:
        talk = await asleep(script)
        talk.send("NOOP")
        await talk.expect("GRAB_JOB_UNIQ")
        worker.stop()
        await asyncio.sleep(0.01)
        assign(talk, b"H:1")
        await talk.expect("WORK_COMPLETE")
        assert await talk.ended()

    play(scene)


def test_a_stopped_worker_does_not_wait_long_for_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gearman.aio.worker._LAST_ANSWER", 0.01)

    async def scene(script: Scripted, worker: Worker) -> None:
        talk = await asleep(script)
        talk.send("NOOP")
        await talk.expect("GRAB_JOB_UNIQ")
        worker.stop()
        assert await talk.ended()

    play(scene)


def test_the_result_of_a_job_whose_connection_is_lost_is_dropped() -> None:
    async def scene(script: Scripted, worker: Worker) -> None:
        go_on = asyncio.Event()
        jobs: list[RunningJob] = []

        async def slow(job: RunningJob) -> None:
            jobs.append(job)
            await go_on.wait()

        worker.register("slow", slow)
        talk = await script.accept("CAN_DO_TIMEOUT", "CAN_DO")
        await talk.expect("OPTION_REQ", "PRE_SLEEP")
        talk.send("NOOP")
        await talk.expect("GRAB_JOB_UNIQ")
        assign(talk, b"H:1", b"slow")
        await soon(lambda: jobs)
        talk.abort()
        await soon(lambda: jobs[0].cancelled)
        go_on.set()
        await soon(lambda: not worker._tasks)

    play(scene)


def test_nothing_is_sent_for_a_job_that_has_ended() -> None:
    async def scene(script: Scripted, worker: Worker) -> None:
        jobs: list[RunningJob] = []

        async def keep(job: RunningJob) -> None:
            jobs.append(job)

        worker.register("keep", keep)
        talk = await script.accept("CAN_DO_TIMEOUT", "CAN_DO")
        await talk.expect("OPTION_REQ", "PRE_SLEEP")
        talk.send("NOOP")
        await talk.expect("GRAB_JOB_UNIQ")
        assign(talk, b"H:1", b"keep")
        await talk.expect("WORK_COMPLETE", "GRAB_JOB_UNIQ")
        jobs[0].send_data(b"late")
        jobs[0].end(14)
        talk.send("NO_JOB")
        await talk.expect("PRE_SLEEP")

    play(scene)


def test_a_server_that_does_not_answer_does_not_keep_the_others_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gearman.aio.worker._PATIENCE", 0.05)

    async def main() -> None:
        async with scripted() as silent, scripted() as other:
            worker = Worker(silent.address, other.address)
            worker.register("f", echo, timeout=1.5)
            work = asyncio.create_task(worker.work())
            first, second = await asleep(silent), await asleep(other)
            first.send("NOOP")
            await first.expect("GRAB_JOB_UNIQ")
            second.send("NOOP")
            await second.expect("GRAB_JOB_UNIQ")
            assign(second, b"H:2")
            await second.expect("WORK_COMPLETE", "GRAB_JOB_UNIQ")
            # It runs all the same, though the slot is not free.
            assign(first, b"H:1")
            await first.expect("WORK_COMPLETE")
            second.send("NO_JOB")
            await second.expect("PRE_SLEEP")
            await first.expect("GRAB_JOB_UNIQ")
            first.send("NO_JOB")
            await first.expect("PRE_SLEEP")
            # Patience begins again with each grab.
            monkeypatch.setattr("gearman.aio.worker._PATIENCE", DEADLINE)
            first.send("NOOP")
            await first.expect("GRAB_JOB_UNIQ")
            worker._lose_patience(asyncio.get_running_loop())
            assert worker.slots.free == 0
            first.send("NO_JOB")
            await first.expect("PRE_SLEEP")
            worker.stop()
            await work
            assert worker.slots.free == 1

    run(main())
