"""What is done for each new job. The compiled build has a faster version of this file.

In the compiled build Python's collector of cycles does not track jobs, as checking
millions of them takes long. This is safe: a retired job is removed from the lists and
sets of its peers, so that it is in no cycle.
"""

from functools import partial

from .model import Job

# Returns a job whose attributes are not set.
new_job = partial(Job.__new__, Job)


def make_handle(prefix: bytes, number: int) -> bytes:
    """Return the handle of the job with this number."""
    return b"%b:%d" % (prefix, number)
