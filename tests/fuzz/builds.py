"""Both builds of the server in one process, to be compared step by step."""

import os
import sys
from functools import cache
from importlib import import_module, util
from types import ModuleType
from typing import Any

import gearman
from gearman.framing import BUILD

REFERENCE = "reference_gearman"


class Build:
    """The modules of one build."""

    def __init__(self, name: str, package: str) -> None:
        def module(path: str) -> Any:
            return import_module(f"{package}.{path}")

        self.name = name
        self.framing = module("framing")
        self.broker = module("server.broker")
        self.admin = module("server.protocols.admin")
        self.gear = module("server.protocols.gear")
        self.protocol = module("server.protocols")
        self.schedules = module("server.settings.tables.schedules")
        self.services = {
            "http": module("server.protocols.http.service").Http,
            "memcached": module("server.protocols.memcached").Memcached,
        }
        assert name == self.framing.BUILD


@cache
def build(name: str) -> Build:
    """Return the build `pure` or `speedups`. Raises LookupError if it is missing."""
    if name == BUILD:
        return Build(name, "gearman")
    if name == "pure":
        return _reference()
    raise LookupError(f"there is no build {name!r} here, only {', '.join(names())}")


def names() -> list[str]:
    """Return the names of the existing builds."""
    return list(dict.fromkeys([BUILD, "pure"]))


def _reference() -> Build:
    """Import the package again, by another name, without compiled modules."""
    path = gearman.__file__
    spec = util.spec_from_file_location(
        REFERENCE, path, submodule_search_locations=list(gearman.__path__)
    )
    assert spec is not None
    assert spec.loader is not None
    package: ModuleType = util.module_from_spec(spec)
    sys.modules[REFERENCE] = package
    before = os.environ.get("GEARMAN_PURE_PYTHON")
    os.environ["GEARMAN_PURE_PYTHON"] = "1"
    try:
        spec.loader.exec_module(package)
        return Build("pure", REFERENCE)
    finally:
        del os.environ["GEARMAN_PURE_PYTHON"]
        if before is not None:
            os.environ["GEARMAN_PURE_PYTHON"] = before
