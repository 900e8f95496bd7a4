"""What the monitor knows of servers, functions and workers: values and rules, no I/O.

A `Reading` is what one server answered at one moment. The `Fleet` keeps the last ones
of all servers, and makes views of them: rates, percentiles, and what is in trouble. Of
these views, `clusters` and `relays` show how servers work together.
"""

from .clusters import Cluster, clusters
from .counters import Counters
from .fleet import Fleet
from .histogram import Histogram
from .readings import FunctionReading, Reading, Worker, unreadable
from .relays import RelayView, relays
from .views import FunctionPart, FunctionView, Percentiles, Rates, ServerView

__all__ = [
    "Cluster",
    "Counters",
    "Fleet",
    "FunctionPart",
    "FunctionReading",
    "FunctionView",
    "Histogram",
    "Percentiles",
    "Rates",
    "Reading",
    "RelayView",
    "ServerView",
    "Worker",
    "clusters",
    "relays",
    "unreadable",
]
