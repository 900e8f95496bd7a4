"""Measure a take-over: ``python benchmarks/takeover.py``.

Of two servers with a common Postgres, the one with all jobs is killed. How long after
the end of its lease does the other one give out such a job, and when has it loaded all?
See docs/performance.md.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

if not __package__:
    # As a script, it can't import its own package without this.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine, programs  # noqa: E402
from benchmarks.backends import Store, new_store  # noqa: E402
from benchmarks.inbox import jobs, used  # noqa: E402
from benchmarks.loads import Phase  # noqa: E402
from benchmarks.options import add_names, add_number  # noqa: E402
from benchmarks.play import run_phase  # noqa: E402
from benchmarks.run import exit_status, tell  # noqa: E402
from benchmarks.servers import HOST, Server, ServerError, find  # noqa: E402
from tests.queues.backend_postgres import psycopg  # noqa: E402
from tests.wire import Peer  # noqa: E402

BUILDS = ("ours-speedups", "ours-pure")
# What the load generator calls the function of its jobs.
FUNCTION = b"function0"
# Seconds after which a server counts as hung.
PATIENCE = 300.0

# The seconds since the first lease was over that ends.
OVER = """
    SELECT extract(epoch FROM clock_timestamp() - min(expires))::float8
    FROM gearman_jobs_leases
"""
# The least shards that a server owns, of so many servers.
OWNED = """
    SELECT count(*), min(owned) FROM (
        SELECT count(shards.server) AS owned FROM gearman_jobs_servers AS servers
        LEFT JOIN gearman_jobs_shards AS shards ON shards.server = servers.id
        GROUP BY servers.id
    ) AS servers
"""


class Figures(NamedTuple):
    """Seconds since the end of the lease until the heir has given out a job, and until
    it has loaded all; and the seconds of CPU that it has used for that.
    """

    first: float
    all: float
    cpu: float


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits with a sentence if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/takeover.py",
        description="Measure how a server takes over the jobs of one that was killed.",
    )
    add_names(parser, "--servers", BUILDS)
    add_number(parser, "--jobs", 1_000_000, "jobs of the server that is killed")
    add_number(parser, "--lease", 10, "seconds of the lease")
    add_number(parser, "--repeat", 3, "take-overs")
    return parser.parse_args(argv)


def wait_for(condition: Callable[[], bool], what: str, pause: float = 0.02) -> None:
    """Return when a condition is met. Raises ServerError with `what` if it is not."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise ServerError(f"{what} within {PATIENCE:.0f} seconds")
        time.sleep(pause)


def member(server: Server, store: Store, lease: float) -> Server:
    """Return a server as one of a cluster that shares a store."""
    command = (
        *(*server.command, *store.ours, "--cluster", "bench"),
        *("--cluster-address", f"{HOST}:{{port}}", "--cluster-lease", str(lease)),
    )
    return replace(server, command=command, patience=PATIENCE)


@contextmanager
def members(
    server: Server, store: Store, lease: float, count: int
) -> Iterator[list[tuple[int, int]]]:
    """Run servers that have divided the shards; yields their processes and ports."""
    one = member(server, store, lease)
    with (
        ExitStack() as stack,
        closing(psycopg().connect(store.arguments["conninfo"])) as database,
    ):
        database.autocommit = True
        running = [stack.enter_context(one.running()) for _ in range(count)]

        def divided() -> bool:
            row: tuple[int, int] = database.execute(OWNED).fetchone()
            return row == (count, 64 // count)

        wait_for(divided, "the shards were not divided")
        yield running


def take_over(
    program: Path, server: Server, store: Store, count: int, lease: float
) -> Figures:
    """Kill a server with so many jobs, and return the figures of the other one."""
    with (
        members(server, store, lease, 2) as ((dead, port), (heir, at)),
        closing(psycopg().connect(store.arguments["conninfo"])) as database,
        Peer(at) as admin,
    ):
        database.autocommit = True
        phase = Phase(mode="background", seconds=PATIENCE, clients=8, in_flight=64)
        run_phase(program, phase, dead, port, count)
        os.kill(dead, signal.SIGKILL)
        with Peer(at) as worker, ThreadPoolExecutor(1) as thread:
            wait_for(lambda: over(database) > 0, "the lease did not end", 0.001)
            ended, before = time.monotonic() - over(database), used(heir)
            first = thread.submit(given_out, worker)
            loads = "the jobs were not loaded"
            wait_for(lambda: jobs(admin.socket) >= count, loads, 0.1)
            loaded, cpu = time.monotonic(), used(heir) - before
            return Figures(first.result() - ended, loaded - ended, cpu)


def over(database: Any) -> float:
    [(seconds,)] = database.execute(OVER).fetchall()
    return float(seconds)


def given_out(worker: Peer) -> float:
    """Wait for a job as a worker does, and return when it has come."""
    worker.send("CAN_DO", FUNCTION)
    try:
        while worker.request("GRAB_JOB").name == "NO_JOB":
            worker.send("PRE_SLEEP")
            worker.expect("NOOP")
    except TimeoutError:
        raise ServerError("the heir gives out no job") from None
    return time.monotonic()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print a line for each build on standard output."""
    options = parse(sys.argv[1:] if argv is None else argv)
    return exit_status("takeover.py", lambda: _measure(options))


def _measure(options: argparse.Namespace) -> None:
    program = programs.build("load")
    servers = [s for s in find(None) if s.group in options.servers]
    print("\n".join([*machine.describe(servers), machine.noise()]), flush=True)
    for server in servers:
        found = []
        for number in range(options.repeat):
            tell(f"{server.label} {number + 1}/{options.repeat}")
            with new_store("postgres") as store:
                figures = take_over(program, server, store, options.jobs, options.lease)
            found.append(figures)
        print(_line(server.label, options.jobs, found), flush=True)


def _line(label: str, count: int, found: Sequence[Figures]) -> str:
    first, all, cpu = (median(kind) for kind in zip(*found, strict=True))
    return (
        f"{label}: {first:.1f} s after the end of the lease a job is given out, and"
        f" after {all:.1f} s all {count:,} are loaded ({min(f.all for f in found):.1f}"
        f" to {max(f.all for f in found):.1f}), for {cpu:.1f} s of CPU"
    )


if __name__ == "__main__":
    sys.exit(main())
