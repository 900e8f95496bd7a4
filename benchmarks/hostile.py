"""The effect of hostile connections on a good client: ``python benchmarks/hostile.py``.

A client and a worker do jobs one after the other, with and without a crowd of
connections that send garbage, half packets or nothing. See docs/performance.md.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

if not __package__:
    # As a script, it can't import its own package without this.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine, programs  # noqa: E402
from benchmarks.beside import beside  # noqa: E402
from benchmarks.loads import Phase  # noqa: E402
from benchmarks.options import add_number  # noqa: E402
from benchmarks.play import Figures, allow_descriptors, run_phase  # noqa: E402
from benchmarks.run import tell  # noqa: E402
from benchmarks.servers import GROUPS, Server, ServerError, find  # noqa: E402

# The crowd may multiply a good client's p99 by so much.
BOUND = 2.0

# A play counts if the crowd has reached this part of its rate.
ENOUGH = 0.95


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exits with a sentence if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/hostile.py",
        description="Measure what hostile connections do to a good client.",
    )
    parser.add_argument(
        "--server",
        choices=[name for name in GROUPS if name != "floor"],
        default="ours-speedups",
        help="the server to measure (default: ours-speedups)",
    )
    for name, default, text in (
        ("connections", 5000, "hostile connections"),
        ("rate", 200, "how often a second one of them sends garbage, is closed and"
         " connects again"),
        ("seconds", 2, "how long each play lasts"),
        ("repeat", 8, "plays with and plays without them"),
    ):  # fmt: skip
        add_number(parser, f"--{name}", default, text)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return 1 if p99 is multiplied by too much."""
    options = parse(sys.argv[1:] if argv is None else argv)
    try:
        program = programs.build("load")
        server = next(s for s in find(None) if s.group == options.server)
        allow_descriptors(options.connections + 100)
        print("\n".join([*machine.describe([server]), machine.noise()]).rstrip())
        ratio = report(options, list(_play_all(program, server, options)))
    except (programs.CompileError, ServerError) as error:
        print(f"benchmarks/hostile.py: {error}", file=sys.stderr)
        return 2
    except StopIteration:
        text = f"there is no {options.server}; {GROUPS[options.server]}"
        print(f"benchmarks/hostile.py: {text}", file=sys.stderr)
        return 2
    return 0 if ratio <= BOUND else 1


def _play_all(
    program: Path, server: Server, options: argparse.Namespace
) -> Iterator[tuple[Figures, Figures]]:
    """Yield the figures without and with a crowd, which are played alternately."""
    for number in range(options.repeat):
        tell(f"{number + 1}/{options.repeat}")
        yield (
            _play(program, server, options, 0),
            _play(program, server, options, options.connections),
        )


def _play(
    program: Path, server: Server, options: argparse.Namespace, count: int
) -> Figures:
    phase = Phase(mode="foreground", seconds=options.seconds, clients=1, workers=1)
    with server.running() as (pid, port), _crowd(port, count, options.rate) as closed:
        figures = run_phase(program, phase, pid, port, phase.jobs)
    return {**figures, "closed": sum(closed) / options.seconds}


@contextmanager
def _crowd(port: int, count: int, rate: int) -> Iterator[list[int]]:
    """A context with a crowd; at the end, the list has how often one was closed."""
    closed: list[int] = []
    if not count:
        yield closed
        return
    with beside("crowd", port, count, rate) as crowd:
        yield closed
        crowd.input.close()
        closed.append(int(crowd.output.readline() or 0))


def report(
    options: argparse.Namespace, plays: Sequence[tuple[Figures, Figures]]
) -> float:
    """Print a table, and return the factor by which the p99 is multiplied.

    Other activity of the machine only increases a latency. So the play with the least
    p99 counts, among those in which the crowd reached its rate. Raises ServerError if
    there is none.
    """
    whole = [play for _, play in plays if play["closed"] >= options.rate * ENOUGH]
    if not whole:
        raise ServerError("the crowd did not reach its rate: the machine is too busy")
    quiet = min((play for play, _ in plays), key=lambda play: play["p99"])
    hostile = min(whole, key=lambda play: play["p99"])
    closed = f"{hostile['closed']:.0f} of them closed a second"
    print(f"\n{options.connections} hostile connections, {closed}\n")
    print("| hostile connections | jobs/s | p50 µs | p99 µs | server CPU |")
    print("| ------------------- | -----: | -----: | -----: | ---------: |")
    for name, play in (("absent", quiet), ("present", hostile)):
        share = f"{play['rate'] * play['cpu'] / 1e4:.0f} %"
        numbers = f"{play['rate']:6,.0f} | {play['p50']:6.0f} | {play['p99']:6.0f}"
        print(f"| {name:<19} | {numbers} | {share:>10} |")
    ratio: float = hostile["p99"] / quiet["p99"]
    print(f"\np99 is multiplied by {ratio:.2f}, at most {BOUND:g} is allowed")
    return ratio


if __name__ == "__main__":
    sys.exit(main())
