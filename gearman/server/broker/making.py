"""What is done for each new job, and for each handle.

The compiled build has a faster version of this file.

In the compiled build Python's collector of cycles does not track jobs, as checking
millions of them takes long. This is safe: a retired job is removed from the lists and
sets of its peers, so that it is in no cycle.
"""

from functools import partial

from ..cluster.home import SHARD_BITS
from .model import Job

MAX_NUMBER = 2**63 - 1
MAX_DIGITS = 19

# Returns a job whose attributes are not set.
new_job = partial(Job.__new__, Job)


def make_handle(prefix: bytes, number: int) -> bytes:
    """Return the handle of the job with this number."""
    return b"%b:%d" % (prefix, number)


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
