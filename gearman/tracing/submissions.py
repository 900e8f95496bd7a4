"""Spans of submissions, whichever client makes them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple
from weakref import WeakKeyDictionary

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context

from ..constants import PRIORITY_NONE
from ..job import GearmanJobRequest
from ..options import JobOptions
from ..payload import as_text
from .attributes import TRACE_CONTEXT, Attributes, attributes, server_attributes

Options = JobOptions | Mapping[str, object] | None

LOST = "the connection was lost before the server answered"


class _Open(NamedTuple):
    """A span that has not ended, and the options that the program has given."""

    span: Span
    options: Options


class Submissions:
    """The spans of requests that no server has answered yet."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._open: WeakKeyDictionary[GearmanJobRequest, _Open] = WeakKeyDictionary()

    def begin(self, request: GearmanJobRequest) -> None:
        """Begin a span, and give the request an option that tells its context."""
        if request in self._open:
            # It was held back until the server had said whether it has options.
            self.end(request, {})
        task = request.gearman_job.task or ""
        span = self._tracer.start_span(
            f"send {as_text(task)}",
            kind=SpanKind.PRODUCER,
            attributes=attributes("send", task),
        )
        self._open[request] = _Open(span, request.options)
        request.options = _with_trace(request, span)

    def without_trace(self, request: GearmanJobRequest) -> None:
        """Give a request the options that it had: its server has none."""
        found = self._open.get(request)
        request.options = found.options if found else request.options

    def fail(self, request: GearmanJobRequest, kind: str, text: str) -> None:
        """End the span of a request, which has failed."""
        if request in self._open:
            self._open[request].span.set_status(StatusCode.ERROR, text)
        self.end(request, {"error.type": kind})

    def end(self, request: GearmanJobRequest, more: Attributes) -> None:
        """End the span of a request, if it has one."""
        found = self._open.pop(request, None)
        if found is not None:
            request.options = found.options
            found.span.set_attributes(
                server_attributes(request.gearman_job.connection) | more
            )
            found.span.end()


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
