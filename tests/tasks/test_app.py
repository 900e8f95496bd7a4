"""The app: its servers, its tasks, its middleware, the job in hand."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest

from gearman.errors import NoCurrentJob, OptionError
from gearman.tasks import App, Call, CurrentJob, JobFailed
from gearman.tasks.middleware import Middleware
from gearman.tasks.options import steering
from tests.client.stage import meanwhile
from tests.servers import DEADLINE, Server
from tests.tasks.stage import working


def test_servers_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App()
    monkeypatch.delenv("GEARMAN_SERVERS", raising=False)
    monkeypatch.delenv("GEARMAN_SERVER", raising=False)
    assert app.addresses == ["localhost:4730"]
    monkeypatch.setenv("GEARMAN_SERVERS", "a:1,[::1]:2")
    assert app.addresses == ["a:1", "[::1]:2"]


def test_servers_may_be_set_later(server: Server) -> None:
    app = App("localhost:1")

    @app.task
    def task() -> int:
        return 1

    assert app.calling is app.calling
    app.addresses = [server.address]
    with working(app):
        assert task.call() == 1
    app.close()
    app.close()


def test_two_tasks_of_one_name_are_refused() -> None:
    app = App()

    @app.task(name="mail")
    def one() -> None: ...

    with pytest.raises(ValueError, match="there is a task mail already: <function"):

        @app.task(name="mail")
        def two() -> None: ...

    assert app.tasks == {"mail": one}


def test_wrong_options_are_refused() -> None:
    app = App()
    with pytest.raises(OptionError, match="retries must be a whole number"):
        app.task(retries="many")(print)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="'retry' is no option of a task"):
        app.task(retry=1)(print)  # type: ignore[call-overload]
    with pytest.raises(OptionError, match="priority must be high, normal or low"):
        app.task(priority="urgent")(print)  # type: ignore[call-overload]


def test_options_become_those_of_the_client() -> None:
    assert steering({"priority": None, "keep": None}).options is None
    found = steering({"at": datetime(1970, 1, 2, tzinfo=UTC), "priority": "high"})
    assert found.options is not None
    assert (found.options.at, found.priority) == (86400.0, "HIGH")
    found = steering({"after": "H:1", "unique": "u"})
    assert found.options is not None
    assert (found.options.after, found.unique) == ((b"H:1",), "u")


def test_there_is_no_current_job_outside_of_a_job(app: App) -> None:
    other = App()

    @app.task
    def task() -> str:
        with pytest.raises(NoCurrentJob):
            _ = other.current
        return app.current.handle

    with pytest.raises(NoCurrentJob, match="no job is run here"):
        _ = app.current
    with working(app):
        assert task.call().startswith("H:test:")


def test_the_current_job_tells_of_itself(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(timeout=100, retries=1, backoff="fixed:0")
    def task() -> list[Any]:
        job = app.current
        job.progress(1, 2)
        job.data("part")
        job.warning(b"careful")
        if job.attempt == 1:
            raise OSError
        assert job.deadline is not None
        left = job.deadline - job.started
        return [job.function, job.attempt, job.cancelled, left, job.unique]

    with working(app):
        request = app.client.submit_job(
            "task", "", unique="mine", retries=1, backoff="fixed:0"
        )
        assert request.result == '["task",2,false,100.0,"mine"]'
        assert list(request.data_updates) == ["part", "part"]
        assert list(request.warning_updates) == ["careful", "careful"]
        assert request.status["numerator"] == 1


def test_a_job_without_a_timeout_has_no_deadline(app: App) -> None:
    @app.task
    def task() -> bool:
        return app.current.deadline is None

    app.eager = True
    assert task.call()


def test_lines_of_the_log_name_the_job(app: App) -> None:
    records: list[logging.LogRecord] = []

    @app.task
    def task() -> None:
        app.current.log.warning("halfway", extra={"step": 1})

    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign, assignment]
    logger = logging.getLogger("gearman.tasks")
    logger.addHandler(handler)
    app.eager = True
    task.call()
    logger.removeHandler(handler)
    (record,) = records
    assert record.getMessage() == "eager:1 task: halfway"
    assert record.__dict__["function"] == "task"
    assert record.__dict__["step"] == 1


class Notes(Middleware):
    """Writes down what happens, and gives jobs other options."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def submitting(self, call: Call[Any]) -> Call[Any]:
        self.seen.append(f"submitting {call.task.name}")
        return Call(call.task.with_options(keep=60), call.workload)

    @contextmanager
    def running(self, job: CurrentJob) -> Iterator[None]:
        self.seen.append(f"running {job.function}")
        try:
            yield
        except ValueError as error:
            self.seen.append(f"failed: {error}")
            raise


@pytest.mark.parametrize("eager", [False, True])
def test_middleware_is_around_submissions_and_runs(server: Server, eager: bool) -> None:
    notes = Notes()
    with App(server.address, middleware=[Middleware(), notes], eager=eager) as app:

        @app.task(name="noted")
        def task(number: int) -> int:
            if not number:
                raise ValueError("nothing")
            return number

        with working(app):
            assert task.submit(1).result(wait=10) == 1
            assert list(task.map([2])) == [2]
            assert [job.result(wait=10) for job in task.submit_many([3])] == [3]
            with pytest.raises(JobFailed):
                task.call(0)
    said = ["submitting noted", "running noted"]
    assert notes.seen == [*said * 4, "failed: nothing"]
    assert repr(task.bind(1)).startswith('<Call of noted with b\'{"args":[1]')


def test_threads_share_one_client(server: Server) -> None:
    with App(server.address) as app:
        together = Barrier(8)

        def client() -> object:
            together.wait()
            return app.client

        found = [meanwhile(client) for _ in range(8)]
        assert len({each.result(DEADLINE) for each in found}) == 1
