"""The span of a job in a worker: around its function, until its end was sent.

Its parent is the span of the submission, which the server tells before the job.
"""

import sys
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from ..blocking.worker.job_execution import ExcInfo, JobExecution
from ..job import GearmanJob
from ..payload import as_text
from ..worker_handler import GearmanWorkerCommandHandler
from .attributes import TRACE_CONTEXT, attributes, error_type, server_attributes
from .patches import Patches

Method = Callable[..., Any]


class WorkerSpans:
    """Makes a span for each job that a worker runs."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        # The span of the job that a handler runs.
        self._running: WeakKeyDictionary[GearmanWorkerCommandHandler, Span] = (
            WeakKeyDictionary()
        )
        # The exception that a worker reports at the moment.
        self._reported: WeakKeyDictionary[object, BaseException] = WeakKeyDictionary()

    def apply(self, patches: Patches) -> None:
        """Replace the methods through which all jobs and all failures go."""
        handler = GearmanWorkerCommandHandler
        patches.wrap(handler, "initial_state", self._connected)
        patches.wrap(handler, "_execute", self._executing)
        patches.wrap(handler, "send_job_failure", self._failing("WORK_FAIL"))
        patches.wrap(handler, "send_job_exception", self._failing("WORK_EXCEPTION"))
        patches.wrap(handler, "send_job_retry", self._giving_back)
        patches.wrap(JobExecution, "_report", self._reporting)

    def _connected(self, original: Method) -> Method:
        def initial_state(
            handler: GearmanWorkerCommandHandler, *largs: Any, **kwargs: Any
        ) -> None:
            handler.ask_traces()
            original(handler, *largs, **kwargs)

        return initial_state

    def _executing(self, original: Method) -> Method:
        def execute(
            handler: GearmanWorkerCommandHandler,
            job_handle: str,
            task: str | bytes,
            *others: Any,
        ) -> None:
            worker: Any = handler.connection_manager
            connection = worker.handler_to_connection_map.get(handler)
            trace = handler.trace_of(job_handle)
            carrier = {"traceparent": trace} if trace else None
            with self._tracer.start_as_current_span(
                f"process {as_text(task)}",
                context=TRACE_CONTEXT.extract(carrier) if carrier else None,
                kind=SpanKind.CONSUMER,
                attributes={
                    **attributes("process", task),
                    **server_attributes(connection),
                    "messaging.message.id": job_handle,
                },
            ) as span:
                self._running[handler] = span
                try:
                    original(handler, job_handle, task, *others)
                finally:
                    self._running.pop(handler, None)

        return execute

    def _failing(self, command: str) -> Callable[[Method], Method]:
        def replacement(original: Method) -> Method:
            def send(
                handler: GearmanWorkerCommandHandler,
                current_job: GearmanJob,
                *data: Any,
                **named: Any,
            ) -> None:
                original(handler, current_job, *data, **named)
                self._fail(handler, command, "")

            return send

        return replacement

    def _reporting(self, original: Method) -> Method:
        def report(worker: JobExecution, job: GearmanJob, exc_info: ExcInfo) -> None:
            self._reported[worker] = exc_info[1]
            try:
                original(worker, job, exc_info)
            finally:
                del self._reported[worker]

        return report

    def _giving_back(self, original: Method) -> Method:
        def send_job_retry(
            handler: GearmanWorkerCommandHandler,
            current_job: GearmanJob,
            seconds: str,
            reason: str | bytes,
        ) -> None:
            original(handler, current_job, seconds, reason)
            if not seconds.endswith("+"):
                self._fail(handler, "WORK_RETRY", as_text(reason))
            elif handler in self._running:
                given = {"seconds": seconds[:-1], "reason": as_text(reason)}
                self._running[handler].add_event("gearman.job.given_back", given)

        return send_job_retry

    def _fail(
        self, handler: GearmanWorkerCommandHandler, command: str, text: str
    ) -> None:
        """Mark a span as failed, by the exception that is handled, if there is one."""
        span = self._running.get(handler)
        if span is None:
            return
        error = self._reported.get(handler.connection_manager) or sys.exception()
        if error is None:
            span.set_attribute("error.type", command)
            span.set_status(StatusCode.ERROR, text)
        else:
            span.record_exception(error)
            span.set_attribute("error.type", error_type(error))
            span.set_status(StatusCode.ERROR, text or str(error))
