"""OpenTelemetry is used when it is switched on, and not before."""

import subprocess
import sys

import pytest

import gearman.tracing
from gearman.client import GearmanClient
from tests.servers import DEADLINE, package_environment

PROGRAM = """
import sys
import gearman, gearman.tracing, gearman.server.__main__
assert "opentelemetry" not in sys.modules
"""


def test_nothing_of_it_is_imported_before() -> None:
    subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM],
        env=package_environment(),
        check=True,
        timeout=DEADLINE,
    )


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(ImportError, match=r"install it by pip install 'gearman-py\[ot"):
        gearman.tracing.instrument()


def test_it_may_be_switched_on_twice() -> None:
    original = GearmanClient.send_job_request
    gearman.tracing.instrument()
    gearman.tracing.instrument()
    assert GearmanClient.send_job_request is not original
    assert GearmanClient.send_job_request.__wrapped__ is original  # type: ignore[attr-defined]
    gearman.tracing.uninstrument()
    gearman.tracing.uninstrument()
    assert GearmanClient.send_job_request is original
