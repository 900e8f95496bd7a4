"""The span of a submission: from the request to the answer of the server.

The job gets the context of that span by its option `trace`, if its server has options.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context

from ..client import GearmanClient
from ..client_core.submission import submission
from ..client_handler import GearmanClientCommandHandler
from ..constants import JOB_FAILED, PRIORITY_NONE
from ..job import GearmanJobRequest
from ..options import JobOptions
from ..payload import as_text
from .attributes import (
    TRACE_CONTEXT,
    Attributes,
    attributes,
    error_type,
    server_attributes,
)
from .patches import Patches

Options = JobOptions | Mapping[str, object] | None
Method = Callable[..., Any]


class _Open(NamedTuple):
    """A span that has not ended, and the options that the program has given."""

    span: Span
    options: Options


class ClientSpans:
    """Makes a span for each submission of a request."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._open: WeakKeyDictionary[GearmanJobRequest, _Open] = WeakKeyDictionary()

    def apply(self, patches: Patches) -> None:
        """Replace the methods through which all submissions and answers go."""
        handler = GearmanClientCommandHandler
        patches.wrap(GearmanClient, "send_job_request", self._sending)
        patches.wrap(handler, "_submit_steered", self._steering)
        patches.wrap(handler, "recv_job_created", self._created)
        patches.wrap(handler, "recv_error", self._refused)
        patches.wrap(handler, "on_io_error", self._lost)

    # The methods.

    def _sending(self, original: Method) -> Method:
        def send_job_request(
            client: GearmanClient, current_request: GearmanJobRequest
        ) -> GearmanJobRequest:
            self._begin(current_request)
            try:
                sent: GearmanJobRequest = original(client, current_request)
            except Exception as error:
                self._fail(current_request, error_type(error), str(error))
                raise
            return sent

        return send_job_request

    def _steering(self, original: Method) -> Method:
        def submit_steered(
            handler: GearmanClientCommandHandler,
            request: GearmanJobRequest,
            data: str | bytes,
        ) -> None:
            if request in self._open and not handler.extensions:
                # This server has no options: the job goes there as ever.
                request.options = self._open[request].options
            if request.options is None:
                handler._send(request, submission(request, data))
            else:
                original(handler, request, data)

        return submit_steered

    def _created(self, original: Method) -> Method:
        def recv_job_created(
            handler: GearmanClientCommandHandler, job_handle: str
        ) -> Any:
            request = _oldest(handler)
            # It raises an error if there is no request.
            result = original(handler, job_handle)
            answered = cast(GearmanJobRequest, request)
            self._end(answered, {"messaging.message.id": job_handle})
            return result

        return recv_job_created

    def _refused(self, original: Method) -> Method:
        def recv_error(
            handler: GearmanClientCommandHandler, error_code: str, error_text: str
        ) -> Any:
            request = _oldest(handler)
            try:
                return original(handler, error_code, error_text)
            finally:
                if request is not None and request.state == JOB_FAILED:
                    self._fail(request, error_code, error_text)

        return recv_error

    def _lost(self, original: Method) -> Method:
        def on_io_error(handler: GearmanClientCommandHandler) -> None:
            original(handler)
            for request in handler.open_requests.awaiting_handles:
                text = "the connection was lost before the server answered"
                self._fail(request, "ConnectionError", text)

        return on_io_error

    # The spans.

    def _begin(self, request: GearmanJobRequest) -> None:
        if request in self._open:
            # It was held back until the server had said whether it has options.
            self._end(request, {})
        task = request.gearman_job.task or ""
        span = self._tracer.start_span(
            f"send {as_text(task)}",
            kind=SpanKind.PRODUCER,
            attributes=attributes("send", task),
        )
        self._open[request] = _Open(span, request.options)
        request.options = _with_trace(request, span)

    def _fail(self, request: GearmanJobRequest, kind: str, text: str) -> None:
        if request in self._open:
            self._open[request].span.set_status(StatusCode.ERROR, text)
        self._end(request, {"error.type": kind})

    def _end(self, request: GearmanJobRequest, more: Attributes) -> None:
        found = self._open.pop(request, None)
        if found is not None:
            request.options = found.options
            found.span.set_attributes(
                server_attributes(request.gearman_job.connection) | more
            )
            found.span.end()


def _oldest(handler: GearmanClientCommandHandler) -> GearmanJobRequest | None:
    """Return the request that the next JOB_CREATED is for."""
    awaiting = handler.open_requests.awaiting_handles
    return awaiting[0] if awaiting else None


def _with_trace(request: GearmanJobRequest, span: Span) -> Options:
    """Return the options of a request with the context of a span, if they may have it.

    A trace that the program has given stays. Where no packet has both a reducer and
    options, the reducer counts; and what is wrong without options stays wrong.
    """
    options = request.options
    if request.reducer is not None or (options is None and _is_wrong(request)):
        return options
    carrier: dict[str, str] = {}
    TRACE_CONTEXT.inject(carrier, set_span_in_context(span))
    trace = carrier.get("traceparent")
    if trace is None:
        return options
    if options is None or isinstance(options, JobOptions):
        given = options or JobOptions()
        return given if given.trace is not None else replace(given, trace=trace)
    return {"trace": trace, **options}


def _is_wrong(request: GearmanJobRequest) -> bool:
    """Whether a request without options can't be submitted with its `when_to_run`."""
    prompt = request.priority != PRIORITY_NONE or not request.background
    return request.when_to_run is not None and prompt
