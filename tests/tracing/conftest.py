"""Spans of this process, and servers that export theirs."""

from collections.abc import Iterator
from itertools import count

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import gearman
import gearman.tracing
from tests import servers
from tests.servers import Server
from tests.tracing.collector import Collector, collector

_numbers = count()


class Spans:
    """The spans of clients and workers in this process."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of this name, in their order."""
        found = self._exporter.get_finished_spans()
        return sorted(
            (span for span in found if span.name == name),
            key=lambda span: span.start_time or 0,
        )

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span


@pytest.fixture
def provider() -> TracerProvider:
    return TracerProvider()


@pytest.fixture
def spans(provider: TracerProvider) -> Iterator[Spans]:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    gearman.tracing.instrument(provider)
    yield Spans(exporter)
    gearman.tracing.uninstrument()


@pytest.fixture(scope="session")
def collected() -> Iterator[Collector]:
    with collector() as found:
        yield found


@pytest.fixture(scope="session", params=[True, False], ids=["pure", "speedups"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of each build."""
    if not request.param:
        request.getfixturevalue("speedups")
    with servers.ours(pure=request.param) as started:
        yield started


@pytest.fixture
def task() -> str:
    """The name of a task that no other test uses."""
    return f"task-{next(_numbers)}"


@pytest.fixture
def client(server: Server) -> Iterator[gearman.GearmanClient]:
    with gearman.GearmanClient([server.address]) as client:
        yield client


@pytest.fixture
def worker(server: Server, spans: Spans) -> Iterator[gearman.GearmanWorker]:
    with gearman.GearmanWorker([server.address]) as worker:
        yield worker
