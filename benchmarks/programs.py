"""Compiling the C programs of the benchmark."""

import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
BUILD = SOURCES / "build"


class CompileError(Exception):
    """There is no C compiler, or compiling failed."""


# Options to compile a source to a library for preloading, instead of a program.
LIBRARY = ("-shared", "-fPIC")


def build(name: str, folder: Path = BUILD, flags: Sequence[str] = ()) -> Path:
    """Return the program of `name`.c; compile it unless it is up to date."""
    sources = [SOURCES / f"{name}.c", SOURCES / "wire.h"]
    program = folder / name
    newest = max(source.stat().st_mtime for source in sources)
    if not program.exists() or program.stat().st_mtime < newest:
        _compile(sources[0], program, flags)
    return program


def _compile(source: Path, program: Path, flags: Sequence[str]) -> None:
    if platform.system() != "Linux":
        raise CompileError("the load generator needs Linux: it uses epoll and /proc")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise CompileError(
            "the load generator needs a C compiler; on Debian: apt-get install gcc"
        )
    program.parent.mkdir(parents=True, exist_ok=True)
    command = [compiler, "-std=gnu11", "-O2", *flags, "-o", str(program), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompileError(f"{source.name} does not compile here:\n{done.stderr}")
