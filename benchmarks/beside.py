"""Running a module in a process of its own, during a measurement."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from .servers import ServerError, with_gearman

_ROOT = Path(__file__).resolve().parents[1]


class Beside(NamedTuple):
    """A process, with its standard input and output, line by line."""

    process: subprocess.Popen[str]
    input: IO[str]
    output: IO[str]

    def tell(self, line: str) -> None:
        self.input.write(f"{line}\n")
        self.input.flush()


@contextmanager
def beside(module: str, *arguments: object) -> Iterator[Beside]:
    """A context with a running module of this package, after its first line of output.

    The module must end when its standard input ends; otherwise it is killed. Raises
    ServerError if it ends before it has printed a line.
    """
    with subprocess.Popen(
        [sys.executable, "-P", "-m", f"benchmarks.{module}", *map(str, arguments)],
        env=with_gearman({"PYTHONPATH": str(_ROOT)}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if not process.stdout.readline():
            raise ServerError(f"benchmarks.{module} could not begin")
        try:
            yield Beside(process, process.stdin, process.stdout)
        finally:
            process.kill()
