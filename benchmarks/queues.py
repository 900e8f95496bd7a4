"""Compare persistent queues: ``python benchmarks/queues.py``.

Jobs are acknowledged only when they are durable; gearmand runs with its own plugin for
the same back end. See docs/performance.md.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

if not __package__:
    # As a script, it can't import its own package without this.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine, programs  # noqa: E402
from benchmarks.backends import BACKENDS, Store, new_store  # noqa: E402
from benchmarks.loads import Load, Phase  # noqa: E402
from benchmarks.options import add_names, add_number, positive  # noqa: E402
from benchmarks.play import Outcome, play  # noqa: E402
from benchmarks.run import exit_status, tell  # noqa: E402
from benchmarks.servers import HOST, Server, ServerError, find  # noqa: E402
from benchmarks.table import rows, table  # noqa: E402
from gearman.queue import Queue, StoredJob, load  # noqa: E402

# Jobs of the replay, and jobs of each commit that fills the store for it.
REPLAY, FILL = 1_000_000, 10_000
# How many commits of one job, and how many syncs, are measured.
COMMITS = 1000
SYNCS = 200


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits with a sentence if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/queues.py",
        description="Compare persistent queues with gearmand's.",
    )
    parser.add_argument("--quick", action="store_true", help="smaller loads")
    add_names(parser, "--queues", BACKENDS)
    add_number(parser, "--repeat", 3, "plays")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument(
        "--sync",
        type=positive,
        metavar="US",
        help="have each fsync take so many microseconds more, as on a slower disk",
    )
    return parser.parse_args(argv)


def durable(name: str, *, quick: bool) -> Load:
    """Return the load for comparing queues."""
    jobs, seconds = (20_000, 2.0) if quick else (200_000, 10.0)
    single = Phase(
        mode="background",
        jobs=200 if quick else 2_000,
        seconds=seconds,
        prefix="single_",
        clients=1,
        unique=True,
    )
    submit = Phase(
        mode="background",
        jobs=jobs,
        seconds=seconds,
        prefix="submit_",
        clients=8,
        in_flight=64,
        unique=True,
    )
    drain = Phase(
        mode="drain", jobs=jobs, seconds=4 * seconds, prefix="drain_", workers=8
    )
    text = "8 clients x 64 in flight, unique keys; then 8 workers take the jobs"
    return Load(name, text, "durable", (submit, drain, single))


def plays(
    program: Path, load: Load, contenders: Sequence[Server], repeat: int
) -> Iterator[Outcome]:
    """Play a load with the servers in turn, each time with a new store."""
    for number in range(repeat):
        for server in contenders:
            with new_store(load.name) as store:
                options = store.gearmand if server.group == "gearmand" else store.ours
                if not options:
                    continue
                tell(f"{load.name} {number + 1}/{repeat}: {server.label}")
                command = (*server.command, *options)
                outcome = play(program, load, replace(server, command=command))
            if not outcome.failure and server.group != "gearmand":
                with new_store(load.name) as store:
                    outcome.figures["commit"] = commit_time(load.name, store)
            yield outcome


def opened(name: str, store: Store) -> Queue:
    """Open a store with its plugin, ready for commits."""
    queue = load(name)(**store.arguments)
    list(queue.replay())
    return queue


def stored(number: int) -> StoredJob:
    handle, unique = b"H:host:%d" % number, b"unique %d" % number
    return StoredJob(number, handle, b"function0", unique, bytes(64))


def commit_time(name: str, store: Store) -> float:
    """Return the median time of a commit of one job, in microseconds."""
    times = []
    with closing(opened(name, store)) as queue:
        for number in range(1, COMMITS + 1):
            start = time.perf_counter()
            queue.commit([stored(number)], [])
            times.append(time.perf_counter() - start)
    return median(times) * 1e6


def replay_time(name: str, server: Server, jobs: int) -> float:
    """Return the seconds from a server's start, with so many jobs, until it answers."""
    with new_store(name) as store:
        with closing(opened(name, store)) as queue:
            for first in range(1, jobs, FILL):
                queue.commit(list(map(stored, range(first, first + FILL))), [])
        command = (*server.command, *store.ours)
        start = time.perf_counter()
        with (
            replace(server, command=command).running() as (_, port),
            socket.create_connection((HOST, port), 300) as peer,
        ):
            peer.sendall(b"version\n")
            if not peer.recv(100):
                raise ServerError("ended before it answered")
            return time.perf_counter() - start


def sync_time() -> float:
    """Return the median time to sync a block of 4 KiB, in microseconds.

    The block is written to an existing part of a file, on the disk of the stores.
    """
    times = []
    with tempfile.TemporaryFile(buffering=0) as file:
        for _ in range(SYNCS):
            file.seek(0)
            file.write(bytes(4096))
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    return median(times) * 1e6


def slower_disk(folder: Path, microseconds: int) -> dict[str, str]:
    """Return an environment in which each sync takes so many microseconds longer.

    The library for it is put into a folder that every user can read.
    """
    library = programs.build("slow_sync", folder, programs.LIBRARY)
    return {
        **os.environ,
        "LD_PRELOAD": str(library),
        "SYNC_MICROSECONDS": str(microseconds),
    }


def run_slowed(words: Sequence[str], microseconds: int) -> int:
    """Run this command again, with a slower disk for it and its children."""
    with tempfile.TemporaryDirectory(prefix="gearman-queue-") as folder:
        # Postgres runs as another user.
        os.chmod(folder, 0o755)
        environment = slower_disk(Path(folder), microseconds)
        command = [sys.executable, os.path.abspath(__file__), *words]
        return subprocess.run(command, env=environment, check=False).returncode


def main(argv: Sequence[str] | None = None) -> int:
    """Compare queues, and print the tables on standard output."""
    words = sys.argv[1:] if argv is None else argv
    options = parse(words)
    if options.sync and "SYNC_MICROSECONDS" not in os.environ:
        return exit_status("queues.py", lambda: run_slowed(words, options.sync))
    return exit_status("queues.py", lambda: _compare(options))


def _compare(options: argparse.Namespace) -> None:
    program = programs.build("load")
    servers = [s for s in find(None) if s.group in ("ours-speedups", "gearmand")]
    contenders = [s for s in servers if s.label != "gearmand -t 1"]
    print("\n".join([*machine.describe(contenders), machine.noise()]))
    print(f"a sync of 4 KiB takes {sync_time():,.0f} µs", flush=True)
    loads = [durable(name, quick=options.quick) for name in options.queues]
    outcomes = [
        o for one in loads for o in plays(program, one, contenders, options.repeat)
    ]
    print(table("durable", [rows(one, contenders, outcomes) for one in loads]))
    print(f"\n{loads[0].text}\n")
    if options.json:
        figures = [asdict(outcome) for outcome in outcomes]
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    _replays(options, contenders)


def _replays(options: argparse.Namespace, servers: Sequence[Server]) -> None:
    jobs = REPLAY // 10 if options.quick else REPLAY
    for name in options.queues:
        for server in servers:
            if server.group != "gearmand":
                seconds = replay_time(name, server, jobs)
                print(
                    f"{name}: {jobs:,} jobs are taken up in {seconds:.1f} s", flush=True
                )


if __name__ == "__main__":
    sys.exit(main())
