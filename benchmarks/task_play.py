"""Plays a load of one system of tasks: ``python -m benchmarks.task_play SYSTEM LOAD``.

It prints one line of JSON: how many jobs, in how many seconds, and how much CPU time of
this process that took. `benchmarks/tasks.py` calls it with the Python in which the
system is installed.

The task adds its number to a sum, and a worker that has run all jobs compares that sum
with the right one.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path


class Stopwatch:
    """Says how long something took, beginning now."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._cpu = time.process_time()

    def say(self, jobs: int, *, right: bool) -> None:
        """Print the outcome."""
        cpu, seconds = time.process_time(), time.perf_counter()
        outcome = {
            "jobs": jobs,
            "seconds": seconds - self._start,
            "cpu": cpu - self._cpu,
            "right": right,
        }
        print(json.dumps(outcome), flush=True)


class Tally:
    """Counts the jobs that this process has run; ends it after the last one."""

    def __init__(self) -> None:
        self.awaited = 0
        self._count = 0
        self._sum = 0
        self._stopwatch = Stopwatch()
        self._lock = threading.Lock()

    def add(self, number: int) -> int:
        """Count a job. The first one only starts the clock."""
        with self._lock:
            self._count += 1
            self._sum += number
            if self._count == 1:
                self._stopwatch = Stopwatch()
            if self._count == self.awaited:
                self._report()
        return number

    def _report(self) -> None:
        jobs = self.awaited
        right = self._sum == jobs * (jobs - 1) // 2
        self._stopwatch.say(jobs - 1, right=right)
        os._exit(0)


TALLY = Tally()


def noop(number: int) -> int:
    """Return the number."""
    return TALLY.add(number)


def forget(number: int) -> None:
    """Return nothing, for a system that asks for that."""
    TALLY.add(number)


class System:
    """A system of tasks that is connected to its broker at a port."""

    def submit(self, number: int) -> object:
        """Submit one job."""
        raise NotImplementedError

    def submit_many(self, numbers: Sequence[int]) -> Sequence[object]:
        """Submit jobs in one call, or what comes nearest."""
        raise NotImplementedError

    def call(self, number: int) -> int:
        """Submit one job, and wait for its result."""
        raise NotImplementedError

    def work(self) -> None:
        """Run jobs in this thread, until the process ends."""
        raise NotImplementedError


class Gearman(System):
    def __init__(self, port: int) -> None:
        from gearman.tasks import App

        self._app = App(f"127.0.0.1:{port}")
        self._noop = self._app.task(noop)

    def submit(self, number: int) -> object:
        return self._noop.submit(number)

    def submit_many(self, numbers: Sequence[int]) -> Sequence[object]:
        return self._noop.submit_many(numbers)

    def call(self, number: int) -> int:
        return self._noop.call(number)

    def work(self) -> None:
        from gearman.tasks import TaskWorker

        TaskWorker(self._app).work()


class Rq(System):
    def __init__(self, port: int) -> None:
        import redis
        import rq

        self._connection = redis.Redis(port=port)
        self._queue = rq.Queue(connection=self._connection)
        self._function = f"{__spec__.name}.noop"

    def submit(self, number: int) -> object:
        return self._queue.enqueue(self._function, number, result_ttl=0)

    def submit_many(self, numbers: Sequence[int]) -> Sequence[object]:
        import rq

        jobs = [
            rq.Queue.prepare_data(self._function, (number,), result_ttl=0)
            for number in numbers
        ]
        made: Sequence[object] = self._queue.enqueue_many(jobs)
        return made

    def call(self, number: int) -> int:
        job = self._queue.enqueue(self._function, number)
        return int(job.latest_result(timeout=60).return_value)

    def work(self) -> None:
        import logging

        import rq

        # It does not start a process for each job, as the usual worker does.
        worker = rq.SimpleWorker([self._queue], connection=self._connection)
        worker.work(logging_level=logging.WARNING)


class Celery(System):
    def __init__(self, port: int) -> None:
        import celery

        url = f"redis://127.0.0.1:{port}/0"
        self._app = celery.Celery("noop", broker=url, backend=url)
        self._app.conf.update(
            task_acks_late=True,
            worker_prefetch_multiplier=1000,
            worker_hijack_root_logger=False,
            worker_redirect_stdouts=False,
            broker_connection_retry_on_startup=True,
        )
        self._noop = self._app.task(noop, name="noop")
        self._forget = self._app.task(noop, name="forget", ignore_result=True)

    def submit(self, number: int) -> object:
        return self._forget.delay(number)

    def submit_many(self, numbers: Sequence[int]) -> Sequence[object]:
        import celery

        calls = celery.group(self._forget.s(number) for number in numbers)
        return list(calls.apply_async().results)

    def call(self, number: int) -> int:
        return int(self._noop.delay(number).get(timeout=60))

    def work(self) -> None:
        words = "worker -P solo -l ERROR --without-gossip --without-mingle"
        self._app.worker_main([*words.split(), "--without-heartbeat"])


class Dramatiq(System):
    def __init__(self, port: int) -> None:
        # Otherwise a worker with one thread rests between jobs: 2 are fetched then.
        os.environ["dramatiq_queue_prefetch"] = "1000"  # noqa: SIM112 - its name
        import dramatiq
        from dramatiq.brokers.redis import RedisBroker
        from dramatiq.middleware import Retries
        from dramatiq.results import Results
        from dramatiq.results.backends import RedisBackend

        # The other middleware of its default list costs time.
        self._broker = RedisBroker(port=port, middleware=[Retries()])
        self._broker.add_middleware(Results(backend=RedisBackend(port=port)))
        dramatiq.set_broker(self._broker)
        self._noop = dramatiq.actor(actor_name="noop", store_results=True)(noop)
        self._forget = dramatiq.actor(actor_name="forget")(forget)

    def submit(self, number: int) -> object:
        return self._forget.send(number)

    def submit_many(self, numbers: Sequence[int]) -> Sequence[object]:
        import dramatiq

        calls = dramatiq.group(self._forget.message(number) for number in numbers)
        return list(calls.run().children)

    def call(self, number: int) -> int:
        return int(self._noop.send(number).get_result(block=True, timeout=60_000))

    def work(self) -> None:
        import dramatiq

        worker = dramatiq.Worker(self._broker, worker_threads=1)
        worker.start()
        threading.Event().wait()


SYSTEMS: dict[str, Callable[[int], System]] = {
    "gearman": Gearman,
    "rq": Rq,
    "celery": Celery,
    "dramatiq": Dramatiq,
}


def submit(system: System, jobs: int) -> None:
    """Submit jobs one after the other. The first one connects, and is not counted."""
    system.submit(0)
    stopwatch = Stopwatch()
    for number in range(1, jobs):
        system.submit(number)
    stopwatch.say(jobs - 1, right=True)


def submit_many(system: System, jobs: int) -> None:
    """Submit jobs in one call, after one that connects."""
    system.submit(0)
    stopwatch = Stopwatch()
    made = system.submit_many(range(jobs))
    stopwatch.say(jobs, right=len(made) == jobs)


def work(system: System, jobs: int) -> None:
    """Run the jobs that were submitted."""
    TALLY.awaited = jobs
    system.work()


def call(system: System, jobs: int) -> None:
    """Call a task again and again."""
    system.call(0)
    stopwatch = Stopwatch()
    results = [system.call(number) for number in range(jobs)]
    stopwatch.say(jobs, right=results == list(range(jobs)))


LOADS: dict[str, Callable[[System, int], None]] = {
    "submit": submit,
    "submit-many": submit_many,
    "work": work,
    "call": call,
}


def main(argv: Sequence[str]) -> None:
    """Play a load: SYSTEM LOAD PORT JOBS."""
    name, load, port, jobs = argv
    LOADS[load](SYSTEMS[name](int(port)), int(jobs))


if __name__ == "__main__":
    # RQ imports this module by its name; both must be the same one.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.modules[__spec__.name if __spec__ else "task_play"] = sys.modules["__main__"]
    main(sys.argv[1:])
