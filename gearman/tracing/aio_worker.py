"""The span of a job in a worker for asyncio: around its function, as in the other one.

Several jobs run at a time; each has a task, whose context has its span.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any, cast

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from ..aio.running_job import RunningJob
from ..aio.worker import Worker
from ..aio.worker_link import WorkerLink
from ..commands import Command
from ..errors import JobRetry
from ..payload import as_text
from .attributes import TRACE_CONTEXT, attributes, error_type, server_attributes
from .patches import Patches

Method = Callable[..., Any]


class AioWorkerSpans:
    """Makes a span for each job that a worker runs."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        # The traces of jobs that are about to run, and the spans of those that do.
        self._traces: dict[RunningJob, str] = {}
        self._running: dict[RunningJob, Span] = {}

    def apply(self, patches: Patches) -> None:
        """Replace the methods through which all jobs and all failures go."""
        patches.wrap(WorkerLink, "connection_made", self._connecting)
        patches.wrap(Worker, "run", self._starting)
        patches.wrap(Worker, "_run", self._executing)
        patches.wrap(Worker, "_fail", self._failing)
        patches.wrap(RunningJob, "end", self._ending)

    def _connecting(self, original: Method) -> Method:
        def connection_made(link: WorkerLink, transport: asyncio.BaseTransport) -> None:
            original(link, transport)
            link.ask_traces()

        return connection_made

    def _starting(self, original: Method) -> Method:
        def run(worker: Worker, job: RunningJob) -> None:
            # Its task begins later, when the next job may have come.
            self._traces[job] = cast(WorkerLink, job.link).trace_of(job.handle)
            original(worker, job)

        return run

    def _executing(self, original: Method) -> Method:
        async def run(worker: Worker, job: RunningJob) -> None:
            trace = self._traces.pop(job, "")
            carrier = {"traceparent": trace} if trace else None
            with self._tracer.start_as_current_span(
                f"process {job.function}",
                context=TRACE_CONTEXT.extract(carrier) if carrier else None,
                kind=SpanKind.CONSUMER,
                record_exception=False,
                set_status_on_exception=False,
                attributes={
                    **attributes("process", job.function),
                    **server_attributes(cast(WorkerLink, job.link).server),
                    "messaging.message.id": job.handle,
                },
            ) as span:
                self._running[job] = span
                try:
                    await original(worker, job)
                except asyncio.CancelledError as error:
                    # The worker ends; a job that is cancelled fails.
                    self._mark(job, error)
                    raise
                finally:
                    del self._running[job]

        return run

    def _failing(self, original: Method) -> Method:
        def fail(worker: Worker, job: RunningJob, error: BaseException) -> None:
            original(worker, job, error)
            self._mark(job, error)

        return fail

    def _ending(self, original: Method) -> Method:
        def end(job: RunningJob, command: int, *arguments: str | bytes) -> None:
            original(job, command, *arguments)
            if command == Command.WORK_RETRY:
                self._given_back(job, *map(as_text, arguments))

        return end

    def _given_back(self, job: RunningJob, seconds: str, reason: str) -> None:
        if not seconds.endswith("+"):
            # It is called while the worker handles the wish of the function.
            self._mark(job, cast(JobRetry, sys.exception()), reason)
        elif job in self._running:
            given = {"seconds": seconds.removesuffix("+"), "reason": reason}
            self._running[job].add_event("gearman.job.given_back", given)

    def _mark(self, job: RunningJob, error: BaseException, text: str = "") -> None:
        """Mark the span of a job as failed, if it has one."""
        span = self._running.get(job)
        if span is not None:
            span.record_exception(error)
            span.set_attribute("error.type", error_type(error))
            span.set_status(StatusCode.ERROR, text or str(error))
