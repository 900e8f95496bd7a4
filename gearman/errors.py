"""All errors that this package raises, in one tree."""


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

    def __init__(self, text: str, *, code: str = "", fatal: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.fatal = fatal
