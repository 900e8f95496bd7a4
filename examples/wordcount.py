#!/usr/bin/env python3
"""Count the words of a folder of text files on three workers of a job server.

Usage: python3 examples/wordcount.py [FOLDER]

Everything is real: a server in a process of its own, three workers in theirs, and a
client that submits a job for each file. Nothing has to be installed.
"""

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


@contextmanager
def server() -> Iterator[str]:
    """Run a job server on a free port, which its log tells, and yield its address."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        command = [sys.executable, "-m", "gearman.server", "-L", "127.0.0.1", "-p", "0"]
        process = subprocess.Popen([*command, "-l", log], cwd=HOME)
        try:
            while not (log.exists() and "ready" in log.read_text()):
                if process.poll() is not None:
                    raise SystemExit("the server did not start")
                time.sleep(0.05)
            found = re.search(r"listening on (\S+)", log.read_text())
            assert found is not None
            yield found[1]
        finally:
            process.terminate()
            process.wait()


@contextmanager
def workers(address: str) -> Iterator[None]:
    command = [sys.executable, __file__, "--worker", address]
    processes = [subprocess.Popen(command) for _ in range(WORKERS)]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def work(address: str) -> None:
    """What each worker does: answer jobs until it is terminated."""
    worker = gearman.GearmanWorker([address])
    worker.register_task("wordcount", lambda _, job: str(len(job.data.split())))
    worker.work()


def count(folder: Path) -> None:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    jobs = [{"task": "wordcount", "data": path.read_bytes()} for path in files]
    with server() as address, workers(address):
        print(f"The server listens on {address}; {WORKERS} workers count words.")
        with gearman.GearmanClient([address]) as client:
            requests = client.submit_multiple_jobs(jobs)
        for path, request in zip(files, requests, strict=True):
            print(f"{int(request.result):8} words in {path.name}")
        with gearman.GearmanAdminClient([address]) as admin:
            print("What the server says:", *admin.get_status())


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2])
        return
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HOME / "docs"
    if not folder.is_dir():
        raise SystemExit(f"{folder} is no folder")
    count(folder)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(1) from None
