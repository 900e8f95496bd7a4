"""A collector: it takes spans by OTLP over HTTP, as servers export them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from tests.servers import DEADLINE, HOST


class Taken(NamedTuple):
    """A span that was exported; ids are hexadecimal, times in seconds."""

    name: str
    trace: str
    parent: str
    attributes: dict[str, str]
    failed: bool
    start: float
    end: float
    service: str


class Collector:
    """The spans that have come; `environment` makes a server export to this."""

    def __init__(self, port: int) -> None:
        self.environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{port}",
            "OTEL_BSP_SCHEDULE_DELAY": "20",
        }
        self._changed = Condition()
        self._spans: list[Taken] = []

    def add(self, data: bytes) -> None:
        with self._changed:
            self._spans += spans_of(data)
            self._changed.notify_all()

    def wait_for(self, count: int) -> list[Taken]:
        """Return all spans, in their order, when there are so many."""
        deadline = time.monotonic() + DEADLINE
        with self._changed:
            while len(self._spans) < count:
                assert self._changed.wait(deadline - time.monotonic()), self._spans
            return sorted(self._spans, key=lambda span: span.end)


def spans_of(data: bytes) -> Iterator[Taken]:
    for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
        named = attributes_of(resource.resource)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Taken(
                    span.name,
                    span.trace_id.hex(),
                    span.parent_span_id.hex(),
                    attributes_of(span),
                    bool(span.status.code),
                    span.start_time_unix_nano / 1e9,
                    span.end_time_unix_nano / 1e9,
                    named["service.name"],
                )


def attributes_of(message: Any) -> dict[str, str]:
    found = {}
    for each in message.attributes:
        kind = each.value.WhichOneof("value")
        found[each.key] = str(getattr(each.value, kind))
    return found


@contextmanager
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.add(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        server.daemon_threads = True
        found = Collector(server.server_address[1])
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield found
        server.shutdown()
