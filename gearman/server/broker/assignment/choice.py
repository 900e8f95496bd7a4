"""Which job a worker gets next."""

from ..constants import HIGH, LOW
from ..model import Function, Peer, Queue

# If a worker has up to this many functions, all are searched for a job. If it has more,
# the search begins with the functions that have jobs.
FEW = 16


class Choice:
    """Chooses among the queues of a worker's functions.

    With `priority_first` it chooses the highest priority of all functions, otherwise
    the highest priority of the first function that has jobs. With `round_robin` a
    function that gave a job is moved behind the worker's other functions. So it is if
    there are `weights`, but then a function may have several jobs in a row taken, as
    its `weight` says. A function that is held gives no jobs.
    """

    def __init__(self, *, priority_first: bool, round_robin: bool) -> None:
        self.priority_first = priority_first
        self.round_robin = round_robin
        # How many functions have a weight over 1.
        self.weights = 0
        # For each priority, the functions whose queue of that priority is listed.
        self.listed: tuple[dict[Function, None], ...] = ({}, {}, {})

    def add(self, function: Function, priority: int) -> None:
        """List a queue of a function, as it has got a job."""
        queue = function.queues[priority]
        queue.listed = True
        self.listed[priority][function] = None

    def weigh(self, function: Function, weight: int) -> None:
        """Set the weight of a function."""
        self.weights += (weight > 1) - (function.weight > 1)
        function.weight = weight

    def forget(self, function: Function) -> None:
        """Remove a function, and all its queues from the lists."""
        self.weigh(function, 1)
        for listed in self.listed:
            listed.pop(function, None)

    def queue(self, peer: Peer) -> Queue | None:
        """Return the queue whose first job is the worker's next job, if any."""
        if len(peer.functions) == 1:
            # So it is with most workers, and no function is put behind others.
            return _first_queue(peer.functions[0])
        if not self.priority_first:
            return self._next(peer)
        for priority in range(HIGH, LOW + 1):
            functions = peer.functions
            if len(functions) > FEW:
                functions = self._candidates(peer, priority, priority)
            for function in functions:
                queue = function.queues[priority]
                if queue.count and not function.held:
                    self._rotate(peer, function)
                    return queue
        return None

    def has_any(self, peer: Peer) -> bool:
        """Whether a function of this worker has a job for it."""
        functions = peer.functions
        if len(functions) > FEW:
            functions = self._candidates(peer, HIGH, LOW)
        # Written as a loop, since compiled methods cannot have generators.
        for function in functions:  # noqa: SIM110
            if function.ready():
                return True
        return False

    def _next(self, peer: Peer) -> Queue | None:
        """Return the first queue of the first function that has jobs."""
        functions = peer.functions
        if len(functions) > FEW:
            functions = self._candidates(peer, HIGH, LOW)
        for function in functions:
            queue = _first_queue(function)
            if queue is not None:
                self._rotate(peer, function)
                return queue
        return None

    def _rotate(self, peer: Peer, function: Function) -> None:
        """Put a function that gives a job behind the others of the worker.

        With weights, that is done after the last of its jobs in a row.
        """
        if not (self.round_robin or self.weights):
            return
        peer.functions.remove(function)
        if self.weights and self._goes_on(peer, function):
            peer.functions.insert(0, function)
        else:
            peer.functions.append(function)

    def _goes_on(self, peer: Peer, function: Function) -> bool:
        """Whether it is still this function's turn after this job."""
        if peer.turn is not function:
            peer.turn = function
            peer.turns = 0
        peer.turns += 1
        if peer.turns < function.weight:
            return True
        peer.turn = None
        return False

    def _candidates(self, peer: Peer, first: int, last: int) -> list[Function]:
        """Return the functions of a worker to be searched for a job, in their order.

        This is for a worker with many functions, and for jobs from the `first` to the
        `last` priority. Returns only functions that have jobs, if they are found soon
        and few. Otherwise returns all functions of the worker.
        """
        found: list[Function] = []
        others = 0
        for priority in range(first, last + 1):
            listed = self.listed[priority]
            empty: list[Function] = []
            for function in listed:
                queue = function.queues[priority]
                if not queue.count or function.held:
                    empty.append(function)
                elif function.name in peer.abilities:
                    found.append(function)
                else:
                    others += 1
                if len(found) > FEW or others > len(peer.functions):
                    break
            for function in empty:
                queue = function.queues[priority]
                queue.listed = False
                del listed[function]
        if others > len(peer.functions) or len(found) > FEW:
            return peer.functions
        return _sorted(found, peer.functions)


def _first_queue(function: Function) -> Queue | None:
    """Return the queue that has the next job of a function, if that may start one."""
    if function.held:
        return None
    high, normal, low = function.queues
    if high.count:
        return high
    if normal.count:
        return normal
    return low if low.count else None


def _sorted(found: list[Function], functions: list[Function]) -> list[Function]:
    return sorted(found, key=functions.index) if len(found) > 1 else found
