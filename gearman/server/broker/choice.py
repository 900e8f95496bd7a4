"""Which job a worker gets next."""

from .constants import HIGH, LOW
from .model import Function, Peer, Queue

# Up to this many functions of a worker are looked through for a job; if it has more,
# they are only when one of those that have jobs is known to be among them.
FEW = 16


class Choice:
    """Chooses among the queues of a worker's functions.

    With `priority_first` jobs come by priority over all of its functions, otherwise by
    priority within one function at a time; `round_robin` moves a function that gave a
    job behind the worker's others.
    """

    def __init__(self, *, priority_first: bool, round_robin: bool) -> None:
        self.priority_first = priority_first
        self.round_robin = round_robin
        # By priority, the functions whose queues are listed.
        self.listed: tuple[dict[Function, None], ...] = ({}, {}, {})

    def add(self, function: Function, priority: int) -> None:
        """List a queue of a function, which has a job from now on."""
        queue = function.queues[priority]
        queue.listed = True
        self.listed[priority][function] = None

    def forget(self, function: Function) -> None:
        """List no queue of a function any longer."""
        for listed in self.listed:
            listed.pop(function, None)

    def queue(self, peer: Peer) -> Queue | None:
        """Return the queue whose first job is the worker's next, if there is one."""
        return self._first(peer) if self.priority_first else self._next(peer)

    def has_any(self, peer: Peer) -> bool:
        """Whether a function of this worker has a job for it."""
        functions = peer.functions
        if len(functions) > FEW:
            functions = self._candidates(peer, HIGH, LOW)
        # Written out, since compiled methods have no generators.
        for function in functions:  # noqa: SIM110
            if function.ready():
                return True
        return False

    def _first(self, peer: Peer) -> Queue | None:
        for priority in range(HIGH, LOW + 1):
            functions = peer.functions
            if len(functions) > FEW:
                functions = self._candidates(peer, priority, priority)
            for function in functions:
                queue = function.queues[priority]
                if queue.count:
                    return self._chosen(peer, function, queue)
        return None

    def _next(self, peer: Peer) -> Queue | None:
        functions = peer.functions
        if len(functions) > FEW:
            functions = self._candidates(peer, HIGH, LOW)
        for function in functions:
            for priority in range(HIGH, LOW + 1):
                queue = function.queues[priority]
                if queue.count:
                    return self._chosen(peer, function, queue)
        return None

    def _chosen(self, peer: Peer, function: Function, queue: Queue) -> Queue:
        if self.round_robin and len(peer.functions) > 1:
            peer.functions.remove(function)
            peer.functions.append(function)
        return queue

    def _candidates(self, peer: Peer, first: int, last: int) -> list[Function]:
        """Return which functions of a worker to look at for jobs, in their order.

        That is for jobs of these priorities, and for a worker with many functions:
        those that have jobs are looked through, unless still more of these are not the
        worker's, and few of them are put in order.
        """
        found: list[Function] = []
        others = 0
        for priority in range(first, last + 1):
            listed = self.listed[priority]
            empty: list[Function] = []
            for function in listed:
                queue = function.queues[priority]
                if not queue.count:
                    empty.append(function)
                elif function.name in peer.abilities:
                    found.append(function)
                else:
                    others += 1
                    if others > len(peer.functions):
                        break
            for function in empty:
                queue = function.queues[priority]
                queue.listed = False
                del listed[function]
        if others > len(peer.functions) or len(found) > FEW:
            return peer.functions
        return _sorted(found, peer.functions)


def _sorted(found: list[Function], functions: list[Function]) -> list[Function]:
    return sorted(found, key=functions.index) if len(found) > 1 else found
