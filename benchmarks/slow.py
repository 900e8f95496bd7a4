"""The latency of foreground jobs with a slow queue: ``python benchmarks/slow.py``.

Each commit of the queue takes 200 ms. Round trips of foreground jobs are measured while
other clients submit background jobs, and while they don't. See docs/performance.md.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import quantiles

if not __package__:
    # As a script, it can't import its own package without this.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import gearman  # noqa: E402
from benchmarks import machine, programs  # noqa: E402
from benchmarks.clients import served  # noqa: E402
from benchmarks.options import add_number  # noqa: E402
from benchmarks.run import exit_status, tell  # noqa: E402
from benchmarks.servers import HOST, Server, find, with_gearman  # noqa: E402
from benchmarks.table import aligned, medians  # noqa: E402

PLUGINS = Path(__file__).resolve().parents[1] / "tests" / "crash" / "plugins"


@contextmanager
def slowly_served(server: Server) -> Iterator[int]:
    """Run a server with the slow queue, and a worker; yields the port."""
    path = with_gearman({})["PYTHONPATH"]
    with tempfile.TemporaryDirectory(prefix="gearman-queue-") as folder:
        options = ("-q", "slow", f"--crash-sqlite-db={folder}/jobs.db")
        environment = {**server.environment, "PYTHONPATH": f"{path}:{PLUGINS}"}
        changed = replace(
            server, command=(*server.command, *options), environment=environment
        )
        with served(changed) as (_, port):
            yield port


def round_trips(port: int, count: int) -> dict[str, float]:
    """Return the median and the 99th percentile of round trips, in microseconds."""
    times = []
    with gearman.GearmanClient([f"{HOST}:{port}"]) as client:
        client.submit_job("echo", b"x")
        for _ in range(count):
            start = time.perf_counter()
            client.submit_job("echo", b"x" * 64)
            times.append((time.perf_counter() - start) * 1e6)
    parts = quantiles(times, n=100)
    return {"p50": parts[49], "p99": parts[98]}


@contextmanager
def submitters(program: Path, port: int, clients: int) -> Iterator[None]:
    """A context in which so many clients submit background jobs, 64 at a time."""
    words = ["--mode", "background", "--clients", str(clients), "--inflight", "64"]
    words += ["--jobs", "10000000", "--milliseconds", "60000", "--port", str(port)]
    process = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def play(program: Path, server: Server, clients: int, count: int) -> dict[str, float]:
    """Measure round trips while so many clients submit background jobs."""
    with slowly_served(server) as port:
        if not clients:
            return round_trips(port, count)
        with submitters(program, port, clients):
            return round_trips(port, count)


def main(argv: Sequence[str] | None = None) -> int:
    """Compare latencies, and print the table on standard output."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/slow.py",
        description="Measure foreground jobs while each commit takes 200 ms.",
    )
    add_number(parser, "--repeat", 3, "plays")
    add_number(parser, "--jobs", 5000, "of each")
    options = parser.parse_args(argv)
    return exit_status("slow.py", lambda: _compare(options))


def _compare(options: argparse.Namespace) -> None:
    program = programs.build("load")
    server = next(found for found in find(None) if found.group.startswith("ours"))
    print("\n".join([*machine.describe([server]), machine.noise()]), flush=True)
    figures: dict[int, list[dict[str, float]]] = {0: [], 8: []}
    for number in range(options.repeat):
        for clients, plays in figures.items():
            tell(f"{number + 1}/{options.repeat}: {clients} submitters")
            plays.append(play(program, server, clients, options.jobs))
    lines = [
        ["foreground round trip", f"{clients} submitters", *_cells(medians(plays))]
        for clients, plays in figures.items()
    ]
    print("\n".join(aligned(["load", "beside", "p50 µs", "p99 µs"], lines)))


def _cells(figures: dict[str, float]) -> Iterator[str]:
    return (f"{figures[name]:,.0f}" for name in ("p50", "p99"))


if __name__ == "__main__":
    sys.exit(main())
