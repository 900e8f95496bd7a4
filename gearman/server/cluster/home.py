"""The shard of a job, and the home of a unique.

The shard is the number of the job modulo SHARDS, so every handle names its shard.
"""

from typing import Final
from zlib import crc32

from ...queue import SHARDS as SHARDS
from ...queue import SPARE

# The bits of a number that name its shard.
SHARD_BITS: Final = SHARDS - 1

NO_SHARDS: Final[frozenset[int]] = frozenset()
ALL_SHARDS: Final = frozenset(range(SHARDS))


def home_of(unique: bytes, workload: bytes) -> int:
    """Return the shard where jobs with this unique belong; -1 if there is none.

    The unique "-" stands for the workload itself; see Uniques.
    """
    key = workload if unique == b"-" else unique
    return crc32(key) & SHARD_BITS if key else -1


def first_spare(epoch: int) -> int:
    """Return the first number that a server may use for jobs while it owns no shard.

    Nobody else uses these numbers: a server that joins has an epoch of its own. There
    are as many for it as are left free when a server dies.
    """
    return 2**62 + epoch % 2**26 * SPARE


def steps_to(shards: frozenset[int]) -> bytes:
    """Return, for each shard, how many later the next one of these comes.

    Without any shard, all of them are as good.
    """
    steps = bytearray(SHARDS)
    step = 0
    # Twice, since the first one comes after the last one.
    for shard in reversed(range(2 * SHARDS)):
        step = step + 1 if shards and shard & SHARD_BITS not in shards else 0
        steps[shard & SHARD_BITS] = step
    return bytes(steps)
