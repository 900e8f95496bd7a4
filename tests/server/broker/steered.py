"""Jobs with options and functions with policies, as the tests of steering need them."""

from typing import Any

from gearman.commands import Command
from gearman.options import Policy, parse_policy
from tests.server.conftest import Server, Wire

NO_JOB = (Command.NO_JOB,)
NOOP = (Command.NOOP,)
LOST = (
    Command.ERROR,
    b"JOB_NOT_FOUND",
    b"Job given in work result not found",
)
UNKNOWN = (b"unknown", b"")
WAITS = (b"waiting", b"")
RUNS = (b"running", b"")


def policy(server: Server, text: bytes, name: bytes = b"f") -> None:
    server.broker.policies.set(name, parse_policy(text))


def submit(
    wire: Wire,
    options: bytes = b"",
    name: bytes = b"f",
    unique: bytes = b"",
    workload: bytes = b"w",
) -> bytes:
    """Submit a job with options and return its handle."""
    packets = wire.send(Command.SUBMIT_JOB_WITH, name, unique, options, workload)
    answer, handle = packets[-1]
    assert answer == Command.JOB_CREATED, packets
    assert isinstance(handle, bytes)
    return handle


def background(
    wire: Wire, options: bytes = b"", name: bytes = b"f", **others: bytes
) -> bytes:
    """Submit a background job with options and return its handle."""
    options = b"&".join(filter(None, (b"background=1", options)))
    return submit(wire, options, name, **others)


def extended(server: Server, *functions: bytes) -> Wire:
    """Connect a worker that asks for the packets beyond the standard."""
    worker = server.connect().can_do(*functions)
    answer = worker.send(Command.OPTION_REQ, b"extensions")
    assert answer == [(Command.OPTION_RES, b"extensions")]
    return worker


def result(wire: Wire, handle: bytes) -> tuple[bytes, bytes]:
    """Ask for a result, and return its state and data."""
    answer, told, state, data = wire.send(Command.GET_RESULT, handle)[-1]
    assert (answer, told) == (Command.RESULT_RES, handle)
    return state, data


def taken(server: Server, worker: Wire) -> bytes:
    """Have a worker take the next job, which there must be; return its handle."""
    handle = worker.grab()
    assert handle is not None
    return handle


def commit(server: Server) -> None:
    """Store all that is to be stored, as a store does."""
    jobs, broker = server.broker.jobs, server.broker
    changes, records = list(jobs.changes), list(jobs.records)
    jobs.changes.clear()
    jobs.records.clear()
    broker.stored.durable([job for job in changes if not isinstance(job, int)])
    broker.stored.recorded([record.number for record in records])


class Store:
    """What a store has: rows by their number; `restart` makes a server of them."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[Any, ...]] = {}

    def commit(self, server: Server) -> None:
        jobs = server.broker.jobs
        for change in jobs.changes:
            if isinstance(change, int):
                self.rows.pop(change, None)
            else:
                extra = change.extra.record if change.extra is not None else b""
                self.rows[change.number] = (
                    *(change.handle, change.function.name, change.unique),
                    *(change.workload, change.priority, change.when, change.retries),
                    *(change.reducer, extra),
                )
        for record in jobs.records:
            if record.extra:
                self.rows[record.number] = (
                    *(record.handle, record.name, b"", record.workload),
                    *(1, 0, 0, None, record.extra),
                )
            else:
                self.rows.pop(record.number, None)
        commit(server)

    def restart(self, seconds: float = 0.0, **options: Any) -> Server:
        server = Server(persistent=True, **options)
        server.after(seconds)
        for number, row in sorted(self.rows.items()):
            server.broker.stored.restore(number, *row)
        server.broker.stored.restored()
        return server


def policies_of(broker) -> dict[bytes, Policy]:
    """Return the policies of the functions that are known or were set."""
    found = {name: broker.policies.of(name) for name in broker.policies.names()}
    return {name: policy for name, policy in found.items() if policy is not None}
