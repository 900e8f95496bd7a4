"""What Django documents of each backend for tasks."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django.utils import timezone

import gearman
from gearman import testing
from gearman.django import Backend, worker_app
from gearman.django.library import (
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
    _exceptions,
    signals,
    tasks,
)
from gearman.django.messages import NOTE
from gearman.server import embedded
from tests.django import shop
from tests.django.project import LIBRARY, ended, tasks_on
from tests.servers import DEADLINE

InvalidTask = getattr(_exceptions, "InvalidTask", None) or _exceptions.InvalidTaskError


@pytest.fixture(autouse=True)
def fresh() -> None:
    shop.seen.clear()
    shop.started.clear()
    shop.going_on.clear()


@pytest.fixture
def worker(server: str) -> Iterator[None]:
    """A worker of all queues."""
    with testing.worker(worker_app()):
        yield


@contextmanager
def recorded(signal: Any) -> Iterator[list[Any]]:
    """Record the results that a signal is sent with."""
    found: list[Any] = []

    def receive(sender: Any, task_result: Any, **_: Any) -> None:
        assert issubclass(sender, Backend)
        found.append((task_result, str(task_result.status)))

    signal.connect(receive)
    yield found
    signal.disconnect(receive)


# -- enqueueing


@pytest.mark.parametrize("how", ["default", "async"])
def test_enqueued_task_is_ready(server: str, how: str) -> None:
    before = timezone.now()
    with recorded(signals.task_enqueued) as sent:
        if how == "default":
            result = shop.noop.enqueue(1, two=3)
        else:
            result = asyncio.run(shop.noop.aenqueue(1, two=3))
    assert isinstance(result, TaskResult)
    assert result.status == TaskResultStatus.READY
    assert not result.is_finished
    assert before <= result.enqueued_at <= timezone.now()
    assert (result.started_at, result.last_attempted_at) == (None, None)
    assert (result.finished_at, result.errors, result.worker_ids) == (None, [], [])
    assert (result.args, result.kwargs) == ([1], {"two": 3})
    assert (result.task, result.backend, result.attempts) == (shop.noop, "default", 0)
    assert 0 < len(result.id) <= 64
    assert sent == [(result, "READY")]
    with pytest.raises(ValueError, match="Task has not finished yet"):
        result.return_value  # noqa: B018


def test_enqueued_task_is_found_as_it_was_enqueued(server: str) -> None:
    result = shop.noop.enqueue(1, [2, {"three": None}], four="ü")
    for found in (
        tasks.default_task_backend.get_result(result.id),
        shop.noop.get_result(result.id),
        asyncio.run(shop.noop.aget_result(result.id)),
    ):
        assert found == result


def test_arguments_are_copied(server: str) -> None:
    args: list[Any] = [1]
    result = shop.noop.enqueue(args)
    args.append(2)
    assert result.args == [[1]]


@pytest.mark.parametrize("value", [object(), {1, 2}, shop.no_task, timezone.now()])
def test_arguments_are_those_of_json(server: str, value: object) -> None:
    with pytest.raises(TypeError, match="Unsupported type"):
        shop.noop.enqueue(value)
    with pytest.raises(TypeError, match="Unsupported type"):
        shop.noop.enqueue(key=value)
    with pytest.raises(TypeError, match="Unsupported type"):
        asyncio.run(shop.noop.aenqueue(value))


def test_bytes_and_tuples_are_normalized(worker: None) -> None:
    assert ended(shop.add.enqueue((1,), (2,))).return_value == [1, 2]
    assert ended(shop.add.enqueue(b"a", b"b")).return_value == "ab"


# -- what tasks may be


def test_backend_supports_all_that_django_has(server: str) -> None:
    backend = tasks.default_task_backend
    assert backend.supports_defer
    assert backend.supports_async_task
    assert backend.supports_get_result
    assert backend.supports_priority


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"queue_name": "unknown"}, "Queue 'unknown' is not valid for backend"),
        ({"priority": 101}, "priority must be a whole number between -100 and 100"),
        ({"priority": -101}, "priority must be a whole number between -100 and 100"),
        ({"priority": 3.1}, "priority must be a whole number between -100 and 100"),
        ({"run_after": datetime(2030, 1, 1)}, "run_after must be an aware datetime"),
    ],
)
def test_invalid_task_is_refused(
    server: str, changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidTask, match=text):
        shop.noop.using(**changes)


def test_task_is_checked_when_it_is_enqueued(server: str) -> None:
    task = shop.noop.using(queue_name="mail")
    without = {"default": {"BACKEND": "gearman.django.Backend"}}
    with override_settings(TASKS=without):
        with pytest.raises(InvalidTask, match="Queue 'mail' is not valid"):
            task.enqueue()
        with pytest.raises(InvalidTask, match="Queue 'mail' is not valid"):
            asyncio.run(task.aenqueue())


def test_function_of_a_task_is_one_of_a_module(server: str) -> None:
    functions: list[Any] = [lambda: None, any, "".join]
    for function in functions:
        with pytest.raises(InvalidTask, match="module level"):
            tasks.task(function)


def test_task_with_context_has_an_argument_for_it(server: str) -> None:
    with pytest.raises(InvalidTask, match="takes context but does not have"):
        tasks.task(takes_context=True)(shop.no_task)


def test_backend_without_queues_takes_any(server: str) -> None:
    result = shop.noop.using(backend="any", queue_name="whichever").enqueue()
    with gearman.GearmanAdminClient([server]) as admin:
        assert admin.get_job(result.id)["function"] == "django.whichever"


# -- running


def test_task_runs_and_has_its_result(worker: None) -> None:
    with (
        recorded(signals.task_started) as starts,
        recorded(signals.task_finished) as ends,
    ):
        result = ended(shop.add.enqueue(1, two=2))
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert (result.return_value, result.attempts, result.errors) == (3, 1, [])
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert result.last_attempted_at == result.started_at
    (worker_id,) = result.worker_ids
    assert worker_id
    assert shop.add.get_result(result.id) == result
    assert [status for _, status in starts] == ["RUNNING"]
    assert [status for _, status in ends] == ["SUCCESSFUL"]
    assert ends[0][0].return_value == 3
    assert starts[0][0].id == ends[0][0].id == result.id


def test_task_of_asyncio_runs(worker: None) -> None:
    assert ended(shop.later.enqueue(1)).return_value == 2


def test_result_is_refreshed_by_asyncio(worker: None) -> None:
    async def wait() -> Any:
        result = await shop.later.aenqueue(2)
        while not result.is_finished:
            await result.arefresh()
        return result.return_value

    assert asyncio.run(asyncio.wait_for(wait(), DEADLINE)) == 3


def test_task_of_another_queue_and_priority_runs(worker: None) -> None:
    result = ended(shop.mail.enqueue("ann"))
    assert result.return_value == "to ann"
    found = shop.mail.get_result(result.id)
    assert (found.task.queue_name, found.task.priority) == ("mail", 7)


def test_running_task_is_running(worker: None) -> None:
    result = shop.waiting.enqueue()
    assert shop.started.wait(DEADLINE)
    result.refresh()
    assert result.status == TaskResultStatus.RUNNING
    assert result.enqueued_at <= timezone.now()
    assert abs(result.started_at - timezone.now()) < timedelta(seconds=DEADLINE)
    assert result.last_attempted_at == result.started_at
    assert result.attempts == 1
    shop.going_on.set()
    assert ended(result).return_value == "went on"


def test_failed_task_has_its_error(worker: None) -> None:
    with recorded(signals.task_finished) as ends:
        result = ended(shop.failing.enqueue("it is broken"))
    assert result.status == TaskResultStatus.FAILED
    assert (result.args, result.attempts) == (["it is broken"], 1)
    assert result.enqueued_at <= result.started_at <= result.finished_at
    (error,) = result.errors
    assert error.exception_class is ValueError
    assert error.traceback.endswith("ValueError: it is broken\n")
    assert "KeyError: 'a cause'" in error.traceback
    with pytest.raises(ValueError, match="Task failed"):
        result.return_value  # noqa: B018
    assert [status for _, status in ends] == ["FAILED"]
    assert ends[0][0].errors[0].exception_class is ValueError


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("complex_exception", ValueError),
        ("bad_value", TypeError),
        ("leaving", SystemExit),
    ],
)
def test_task_fails_in_other_ways(worker: None, name: str, kind: type) -> None:
    result = ended(getattr(shop, name).enqueue())
    assert result.status == TaskResultStatus.FAILED
    (error,) = result.errors
    assert error.exception_class is kind
    assert error.traceback.rstrip().rpartition(f"{kind.__name__}: ")[2]
    assert NOTE not in error.traceback
    # The worker goes on.
    assert ended(shop.add.enqueue(1, 2)).return_value == 3


def test_context_has_the_result_and_the_attempt(worker: None) -> None:
    result = ended(shop.attempt.enqueue())
    assert result.return_value == [1, result.id, "RUNNING", []]


def test_deferred_task_runs_later(worker: None) -> None:
    when = timezone.now() + timedelta(seconds=1)
    result = shop.add.using(run_after=when).enqueue(1, 2)
    assert shop.add.get_result(result.id).status == TaskResultStatus.READY
    assert shop.add.get_result(result.id).task.run_after == when
    assert ended(result).return_value == 3
    assert result.started_at >= when


def test_tasks_of_higher_priority_run_earlier(server: str) -> None:
    enqueued = [
        shop.add.using(priority=number).enqueue(number, 0) for number in (-1, 0, 100)
    ]
    with testing.worker(worker_app()):
        for result in enqueued:
            ended(result)
    assert [one for one, _ in shop.seen] == [100, 0, -1]


# -- results


@pytest.mark.parametrize("name", ["H:unknown:1", "", "a b", "x" * 65, "ü", "a\nb", 123])
def test_unknown_result_does_not_exist(server: str, name: Any) -> None:
    with pytest.raises(TaskResultDoesNotExist):
        shop.noop.get_result(name)
    with pytest.raises(TaskResultDoesNotExist):
        asyncio.run(shop.noop.aget_result(name))


def test_result_of_another_task_does_not_match(server: str) -> None:
    result = shop.noop.enqueue()
    with pytest.raises(_exceptions.TaskResultMismatch):
        shop.add.get_result(result.id)
    with pytest.raises(_exceptions.TaskResultMismatch):
        asyncio.run(shop.add.aget_result(result.id))


def test_refreshed_result_is_the_same_until_something_happens(server: str) -> None:
    result = shop.noop.enqueue(1, two=3)
    before = asdict(result)
    result.refresh()
    assert asdict(result) == before
    asyncio.run(result.arefresh())
    assert asdict(result) == before


def test_result_and_its_task_can_be_copied(server: str) -> None:
    result = deepcopy(shop.noop.enqueue(1, two=3))
    result.refresh()
    assert shop.noop.get_result(result.id) == result


@pytest.fixture
def logged() -> Iterator[list[logging.LogRecord]]:
    """What Django logs about tasks."""
    records: list[logging.LogRecord] = []
    logger, handler = logging.getLogger(LIBRARY), logging.Handler()
    handler.emit = records.append  # type: ignore[assignment, method-assign]
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_log_has_the_ways_of_tasks(
    worker: None, logged: list[logging.LogRecord]
) -> None:
    done, failed = ended(shop.noop.enqueue()), ended(shop.failing.enqueue("broken"))
    for result, states in ((done, "SUCCESSFUL"), (failed, "FAILED")):
        own = [line for line in logged if result.id in line.getMessage()]
        # A worker may be faster than the one who enqueues.
        (enqueued,) = (line for line in own if "enqueued" in line.getMessage())
        started, finished = (line for line in own if line is not enqueued)
        assert "state=RUNNING" in started.getMessage()
        assert f"state={states}" in finished.getMessage()
        problem = finished.exc_info and finished.exc_info[0]
        assert problem is (None if states == "SUCCESSFUL" else ValueError)


# -- settings


def test_backend_that_is_another_has_no_worker(server: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="'dummy' of TASKS is no gearman"):
        worker_app("dummy")


def test_backend_without_queues_needs_their_names(server: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="has no QUEUES"):
        worker_app("any")
    assert [*worker_app("any", ["one"]).tasks] == ["django.one"]


def test_worker_has_no_queue_that_its_process_only_enqueues_to(server: str) -> None:
    shop.add.using(backend="any", queue_name="two").enqueue(1, 2)
    assert [*worker_app("any", ["one"]).tasks] == ["django.one"]
    with pytest.raises(ImproperlyConfigured, match="has no QUEUES"):
        worker_app("any")


def test_threads_enqueue_at_once() -> None:
    with embedded.server() as address, tasks_on(address):
        results: list[Any] = []

        def enqueue() -> None:
            results.extend(shop.noop.enqueue(number) for number in range(20))

        threads = [threading.Thread(target=enqueue) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        assert len({result.id for result in results}) == 80
        with gearman.GearmanAdminClient([address]) as admin:
            assert admin.get_status()[0]["queued"] == 80


def test_lookup_does_not_wait_for_the_end(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A lookup that waited would not return before the test has to.
    monkeypatch.setattr("gearman.django.results._ANSWER", 10 * DEADLINE)
    result = shop.noop.enqueue()
    assert shop.noop.get_result(result.id).status == TaskResultStatus.READY
