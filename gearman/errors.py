"""All errors that this package raises, in one tree."""

from collections.abc import Sequence


class GearmanError(Exception):
    """Base of every error raised by this package."""


class ConfigurationError(GearmanError):
    """An option, or what it points to, cannot be used; the text says what to do."""


class StartupError(GearmanError):
    """The server cannot start: a port is taken, a permission is missing."""


class ProtocolError(GearmanError):
    """The peer sent something that the protocol does not allow.

    `code` and `text` are what an ERROR packet tells the peer; an empty `code`
    means that the peer gets no answer. After a `fatal` error the stream cannot be
    read any further and the connection must be closed.
    """

    def __init__(self, *details: object, code: str = "", fatal: bool = False) -> None:
        super().__init__(*details)
        self.code = code
        self.text = str(details[0]) if details else ""
        self.fatal = fatal


class PacketTooLarge(ProtocolError):
    """A packet's body is larger than the limit; what follows it can still be read.

    `size` and `limit` are in bytes. `handle` is that of the job for which a worker
    sends the packet, None if it is about no job.
    """

    def __init__(self, handle: bytes | None, size: int, limit: int) -> None:
        text = f"Packet of {size} bytes is over the limit of {limit}"
        super().__init__(text, code="ARGUMENT_TOO_LARGE")
        self.handle = handle
        self.size = size
        self.limit = limit


class QueueError(GearmanError):
    """A store of background jobs failed; the text says how."""


class JobRefused(QueueError):
    """Jobs that can't be stored were among those to be committed.

    `reasons` has a sentence for each of them, by its number.
    """

    def __init__(self, reasons: dict[int, str]) -> None:
        super().__init__("; ".join(reasons.values()))
        self.reasons = reasons


class JobsLost(QueueError):
    """A store no longer has jobs that were stored; `numbers` are theirs."""

    def __init__(self, text: str, numbers: Sequence[int]) -> None:
        super().__init__(text)
        self.numbers = numbers


# What the blocking library raises beside ProtocolError. The names are those that
# programs written for python-gearman catch.


class ConnectionError(GearmanError):
    """A connection could not be opened, was lost, or is misused."""


class ServerUnavailable(GearmanError):
    """No server can be reached, or the last connection to one was lost."""


class UnknownCommandError(GearmanError):
    """A command arrived that its handler has no method for."""


class ExceededConnectionAttempts(GearmanError):
    """A request was lost as often as it may be submitted."""


class InvalidClientState(GearmanError):
    """An answer does not fit the state of the request that it belongs to."""


class InvalidWorkerState(GearmanError):
    """A job arrived, or was to be released, that the worker did not ask for."""


class InvalidAdminClientState(GearmanError):
    """The server gave no answer in time, or the answer to something else."""
