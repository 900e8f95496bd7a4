"""Make the package `benchmarks` importable, since it is not installed."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from tests.servers import free_port

PACKAGE = Path(__file__).resolve().parents[2] / "benchmarks"


def _import_package() -> None:
    spec = spec_from_file_location("benchmarks", PACKAGE / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["benchmarks"] = module
    spec.loader.exec_module(module)


_import_package()
# Those of the benchmarks may be taken by other tests before a server listens there.
pytest.MonkeyPatch().setattr("benchmarks.servers.free_port", free_port)
