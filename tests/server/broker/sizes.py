"""The memory of a broker's objects: as the broker counts it, and as Python says."""

import sys
from collections import deque
from collections.abc import Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

from gearman.server.broker.links.remote import KEPT_MEMORY
from gearman.server.broker.memory import (
    ABILITY_MEMORY,
    DEAD_MEMORY,
    EXPIRY_MEMORY,
    EXTRA_MEMORY,
    FOLLOW_MEMORY,
    FOLLOWED_MEMORY,
    FUNCTION_MEMORY,
    GROUP_MEMORY,
    HANDLE_MEMORY,
    JOB_MEMORY,
    OPTIONS_MEMORY,
    PEER_MEMORY,
    RECEIPT_MEMORY,
    REQUEST_MEMORY,
    RUN_MEMORY,
    TEXT_MEMORY,
    TIMER_MEMORY,
    TIMERS_MEMORY,
    UNIQUE_MEMORY,
    WAIT_MEMORY,
)
from gearman.server.broker.steering.results import ENDS_MEMORY, RESULT_MEMORY


def counted(broker) -> tuple[int, int]:
    """Count again what `memory.jobs` and `memory.peers` of a broker should be."""
    jobs = broker.jobs.known.values()
    size = sum(_job(job) for job in jobs)
    size += sum(_dead(job) for job in broker.dead.known.values())
    size += sum(_result(result) for result in broker.results.known.values())
    size += sum(map(_kept, _remotes(broker)))
    peers = sum(FUNCTION_MEMORY + len(name) for name in broker.functions.known)
    places = broker.places
    for timers in (places.scheduled, places.deadlines, places.lives):
        groups = [group for group in timers._groups if group is not None]
        peers += TIMER_MEMORY * sum(len(group.jobs) for group in groups)
        peers += TIMERS_MEMORY * (len(timers._entries) + len(timers._old))
    peers += ENDS_MEMORY * len(broker.results._ends)
    peers += _expiring(broker)
    peers += _following(broker)
    peers += WAIT_MEMORY * sum(len(job.clients or ()) for job in jobs)
    # Also the jobs of peers that have disconnected.
    peers += RECEIPT_MEMORY * sum(len(job.receipts or ()) for job in jobs)
    peers += sum(_peer(peer) - PEER_MEMORY for peer in _linked(broker))
    return size, peers + sum(_peer(peer) for peer in broker.peers)


def _linked(broker) -> list[Any]:
    """Return the peers that stand for other servers, which count nothing themselves."""
    remotes = _remotes(broker)
    return [peer for each in remotes for peer in (each.client, each.worker, each.owner)]


def _remotes(broker) -> list[Any]:
    return [] if broker.links is None else list(broker.links.remotes.values())


def _kept(remote) -> int:
    """Count what another server will be sent when there is a link again."""
    packets = [
        arguments for kept in remote.owner.kept.values() for _, arguments in kept
    ]
    return sum(KEPT_MEMORY + sum(map(len, arguments)) for arguments in packets)


def counted_for(peer) -> int:
    """Count again what `memory_of` a peer should be."""
    return _peer(peer) + WAIT_MEMORY * len(peer.waiting)


def _job(job) -> int:
    unique = UNIQUE_MEMORY + len(job.unique) if job.unique else 0
    size = JOB_MEMORY + unique + len(job.workload) + len(job.reducer or b"")
    return size if job.extra is None else size + _extra(job.extra)


def _extra(extra) -> int:
    return _options(extra.options) + len(extra.record)


def _options(options) -> int:
    after = () if options is None else options.after or ()
    trace = None if options is None else options.trace
    size = EXTRA_MEMORY
    if after or trace or (options is not None and options.at is not None):
        size += OPTIONS_MEMORY
    size += TEXT_MEMORY + len(trace) if trace else 0
    return size + sum(HANDLE_MEMORY + len(handle) for handle in after)


def _dead(job) -> int:
    size = DEAD_MEMORY + _job(job) + len(job.extra.reason)
    return size + len(job.extra.error or b"")


def _result(result) -> int:
    return RESULT_MEMORY + len(result.data) + len(result.name)


def _following(broker) -> int:
    """Count what is kept of jobs that wait for others."""
    followers = broker.jobs._followers.values()
    return FOLLOWED_MEMORY * len(followers) + FOLLOW_MEMORY * sum(map(len, followers))


def _expiring(broker) -> int:
    """Count the memory of what is kept about jobs that expire, in all functions."""
    # A function that was dropped may still have some.
    functions = {*broker.functions.known.values()}
    functions.update(function for *_, function in broker.places.expiry._looks)
    lines = [line for function in functions for line in function.fresh or ()]
    return sum(_group(group) for line in lines for group in line.groups)


def _group(group) -> int:
    return GROUP_MEMORY + EXPIRY_MEMORY * len(group.jobs)


def _peer(peer) -> int:
    size = PEER_MEMORY + ABILITY_MEMORY * len(peer.functions)
    size += RUN_MEMORY * len(peer.jobs)
    for receipt in peer.receipts or ():
        size += RECEIPT_MEMORY
        if receipt.request is not None:
            name, unique, workload, *_, reducer, options = receipt.request
            parts = (name, unique, workload, reducer or b"")
            size += REQUEST_MEMORY + sum(map(len, parts))
            size += _options(options) if options is not None else 0
    return size


def real_size(root: object) -> int:
    """Return how many bytes an object takes, with all objects that it refers to.

    Numbers are not counted: the compiled build has them inside its objects, and Python
    has only one object for each small number.
    """
    seen = {id(None)}
    total = 0
    # Keep each object alive, or another object could get its id.
    alive = []
    waiting = [root]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, _NOT_COUNTED):
            continue
        if type(thing).__name__ in _FUNCTIONS:
            continue
        seen.add(id(thing))
        alive.append(thing)
        # Memory is allocated in steps of this size.
        total += -(-sys.getsizeof(thing) // 16) * 16
        waiting.extend(_parts(thing))
    return total


_DESCRIPTORS = ("member_descriptor", "getset_descriptor")
# Types of functions in the compiled build, which have no name in Python.
_FUNCTIONS = ("builtin_function_or_method", "cython_function_or_method")
_NOT_COUNTED = (int, float, type, ModuleType, FunctionType, MethodType)


def _parts(thing: object) -> Iterator[object]:
    if isinstance(thing, dict):
        yield from thing.keys()
        yield from thing.values()
    elif isinstance(thing, (list, tuple, set, deque)):
        yield from thing
    elif not isinstance(thing, (bytes, str)):
        yield from _attributes(thing)


def _attributes(thing: object) -> Iterator[object]:
    """Yield the values of an object's attributes, in either build."""
    for kind in type(thing).__mro__:
        for name, value in vars(kind).items():
            described = type(value).__name__ in _DESCRIPTORS
            if described and name != "__weakref__" and hasattr(thing, name):
                yield getattr(thing, name)
