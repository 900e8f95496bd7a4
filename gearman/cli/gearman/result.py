"""Showing the result of a job that was submitted earlier."""

import sys
from math import inf

from ...client import GearmanClient
from ...errors import JobFailed
from ...payload import as_bytes
from ..options import Options
from ..program import FAILURE


def show(client: GearmanClient, options: Options) -> int:
    """Write the result of a job; return the exit status, as for a job that was run.

    Raises GearmanError if the job has not ended, or its result is not kept.
    """
    wait = (options.timeout or inf) if options.wait else None
    try:
        result = client.get_result(options.result, wait, poll_timeout=options.timeout)
    except JobFailed as error:
        text = as_bytes(error.exception or error.reason).rstrip(b"\n")
        sys.stderr.buffer.write(text + b"\n" * bool(text) + b"Job failed\n")
        sys.stderr.flush()
        return FAILURE
    sys.stdout.buffer.write(result)
    sys.stdout.flush()
    return 0
