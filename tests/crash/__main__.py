"""Kill a server many times: ``python -m tests.crash``, see CONTRIBUTING.md."""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from traceback import print_exception

from gearman.framing import BUILD

from .disk import small_disk
from .run import NAMES, Run, new_store


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash",
        description="Kill a job server under load, start it again on the same store,"
        " and check that no acknowledged job is lost and no finished one comes back.",
    )
    parser.add_argument(
        "--queue",
        choices=NAMES,
        default="sqlite",
        help="the back end, with all that it needs (default: sqlite)",
    )
    parser.add_argument("--cycles", type=int, default=100, help="default: 100")
    parser.add_argument(
        "--disk",
        type=int,
        metavar="MEGABYTES",
        help="have a disk of this size, which may be full; only root can do that",
    )
    parser.add_argument("--seed", type=int, help="repeat a run as far as possible")
    options = parser.parse_args()
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    sys.exit(_run(options.queue, options.cycles, seed, options.disk))


def _run(name: str, cycles: int, seed: int, disk: int | None) -> str | None:
    """Return the message to print if something went wrong."""
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="gearman-crash-") as folder,
        nullcontext() if disk is None else small_disk(Path(folder), disk),
        new_store(name, Path(folder)) as store,
    ):
        full = disk is not None
        # What is stored again because of a failure is not what the books expect.
        run = Run(store, seed, may_be_full=full, steered=not full)
        try:
            asyncio.run(run.play(run.some(cycles)))
        except (AssertionError, TimeoutError, ExceptionGroup) as error:
            print_exception(error)
            small = "" if disk is None else f" --disk {disk}"
            return f"failed: --queue {name} --cycles {cycles} --seed {seed}{small}"
        finally:
            seconds = time.monotonic() - began
            print(f"{name}, {BUILD} build, seed {seed}: {seconds:.0f} seconds")
            for what, count in sorted(run.books.counts.items()):
                print(f"{count:9d} {what}")
    return None


if __name__ == "__main__":
    main()
