"""Play a load as a client, with the client library of this Python.

``benchmarks/clients.py`` runs it with the Python of each library that it compares:
``client_play.py LOAD PORT JOBS MODULE`` prints figures in JSON. So it imports nothing
of this project, and uses only the API of python-gearman. With the module ``socket`` the
client is a bare socket. ``client_play.py worker PORT [CA_FILE]`` is the worker;
``client_play.py version MODULE`` prints the name and version of the library.
"""

import json
import resource
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any

# Text, since python3-gearman accepts no bytes.
WORKLOAD = "x" * 64
LARGE = 20_000_000
BARE = "socket"
# Without it pygearman does not wait for a result.
WAIT: dict[str, Any] = {"poll_timeout": 600.0}


def submit(client: Any, jobs: int) -> None:
    """Submit background jobs one after the other."""
    for _ in range(jobs):
        _check(client.submit_job("none", WORKLOAD, background=True, **WAIT), "CREATED")


def submit_at_once(client: Any, jobs: int) -> None:
    """Submit background jobs with one call."""
    descriptions = [{"task": "none", "data": WORKLOAD} for _ in range(jobs)]
    for request in client.submit_multiple_jobs(descriptions, background=True, **WAIT):
        _check(request, "CREATED")


def round_trip(client: Any, jobs: int) -> None:
    """Run jobs one after the other."""
    for _ in range(jobs):
        _check(client.submit_job("echo", WORKLOAD, **WAIT), "COMPLETE")


def large_result(client: Any, jobs: int) -> None:
    """Run jobs that return 20 MB each."""
    for _ in range(jobs):
        request = client.submit_job("large", "", **WAIT)
        _check(request, "COMPLETE")
        if len(request.result) != LARGE:
            raise RuntimeError(f"{len(request.result)} bytes came, not {LARGE}")


LOADS: dict[str, Callable[[Any, int], None]] = {
    "submit": submit,
    "submit-at-once": submit_at_once,
    "submit-million": submit_at_once,
    "round-trip": round_trip,
    "large-result": large_result,
}


@dataclass
class Answered:
    """What a bare socket knows of a job."""

    state: str


class Bare:
    """The least that a client of one job at a time must do: no library can do less."""

    def __init__(self, servers: list[str]) -> None:
        host, _, port = servers[0].rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def submit_job(
        self, task: str, data: str, background: bool = False, **_: object
    ) -> Answered:
        """Submit a job, and wait for its handle, or for its result."""
        body = b"\0".join((task.encode(), b"", data.encode()))
        header = struct.pack(">4sII", b"\0REQ", 18 if background else 7, len(body))
        self._socket.sendall(header + body)
        state = _ANSWERS[self._packet()]
        if not background:
            state = _ANSWERS[self._packet()]
        return Answered(state)

    def _packet(self) -> int:
        while True:
            head = self._received[:12]
            if len(head) == 12:
                _, number, length = struct.unpack(">4sII", head)
                if len(self._received) >= 12 + length:
                    self._received = self._received[12 + length :]
                    return int(number)
            data = self._socket.recv(65536)
            if not data:
                raise EOFError("the server has closed the connection")
            self._received += data


# JOB_CREATED and WORK_COMPLETE.
_ANSWERS = {8: "CREATED", 13: "COMPLETE"}


def _check(request: Any, state: str) -> None:
    if request.state != state:
        raise RuntimeError(f"a job is {request.state}, not {state}")


def _processor_time() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def play(name: str, port: str, jobs: str, module: str) -> None:
    """Play a load and print jobs per second and CPU microseconds per job."""
    make = Bare if module == BARE else import_module(module).GearmanClient
    client = make([f"127.0.0.1:{port}"])
    # After this the worker has registered, and the connection is open.
    round_trip(client, 1)
    count = int(jobs)
    used, start = _processor_time(), time.perf_counter()
    LOADS[name](client, count)
    seconds = time.perf_counter() - start
    used = _processor_time() - used
    print(json.dumps({"rate": count / seconds, "cpu": used / count * 1e6}))


def work(port: str, *ca_file: str) -> None:
    """Work until the process is ended, with TLS if there is a `ca_file`."""
    result = "x" * LARGE
    options = {}
    for file in ca_file:
        options["ssl_context"] = ssl.create_default_context(cafile=file)
    worker = import_module("gearman").GearmanWorker([f"127.0.0.1:{port}"], **options)
    worker.register_task("echo", lambda worker, job: job.data)
    worker.register_task("large", lambda worker, job: result)
    worker.work()


def version(module: str) -> None:
    """Print the distribution that a module belongs to, and its version."""
    import_module(module)
    names = metadata.packages_distributions().get(module, [])
    print(*(f"{name} {metadata.version(name)}" for name in names[:1]))


if __name__ == "__main__":
    ROLES: dict[str, Callable[..., None]] = {"worker": work, "version": version}
    if sys.argv[1] in ROLES:
        ROLES[sys.argv[1]](*sys.argv[2:])
    else:
        play(*sys.argv[1:])
