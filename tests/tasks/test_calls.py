"""Tasks are called, submitted and mapped; workers run them."""

from dataclasses import dataclass

import pytest

from gearman.errors import (
    NotAccepted,
    ProtocolError,
    ResultNotReady,
    ServerUnavailable,
    UnknownJob,
)
from gearman.job import GearmanJob, GearmanJobRequest
from gearman.tasks import App, JobFailed, Retry
from gearman.tasks.calling.blocking import outcome
from tests import servers
from tests.servers import Server
from tests.tasks.stage import working


@dataclass
class Point:
    x: int
    y: int = 0


@pytest.fixture(params=[False, True], ids=["server", "eager"])
def run(request: pytest.FixtureRequest, app: App) -> App:
    """An app whose tasks are run by a worker, and one that runs them in place."""
    app.eager = request.param
    return app


def test_a_task_is_a_function(app: App) -> None:
    @app.task
    def add(a: int, b: int = 2) -> int:
        """Add two numbers."""
        return a + b

    assert add(1) == 3
    assert (add.name, add.__name__, add.__doc__) == ("add", "add", "Add two numbers.")
    assert repr(add) == "<PlainTask add>"
    assert app.tasks == {"add": add}


def test_a_call_returns_the_result(run: App) -> None:
    @run.task
    def move(point: Point, by: int = 1) -> Point:
        return Point(point.x + by, point.y)

    with working(run):
        assert move.call(Point(1, 2), by=3) == Point(4, 2)
        assert list(move.map([Point(1), Point(2)], [1, 2])) == [Point(2), Point(4)]


def test_a_failed_call_raises_with_the_reason(run: App) -> None:
    @run.task
    def divide(a: int, b: int) -> float:
        return a / b

    with working(run), pytest.raises(JobFailed, match="ZeroDivisionError: division"):
        divide.call(1, 0)


def test_a_submitted_job_has_its_result_later(run: App) -> None:
    @run.task(keep=60)
    def greet(name: str) -> str:
        return f"hello {name}"

    with working(run):
        job = greet.submit("Ann")
        assert job.result(wait=10) == "hello Ann"
        assert not job.status().known
        assert not job.cancel()
        again = greet.job(job.handle)
        assert (again, hash(again)) == (job, hash(job))
        assert again.result(wait=10) == "hello Ann"
        assert again.unique is None


def test_many_are_submitted_at_once(run: App) -> None:
    @run.task(keep=60)
    def double(number: int) -> int:
        return 2 * number

    @run.task(keep=60)
    def text(number: int) -> str:
        return str(number)

    with working(run):
        jobs = double.submit_many(range(100))
        assert [job.result(wait=10) for job in jobs] == list(range(0, 200, 2))
        mixed = run.submit([double.bind(4), text.bind(5)])
        assert [job.result(wait=10) for job in mixed] == [8, "5"]


def test_a_map_takes_more_items_than_run_at_once(run: App) -> None:
    @run.task
    def double(number: int) -> int:
        return 2 * number

    with working(run):
        assert list(double.map(range(25), concurrency=4)) == list(range(0, 50, 2))
        assert list(double.map([])) == []
        assert list(double.map(range(3), concurrency=1)) == [0, 2, 4]


def test_a_map_needs_columns_of_one_length(app: App) -> None:
    @app.task
    def add(a: int, b: int) -> int:
        return a + b

    with working(app), pytest.raises(ValueError, match="shorter"):
        list(add.map([1, 2], [1]))
    with pytest.raises(ValueError, match="concurrency must be at least 1, not 0"):
        add.map([1], [2], concurrency=0)


def test_wrong_arguments_are_refused_before_anything_is_sent(app: App) -> None:
    @app.task
    def resize(path: str, width: int = 800) -> str:
        return path

    with pytest.raises(
        TypeError, match=r"resize\(\) got an unexpected keyword .*hight"
    ):
        resize.submit("a.jpg", hight=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"resize\(\) missing 1 required positional"):
        resize.call()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="object has no form in JSON"):
        resize.bind(object())  # type: ignore[arg-type]


def test_a_job_is_tried_again(run: App) -> None:
    seen: list[int] = []

    @run.task(retries=2, backoff="fixed:0")
    def flaky() -> int:
        seen.append(1)
        if len(seen) == 1:
            raise OSError("not now")
        if len(seen) == 2:
            raise Retry(0.0, "later", counts=False)
        if len(seen) == 3:
            raise Retry(reason="once more")
        return len(seen)

    with working(run):
        assert flaky.call() == 4


def test_a_job_has_only_its_attempts(run: App) -> None:
    seen: list[int] = []

    @run.task(retries=1, backoff="fixed:0")
    def flaky() -> None:
        seen.append(1)
        raise Retry

    with working(run), pytest.raises(JobFailed):
        flaky.call()
    assert len(seen) == 2


def test_options_of_some_jobs(app: App) -> None:
    @app.task(delay=3600, keep=60)
    def later() -> None: ...

    scheduled = later.with_options(unique="one").submit()
    assert scheduled.unique == "one"
    assert scheduled.status().known
    assert repr(scheduled) == f"<Job {scheduled.handle} of later>"
    with pytest.raises(ResultNotReady):
        scheduled.result(wait=0)
    assert later.with_options(unique="one").submit() == scheduled
    after = later.with_options(delay=None, after=[scheduled]).submit()
    with app.admin(app.addresses[0]) as admin:
        assert admin.get_job(after.handle)["state"] == "awaiting"
    assert later.job(after.handle).status().known
    assert later.job(after.handle).cancel()
    assert scheduled.cancel()
    assert later.options == {"delay": 3600, "keep": 60}


def test_a_job_that_nobody_knows(run: App) -> None:
    @run.task
    def task() -> None: ...

    with pytest.raises(UnknownJob):
        task.job("H:nobody:1").result()
    assert task.job("H:nobody:1") != "H:nobody:1"


def test_a_refused_job_is_not_accepted(app: App) -> None:
    @app.task(need_worker=True)
    def nobody(number: int = 0) -> None: ...

    @app.task
    def limited(number: int) -> None: ...

    with pytest.raises(NotAccepted, match="the job was not accepted") as found:
        nobody.submit()
    assert found.value.jobs == [None]
    with pytest.raises(NotAccepted, match="the job was not accepted"):
        nobody.call()
    with app.admin(app.addresses[0]) as admin:
        admin.set_function("limited", max_queue=2)
        with pytest.raises(NotAccepted, match="1 of 3 jobs were not accepted") as found:
            limited.submit_many(range(3))
        assert [job and job.task for job in found.value.jobs] == [
            limited,
            limited,
            None,
        ]
        admin.purge_function("limited")
        admin.unset_function("limited")


def test_a_refused_cancellation_is_an_error() -> None:
    with (
        servers.ours("--admin-from", "192.0.2.1") as server,
        App(server.address) as app,
    ):

        @app.task
        def task() -> None: ...

        with pytest.raises(ProtocolError, match="ERR"):
            task.submit().cancel()


def test_attempts_of_an_unknown_job_are_unknown(app: App) -> None:
    (server,) = app.addresses
    assert app.calling.failed_attempts(server, "H:nobody:1") is None


def test_without_a_server_nothing_is_submitted() -> None:
    app = App(f"127.0.0.1:{servers.free_port()}")

    @app.task
    def task(number: int = 0) -> None: ...

    with pytest.raises(ServerUnavailable):
        task.submit()
    with pytest.raises(ServerUnavailable):
        task.submit_many([1, 2])
    app.close()


def test_a_lost_connection_ends_a_call(server: Server) -> None:
    with servers.ours() as lost, App(lost.address) as app:

        @app.task
        def end() -> None:
            servers.end(lost.process)

        with working(app), pytest.raises(ServerUnavailable):
            end.call()


def test_a_job_that_was_lost_has_no_outcome(app: App) -> None:
    @app.task
    def task() -> None: ...

    request = GearmanJobRequest(GearmanJob(None, "H:1", "task", "u", b""))
    with pytest.raises(ServerUnavailable, match="lost before H:1 has ended"):
        outcome(task, request)


def test_eager_results_are_kept_for_a_while(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.tasks.calling.eager._KEPT", 1)
    app.eager = True

    @app.task
    def task(number: int) -> int:
        app.current.progress(1, 2)
        app.current.data("part")
        app.current.warning("careful")
        assert not app.current.cancelled
        assert app.current.attempt == 1
        return number

    first, second = task.submit_many([1, 2])
    assert second.result() == 2
    with pytest.raises(UnknownJob):
        first.result()
    assert app.calling.failed_attempts("", first.handle) is None


def test_an_eager_async_task_runs_in_a_loop_of_its_own(app: App) -> None:
    app.eager = True

    @app.task
    async def task(number: int) -> int:
        return app.current.task is task and number

    assert task.is_async
    assert repr(task) == "<AsyncTask task>"
    assert task.call(3) == 3
