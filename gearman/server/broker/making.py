"""What is done for each new job. The compiled build has a faster version of this file.

There the collector of cycles does not look at jobs: whoever retires a job takes it out
of the lists and sets of its peers, so that it is in no cycle, and millions of jobs
would be much to look through.
"""

from functools import partial

from .model import Job

# Return a job with nothing in it.
new_job = partial(Job.__new__, Job)


def make_handle(prefix: bytes, number: int) -> bytes:
    """Return the handle of the job of this number."""
    return b"%b:%d" % (prefix, number)
