"""Opens a connection to the first server, in the order of a client, that accepts it."""

import random
import time
from collections import deque
from collections.abc import Callable

from ...client_core.server_order import ServerOrder
from ...connection import GearmanConnection
from ...errors import ConnectionError


def server_order() -> ServerOrder[GearmanConnection]:
    """Return a random order for each request."""
    return ServerOrder(random.sample, time.monotonic)


def first_open(
    queue: deque[GearmanConnection],
    establish: Callable[[GearmanConnection], GearmanConnection],
) -> GearmanConnection:
    """Open the first connection that can be opened, and move it to the front.

    Raises the last ConnectionError if none can be opened.
    """
    problem = ConnectionError("there are no servers")
    for turns, connection in enumerate(list(queue)):
        try:
            chosen = establish(connection)
        except ConnectionError as error:
            problem = error
            continue
        queue.rotate(-turns)
        return chosen
    raise problem
