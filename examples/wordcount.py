#!/usr/bin/env python3
"""Count the words of a folder of text files on three workers of a job server.

Usage: python3 examples/wordcount.py [FOLDER]

It starts a server in a process of its own that stores background jobs in an SQLite
file, three workers in processes of their own, and a client that submits a job for each
file. Then the server is killed while jobs are queued, to show that they are not lost.
Nothing needs to be installed.
"""

import mimetypes
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))

import gearman  # noqa: E402 - from this checkout

WORKERS = 3
NOTES = 1000


class Server:
    """A job server with a durable queue; all its files are in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = "0"
        self.start()

    def start(self) -> None:
        """Start the server (first on a free port), and wait until it is ready."""
        log = self._folder / "log"
        log.unlink(missing_ok=True)
        options = ["-L", "127.0.0.1", "-p", self._port, "-l", str(log)]
        queue = ["-q", "sqlite", "--sqlite-db", str(self._folder / "jobs.db")]
        command = [sys.executable, "-m", "gearman.server", *options, *queue]
        self._process = subprocess.Popen(command, cwd=HOME)
        while not (log.exists() and "ready" in log.read_text()):
            if self._process.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.05)
        found = re.search(r"listening on (\S+:(\d+))", log.read_text())
        assert found is not None
        self.address, self._port = found.groups()

    def kill(self) -> None:
        """Kill the server, as a crash or a power failure does."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


@contextmanager
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        running = Server(Path(folder))
        try:
            yield running
        finally:
            running.stop()


@contextmanager
def workers(address: str, task: str) -> Iterator[None]:
    """A context with running workers, after all of them have registered the task."""
    command = [sys.executable, __file__, "--worker", address]
    processes = [subprocess.Popen(command) for _ in range(WORKERS)]
    try:
        while [row["workers"] for row in status(address, task)] != [WORKERS]:
            time.sleep(0.05)
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def work(address: str) -> None:
    """Run a worker until it is terminated."""
    worker = gearman.GearmanWorker([address])
    worker.register_task("wordcount", lambda _, job: str(len(job.data.split())))
    worker.register_task("note", lambda _, job: "noted")
    worker.work()


def count(address: str, folder: Path) -> None:
    """Submit a job for each file, and wait for the results."""
    files = sorted(path for path in folder.iterdir() if is_text(path))
    jobs = [{"task": "wordcount", "data": path.read_bytes()} for path in files]
    with workers(address, "wordcount"), gearman.GearmanClient([address]) as client:
        print(f"The server listens on {address}; {WORKERS} workers count words.")
        requests = client.submit_multiple_jobs(jobs)
        for path, request in zip(files, requests, strict=True):
            print(f"{int(request.result):8} words in {path.name}")
        print("What the server says:", *status(address, "wordcount"))


def is_text(path: Path) -> bool:
    """Whether a file is text, by the ending of its name; a file without one is."""
    kind, _ = mimetypes.guess_type(path.name)
    return path.is_file() and (kind or "text/plain").startswith("text/")


def survive(running: Server) -> None:
    """Queue background jobs, kill the server, start it again, and let the jobs run."""
    jobs = [{"task": "note", "data": str(number)} for number in range(NOTES)]
    with gearman.GearmanClient([running.address]) as client:
        client.submit_multiple_jobs(jobs, background=True)
    print(f"{NOTES} background jobs are queued, and the server is killed.")
    running.kill()
    running.start()
    print("Started again it says:", *status(running.address, "note"))
    with workers(running.address, "note"):
        while any(row["queued"] for row in status(running.address, "note")):
            time.sleep(0.05)
    print("The workers have run them all.")


def status(address: str, task: str) -> list[gearman.admin_client_handler.TaskStatus]:
    with gearman.GearmanAdminClient([address]) as admin:
        return [row for row in admin.get_status() if row["task"] == task]


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2])
        return
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HOME / "docs"
    if not folder.is_dir():
        raise SystemExit(f"{folder} is no folder")
    with server() as running:
        count(running.address, folder)
        survive(running)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(1) from None
