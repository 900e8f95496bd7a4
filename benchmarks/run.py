"""Compare job servers: ``python benchmarks/run.py``, see docs/performance.md."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

if not __package__:
    # As a script, it can't import its own package without this.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine, programs  # noqa: E402
from benchmarks.chart import chart  # noqa: E402
from benchmarks.loads import Load, loads  # noqa: E402
from benchmarks.options import add_names, add_repeat, repeat  # noqa: E402
from benchmarks.play import Outcome, play_all  # noqa: E402
from benchmarks.servers import EXTRA, GROUPS, Server, ServerError, find  # noqa: E402
from benchmarks.table import TABLES, Row, rows, table  # noqa: E402
from gearman.errors import GearmanError  # noqa: E402

NAMES = [load.name for load in loads(quick=True)]


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits with a sentence if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/run.py",
        description="Compare the job servers of this machine under several loads.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="smaller loads: about two minutes"
    )
    parser.add_argument(
        "--servers",
        nargs="+",
        choices=list(GROUPS),
        metavar="NAME",
        help=f"of {', '.join(GROUPS)} (default: all that are found,"
        f" but {' and '.join(sorted(EXTRA))})",
    )
    parser.add_argument(
        "--floor",
        action="store_true",
        help="add a minimal C epoll loop, as a lower bound",
    )
    add_names(parser, "--loads", NAMES)
    add_repeat(parser, 3)
    parser.add_argument("--json", type=_file, metavar="FILE", help="write all figures")
    parser.add_argument("--chart", type=_file, metavar="FILE", help="draw them as SVG")
    options = parser.parse_args(argv)
    options.repeat = repeat(options, 3)
    return options


def _file(name: str) -> Path:
    """Return a file that can be written; fail now, not after many minutes."""
    try:
        with open(name, "a"):
            return Path(name)
    except OSError as error:
        text = f"{name!r} cannot be written: {error.strerror}"
        raise argparse.ArgumentTypeError(text) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Compare servers, and print the tables on standard output."""
    options = parse(sys.argv[1:] if argv is None else argv)
    try:
        program = programs.build("load")
        floor = options.floor or "floor" in (options.servers or ())
        servers = _choose(options, find(programs.build("floor") if floor else None))
    except (programs.CompileError, LookupError) as error:
        print(f"benchmarks/run.py: {error}", file=sys.stderr)
        return 2
    chosen = [load for load in loads(quick=options.quick) if load.name in options.loads]
    header = list(machine.describe(servers))
    print("\n".join([*header, machine.noise()]).rstrip(), flush=True)
    try:
        outcomes = list(play_all(program, chosen, servers, options.repeat, tell))
    except KeyboardInterrupt:
        return 130
    _report(options, header, chosen, servers, outcomes)
    return 0


def _choose(options: argparse.Namespace, found: Sequence[Server]) -> list[Server]:
    """Return the servers to compare, and report missing ones.

    Raises LookupError if a missing one was named on the command line.
    """
    present = {server.group for server in found}
    for group, remedy in GROUPS.items():
        if group in present or group in EXTRA:
            continue
        sentence = f"there is no {group}; {remedy}"
        if options.servers and group in options.servers:
            raise LookupError(sentence)
        tell(sentence)
    wanted = set(options.servers or GROUPS.keys() - EXTRA)
    if options.floor:
        wanted.add("floor")
    return [server for server in found if server.group in wanted]


def tell(sentence: str) -> None:
    """Print a sentence on standard error."""
    print(sentence, file=sys.stderr, flush=True)


def exit_status(script: str, compare: Callable[[], int | None]) -> int:
    """Compare, and return the exit status; a failure is one sentence."""
    try:
        return compare() or 0
    except KeyboardInterrupt:
        return 130
    except (GearmanError, ServerError, programs.CompileError) as error:
        print(f"benchmarks/{script}: {error}", file=sys.stderr)
        return 2


def _report(
    options: argparse.Namespace,
    header: Sequence[str],
    chosen: Sequence[Load],
    servers: Sequence[Server],
    outcomes: Sequence[Outcome],
) -> None:
    compared = {name: _of_table(name, chosen, servers, outcomes) for name in TABLES}
    for name, found in compared.items():
        if found:
            _print_table(name, found, chosen)
    if options.json:
        plays = [asdict(outcome) for outcome in outcomes]
        report = {"header": header, "quick": options.quick, "plays": plays}
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    if options.chart:
        options.chart.write_text(chart(header[0], compared["speed"]))


def _of_table(
    name: str,
    chosen: Sequence[Load],
    servers: Sequence[Server],
    outcomes: Sequence[Outcome],
) -> list[list[Row]]:
    return [rows(load, servers, outcomes) for load in chosen if load.table == name]


def _print_table(
    name: str, found: Sequence[Sequence[Row]], chosen: Sequence[Load]
) -> None:
    print(f"\n{table(name, found)}\n")
    for load in chosen:
        if load.table == name:
            print(f"{load.name}: {load.text}")


if __name__ == "__main__":
    sys.exit(main())
