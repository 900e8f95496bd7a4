"""The worker's side of a connection: announces functions, and asks for jobs."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

from ..client_core.abilities import ability
from ..client_core.grabbing import Grabbing, Slots
from ..client_core.server_options import EXTENSIONS, TRACES, ServerOptions
from ..commands import Command
from ..errors import ProtocolError
from ..framing import Packet
from ..payload import as_text
from ..protocol import pack_request
from .link import Link, arguments_of, logger
from .running_job import RunningJob
from .servers import Server

_ASSIGN: Final = int(Command.JOB_ASSIGN_UNIQ)
_GRAB: Final = pack_request(Command.GRAB_JOB_UNIQ, ())
_SLEEP: Final = pack_request(Command.PRE_SLEEP, ())

# Seconds until functions are announced again to a server that has refused something.
_ANNOUNCE_AGAIN: Final = 10.0


class Worker(Protocol):
    """What a connection needs of its worker."""

    client_id: str | None
    slots: Slots
    jobs_each: int

    def timeouts(self) -> list[tuple[str, float | None]]:
        """Return the functions, and the seconds that their jobs may take."""

    def run(self, job: RunningJob) -> None:
        """Begin to run a job."""

    def may_grab(self, link: "WorkerLink") -> None:
        """Let a connection ask for jobs when there are free slots."""

    def answered(self) -> None:
        """A question for a job was answered, or will not be."""


class WorkerLink(Link):
    """Gets the jobs of one server for a worker."""

    def __init__(self, server: "Server[WorkerLink]", worker: Worker) -> None:
        super().__init__(server.name, server.opening.max_packet, self._lose_all)
        self.server = server
        self.grabbing = Grabbing(worker.slots, worker.jobs_each)
        self._worker = worker
        # When a job was last asked for.
        self.grabbed = 0.0
        self._jobs: dict[str, RunningJob] = {}
        self._options = ServerOptions()
        # The handle and the trace of the job that comes next.
        self._trace = ("", "")
        self._again: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._worker.client_id is not None:
            self.send(pack_request(Command.SET_CLIENT_ID, (self._worker.client_id,)))
        self._announce_all()
        # So the server tells which jobs nobody wants any more. Its answer says that it
        # knows the functions, too.
        self._options.asked(EXTENSIONS)
        self.send(pack_request(Command.OPTION_REQ, (EXTENSIONS,)))
        self._sleep_if_idle()

    def _announce_again(self) -> None:
        self._again = None
        self._announce_all()
        self._sleep_if_idle()

    def _announce_all(self) -> None:
        for function, timeout in self._worker.timeouts():
            self.send(pack_request(*ability(function, timeout)))

    def announce_another(self, function: str, timeout: float | None) -> None:
        """Tell the server a function that was not there before."""
        self.send(pack_request(*ability(function, timeout)))
        self._sleep_if_idle()

    def _sleep_if_idle(self) -> None:
        """Have the server say whether there are jobs, also of a new function."""
        if not self.grabbing.awake and not self.grabbing.owed:
            self._sleep()

    @property
    def ready(self) -> bool:
        """Whether it may be used, and accepts data."""
        return self.connected and not self.blocked

    def resume_writing(self) -> None:
        super().resume_writing()
        self._worker.may_grab(self)

    @property
    def announced(self) -> bool:
        """Whether the server has the functions that the worker had at first."""
        return self.connected and self._options.extensions is not None

    @property
    def extensions(self) -> bool:
        """Whether the server has the extensions, as far as it is known."""
        return bool(self._options.extensions)

    def ask_traces(self) -> None:
        """Ask the server for the traces of jobs."""
        self._options.asked(TRACES)
        self.send(pack_request(Command.OPTION_REQ, (TRACES,)))

    def trace_of(self, handle: str) -> str:
        """Return the W3C traceparent of a job that has just come, "" if it has none."""
        name, trace = self._trace
        return trace if name == handle else ""

    def grab(self) -> None:
        """Ask for a job."""
        self.grabbing.grab()
        self.grabbed = self.loop.time()
        self.send(_GRAB)

    def _sleep(self) -> None:
        self.send(_SLEEP)

    def ended(self, job: RunningJob) -> None:
        """A job has ended; another one may be asked for."""
        self._jobs.pop(job.handle, None)
        self.grabbing.ended()
        self._worker.may_grab(self)

    def _lose_all(self) -> None:
        if self._again is not None:
            self._again.cancel()
        self.grabbing.lost()
        for job in list(self._jobs.values()):
            job.cancel()
        self._worker.answered()

    # Packets from the server.

    def act(self, packets: list[Packet]) -> None:
        for packet in packets:
            if packet[0] == _ASSIGN:
                self._assigned(*cast("tuple[bytes, bytes, bytes, bytes]", packet[1]))
                continue
            arguments = arguments_of(packet)
            act = _ACTS.get(packet[0])
            if act is None:
                raise ProtocolError(f"unexpected packet {packet[0]}", fatal=True)
            act(self, *arguments)

    def _assigned(
        self, handle: bytes, function: bytes, unique: bytes, workload: bytes
    ) -> None:
        self.grabbing.assigned()
        names = as_text(handle), as_text(function), as_text(unique)
        job = RunningJob(self, *names, workload)
        self._jobs[job.handle] = job
        self._worker.run(job)
        self._worker.may_grab(self)
        self._worker.answered()

    def _noop(self) -> None:
        self.grabbing.noop()
        self._worker.may_grab(self)

    def _no_job(self) -> None:
        if self.grabbing.no_job():
            self._sleep()
        # Another connection may have waited for the slot.
        self._worker.may_grab(self)
        self._worker.answered()

    def _option(self, name: bytes) -> None:
        self._options.accepted(as_text(name))

    def _traced(self, handle: bytes, trace: bytes) -> None:
        self._trace = as_text(handle), as_text(trace)

    def _cancelled(self, handle: bytes) -> None:
        job = self._jobs.get(as_text(handle))
        if job is not None:
            job.cancel()

    def _refused(self, code: bytes, text: bytes) -> None:
        if code.upper() == b"UNKNOWN_OPTION" and self._options.unanswered:
            self._options.refused()
            return
        names = as_text(code), as_text(text)
        logger.warning("the server %s says: %s: %s", self.name, *names)
        if code == b"QUEUE_ERROR" and self._again is None:
            # It has refused a function, perhaps as it has too many.
            self._again = self.loop.call_later(_ANNOUNCE_AGAIN, self._announce_again)
        if self.grabbing.refused():
            self._sleep()
        self._worker.may_grab(self)
        self._worker.answered()


_ACTS: Final[dict[int, Callable[..., None]]] = {
    Command.NOOP: WorkerLink._noop,
    Command.NO_JOB: WorkerLink._no_job,
    Command.OPTION_RES: WorkerLink._option,
    Command.WORK_CANCEL: WorkerLink._cancelled,
    Command.JOB_TRACE: WorkerLink._traced,
    Command.ERROR: WorkerLink._refused,
}
