"""All errors that this package raises, in one tree."""

from collections.abc import Sequence


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
