"""Spans of OpenTelemetry for the time that jobs wait in the queue (`--traces`).

A span is made when a job with a trace leaves its queue. The SDK exports it, in a thread
of its own, and as the environment variables OTEL_* say. OpenTelemetry is imported only
if the option is given.
"""

import logging
import os
from collections.abc import Callable
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from ... import __version__, entries
from ...errors import ConfigurationError, StartupError
from ..broker import Peer
from ..protocols.events import Event

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

_EXPORTERS: Final = "opentelemetry_traces_exporter"
# The variables with the protocol of OTLP, and the names of exporters for it.
_PROTOCOLS: Final = (
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
)
_OTLP: Final = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_NANOSECONDS: Final = 1_000_000_000
# Seconds that the end of the server waits for the last spans to be exported.
LAST_EXPORT: Final = 5.0

log = logging.getLogger("gearman.server")


class QueueSpans:
    """A listener to events that makes a span for the time of a job in its queue.

    `close` must be called in the end.
    """

    names = frozenset({"started", "expired", "cancelled", "abandoned"})

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace import StatusCode
        from opentelemetry.trace.propagation.tracecontext import (
            TraceContextTextMapPropagator,
        )

        self._provider = provider
        self._tracer = provider.get_tracer("gearman.server", __version__)
        self._context_of = TraceContextTextMapPropagator().extract
        self._failed = StatusCode.ERROR

    def wants(self, name: str, function: bytes | None) -> bool:
        """Whether a job leaves its queue, or may do so."""
        return name in self.names

    def take(self, event: Event) -> None:
        """Make a span, if a job that has a trace has left its queue."""
        record: dict[str, Any] = event.record
        if "trace" not in record or "waited" not in record or "ran" in record:
            return
        function = str(record["function"])
        end = round(event.time * _NANOSECONDS)
        span = self._tracer.start_span(
            f"queue {function}",
            context=self._context_of({"traceparent": record["trace"]}),
            attributes={
                "messaging.system": "gearman",
                "messaging.destination.name": function,
                "messaging.message.id": str(record["handle"]),
                "gearman.job.priority": record["priority"],
                "gearman.job.background": record["background"],
                "gearman.job.attempts": record.get("attempts", 0),
            },
            start_time=end - round(record["waited"] * _NANOSECONDS),
        )
        if event.name != "started":
            span.set_attribute("error.type", event.name)
            span.set_status(self._failed)
        span.end(end_time=end)

    def left(self, peer: Peer) -> None:
        """Do nothing: this is about jobs only."""

    def close(self) -> None:
        """Have the last spans exported, and wait for that some seconds."""
        closing = Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(LAST_EXPORT)
        if closing.is_alive():
            log.warning("the last spans could not be exported in %g s", LAST_EXPORT)


def prepare() -> None:
    """Import what `open_provider` needs.

    Raises ConfigurationError if it is missing, or if an exporter is unknown.
    """
    # Requests, which the exporter for OTLP uses, imports it at the first export.
    import_module("netrc")
    try:
        from opentelemetry.sdk.trace import export  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f"--traces needs opentelemetry-sdk ({error}): install it by"
            " pip install 'gearman-py[otel]'"
        ) from error
    _exporters()


def open_provider() -> "TracerProvider":
    """Return what makes tracers, whose spans are exported until its `shutdown`.

    Call `prepare` before. Raises StartupError if a variable has a wrong value. It
    starts threads, so the process must not fork after that.
    """
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    for name, exporter in _exporters().items():
        try:
            provider.add_span_processor(BatchSpanProcessor(exporter()))
        except (ValueError, OSError, RuntimeError) as error:
            raise StartupError(
                f"the exporter {name!r} of OpenTelemetry cannot be used: {error}"
            ) from error
    return provider


def _resource() -> "Resource":
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    found = Resource.create({"service.version": __version__})
    if "service.name" in OTELResourceDetector().detect().attributes:
        return found
    return found.merge(Resource({"service.name": "gearmand"}))


def _exporters() -> dict[str, Callable[[], Any]]:
    """Return the exporters of OTEL_TRACES_EXPORTER. Raises ConfigurationError."""
    given = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    names = [name.strip() for name in given.split(",")]
    return {name: _exporter(name) for name in names if name not in ("", "none")}


def _exporter(name: str) -> Callable[[], Any]:
    known = _otlp() if name == "otlp" else name
    exporter: Callable[[], Any] | None = entries.load(_EXPORTERS, known, "exporter")
    if exporter is None:
        package = "opentelemetry-exporter-" + known.replace("_", "-")
        raise ConfigurationError(
            f"--traces needs the exporter {known!r} of OpenTelemetry: install it, for"
            f" example by pip install {package}, or name another one in"
            " OTEL_TRACES_EXPORTER"
        )
    return exporter


def _otlp() -> str:
    """Return the name of the exporter for OTLP, by its protocol."""
    for variable in _PROTOCOLS:
        if protocol := os.environ.get(variable):
            if protocol not in _OTLP:
                text = f"{variable} is {protocol!r}: choose from {', '.join(_OTLP)}"
                raise ConfigurationError(text)
            return _OTLP[protocol]
    return _OTLP["http/protobuf"]
