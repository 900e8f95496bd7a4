"""Run a cluster under load with many faults: python -m tests.cluster --faults 200."""

import argparse
import asyncio
import random

from tests.queues.backend_postgres import Database, cluster

from .nemesis import survive


def main() -> None:
    reader = argparse.ArgumentParser(prog="python -m tests.cluster")
    reader.add_argument("--faults", type=int, default=200)
    reader.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = reader.parse_args()
    print(f"--seed {options.seed}")
    with cluster() as running:
        asyncio.run(survive(Database(running, "jobs"), options.seed, options.faults))


if __name__ == "__main__":
    main()
