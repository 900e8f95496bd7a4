"""Measure what a cluster costs: ``python benchmarks/cluster.py``.

Durable jobs with one server without a cluster, with the only one of a cluster, and with
three that have their own clients and workers, with and without a cluster: how many a
second, and the CPU of servers and of Postgres for each. See docs/performance.md.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

if not __package__:
    # As a script, it can't import its own package without this.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine, programs  # noqa: E402
from benchmarks.backends import Store, new_store  # noqa: E402
from benchmarks.loads import Phase  # noqa: E402
from benchmarks.metrics import processor_seconds  # noqa: E402
from benchmarks.options import add_names, add_number  # noqa: E402
from benchmarks.play import Figures as Play
from benchmarks.play import run_phase  # noqa: E402
from benchmarks.run import exit_status, tell  # noqa: E402
from benchmarks.servers import Server, find  # noqa: E402
from benchmarks.takeover import BUILDS, PATIENCE, members  # noqa: E402
from tests.queues.backend_postgres import psycopg  # noqa: E402

# Seconds of the lease, and after which a phase has hung.
LEASE, LIMIT = 10, 300.0
# Jobs are drained for this part of the time that it took to submit them, so that no
# server has none left: others may run them.
DRAINED = 0.4
# Clients and workers of all servers together, which can be divided by 3.
PEERS, IN_FLIGHT = 9, 64
# The pure build gets this part of the jobs, since it takes so much longer for each.
PURE = 0.1
TICK = os.sysconf("SC_CLK_TCK")

# Processes and ports of servers.
Running = Sequence[tuple[int, int]]
Run = Callable[[Server, Store], AbstractContextManager[Running]]


@contextmanager
def alone(server: Server, store: Store) -> Iterator[Running]:
    """Run a server without a cluster."""
    command = (*server.command, *store.ours)
    with replace(server, command=command, patience=PATIENCE).running() as found:
        yield [found]


@contextmanager
def apart(count: int, server: Server, store: Store) -> Iterator[Running]:
    """Run so many servers without a cluster, each with a table of its own."""
    with ExitStack() as stack:
        tables = (f"gearman_jobs_{number}" for number in range(count))
        yield [
            stack.enter_context(
                replace(
                    server,
                    command=(*server.command, *store.ours, "--postgres-table", table),
                    patience=PATIENCE,
                ).running()
            )
            for table in tables
        ]


@contextmanager
def several(count: int, server: Server, store: Store) -> Iterator[Running]:
    """Run so many servers of a cluster, each with its part of the shards."""
    with members(server, store, LEASE, count) as found:
        yield found


CONTENDERS: dict[str, Run] = {
    "without a cluster": alone,
    "cluster of 1": partial(several, 1),
    "3 without a cluster": partial(apart, 3),
    "cluster of 3": partial(several, 3),
}


class Figures(NamedTuple):
    """Jobs a second, and microseconds of CPU for each: of the servers, of Postgres."""

    rate: float
    cpu: float
    postgres: float


@dataclass(frozen=True, slots=True)
class Postgres:
    """The processes of a Postgres whose first one is `main`."""

    main: int

    @classmethod
    def of(cls, store: Store) -> "Postgres":
        with psycopg().connect(store.arguments["conninfo"]) as connection:
            return cls(int(_stat(connection.info.backend_pid)[1]))

    def used(self) -> float:
        """Return the seconds of CPU that all have used, also those that have ended."""
        # Of those that have ended, in ticks of 10 ms; of the others, in nanoseconds.
        seconds = sum(map(int, _stat(self.main)[13:15])) / TICK
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if self.main in (int(entry.name), int(_stat(int(entry.name))[1])):
                    seconds += processor_seconds(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
        return seconds


def _stat(pid: int) -> list[str]:
    """Return the fields of a process from the third on: its state, its parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits with a sentence if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/cluster.py",
        description="Measure durable jobs with and without a cluster, on Postgres.",
    )
    add_names(parser, "--servers", BUILDS)
    add_number(
        parser, "--jobs", 200_000, "jobs of a round; a tenth of them with ours-pure"
    )
    add_number(parser, "--repeat", 5, "rounds, with all kinds of servers in turns")
    return parser.parse_args(argv)


def play(program: Path, run: Run, server: Server, jobs: int) -> tuple[Figures, Figures]:
    """Submit durable jobs, and have them done; return the figures of both."""
    with new_store("postgres") as store, run(server, store) as running:
        postgres = Postgres.of(store)
        peers = PEERS // len(running)
        submit = Phase(
            mode="background", seconds=LIMIT, clients=peers, in_flight=IN_FLIGHT
        )
        first = measure(program, submit, running, postgres, jobs)
        seconds = DRAINED * jobs / first.rate
        drain = Phase(mode="drain", seconds=seconds, workers=peers)
        return first, measure(program, drain, running, postgres, jobs)


def measure(
    program: Path, phase: Phase, running: Running, postgres: Postgres, jobs: int
) -> Figures:
    """Play a phase with all servers at the same time, each with its part of jobs."""
    share = jobs // len(running)

    def part(one: tuple[int, int]) -> Play:
        pid, port = one
        return run_phase(program, phase, pid, port, share)

    before = postgres.used()
    with ThreadPoolExecutor(len(running)) as threads:
        found = list(threads.map(part, running))
    used = postgres.used() - before
    done = sum(each["done"] for each in found)
    cpu = sum(each["cpu"] * each["done"] for each in found) / done
    return Figures(sum(each["rate"] for each in found), cpu, used / done * 1e6)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print a line for each kind of servers on standard output."""
    options = parse(sys.argv[1:] if argv is None else argv)
    return exit_status("cluster.py", lambda: _measure(options))


def _measure(options: argparse.Namespace) -> None:
    program = programs.build("load")
    servers = [s for s in find(None) if s.group in options.servers]
    print("\n".join([*machine.describe(servers), machine.noise()]), flush=True)
    for server in servers:
        jobs = round(options.jobs * (PURE if server.group == "ours-pure" else 1))
        found: dict[str, list[tuple[Figures, Figures]]] = {n: [] for n in CONTENDERS}
        for number in range(options.repeat):
            for name, run in CONTENDERS.items():
                tell(f"{server.label} {number + 1}/{options.repeat}: {name}")
                figures = play(program, run, server, jobs)
                tell("; ".join(f"{each.rate:,.0f} jobs/s" for each in figures))
                found[name].append(figures)
        print("\n".join(_lines(server.label, found)), flush=True)


def _lines(
    label: str, found: dict[str, list[tuple[Figures, Figures]]]
) -> Iterator[str]:
    """Yield a line for each phase of each kind of servers, with ratios to the first."""
    kinds = [list(map(_median, zip(*each, strict=True))) for each in found.values()]
    for place, phase in enumerate(("submit", "drain")):
        base = kinds[0][place]
        for name, kind in zip(found, kinds, strict=True):
            rate, cpu, postgres = kind[place]
            yield (
                f"{label}, {phase}, {name}: {rate:,.0f} jobs/s"
                f" ({rate / base.rate:.2f}x), CPU of servers {cpu:.2f} µs/job"
                f" ({cpu / base.cpu:.2f}x), of Postgres {postgres:.2f}"
                f" ({postgres / base.postgres:.2f}x)"
            )


def _median(phase: Sequence[Figures]) -> Figures:
    return Figures(*(median(kind) for kind in zip(*phase, strict=True)))


if __name__ == "__main__":
    sys.exit(main())
