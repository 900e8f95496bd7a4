"""The exporters of spans, by the environment, and the end of the server."""

import logging
import sys
import time
from threading import Event as Flag
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from gearman.errors import ConfigurationError, StartupError
from gearman.server.watch import traces
from tests import servers
from tests.tracing.collector import collector
from tests.wire import Peer

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigurationError) as caught:
        traces.prepare()
    sentence = str(caught.value)
    assert sentence.startswith("--traces needs opentelemetry-sdk (")
    assert sentence.endswith("): install it by pip install 'gearman-py[otel]'")


def test_missing_exporter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setattr("gearman.entries.load", lambda *_: None)
    with pytest.raises(ConfigurationError, match="opentelemetry-exporter-otlp-proto-g"):
        traces.prepare()


@pytest.mark.parametrize(
    "variable",
    ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"],
)
def test_unknown_protocol_is_told(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http/json")
    with pytest.raises(ConfigurationError) as caught:
        traces.prepare()
    assert str(caught.value) == (
        f"{variable} is 'http/json': choose from http/protobuf, grpc"
    )


def test_wrong_values_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1")
    with pytest.raises(StartupError) as caught:
        traces.open_provider()
    assert str(caught.value).startswith(
        "the exporter 'console' of OpenTelemetry cannot be used: "
    )


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "gearmand"),
        ({"OTEL_SERVICE_NAME": "mine"}, "mine"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=mine"}, "mine"),
    ],
)
def test_service_has_a_name(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    provider = traces.open_provider()
    assert provider.resource.attributes["service.name"] == expected
    provider.shutdown()


def test_hanging_exporter_does_not_keep_the_server_from_ending(
    monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    told: list[str] = []
    monkeypatch.setattr(traces, "LAST_EXPORT", 0.01)
    monkeypatch.setattr(traces.log, "warning", lambda text, *_: told.append(text))
    provider, flag = TracerProvider(), Flag()
    monkeypatch.setattr(provider, "shutdown", flag.wait)
    traces.QueueSpans(provider).close()
    flag.set()
    assert len(told) == 1


def test_last_spans_are_exported_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with collector() as collected:
        for name, value in collected.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        with servers.ours("--traces") as server, Peer(server.port) as peer:
            peer.send("SUBMIT_JOB_WITH", b"f", b"", b"trace=" + TRACE.encode(), b"w")
            peer.send("CAN_DO", b"f")
            peer.send("GRAB_JOB")
            peer.expect("JOB_CREATED")
            peer.expect("JOB_ASSIGN")
            servers.end(server.process)
            assert server.process.returncode == 0
        (span,) = collected.wait_for(1)
        assert (span.name, span.trace, span.parent) == ("queue f", "a" * 32, "b" * 16)


def test_collector_that_is_gone_is_told_in_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    with servers.ours("--traces") as server, Peer(server.port) as peer:
        peer.send("SUBMIT_JOB_WITH", b"f", b"", b"trace=" + TRACE.encode(), b"w")
        peer.send("CAN_DO", b"f")
        peer.send("GRAB_JOB")
        peer.expect("JOB_CREATED")
        peer.expect("JOB_ASSIGN")
        deadline = time.monotonic() + servers.DEADLINE
        while "ERROR" not in server.log.read_text():
            assert time.monotonic() < deadline
            peer.send("ECHO_REQ", b"")
            peer.expect("ECHO_RES")
        assert logging.getLevelName(logging.ERROR) in server.log.read_text()
