"""What can be read in the handle of a job: the number, and so the shard."""

from ..cluster.home import SHARD_BITS

MAX_NUMBER = 2**63 - 1
MAX_DIGITS = 19


def number_of(handle: bytes) -> int:
    """Return the number at the end of a handle, -1 if there is none."""
    digits = handle.rpartition(b":")[2]
    if not digits.isdigit() or len(digits) > MAX_DIGITS:
        return -1
    number = int(digits)
    return number if number <= MAX_NUMBER else -1


def shard_of(handle: bytes) -> int:
    """Return the shard of a job by its handle."""
    return number_of(handle) & SHARD_BITS
