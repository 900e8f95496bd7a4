"""Which of its servers a client gives a job to."""

import random
from collections import deque
from collections.abc import Iterable
from typing import Any, Unpack
from weakref import WeakKeyDictionary

from ..connection_manager import Options
from ..errors import ConnectionError
from ..job import GearmanJobRequest
from ..payload import as_bytes
from .placement import Ring, rested_first
from .sharing import Shared


class ServerChoice(Shared):
    """Chooses a server at random, or by the unique, among those that can be reached."""

    consistent_hashing = False

    def __init__(
        self, host_list: Iterable[Any] | None = None, **options: Unpack[Options]
    ) -> None:
        super().__init__(host_list=host_list, **options)
        # In which order the servers are tried for a request; kept only where there
        # is a choice, and no longer than the request.
        self.request_to_rotating_connection_queue: WeakKeyDictionary[
            GearmanJobRequest, deque[Any]
        ] = WeakKeyDictionary()
        self._ring: tuple[list[Any], Ring[Any]] | None = None

    def establish_request_connection(self, current_request: Any) -> Any:
        """Return an open connection for a request; raise ServerUnavailable if none."""
        queue = self._servers_for(current_request)
        problem: ConnectionError | None = None
        for turns, connection in enumerate(list(queue)):
            try:
                chosen = self.establish_connection(connection)
            except ConnectionError as error:
                problem = error
                continue
            queue.rotate(-turns)
            return chosen
        raise self._unavailable("Found no valid connections") from problem

    def _servers_for(self, request: Any) -> deque[Any]:
        if len(self.connection_list) < 2:
            return deque(self.connection_list)
        queue = self.request_to_rotating_connection_queue.get(request)
        if not queue:
            queue = deque(rested_first(self._preferred(request)))
            self.request_to_rotating_connection_queue[request] = queue
        return queue

    def _preferred(self, request: Any) -> list[Any]:
        """Return the servers in the order in which they should get a request."""
        if not self.consistent_hashing:
            return random.sample(self.connection_list, len(self.connection_list))
        if self._ring is None or self._ring[0] != self.connection_list:
            named = [(_name(c), c) for c in self.connection_list]
            self._ring = list(self.connection_list), Ring(named)
        return self._ring[1].order(as_bytes(request.job.unique))

    def _give_up(self, connection: Any) -> None:
        # A result may have come right before the end.
        connection.read_to_end()
        try:
            self._handle_received(connection)
        finally:
            self.handle_error(connection)

    def _reachable(self) -> list[Any]:
        """Return all servers that can be reached; raise ServerUnavailable if none."""
        connections = self._opened(self.connection_list)
        if not connections:
            raise self._unavailable("Found no valid connections")
        return connections


def _name(connection: Any) -> bytes:
    host, port = connection.get_address()
    return f"{host}:{port}".encode()
