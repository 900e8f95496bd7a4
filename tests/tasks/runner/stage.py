"""A runner with a program of the test, a job server, and a client."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from gearman import GearmanAdminClient, GearmanClient
from gearman.tasks import App
from gearman.tasks.task import Job, Task
from tests import servers

# `wait` runs until a file is there, and writes one when it begins.
PROGRAM = """
import asyncio, os, re, threading, time
from pathlib import Path
from gearman.tasks import App

app = App()
VERSION = "one"
both = threading.Barrier(2)

@app.task
def version() -> str:
    return VERSION

@app.task
def pid() -> int:
    return os.getpid()

@app.task
def note(text: str) -> None:
    # One write, so that several processes can append to the file.
    with open("notes", "a") as file:
        file.write(f"{text}\\n")

@app.task
def wait(name: str) -> str:
    started = Path(f"{name}.started")
    started.with_suffix(".new").write_text(str(os.getpid()))
    started.with_suffix(".new").rename(started)
    while not Path(name).exists():
        time.sleep(0.001)
    return name

@app.task(timeout=0.5)
def hang(name: str) -> None:
    Path(f"{name}.started").touch()
    # It does not give other threads a chance.
    re.match(r"(a+)+$", "a" * 60 + "b")

@app.task
def meet() -> int:
    both.wait()
    return os.getpid()

@app.task
def die() -> None:
    os._exit(3)

@app.task
def leave() -> None:
    raise SystemExit("no more")

@app.task
def grow() -> None:
    global large
    large = b"x" * (200 << 20)

@app.task
async def gather() -> int:
    global gathered
    gathered += 1
    while gathered < 10:
        await asyncio.sleep(0.001)
    return gathered

gathered = 0

@app.task(timeout=0.5)
async def block() -> None:
    time.sleep(1000)

@app.task
def fail() -> None:
    raise ValueError("it is broken")
"""


class Stage:
    """A folder with the program, and a job server for it."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.address = address
        self.app = App(address, read_timeout=servers.DEADLINE)
        self.write(PROGRAM)

    def write(self, program: str) -> None:
        """Replace the program, which may be imported at any time."""
        new = self.file("program.new")
        new.write_text(program)
        new.rename(self.file("program.py"))

    def task(self, name: str) -> Task[..., Any]:
        """Return a task of the program, to be called."""
        if name not in self.app.tasks:

            def function(*args: object) -> object:
                raise AssertionError

            self.app.task(name=name)(function)
        return self.app.tasks[name]

    def call(self, name: str, *args: object) -> Any:
        return self.task(name).call(*args)

    def submit(self, name: str, *args: object, **options: Any) -> Job[Any]:
        return self.task(name).with_options(**options).submit(*args)

    def raw(self, name: str, data: bytes) -> bytes:
        """Return the result of a function that gets and returns bytes."""
        with GearmanClient([self.address]) as client:
            request = client.submit_job(name, data, poll_timeout=servers.DEADLINE)
        return bytes(request.result)

    def file(self, name: str) -> Path:
        return self.folder / name

    def until_started(self, name: str) -> None:
        servers.until(self.file(f"{name}.started").exists)

    def functions(self) -> list[list[str]]:
        """Return the functions of each worker that the server knows."""
        with GearmanAdminClient([self.address]) as admin:
            found = [sorted(each["tasks"]) for each in admin.get_workers()]
        return sorted(each for each in found if each)

    def waiting(self, name: str) -> int:
        """Return how many jobs of a function wait or run."""
        return self._status(name, "queued")

    def running(self, name: str) -> int:
        """Return how many jobs of a function run."""
        return self._status(name, "running")

    def _status(self, name: str, column: Literal["queued", "running"]) -> int:
        with GearmanAdminClient([self.address]) as admin:
            rows = {row["task"]: row[column] for row in admin.get_status()}
        return rows.get(name, 0)

    @contextmanager
    def runner(self, *options: str, **settings: Any) -> Iterator["Runner"]:
        """Run `gearman-worker` with the program until it is ended."""
        words = ["program:app", "--servers", self.address, *options]
        with started(self.folder, words, **settings) as runner:
            try:
                yield runner
            except BaseException:
                print(runner.log)
                raise


class Runner:
    """A running `gearman-worker`; its log is in a file."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        self.process = process
        self._path = path

    @property
    def log(self) -> str:
        return self._path.read_text()

    @property
    def pids(self) -> dict[int, int]:
        """Return the process ids of the processes that have become ready."""
        found = re.findall(r"process (\d+) is ready \((\d+)\)\n", self.log)
        return {int(number): int(pid) for number, pid in found}

    def until_logged(self, text: str, times: int = 1) -> None:
        def logged() -> bool:
            return self.log.count(text) >= times or self.process.poll() is not None

        servers.until(logged)
        assert self.log.count(text) >= times, self.log

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def ends(self) -> int:
        return self.process.wait(servers.DEADLINE)


@contextmanager
def started(
    folder: Path, words: Sequence[str], log: str = "log", **environment: str
) -> Iterator[Runner]:
    """Run `gearman-worker` in a folder; end it at last, and kill it if need be."""
    path = folder / log
    with path.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gearman.tasks", *words],
            cwd=folder,
            # Two programs of the same size and second have the same compiled file.
            env={
                **servers.package_environment(),
                "PYTHONDONTWRITEBYTECODE": "1",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Runner(process, path)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(servers.DEADLINE / 4)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
        process.wait(servers.DEADLINE)


def alive(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
