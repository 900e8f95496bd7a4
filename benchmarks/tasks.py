"""Compare systems of tasks: ``python benchmarks/tasks.py --peers VENV/bin/python``.

VENV has RQ, Celery and Dramatiq: ``pip install rq 'celery[redis]' 'dramatiq[redis]'``.
redis-server must be installed. See docs/performance.md.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

if not __package__:
    # As a script, it can't import its own package without this.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine  # noqa: E402
from benchmarks.servers import HOST, ServerError, free_port, with_gearman  # noqa: E402
from benchmarks.table import aligned  # noqa: E402

_ROOT = Path(__file__).resolve().parents[1]

SYSTEMS = ("gearman", "rq", "celery", "dramatiq")
VERSIONS = {"rq": "rq", "celery": "celery", "dramatiq": "dramatiq"}

# Seconds that a play may take; a slower system has no number.
_PATIENCE = 300.0

# Seconds that a broker may take to start.
_PATIENCE_OF_BROKER = 15.0

# Jobs of each load, and with --quick.
JOBS = {
    "submit": (3_000, 300),
    "work": (3_000, 300),
    "submit-many": (10_000, 300),
    "call": (2_000, 50),
}


class Outcome(NamedTuple):
    """Jobs in a second, and microseconds of CPU that the client or worker took each."""

    rate: float
    cpu: float


class Stage:
    """A broker of a system, and the programs that use it."""

    def __init__(self, system: str, python: str, port: int) -> None:
        self._words = [python, "-P", "-m", "benchmarks.task_play", system]
        self._port = port

    def play(self, load: str, jobs: int) -> Outcome:
        """Return the outcome of a load. Raises ServerError if a result is wrong."""
        done = subprocess.run(
            self._command(load, jobs),
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            text=True,
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not lines:
            raise ServerError(f"{' '.join(self._words)} {load} has no outcome")
        outcome = json.loads(lines[-1])
        if not outcome["right"]:
            raise ServerError(f"{' '.join(self._words)} {load}: a result is wrong")
        done_jobs = outcome["jobs"]
        return Outcome(done_jobs / outcome["seconds"], outcome["cpu"] / done_jobs * 1e6)

    @contextmanager
    def worker(self) -> Iterator[None]:
        """Run a worker, which counts no jobs."""
        process = subprocess.Popen(
            self._command("work", 0),
            env=_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def _command(self, load: str, jobs: int) -> list[str]:
        return [*self._words, load, str(self._port), str(jobs)]


def _environment() -> Mapping[str, str]:
    return with_gearman({"PYTHONPATH": str(_ROOT)})


@contextmanager
def broker(system: str, *, durable: bool) -> Iterator[int]:
    """Run the broker of a system on a free port; yield the port."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="gearman-benchmark-") as folder:
        make = _gearmand if system == "gearman" else _redis
        process = subprocess.Popen(
            make(port, durable),
            cwd=folder,
            env=_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait()


def _gearmand(port: int, durable: bool) -> list[str]:
    words = [sys.executable, "-P", "-m", "gearman.server", "-L", HOST, "-p", str(port)]
    return [*words, "-q", "sqlite", "--sqlite-db", "jobs.db"] if durable else words


def _redis(port: int, durable: bool) -> list[str]:
    words = ["redis-server", "--port", str(port), "--bind", HOST, "--save", ""]
    return (
        [*words, "--appendonly", "yes", "--appendfsync", "always"] if durable else words
    )


def _wait_for(port: int) -> None:
    end = time.monotonic() + _PATIENCE_OF_BROKER
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection((HOST, port), 1.0):
            return
        time.sleep(0.02)
    raise ServerError("the broker does not answer")


def measured(
    system: str, python: str, number: int, *, durable: bool
) -> dict[str, Outcome]:
    """Play all loads once; return the outcomes by load."""
    jobs = {load: counts[number] for load, counts in JOBS.items()}
    found = {}
    with broker(system, durable=durable) as port:
        stage = Stage(system, python, port)
        for load in ("submit", "work"):
            found[load] = stage.play(load, jobs[load])
        with stage.worker():
            found["call"] = stage.play("call", jobs["call"])
        # Its jobs are left there.
        found["submit-many"] = stage.play("submit-many", jobs["submit-many"])
    return found


def run(options: argparse.Namespace) -> None:
    """Measure all systems, in turns, and print a table."""
    for line in machine.describe(()):
        print(line)
    _print_versions(options.peers)
    outcomes: dict[str, list[dict[str, Outcome]]] = {
        name: [] for name in options.systems
    }
    for _ in range(options.repeat):
        for system in options.systems:
            python = sys.executable if system == "gearman" else options.peers
            outcomes[system].append(
                measured(system, python, options.quick, durable=options.durable)
            )
    medians = {
        system: {load: _median([each[load] for each in found]) for load in JOBS}
        for system, found in outcomes.items()
    }
    print("\n".join(table(medians)))


def _median(outcomes: Sequence[Outcome]) -> Outcome:
    rates, cpus = zip(*outcomes, strict=True)
    return Outcome(median(rates), median(cpus))


def table(medians: Mapping[str, Mapping[str, Outcome]]) -> Iterator[str]:
    """Yield the lines of a table; ours is so many times as fast as the others."""
    ours = medians.get("gearman")
    rows = []
    for system, found in medians.items():
        rates, cpus = [], []
        for load in JOBS:
            rate, cpu = found[load]
            times = f" ({ours[load].rate / rate:.1f}x)" if ours else ""
            less = f" ({cpu / ours[load].cpu:.1f}x)" if ours else ""
            rates.append(f"{rate:,.0f}{times}")
            cpus.append(f"{cpu:,.0f}{less}")
        rows += [[system, "jobs/s", *rates], [system, "CPU µs/job", *cpus]]
    return aligned(["system", "", *JOBS], rows)


def _print_versions(python: str) -> None:
    code = "from importlib.metadata import version; print(version({!r}))"
    for name in VERSIONS.values():
        words = [python, "-c", code.format(name)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        print(f"{name}: {done.stdout.strip() or 'not installed'}")


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    parser.add_argument("--durable", action="store_true", help="brokers store each job")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(argv)
    if set(options.systems) != {"gearman"} and not shutil.which("redis-server"):
        parser.error("redis-server is not installed")
    run(options)
    print(machine.noise())
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main())
