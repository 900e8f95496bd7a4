"""Build the compiled speedups; everything else is in pyproject.toml.

GEARMAN_SPEEDUPS=yes makes a failing build an error, GEARMAN_SPEEDUPS=no leaves the
speedups out. Unset, they are built if a C compiler is there.
"""

import os
import sys

from setuptools import Extension, setup

CHOICES = ("yes", "no", "")


def wanted() -> str:
    """Return GEARMAN_SPEEDUPS, checked."""
    choice = os.environ.get("GEARMAN_SPEEDUPS", "")
    if choice not in CHOICES:
        raise SystemExit(f"GEARMAN_SPEEDUPS must be yes, no or unset, not {choice!r}")
    return choice


def extensions(choice: str) -> list[Extension]:
    """List the extension modules to build."""
    if choice == "no":
        return []
    from Cython.Build import cythonize

    sources = [
        Extension("gearman._speedups", ["gearman/_speedups.pyx"]),
        # The same file as without a compiler; the .pxd beside it adds C types.
        Extension(
            "gearman.server.broker._broker_c", ["gearman/server/broker/_broker.py"]
        ),
        Extension(
            "gearman.server.broker._untracked",
            ["gearman/server/broker/_untracked.pyx"],
        ),
    ]
    if sys.platform == "linux":
        engine = ["gearman/server/net/_engine.pyx"]
        sources.append(Extension("gearman.server.net._engine", engine))
    modules: list[Extension] = cythonize(
        sources,
        build_dir="build/cython",
        compiler_directives={"annotation_typing": False, "language_level": 3},
    )
    # Set here and not on the sources: cythonize() drops it.
    for module in modules:
        module.optional = choice != "yes"
    return modules


setup(ext_modules=extensions(wanted()))
