"""The parts of a server that every connection is given."""

from collections.abc import Callable
from dataclasses import dataclass

from ..settings.config import Config
from .members import Connections
from .report import Report
from .turns import Turns


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of a server that a connection uses.

    `time` is the event loop's clock, in seconds. All connections read into the same
    buffer, `input`: a new buffer for each read would be requested from the system each
    time.
    """

    config: Config
    time: Callable[[], float]
    input: memoryview
    turns: Turns
    connections: Connections
    report: Report
