"""All errors that this package raises, in one tree."""

from collections.abc import Sequence
from typing import Any


class GearmanError(Exception):
    """Base of every error raised by this package."""


class ConfigurationError(GearmanError):
    """An option, or the file or host it names, cannot be used; the text says why.

    The text is a sentence for the user, and says what to do.
    """


class OptionError(ConfigurationError, ValueError):
    """An option of a job, or a key of a function's policy, cannot be used.

    The text is one sentence; it names the key, the value, and what is allowed.
    """


class StartupError(GearmanError):
    """The server cannot start: a port is in use, or a permission is missing.

    The text is a sentence for the user, and says what to do.
    """


class ProtocolError(GearmanError):
    """Data that the protocol does not allow was received, or should be sent.

    The server answers with an ERROR packet of `code` and `text`; if `code` is empty,
    it does not answer. After a `fatal` error no more can be read from the stream: the
    connection must be closed.
    """

    def __init__(self, *details: object, code: str = "", fatal: bool = False) -> None:
        super().__init__(*details)
        self.code = code
        self.text = str(details[0]) if details else ""
        self.fatal = fatal


class PacketTooLarge(ProtocolError):
    """A packet's body is larger than the limit; later packets can be read.

    `size` is the declared size of the body, `limit` the largest allowed one, both in
    bytes. `handle` is the job's if a worker sent the packet about a job, else None.
    """

    def __init__(self, handle: bytes | None, size: int, limit: int) -> None:
        text = f"Packet of {size} bytes is over the limit of {limit}"
        super().__init__(text, code="ARGUMENT_TOO_LARGE")
        self.handle = handle
        self.size = size
        self.limit = limit


class QueueError(GearmanError):
    """A store of background jobs failed; the text says why."""


class JobRefused(QueueError):
    """Some jobs of a batch can never be stored, for example because of their size.

    `reasons` maps the number of each such job to a sentence for its client.
    """

    def __init__(self, reasons: dict[int, str]) -> None:
        super().__init__("; ".join(reasons.values()))
        self.reasons = reasons


class JobsLost(QueueError):
    """A store has lost jobs that were stored; `numbers` are the numbers of these."""

    def __init__(self, text: str, numbers: Sequence[int]) -> None:
        super().__init__(text)
        self.numbers = numbers


class Fenced(QueueError):
    """Another server of the cluster owns the stored jobs by now.

    Nothing was changed, and nothing can be, until this server owns them again.
    """


# The other errors of the blocking library. Their names are python-gearman's, which
# programs catch.


class ConnectionError(GearmanError):
    """A connection could not be opened, was lost, or was used while it was closed."""


class ServerUnavailable(GearmanError):
    """No server can be reached, or the last connection to one was lost."""


class UnknownCommandError(GearmanError):
    """A packet arrived for which the handler has no `recv_...` method."""


class ExceededConnectionAttempts(GearmanError):
    """A job was lost before it was accepted, and has no attempts left."""


class InvalidClientState(GearmanError):
    """An answer does not fit the state of its request."""


class InvalidWorkerState(GearmanError):
    """A job was assigned to a worker, or released by it, that it did not ask for."""


class InvalidAdminClientState(GearmanError):
    """The server did not answer in time, or its answer belongs to another command."""


# The errors of what python-gearman does not have: options, results, attempts.


class UnsupportedByServer(GearmanError):
    """A server does not have what was asked for; it got no packet of that kind.

    `server` is its address, if that is known, and `lacking` names what it does not
    have.
    """

    def __init__(self, server: str, lacking: Sequence[str]) -> None:
        where = f"the server {server}" if server else "the server"
        super().__init__(f"{where} cannot do this: {', '.join(lacking)}")
        self.server = server
        self.lacking = tuple(lacking)


class ResultError(GearmanError):
    """There is no result of a job; `handle` is the job's."""

    def __init__(self, handle: str | None, text: str) -> None:
        super().__init__(text)
        self.handle = handle


def _named(handle: str | None) -> str:
    """Name a job, which may have no handle."""
    return f"the job {handle}" if handle else "the job"


class JobFailed(ResultError):
    """A job has failed.

    `reason` is a sentence of the server, or the class and text of the exception if the
    worker has reported these, or empty. `exception` is what the worker has reported,
    decoded, or None.
    """

    def __init__(
        self, handle: str | None, reason: str = "", exception: Any = None
    ) -> None:
        why = reason or ("" if exception is None else str(exception))
        text = f"{_named(handle)} has failed{why and ': '}{why:.200}"
        super().__init__(handle, text)
        self.reason = reason
        self.exception = exception


class ResultNotReady(ResultError, TimeoutError):
    """A job has not ended, or no server has said so in time.

    `state` is "waiting" or "running", or empty if no server has answered.
    """

    def __init__(self, handle: str | None, state: str) -> None:
        if state:
            text = f"{_named(handle)} has not ended: it is {state}"
        else:
            text = f"no server has answered for {_named(handle)} in time"
        super().__init__(handle, text)
        self.state = state


class UnknownJob(ResultError, LookupError):
    """No server knows the job, nor its result.

    It never existed, or it has ended and its result was not kept (any longer).
    """

    def __init__(self, handle: str) -> None:
        super().__init__(handle, f"no server knows the job {handle}, nor its result")


class JobRetry(GearmanError):
    """Raised by a worker's function: the job should be tried again later.

    `delay` is in seconds. With `counts` this is a failed attempt, of which the job has
    as many as its `retries` allow. `reason` is a text for people.
    """

    def __init__(
        self, delay: float = 0.0, reason: str = "", *, counts: bool = True
    ) -> None:
        super().__init__(reason or "the job should be tried again")
        self.delay = delay
        self.reason = reason
        self.counts = counts


# The errors of tasks, and of the client for asyncio.


class NotAccepted(GearmanError):
    """A server has not accepted jobs; the text says why.

    `jobs` has an item for each job that should be submitted: those that were accepted,
    and None for the others.
    """

    def __init__(self, text: str, jobs: Sequence[Any] = ()) -> None:
        super().__init__(text)
        self.jobs = list(jobs)


class NoCurrentJob(GearmanError, LookupError):
    """The current job was asked for where no job of the app is run."""

    def __init__(self) -> None:
        super().__init__("no job is run here: a worker sets it while it runs a task")
