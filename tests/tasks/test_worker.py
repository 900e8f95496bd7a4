"""Workers of plain tasks: which jobs they take, when they end, what they tell."""

import pytest

from gearman.tasks import App, JobFailed, TaskWorker
from tests.client.stage import HandServer, meanwhile
from tests.servers import DEADLINE, until
from tests.tasks.stage import working


def test_a_worker_runs_the_plain_tasks(app: App) -> None:
    @app.task(timeout=5)
    def plain() -> None: ...

    @app.task
    def other() -> None: ...

    @app.task
    async def waits() -> None: ...

    assert TaskWorker(app).functions == ["plain", "other"]
    assert TaskWorker(app, ["other"]).functions == ["other"]
    with pytest.raises(ValueError, match="the app has no task 'third'"):
        TaskWorker(app, ["third"])
    with pytest.raises(ValueError, match="the task waits is async def"):
        TaskWorker(app, ["waits"])


def test_a_worker_ends_after_max_jobs(app: App) -> None:
    @app.task
    def task() -> int:
        return 1

    worker = TaskWorker(app, max_jobs=2, client_id="two")
    for _ in range(2):
        work = meanwhile(worker.work)
        assert [task.call(), task.call()] == [1, 1]
        assert work.result(DEADLINE) == 2


def test_a_worker_tells_start_and_end(app: App) -> None:
    told: list[object] = []

    @app.task
    def task(number: int) -> int:
        return 1 // number

    def start(function: str, handle: str) -> None:
        told.append((function, handle))

    def end(
        function: str, handle: str, seconds: float, error: BaseException | None
    ) -> None:
        assert 0 <= seconds < DEADLINE
        told.append((function, handle, type(error)))

    with working(app, on_start=start, on_end=end):
        task.call(1)
        with pytest.raises(JobFailed):
            task.call(0)
    assert [each[0] for each in told] == ["task"] * 4  # type: ignore[index]
    kinds = [each[2] for each in told if len(each) > 2]  # type: ignore[arg-type, index]
    assert kinds == [type(None), ZeroDivisionError]


def test_a_worker_may_tell_the_start_or_the_end_alone(app: App) -> None:
    told: list[str] = []

    @app.task
    def task() -> None: ...

    with working(app, on_start=lambda *_: told.append("start")):
        task.call()
    with working(app, on_end=lambda *_: told.append("end")):
        task.call()
    assert told == ["start", "end"]


def test_a_workload_that_does_not_fit_fails(app: App) -> None:
    @app.task
    def task(number: int) -> None: ...

    with working(app):
        for workload in (b"{", b"[1, 2]"):
            request = app.client.submit_job("task", workload)
            assert request.state == "FAILED"


def test_a_worker_tells_whether_it_is_connected(app: App) -> None:
    @app.task
    def task() -> None: ...

    worker = TaskWorker(app)
    assert not worker.connected
    work = meanwhile(worker.work)
    until(lambda: worker.connected)
    worker.stop()
    work.result(DEADLINE)
    assert not worker.connected


@pytest.mark.parametrize(
    "answer", [("OPTION_RES", b"extensions"), ("ERROR", b"UNKNOWN_OPTION", b"")]
)
def test_a_worker_is_connected_once_a_server_has_its_functions(
    answer: tuple[str, *tuple[bytes, ...]],
) -> None:
    with HandServer() as server, App(server.address) as app:

        @app.task
        def task() -> None: ...

        with working(app) as worker:
            side = server.accept()
            side.expect("SET_CLIENT_ID", "RESET_ABILITIES", "CAN_DO", "OPTION_REQ")
            assert not worker.connected
            side.send(*answer)
            until(lambda: worker.connected)
