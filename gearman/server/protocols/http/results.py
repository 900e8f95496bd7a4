"""The path /jobs/HANDLE/result: how a job has ended, whoever has submitted it."""

from dataclasses import dataclass
from typing import Final

from ...broker import Broker
from ...broker.constants import DONE, EXCEPTION, FAILURE, RUNS, UNKNOWN
from . import answers
from .answers import RETRY_AFTER, Answer

# The most seconds that a request may wait for the end of a job.
MAX_WAIT: Final = 300.0

# Seconds after which to look again: for a result that was being stored, and whether the
# server is shutting down.
LOOK: Final = 1.0


@dataclass(frozen=True, slots=True)
class Wait:
    """A request that waits some seconds for the end of a job."""

    handle: bytes
    seconds: float


def ended(broker: Broker, handle: bytes) -> Answer | None:
    """Return how a job has ended; None if it waits or runs."""
    state, data = broker.results.of(handle)
    if state == DONE:
        return answers.completed(handle, data)
    if state == EXCEPTION:
        return answers.raised(handle, data)
    if state == FAILURE:
        return answers.failed(handle, data)
    if state == UNKNOWN:
        text = "There is no such job, and no result of one is kept."
        return answers.sentence(404, text)
    return None


def unfinished(broker: Broker, handle: bytes) -> Answer:
    """Answer for a job that has not ended yet."""
    state, _ = broker.results.of(handle)
    text = "The job runs." if state == RUNS else "The job waits."
    named = (b"X-Gearman-Job-Handle", handle)
    return answers.sentence(202, f"{text} Ask again later.", named, RETRY_AFTER)
