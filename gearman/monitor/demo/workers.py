"""Workers of the demonstration: quick and slow ones, and some that fail."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ...errors import GearmanError
from ...job import GearmanJob
from ...worker import GearmanWorker

_RANDOM: Final = random.Random()


@dataclass(frozen=True, slots=True)
class Kind:
    """How workers of a function behave: how many, how long a job takes, what fails."""

    function: str
    workers: int
    seconds: float
    failures: float = 0.0


KINDS: Final = (
    Kind("mail.send", 4, 0.05, 0.08),
    Kind("image.resize", 3, 0.4, 0.01),
    Kind("search.index", 2, 0.02),
    Kind("report.minute", 1, 1.5),
    Kind("report.year", 1, 2.0, 0.5),
    Kind("cache.warm", 2, 0.005),
    # Its queue grows and shrinks.
    Kind("video.encode", 2, 0.9, 0.05),
)


def run(server: str) -> None:
    """Run all workers, each in a thread, for as long as the process lives."""
    threads = [
        threading.Thread(target=_work, args=(server, kind), daemon=True)
        for kind in KINDS
        for _ in range(kind.workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _work(server: str, kind: Kind) -> None:
    while True:
        try:
            with GearmanWorker([server]) as worker:
                worker.set_client_id(f"demo-{kind.function}")
                worker.register_task(kind.function, _task(kind))
                worker.work()
        except (GearmanError, OSError):
            # The server restarts, or this process is about to end.
            time.sleep(1)


def _task(kind: Kind) -> Callable[[GearmanWorker, GearmanJob], bytes]:
    def task(worker: GearmanWorker, job: GearmanJob) -> bytes:
        time.sleep(kind.seconds * _RANDOM.lognormvariate(0, 0.5))
        if _RANDOM.random() < kind.failures:
            raise RuntimeError(f"{kind.function} could not be done")
        return b"done"

    return task
