"""What this backend adds to what Django has: options, attempts, failures, checks."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.db import connections, transaction
from django.test import override_settings

import gearman
from gearman import testing
from gearman.django import library, results, worker_app
from gearman.django.library import TaskResultDoesNotExist, TaskResultStatus, tasks
from gearman.errors import ConfigurationError, ResultNotReady, ServerUnavailable
from gearman.server import embedded
from tests.django import shop
from tests.django.project import backends, ended, tasks_on


@pytest.fixture(autouse=True)
def fresh() -> None:
    shop.seen.clear()
    shop.started.clear()
    shop.going_on.clear()


@pytest.fixture
def address() -> Iterator[str]:
    with embedded.server() as address:
        yield address


# -- attempts


def test_failed_task_is_tried_again(address: str) -> None:
    with tasks_on(address, retries=2, backoff="fixed:0"), testing.worker(worker_app()):
        result = ended(shop.fails_at_first.enqueue())
        assert (result.return_value, result.attempts) == (2, 2)
        assert result.worker_ids[0] == results.UNKNOWN


def test_task_that_fails_too_often_has_failed(address: str) -> None:
    found: list[Any] = []

    def receive(sender: Any, task_result: Any, **_: Any) -> None:
        found.append(task_result)

    library.signals.task_finished.connect(receive)
    with tasks_on(address, retries=1, backoff="fixed:0"), testing.worker(worker_app()):
        result = ended(shop.failing.enqueue("again"))
        assert (str(result.status), result.attempts) == ("FAILED", 2)
        assert len(result.errors) == 1
    library.signals.task_finished.disconnect(receive)
    # Only at the end.
    assert len(found) == 1


def test_attempt_of_a_running_task_is_counted(address: str) -> None:
    options = {"retries": 5, "backoff": "fixed:0"}
    with tasks_on(address, **options), testing.worker(worker_app()):
        result = shop.fails_then_waits.enqueue()
        assert shop.started.wait(20)
        result.refresh()
        assert str(result.status) == "RUNNING"
        assert result.attempts == 2
        shop.going_on.set()
        assert ended(result).return_value == "went on"


def test_task_asks_for_one_more_run(server: str) -> None:
    with testing.worker(worker_app()):
        assert ended(shop.once_more.enqueue()).return_value == "done"


# -- failures


def test_failure_that_no_worker_told_is_unknown(address: str) -> None:
    with tasks_on(address, ttl=0.1):
        result = shop.noop.enqueue()
        with pytest.raises(TaskResultDoesNotExist, match=f"{result.id}: .* has failed"):
            ended(result)


def test_dead_task_is_known_by_the_list_of_dead_jobs(address: str) -> None:
    with tasks_on(address, ttl=0.1, dead="list"):
        result = ended(shop.noop.enqueue("a"))
        assert (str(result.status), result.args) == ("FAILED", ["a"])
        (error,) = result.errors
        assert error.exception_class is gearman.errors.JobFailed
        assert result.id in error.traceback


def test_result_is_gone_after_its_time(address: str) -> None:
    with tasks_on(address, keep=0), testing.worker(worker_app()):
        result = shop.noop.enqueue()
        with pytest.raises(TaskResultDoesNotExist):
            ended(result)


def test_job_of_another_program_is_no_task(server: str) -> None:
    with gearman.GearmanClient([server]) as client:
        for data in ("no JSON", "[]", "{}", '{"task": 1}'):
            job = client.submit_job("django.default", data, background=True)
            handle = job.job.handle
            with pytest.raises(TaskResultDoesNotExist):
                tasks.default_task_backend.get_result(handle)


def test_path_must_be_that_of_a_task(server: str) -> None:
    with gearman.GearmanClient([server]) as client:
        data = '{"task": "tests.django.shop.no_task"}'
        job = client.submit_job("django.default", data, background=True)
        with pytest.raises(TaskResultDoesNotExist, match="no_task is no task"):
            tasks.default_task_backend.get_result(job.job.handle)
        with testing.worker(worker_app()):
            request = client.submit_job("django.default", data)
        assert request.state == gearman.JOB_FAILED


def test_job_of_another_program_may_be_a_task(server: str) -> None:
    with gearman.GearmanClient([server]) as client:
        data = '{"task": "tests.django.shop.add", "args": [1], "kwargs": {"two": 2}}'
        job = client.submit_job(
            "django.mail", data, background=True, options={"keep": 60}
        )
        handle = job.job.handle
        result = shop.add.get_result(handle)
        assert (result.args, result.kwargs) == ([1], {"two": 2})
        with testing.worker(worker_app()):
            assert ended(result).return_value == 3
            assert shop.add.get_result(handle).task.queue_name == "mail"


def test_long_arguments_are_told_when_the_task_has_ended(server: str) -> None:
    long = "x" * 70_000
    result = shop.add.enqueue(long, "")
    found = shop.add.get_result(result.id)
    assert (str(found.status), found.args) == ("READY", [])
    assert found.enqueued_at == result.enqueued_at
    with testing.worker(worker_app()):
        assert ended(result).return_value == long
        assert shop.add.get_result(result.id).args == [long, ""]


def test_workload_that_is_no_text_is_no_task(server: str) -> None:
    with gearman.GearmanClient([server]) as client:
        job = client.submit_job("django.default", b"\xff", background=True).job
    with pytest.raises(TaskResultDoesNotExist):
        tasks.default_task_backend.get_result(job.handle)


def test_several_servers_are_asked(address: str) -> None:
    with embedded.server() as other, tasks_on(address, other):
        enqueued = [shop.noop.enqueue(number) for number in range(10)]
        assert [shop.noop.get_result(result.id) for result in enqueued] == enqueued


def test_server_that_is_down_is_told() -> None:
    with tasks_on("127.0.0.1:1"):
        with pytest.raises(ServerUnavailable):
            shop.noop.enqueue()
        with pytest.raises(ServerUnavailable):
            shop.noop.get_result("H:a:1")


def test_server_that_does_not_answer_is_told(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_result(handle: str, poll_timeout: float) -> bytes:
        raise ResultNotReady(handle, "")

    monkeypatch.setattr(tasks.default_task_backend.app.client, "get_result", get_result)
    with pytest.raises(ResultNotReady):
        shop.noop.get_result("H:a:1")


def test_job_that_ends_meanwhile_is_asked_for_again(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_result(handle: str, poll_timeout: float) -> bytes:
        raise ResultNotReady(handle, "running")

    monkeypatch.setattr(tasks.default_task_backend.app.client, "get_result", get_result)
    with pytest.raises(TaskResultDoesNotExist):
        shop.noop.get_result("H:a:1")


@override_settings(USE_TZ=False)
def test_project_without_time_zones_has_times_without(server: str) -> None:
    with testing.worker(worker_app()):
        result = shop.waiting.enqueue()
        assert result.enqueued_at.tzinfo is None
        assert shop.started.wait(20)
        result.refresh()
        assert result.started_at.tzinfo is None
        shop.going_on.set()
        assert ended(result).finished_at.tzinfo is None


# -- transactions


def test_task_is_enqueued_when_the_transaction_is_committed(address: str) -> None:
    with tasks_on(address, enqueue_on_commit=True):
        with transaction.atomic():
            result = shop.noop.enqueue()
            assert (result.id, result.enqueued_at) == ("", None)
            with pytest.raises(TaskResultDoesNotExist):
                result.refresh()
        assert shop.noop.get_result(result.id) == result
        assert result.enqueued_at
        # Without a transaction at once.
        assert shop.noop.enqueue().id
    connections.close_all()


def test_task_of_a_transaction_that_fails_is_not_enqueued(address: str) -> None:
    class Rollback(Exception):
        pass

    def buy() -> None:
        with transaction.atomic():
            enqueued.append(shop.noop.enqueue())
            raise Rollback

    enqueued: list[Any] = []
    with tasks_on(address, enqueue_on_commit=True):
        with pytest.raises(Rollback):
            buy()
        assert enqueued[0].id == ""
        with gearman.GearmanAdminClient([address]) as admin:
            assert admin.get_status() == ()
    connections.close_all()


def test_otherwise_a_task_is_enqueued_at_once(server: str) -> None:
    with transaction.atomic():
        assert shop.noop.get_result(shop.noop.enqueue().id)
    connections.close_all()


# -- settings


def test_options_of_jobs_are_those_of_the_setting(address: str) -> None:
    options = {"prefix": "site-", "timeout": 7, "retries": 3, "keep": 60}
    with tasks_on(address, **options), gearman.GearmanAdminClient([address]) as admin:
        job = admin.get_job(shop.noop.using(priority=-5).enqueue().id)
        assert (job["function"], job["priority"]) == ("site-default", "low")
        assert job["options"].startswith("timeout=7&retries=3&keep=60&")
        assert worker_app().tasks["site-mail"].timeout == 7
        assert not worker_app().discover


def test_an_app_may_learn_servers(address: str) -> None:
    with tasks_on(address, discover=True):
        assert worker_app().discover


def found(options: dict[str, Any]) -> list[Any]:
    """Return the texts of what `manage.py check` finds."""
    given = {"BACKEND": "gearman.django.Backend", "OPTIONS": options}
    with override_settings(TASKS={"default": given}):
        return [f"{each.id} {each.msg}" for each in checks.run_checks()]


def test_check_finds_nothing_wrong() -> None:
    assert found({}) == []
    assert found({"servers": ["localhost:4730", "unix:/run/g"], "retries": 1}) == []
    assert found({"servers": "localhost"}) == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"server": "a"}, "'server' is no option: there are servers, prefix"),
        ({"servers": ["a:b:c"]}, "a:b:c"),
        ({"servers": 4730}, "int"),
        ({"retries": -1}, "retries"),
        ({"backoff": "often"}, "backoff"),
        ({"timeout": "x"}, "timeout"),
    ],
)
def test_check_finds_a_wrong_option(options: dict[str, Any], text: str) -> None:
    (error,) = found(options)
    assert error.startswith("gearman.E001 The OPTIONS of TASKS['default'] can't be")
    assert text in error


def test_check_misses_the_app() -> None:
    with override_settings(INSTALLED_APPS=[]):
        (warning,) = tasks.default_task_backend.check()
    assert (warning.id, warning.hint) == (
        "gearman.W001",
        "Add 'gearman.django' to INSTALLED_APPS.",
    )


def test_wrong_option_is_told_when_a_task_is_enqueued() -> None:
    with (
        override_settings(TASKS=backends("localhost", no_such=1)),
        pytest.raises(ConfigurationError, match="'no_such' is no option"),
    ):
        shop.noop.enqueue()


# -- the library of tasks


def test_django_tasks_are_used_if_their_app_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = {library.BUILT_IN, library.PACKAGE}
    monkeypatch.setattr(library, "find_spec", lambda name: name in there or None)
    assert library.chosen(["shop"]) == "django.tasks"
    assert library.chosen(["shop", "django_tasks"]) == "django_tasks"
    there.remove("django.tasks")
    assert library.chosen([]) == "django_tasks"
    there.remove("django_tasks")
    with pytest.raises(ImportError, match="pip install django-tasks"):
        library.chosen([])


def test_tasks_are_those_of_the_library(server: str) -> None:
    assert type(shop.noop).__module__ == f"{tasks.__name__}.base"
    assert TaskResultStatus is tasks.TaskResultStatus
    assert os.fspath(Path(shop.__file__)).endswith("shop.py")
