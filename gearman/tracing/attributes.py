"""Attributes of spans, by OpenTelemetry's conventions for messaging."""

from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ..job import Connection
from ..payload import as_text

Attributes = dict[str, str | int]

TRACE_CONTEXT = TraceContextTextMapPropagator()


def attributes(operation: str, task: str | bytes) -> Attributes:
    """Return the attributes of a span for an operation: send or process."""
    return {
        "messaging.system": "gearman",
        "messaging.destination.name": as_text(task),
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }


def server_attributes(connection: Connection | None) -> Attributes:
    """Return the attributes for the server of a job."""
    if connection is None:
        return {}
    host, port = connection.get_address()
    return {"server.address": host, "server.port": port}


def error_type(error: BaseException) -> str:
    """Return the full name of an exception's class."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"
