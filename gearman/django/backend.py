"""The backend: it enqueues tasks as jobs, and asks the servers for their results."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial
from threading import Lock
from typing import Any, Final, cast

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils import timezone

from ..tasks import App, PlainTask
from . import checks, messages, results, running
from .library import BaseTaskBackend, TaskResult, TaskResultStatus, signals, tasks
from .options import Options

DEFAULT: Final = "default"

# Django makes a backend for each thread, and for each event loop; they share an app and
# its connections. The key is the alias, and the options.
_apps: Final[dict[tuple[str, str], App]] = {}
_lock: Final = Lock()


class Backend(BaseTaskBackend):
    """Enqueues tasks as background jobs of Gearman. The OPTIONS are:

    servers: addresses such as "localhost:4730" (default: GEARMAN_SERVERS of the
        environment, or localhost:4730).
    prefix: of the functions on the server; the rest is the name of the queue.
    enqueue_on_commit: whether to enqueue when the transaction is committed.
    discover: whether to learn the other servers of a cluster.
    timeout, retries, backoff, ttl, keep, dead: as of jobs (see TaskOptions).

    Priorities above 0 are high, below 0 low: Gearman has three.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    @cached_property
    def _chosen(self) -> Options:
        return Options.read(self.options)

    @cached_property
    def app(self) -> App:
        """The app that submits the jobs. Its tasks are queues that were used."""
        made = self.new_app()
        with _lock:
            return _apps.setdefault((self.alias, repr(self.options)), made)

    def new_app(self) -> App:
        """Return an app with no task yet."""
        return App(*self._chosen.servers, discover=self._chosen.discover)

    @property
    def retries(self) -> int:
        """How many attempts may follow a failed one."""
        return self._chosen.of_jobs.get("retries") or 0

    def queue(self, app: App, name: str) -> PlainTask[[bytes], bytes]:
        """Return the task of an app that stands for a queue."""
        function = self._chosen.prefix + name

        def run(data: bytes) -> bytes:
            return running.run(self, app, name, data)

        with _lock:
            if function not in app.tasks:
                app.task(name=function, **self._chosen.of_jobs)(run)
            return cast("PlainTask[[bytes], bytes]", app.tasks[function])

    def enqueue(self, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Submit a job. Return the result, whose `id` is the handle of the job.

        With `enqueue_on_commit`, in a transaction, the `id` is empty until that is
        committed. Raises InvalidTask, TypeError for arguments that JSON doesn't have,
        NotAccepted if the server refuses the job, and ServerUnavailable.
        """
        self.validate_task(task)
        result = TaskResult(
            task=task,
            id="",
            status=TaskResultStatus.READY,
            enqueued_at=None,
            started_at=None,
            last_attempted_at=None,
            finished_at=None,
            args=args,
            kwargs=kwargs,
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )
        if self._chosen.enqueue_on_commit:
            transaction.on_commit(partial(self._submit, result))
        else:
            self._submit(result)
        return result

    def _submit(self, result: Any) -> None:
        task = result.task
        enqueued = timezone.now()
        record = messages.Record(
            task.module_path,
            task.queue_name,
            task.priority,
            None if task.run_after is None else task.run_after.isoformat(),
            enqueued.isoformat(),
            args=result.args,
            kwargs=result.kwargs,
        )
        queue = self.queue(self.app, task.queue_name).with_options(
            priority=_priority(task.priority), at=_seconds(task.run_after)
        )
        handle = queue.submit(messages.dump(record)).handle
        object.__setattr__(result, "enqueued_at", enqueued)
        object.__setattr__(result, "id", handle)
        signals.task_enqueued.send(type(self), task_result=result)

    def get_result(self, result_id: str) -> Any:
        """Return the result of a task by the handle of its job.

        Raises TaskResultDoesNotExist if no server knows the job, or its result is not
        kept any longer.
        """
        return results.get(self.app, self.alias, result_id)

    def check(self, **kwargs: Any) -> list[Any]:
        """Return what is wrong with the settings, for `manage.py check`."""
        return checks.find(self.alias, self.options)


def _priority(number: int) -> Any:
    if not number:
        return None
    return "high" if number > 0 else "low"


def _seconds(when: datetime | None) -> float | None:
    return None if when is None else when.timestamp()


def find(alias: str) -> Backend:
    """Return a backend of the settings. Raises ImproperlyConfigured."""
    found = tasks.task_backends[alias]
    if not isinstance(found, Backend):
        raise ImproperlyConfigured(
            f"the backend {alias!r} of TASKS is no gearman.django.Backend"
        )
    return found


def worker_app(alias: str = DEFAULT, queue_names: Collection[str] = ()) -> App:
    """Return a new app with the queues of a backend, for workers.

    Without `queue_names`, they are all QUEUES of the backend. Raises
    ImproperlyConfigured.
    """
    backend = find(alias)
    names = queue_names or backend.queues
    if not names:
        raise ImproperlyConfigured(
            f"the backend {alias!r} of TASKS has no QUEUES: name those of the worker"
        )
    app = backend.new_app()
    for name in names:
        backend.queue(app, name)
    return app
