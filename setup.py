"""Build the compiled speedups; everything else is in pyproject.toml.

GEARMAN_SPEEDUPS=yes makes a failing build an error, GEARMAN_SPEEDUPS=no leaves the
speedups out. Unset, they are built if a C compiler is there. GEARMAN_CYTHON_CACHE is a
folder for the C of several builds of the same source, one for each Python.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

from setuptools import Extension, setup

GENERATED = Path("build/cython")
BROKER = Path("gearman/server/broker")
TYPES = Path("gearman/server/broker_c")
CHOICES = ("yes", "no", "")


def wanted() -> str:
    """Return GEARMAN_SPEEDUPS, checked."""
    choice = os.environ.get("GEARMAN_SPEEDUPS", "")
    if choice not in CHOICES:
        raise SystemExit(f"GEARMAN_SPEEDUPS must be yes, no or unset, not {choice!r}")
    return choice


def broker() -> list[Extension]:
    """List the modules of the broker, which is compiled as it stands.

    The .pxd files of `broker_c` add C types, and one module is another there.
    """
    modules = []
    for path in sorted(BROKER.rglob("[!_]*.py")):
        place = path.relative_to(BROKER).with_suffix("")
        source = TYPES / place.with_suffix(".pyx")
        name = ".".join(("gearman.server.broker_c", *place.parts))
        modules.append(Extension(name, [str(source if source.exists() else path)]))
    return modules


def stale() -> bool:
    """Tell whether C types have changed since modules were translated with them.

    Cython looks for them beside the source, where the broker's are not.
    """
    made = (GENERATED / "gearman/server").glob("broker*/**/[!_]*.c")
    oldest = min((path.stat().st_mtime for path in made), default=inf)
    return any(path.stat().st_mtime > oldest for path in TYPES.rglob("*.pxd"))


@contextmanager
def alone(cache: str) -> Iterator[None]:
    """Keep other builds away from the cache, which Cython does not."""
    if not cache:
        yield
        return
    import fcntl

    folder = Path(cache)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def extensions(choice: str) -> list[Extension]:
    """List the extension modules to build."""
    if choice == "no":
        return []
    from Cython.Build import cythonize

    sources = [
        Extension("gearman._speedups", ["gearman/_speedups.pyx"]),
        *broker(),
        Extension(
            "gearman.server.protocols.metrics._samples",
            ["gearman/server/protocols/metrics/_samples.pyx"],
        ),
    ]
    if sys.platform == "linux":
        engine = ["gearman/server/net/_engine.pyx"]
        sources.append(Extension("gearman.server.net._engine", engine))
    cache = os.environ.get("GEARMAN_CYTHON_CACHE", "")
    with alone(cache):
        modules: list[Extension] = cythonize(
            sources,
            build_dir=str(GENERATED),
            cache=cache or False,
            force=stale(),
            compiler_directives={"annotation_typing": False, "language_level": 3},
        )
    # Set here and not on the sources: cythonize() drops it.
    for module in modules:
        module.optional = choice != "yes"
    return modules


setup(
    ext_modules=extensions(wanted()),
    options={"build_ext": {"parallel": str(os.cpu_count() or 1)}},
)
