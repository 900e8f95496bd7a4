"""Compare the asyncio client with the blocking one: ``python benchmarks/aio.py``.

Both run jobs of one server, whose workers are the load generator's: compiled, so that
the clients are compared. See docs/performance.md.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

if not __package__:
    # As a script, it can't import its own package without this.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine  # noqa: E402
from benchmarks.aio_play import WAYS  # noqa: E402
from benchmarks.options import add_names, add_number, add_repeat, repeat  # noqa: E402
from benchmarks.programs import CompileError, build  # noqa: E402
from benchmarks.servers import (  # noqa: E402
    Server,
    ServerError,
    find,
    output,
    with_gearman,
)
from benchmarks.table import aligned, medians  # noqa: E402

_SCRIPT = str(Path(__file__).with_name("aio_play.py"))

# Seconds that one play may take.
_PATIENCE = 300.0

# Connections of the workers, and more jobs and milliseconds than a play takes.
_WORKERS = ("--mode", "drain", "--workers", "8")
_ENDLESS = ("--jobs", "10000000", "--milliseconds", "3600000")

Figures = dict[str, float]


@contextmanager
def served(server: Server, program: Path) -> Iterator[int]:
    """Run a server and workers; yields the port."""
    with server.running() as (_, port):
        command = [str(program), "--port", str(port), *_WORKERS, *_ENDLESS]
        workers = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield port
        finally:
            workers.kill()
            workers.wait()


def play_all(
    server: Server, program: Path, options: argparse.Namespace
) -> dict[str, list[Figures]]:
    """Play each way in turn, so that noise affects all; return the figures."""
    jobs = options.jobs // 10 if options.quick else options.jobs
    numbers = [str(jobs), str(min(options.flight, jobs))]
    figures: dict[str, list[Figures]] = {way: [] for way in options.ways}
    with served(server, program) as port:
        for number in range(options.repeat):
            for way in options.ways:
                text = f"{way} {number + 1}/{options.repeat}"
                print(text, file=sys.stderr, flush=True)
                command = [sys.executable, _SCRIPT, way, str(port), *numbers]
                said = output(command, _PATIENCE, with_gearman({}))
                figures[way].append(json.loads(said))
    return figures


def table(figures: dict[str, list[Figures]]) -> str:
    """Return a table in Markdown; ratios are to the first way's figures."""
    headings = ["way", "jobs/s", "ratio", "CPU µs/job", "ratio"]
    middle = {way: medians(played) for way, played in figures.items()}
    first = next(iter(middle.values()))
    lines = [
        [
            *(way, f"{mine['rate']:,.0f}", f"{mine['rate'] / first['rate']:.2f}x"),
            *(f"{mine['cpu']:,.1f}", f"{mine['cpu'] / first['cpu']:.2f}x"),
        ]
        for way, mine in middle.items()
    ]
    return "\n".join(aligned(headings, lines))


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits with a sentence if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/aio.py",
        description="Compare the asyncio client with the blocking one.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the jobs, each way once"
    )
    add_names(parser, "--ways", WAYS)
    add_number(parser, "--jobs", 50_000, "how many jobs each way runs")
    add_number(parser, "--flight", 1_000, "how many jobs are in flight")
    add_repeat(parser, 5)
    options = parser.parse_args(argv)
    options.repeat = repeat(options, 5)
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the ways, and print the table on standard output."""
    options = parse(sys.argv[1:] if argv is None else argv)
    server = next(found for found in find(None) if found.group.startswith("ours"))
    header = [*machine.describe([server]), machine.noise()]
    print("\n".join(filter(None, header)), flush=True)
    try:
        figures = play_all(server, build("load"), options)
    except (CompileError, ServerError) as error:
        print(f"benchmarks/aio.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(f"\n{table(figures)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
