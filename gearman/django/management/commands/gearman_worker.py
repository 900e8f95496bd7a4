"""`manage.py gearman_worker`: run tasks in threads of this process."""

import signal
import threading
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from ....blocking.polling import Wakeup, ready
from ....errors import ConfigurationError
from ....tasks import TaskWorker
from ...backend import DEFAULT, worker_app
from ...running import worker_id


class Command(BaseCommand):
    """Runs tasks until SIGTERM or SIGINT; then those in hand are finished."""

    help = "Run tasks that were enqueued by gearman.django.Backend."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--backend",
            default=DEFAULT,
            metavar="ALIAS",
            help="the backend in TASKS (default: %(default)s)",
        )
        parser.add_argument(
            "--queue-name",
            action="append",
            default=[],
            metavar="QUEUE",
            help="a queue whose tasks are run (default: all QUEUES of the backend)",
        )
        parser.add_argument(
            "--threads",
            type=int,
            default=1,
            metavar="N",
            help="tasks that are run at once (default: %(default)s)",
        )
        parser.add_argument(
            "--max-tasks",
            type=int,
            metavar="N",
            help="end after each thread has run so many tasks",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["threads"] < 1:
            raise CommandError("--threads must be at least 1")
        try:
            app = worker_app(options["backend"], options["queue_name"])
        except (ConfigurationError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error
        workers = [
            TaskWorker(
                app, client_id=f"{worker_id()}-{number}", max_jobs=options["max_tasks"]
            )
            for number in range(options["threads"])
        ]
        names = ", ".join(workers[0].functions)
        if options["verbosity"]:
            self.stdout.write(f"Running tasks of {names} on {', '.join(app.addresses)}")
            # What reads from a pipe would get it at the end.
            self.stdout.flush()
        _work(workers)


def _work(workers: Sequence[TaskWorker]) -> None:
    """Let all workers work until they are stopped, or one fails."""

    def stop(*_: object) -> None:
        for worker in workers:
            worker.stop()

    with (
        closing(Wakeup()) as wakeup,
        _signals(stop),
        wakeup.by_signals(),
        ThreadPoolExecutor(len(workers)) as pool,
    ):
        futures = [pool.submit(worker.work) for worker in workers]
        for future in futures:
            future.add_done_callback(lambda _: wakeup.wake())
        try:
            while futures:
                # A signal that comes right before a wait for a lock would not end that.
                ready([wakeup], [], None)
                wakeup.clear()
                for future in filter(Future.done, list(futures)):
                    futures.remove(future)
                    future.result()
        finally:
            stop()


@contextmanager
def _signals(stop: Any) -> Iterator[None]:
    """Call `stop` at SIGTERM and SIGINT, if this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    former = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, former, strict=True):
            signal.signal(number, handler)
