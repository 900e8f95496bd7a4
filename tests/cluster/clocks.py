"""Wall clocks of servers that tests can set, each server's for itself."""

import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.servers import foreign

SOURCE = Path(__file__).with_name("moved_clock.c")


class Clock:
    """The wall clock of a process with these `variables` in its environment."""

    def __init__(self, library: Path, file: Path) -> None:
        self._file = file
        self.variables = {"LD_PRELOAD": str(library), "MOVED_CLOCK": str(file)}
        self.move(0)

    def move(self, seconds: float) -> None:
        """Have it differ from that of the machine by so many seconds from now on."""
        # The process has the file in its memory, so it is changed in its place.
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("d", seconds))


class Clocks:
    """Makes clocks in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._library = folder / "moved_clock.so"
        self._numbers = count()
        subprocess.run(
            [
                *(foreign("gcc"), "-shared", "-fPIC", "-O1", "-Wall", "-Werror"),
                *("-o", self._library, SOURCE, "-ldl"),
            ],
            check=True,
        )

    def new(self) -> Clock:
        return Clock(self._library, self._folder / f"clock{next(self._numbers)}")


@contextmanager
def clocks() -> Iterator[Clocks]:
    with TemporaryDirectory(prefix="gearman-clocks-") as folder:
        yield Clocks(Path(folder))
