"""What every connection is handed of the server that it belongs to."""

from collections.abc import Callable
from dataclasses import dataclass

from ..settings.config import Config
from .members import Connections
from .report import Report
from .turns import Turns


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of a server that a connection uses.

    `time` is the event loop's clock, in seconds. What is read goes into `input` first,
    whichever connection it is from: a new buffer for each read would come from the
    system each time.
    """

    config: Config
    time: Callable[[], float]
    input: memoryview
    turns: Turns
    connections: Connections
    report: Report
