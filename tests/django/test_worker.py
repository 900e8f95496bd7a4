"""`manage.py gearman_worker`."""

import io
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

import gearman
from gearman.django.management.commands import gearman_worker
from gearman.tasks import TaskWorker
from tests.django import shop
from tests.django.project import ended
from tests.servers import DEADLINE, until


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    shop.seen.clear()
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    yield
    assert handlers == [
        signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)
    ]


def run(*words: str) -> str:
    output = io.StringIO()
    call_command("gearman_worker", *words, stdout=output)
    return output.getvalue()


def test_command_runs_tasks_of_all_queues(server: str) -> None:
    results = [shop.add.enqueue(1, 2), shop.mail.enqueue("ann")]
    said = run("--max-tasks=2")
    assert said == f"Running tasks of {names(said)} on {server}\n"
    assert names(said) in (
        "django.default, django.mail",
        "django.mail, django.default",
    )
    assert [ended(result).return_value for result in results] == [3, "to ann"]


def names(said: str) -> str:
    return said.removeprefix("Running tasks of ").partition(" on ")[0]


def test_command_runs_tasks_of_one_queue(server: str) -> None:
    waiting, result = shop.add.enqueue(1, 2), shop.mail.enqueue("ann")
    said = run("--queue-name=mail", "--max-tasks=1", "--verbosity=0")
    assert said == ""
    assert ended(result).return_value == "to ann"
    waiting.refresh()
    assert str(waiting.status) == "READY"


def test_command_runs_tasks_of_another_backend(server: str) -> None:
    task = shop.add.using(backend="any", queue_name="one")
    result = task.enqueue(1, 2)
    run("--backend=any", "--queue-name=one", "--max-tasks=1")
    assert ended(result).return_value == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_command(server: str, number: signal.Signals) -> None:
    def end() -> None:
        with gearman.GearmanAdminClient([server]) as admin:
            until(lambda: sum(row["workers"] for row in admin.get_status()) == 6)
        # Like one that comes right before a wait, it does not interrupt that.
        signal.pthread_kill(threading.get_ident(), number)

    thread = threading.Thread(target=end)
    thread.start()
    # Three threads, with two queues.
    run("--threads=3")
    thread.join(DEADLINE)


def test_several_threads_run_tasks_at_once(server: str) -> None:
    shop.started.clear()
    shop.going_on.clear()
    long, short = shop.waiting.enqueue(), shop.add.enqueue(1, 2)
    # Not in the main thread, where there are no signals to be handled.
    with ThreadPoolExecutor() as pool:
        command = pool.submit(run, "--threads=2", "--max-tasks=1")
        assert ended(short).return_value == 3
        shop.going_on.set()
        assert ended(long).return_value == "went on"
        command.result(DEADLINE)


def test_failing_worker_ends_the_command(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bug(Exception):
        pass

    work = TaskWorker.work
    workers: list[Any] = []

    def fail(self: TaskWorker) -> int:
        workers.append(self)
        if len(workers) == 2:
            raise Bug
        return work(self)

    monkeypatch.setattr(TaskWorker, "work", fail)
    with pytest.raises(Bug):
        run("--threads=2")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--threads=0"], "--threads must be at least 1"),
        (["--backend=dummy"], "'dummy' of TASKS is no gearman.django.Backend"),
        (["--backend=any"], "has no QUEUES"),
        (["--backend=unknown"], "unknown"),
    ],
)
def test_wrong_option_is_told(server: str, words: list[str], text: str) -> None:
    with pytest.raises(CommandError, match=text):
        run(*words)


def test_help_names_the_options() -> None:
    parser = gearman_worker.Command().create_parser("manage.py", "gearman_worker")
    text = parser.format_help()
    for option in ("--backend", "--queue-name", "--threads", "--max-tasks"):
        assert option in text
