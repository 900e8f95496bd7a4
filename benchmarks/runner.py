"""Whether gearman-worker runs each job once, while its processes come and go.

    python -m benchmarks.runner --jobs 10000 --max-jobs 50 --hup 1
    python -m benchmarks.runner --jobs 10000 --kill 0.5

The jobs are durable (SQLite). Each takes `--milliseconds`, and then notes its number.
With `--hup` the processes are replaced every so many seconds; with `--kill` one of them
is killed, or, every fifth time, the runner itself, which is then started again. A
process that is killed may have noted a job that the server gives to another one; no
other job may be noted twice.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gearman import GearmanAdminClient
from gearman.tasks import App

from .servers import Server, with_gearman

PROGRAM = """
import os, time
from gearman.tasks import App

app = App({address!r})
notes = os.open("notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@app.task
def note(number: int) -> None:
    time.sleep({seconds})
    os.write(notes, b"%d\\n" % number)
"""


@dataclass
class Run:
    """A runner in a folder, with what was done to it."""

    folder: Path
    words: Sequence[str]
    hups: int = 0
    kills: int = 0
    masters: int = 0
    before: int = 0
    process: subprocess.Popen[bytes] | None = None
    seed: random.Random = field(default_factory=random.Random)

    def start(self) -> None:
        """Start the runner; its log goes on."""
        with open(self.folder / "log", "ab") as log:
            self.before = len(self.ready())
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gearman.tasks", "program:app", *self.words],
                cwd=self.folder,
                env=with_gearman({}),
                stdout=log,
                stderr=log,
            )

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def noted(self) -> Counter[str]:
        """Return how often each job was noted."""
        with suppress(FileNotFoundError):
            return Counter((self.folder / "notes").read_text().split())
        return Counter()

    def ready(self) -> list[int]:
        """Return the processes that have become ready."""
        lines = (self.folder / "log").read_text().splitlines()
        return [int(s.rpartition("(")[2][:-1]) for s in lines if " is ready (" in s]

    def is_ready(self) -> bool:
        """Whether a process of the present runner has become ready."""
        return len(self.ready()) > self.before

    def hup(self) -> None:
        assert self.process is not None
        if self.is_ready():
            self.hups += 1
            self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """Kill a process, or the runner, which is started again."""
        assert self.process is not None
        if (self.kills + self.masters) % 5 == 4:
            self.masters += 1
            self.process.kill()
            self.process.wait()
            self.start()
            return
        with suppress(ProcessLookupError, IndexError):
            os.kill(self.seed.choice(self.ready()[-4:]), signal.SIGKILL)
            self.kills += 1

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait()


def play(options: argparse.Namespace, folder: Path, port: int) -> bool:
    """Run the jobs, and print what has become of them; return whether all is well."""
    address = f"127.0.0.1:{port}"
    program = PROGRAM.format(address=address, seconds=options.milliseconds / 1000)
    (folder / "program.py").write_text(program)
    app = App(address)

    @app.task
    def note(number: int) -> None: ...

    submitted = time.monotonic()
    note.submit_many(range(options.jobs))
    print(f"{options.jobs} jobs submitted in {time.monotonic() - submitted:.2f} s")
    words = ["-c", str(options.processes), "--threads", str(options.threads)]
    if options.max_jobs:
        words += ["--max-jobs", str(options.max_jobs)]
    run = Run(folder, words, seed=random.Random(options.seed))
    run.start()
    # Before, the signal would end it.
    while not run.is_ready() and run.is_alive():
        time.sleep(0.02)
    start = time.monotonic()
    hup_at = start + (options.hup or 1e9)
    kill_at = start + (options.kill or 1e9)
    while len(run.noted()) < options.jobs and run.is_alive():
        time.sleep(0.02)
        now = time.monotonic()
        if now > start + options.limit:
            break
        if now >= hup_at:
            hup_at += options.hup
            run.hup()
        if now >= kill_at:
            kill_at += options.kill
            run.kill()
    seconds = time.monotonic() - start
    run.stop()
    with GearmanAdminClient([address]) as admin:
        left = sum(row["queued"] for row in admin.get_status())
    app.close()
    return report(options, run, seconds, left)


def report(options: argparse.Namespace, run: Run, seconds: float, left: int) -> bool:
    """Print the result; return whether all is well."""
    noted = run.noted()
    twice = sum(count - 1 for count in noted.values())
    lost = options.jobs - len(noted)
    log = (run.folder / "log").read_text()
    print(f"{seconds:.1f} s, {len(noted) / seconds:.0f} jobs/s")
    print(f"{len(run.ready())} processes, {run.hups} times HUP")
    print(f"{run.kills} processes killed, {run.masters} times the runner")
    print(f"{lost} jobs not run, {left} left on the server, {twice} run once more")
    unasked = log.count("has failed") + log.count("is killed")
    print(f"{unasked} processes have failed or were killed by the runner")
    allowed = (run.kills + run.masters) * options.threads
    return lost == 0 and twice <= allowed and (unasked == 0 or run.kills > 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--jobs", type=int, default=10_000)
    add("--milliseconds", type=float, default=5.0, help="how long a job takes")
    add("--processes", type=int, default=2)
    add("--threads", type=int, default=1)
    add("--max-jobs", type=int, default=0)
    add("--hup", type=float, default=0.0, help="seconds between two signals")
    add("--kill", type=float, default=0.0, help="seconds between two kills")
    add("--limit", type=float, default=600.0, help="seconds after which it ends")
    add("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gearman-runner-") as name:
        folder = Path(name)
        store = ("-q", "sqlite", "--sqlite-db", str(folder / "jobs.db"))
        command = (sys.executable, "-m", "gearman.server", "-L", "127.0.0.1")
        server = Server("ours", "ours", "", (*command, "-p", "{port}", *store))
        with server.running() as (_, port):
            return 0 if play(options, folder, port) else 1


if __name__ == "__main__":
    sys.exit(main())
