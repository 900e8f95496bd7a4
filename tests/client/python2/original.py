"""Finds Python 2.7 and python-gearman 2.0.2, to compare this library with it.

The package is downloaded once and kept in pytest's cache. It is not a part of this
project.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

SDIST = "gearman-2.0.2.tar.gz"
SHA256 = "2b1876a60e32e24bed4c6d187898274de6409bbfa942bcbe3512efdf2aed0ec9"
TRIES = 3
SECONDS = 60


@dataclass(frozen=True)
class Original:
    """A Python 2.7 and the directory from which it imports 2.0.2."""

    python: str
    directory: Path

    def environment(self) -> dict[str, str]:
        environment = {**os.environ, "PYTHONPATH": str(self.directory)}
        return {**environment, "PYTHONDONTWRITEBYTECODE": "1"}


def find_original(cache: Path) -> Original:
    """Return both, or skip; in CI the test fails if the package cannot be got."""
    python = find_python2()
    sdist = cache / SDIST
    if not sdist.exists():
        fetch(python, cache)
    if hashlib.sha256(sdist.read_bytes()).hexdigest() != SHA256:
        pytest.fail(f"{sdist} is not the {SDIST} that was expected; delete it")
    return Original(python, unpacked(sdist))


def find_python2() -> str:
    """Return the path of a Python 2.7, or skip."""
    for candidate in candidates():
        if is_python2(candidate):
            return candidate
    pytest.skip("no Python 2.7 here; GEARMAN_TEST_PYTHON2 may name one")


def candidates() -> Iterator[str]:
    if given := os.environ.get("GEARMAN_TEST_PYTHON2"):
        yield given
        return
    if on_path := shutil.which("python2.7"):
        yield on_path
    for version in output("pyenv", "versions", "--bare").split():
        if version.startswith("2.7"):
            yield os.path.join(output("pyenv", "prefix", version), "bin", "python")


def is_python2(program: str) -> bool:
    script = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
    return output(program, "-c", script) == "2.7"


def output(*command: str) -> str:
    """Return the output of a program; empty if it does not exist or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout.strip()


def fetch(python: str, directory: Path) -> None:
    """Download the package with the pip of Python 2.7; a newer pip cannot read it."""
    words = ["download", "--no-deps", "--no-binary", ":all:", "gearman==2.0.2"]
    command = [python, "-m", "pip", "-q", *words, "-d", str(directory)]
    problem = ""
    for _ in range(TRIES):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            problem = f"pip took more than {SECONDS} seconds"
            continue
        if (directory / SDIST).exists():
            return
        problem = done.stderr.strip().rpartition("\n")[2]
    missing(f"python-gearman 2.0.2 could not be fetched: {problem}")


def missing(sentence: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


def unpacked(sdist: Path) -> Path:
    """Return the directory with the package's modules."""
    directory = sdist.with_name("modules")
    (directory / "gearman").mkdir(parents=True, exist_ok=True)
    with tarfile.open(sdist) as archive:
        for member in archive:
            path = Path(member.name)
            if path.match("gearman-2.0.2/gearman/*.py"):
                source = archive.extractfile(member)
                assert source is not None
                (directory / "gearman" / path.name).write_bytes(source.read())
    return directory
