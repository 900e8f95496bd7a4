"""What the monitor knows of servers, functions and workers: values and rules, no I/O.

A `Reading` is what one server answered at one moment. The `Fleet` keeps the last ones
of all servers, and makes views of them: rates, percentiles, and what is in trouble.
"""

from .counters import Counters
from .fleet import Fleet
from .histogram import Histogram
from .readings import FunctionReading, Reading, Worker, unreadable
from .views import FunctionPart, FunctionView, Percentiles, Rates, ServerView

__all__ = [
    "Counters",
    "Fleet",
    "FunctionPart",
    "FunctionReading",
    "FunctionView",
    "Histogram",
    "Percentiles",
    "Rates",
    "Reading",
    "ServerView",
    "Worker",
    "unreadable",
]
