"""Run a cluster under load with many faults: python -m tests.cluster --faults 200."""

import argparse
import asyncio
import random

from .nemesis import survive
from .places import PLACES


def main() -> None:
    reader = argparse.ArgumentParser(prog="python -m tests.cluster")
    reader.add_argument("--queue", choices=sorted(PLACES), default="postgres")
    reader.add_argument("--faults", type=int, default=200)
    reader.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = reader.parse_args()
    print(f"--seed {options.seed}", flush=True)
    database, lease = PLACES[options.queue]
    with database() as jobs:
        asyncio.run(survive(jobs, options.seed, options.faults, lease))


if __name__ == "__main__":
    main()
