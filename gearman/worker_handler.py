"""The worker's side of a connection: when it sleeps, grabs a job and runs it.

    asleep -> (NOOP) -> wants a job -> (GRAB_JOB_UNIQ) -> awaits it -> runs it
       ^                                                     |            |
       +----------------- PRE_SLEEP <----- NO_JOB -----------+            |
                              ^-- or the next GRAB_JOB_UNIQ --------------+

A handler that awaits or runs a job holds the worker's job lock. So a worker with
several servers has one job at a time. If a server does not answer a grab within a
second, its handler releases the lock for the other handlers. It takes the lock back
when the answer comes. While `work` runs, the worker decides which handler grabs next
(`queue_grab`): then a job's result and the next grab are sent in one write.
"""

import logging
import sys
from collections.abc import Sequence
from typing import Any, Protocol

from .client_core.abilities import ability
from .client_core.server_options import EXTENSIONS, TRACES, ServerOptions
from .client_core.steered import server_name
from .command_handler import GearmanCommandHandler, Manager
from .errors import InvalidWorkerState, ServerUnavailable, UnsupportedByServer
from .job import GearmanJob
from .payload import Payload, as_bytes, as_text
from .protocol import GEARMAN_COMMAND_CAN_DO as GEARMAN_COMMAND_CAN_DO
from .protocol import (
    GEARMAN_COMMAND_GRAB_JOB_ALL,
    GEARMAN_COMMAND_GRAB_JOB_UNIQ,
    GEARMAN_COMMAND_OPTION_REQ,
    GEARMAN_COMMAND_PRE_SLEEP,
    GEARMAN_COMMAND_RESET_ABILITIES,
    GEARMAN_COMMAND_SET_CLIENT_ID,
    GEARMAN_COMMAND_WORK_COMPLETE,
    GEARMAN_COMMAND_WORK_DATA,
    GEARMAN_COMMAND_WORK_EXCEPTION,
    GEARMAN_COMMAND_WORK_FAIL,
    GEARMAN_COMMAND_WORK_RETRY,
    GEARMAN_COMMAND_WORK_STATUS,
    GEARMAN_COMMAND_WORK_WARNING,
    by_name,
)

gearman_logger = logging.getLogger(__name__)


class Worker(Manager, Protocol):
    """What a handler needs from its worker, in addition to Manager."""

    def set_job_lock(self, command_handler: GearmanCommandHandler, lock: bool) -> bool:
        """Take or release the job lock; return whether the handler may do that."""

    def lend_job_lock(
        self, command_handler: GearmanCommandHandler
    ) -> GearmanCommandHandler | None:
        """Give the lock to a handler whose job came late; return the last holder."""

    def check_job_lock(self, command_handler: GearmanCommandHandler) -> bool:
        """Whether a handler awaits or runs a job."""

    def create_job(
        self,
        command_handler: GearmanCommandHandler,
        job_handle: str,
        task: str | bytes,
        unique: str | bytes | None,
        data: Any,
    ) -> GearmanJob:
        """Make a job from the arguments that the server has sent."""

    def on_job_execute(self, current_job: GearmanJob) -> bool:
        """Run a job."""

    def on_job_exception(self, current_job: GearmanJob, exc_info: Any) -> bool:
        """Let a job fail."""


class GearmanWorkerCommandHandler(GearmanCommandHandler):
    """Announces the tasks of a GearmanWorker, and runs the jobs that it gets."""

    connection_manager: Worker

    def __init__(self, connection_manager: Any = None) -> None:
        super().__init__(connection_manager=connection_manager)
        self._handler_abilities: Sequence[str | bytes] = []
        self._client_id: str | bytes | None = None
        self._keys: dict[str, str | bytes] = {}
        self._running = False
        self._announce_later = False
        # How many answers to a grab may still come while the handler does not hold the
        # lock, and whether one of them is overdue.
        self._owed = 0
        self._overdue = False
        # Whether the server has refused something, perhaps a task.
        self.refused = False
        # The handle of the running job, if nobody wants it any more.
        self._cancelled: str | None = None
        self._options = ServerOptions()
        # The handle and the trace of the job that comes next.
        self._trace = ("", "")
        # The error of the encoder for the last result that could not be encoded.
        self.unsendable: Exception | None = None

    def initial_state(self, abilities: Any = None, client_id: Any = None) -> None:
        self.set_client_id(client_id)
        self.set_abilities(abilities)
        # The answer says that the server knows the abilities, too.
        if getattr(self.connection_manager, "extensions", False):
            self.ask_extensions()

        self._sleep()

    def expects_answer(self) -> bool:
        return not self._running and (self._overdue or self._check_job_lock())

    # Called by the worker.

    def set_abilities(self, connection_abilities_list: Sequence[str | bytes]) -> None:
        """Tell the server all tasks of this worker, in the place of earlier ones.

        While a job runs this waits for its end: RESET_ABILITIES would make gearmand
        take the job away.
        """
        assert type(connection_abilities_list) in (list, tuple)
        self._handler_abilities = connection_abilities_list
        self._keys = {as_text(task): task for task in connection_abilities_list}
        if self._running:
            self._announce_later = True
        else:
            self._announce()

    def _announce(self) -> None:
        self._announce_later = False
        self.send_command(GEARMAN_COMMAND_RESET_ABILITIES)
        self._tell_abilities()

    def _tell_abilities(self) -> None:
        timeouts = getattr(self.connection_manager, "task_timeouts", {})
        for task in self._handler_abilities:
            command, arguments = ability(task, timeouts.get(task))
            self.send_command(command, **by_name(command, arguments))

    def set_client_id(self, client_id: str | bytes | None) -> None:
        """Tell the server the name of this worker, unless it is None."""
        self._client_id = client_id
        if client_id is not None:
            self.send_command(GEARMAN_COMMAND_SET_CLIENT_ID, client_id=client_id)

    def announce_again(self) -> None:
        """Tell the tasks of this worker again to a server that has refused one."""
        self.refused = False
        self._tell_abilities()
        if not self.expects_answer():
            self._sleep()

    # The extensions of the server.

    @property
    def extensions(self) -> bool | None:
        """Whether the server has the extensions; None if that is not known (yet)."""
        return self._options.extensions

    def ask_extensions(self) -> None:
        """Ask once whether the server has the extensions."""
        options = self._options
        if options.extensions is None and not options.awaited:
            options.asked(EXTENSIONS)
            self.send_command(GEARMAN_COMMAND_OPTION_REQ, option_name=EXTENSIONS)

    def ask_traces(self) -> None:
        """Ask the server for the traces of jobs."""
        self._options.asked(TRACES)
        self.send_command(GEARMAN_COMMAND_OPTION_REQ, option_name=TRACES)

    def trace_of(self, job_handle: str) -> str:
        """Return the W3C traceparent of a job that has just come, "" if it has none."""
        handle, trace = self._trace
        return trace if handle == job_handle else ""

    def is_cancelled(self, current_job: GearmanJob) -> bool:
        """Whether the server has said that nobody wants a running job any more."""
        return self._cancelled is not None and self._cancelled == current_job.handle

    # The worker calls these for a job's function.

    def send_job_status(
        self, current_job: GearmanJob, numerator: float, denominator: float
    ) -> None:
        assert type(numerator) in (int, float), "Numerator must be a numeric value"
        assert type(denominator) in (int, float), "Denominator must be a numeric value"
        self.send_command(
            GEARMAN_COMMAND_WORK_STATUS,
            job_handle=current_job.handle,
            numerator=str(numerator),
            denominator=str(denominator),
        )

    def send_job_complete(self, current_job: GearmanJob, data: Any) -> None:
        """Send a result; if the encoder cannot encode None, None is sent empty."""
        try:
            encoded = as_bytes(self.encode_data(data))
        except Exception as error:
            if data is not None:
                self.unsendable = error
                raise
            encoded = b""
        self._send_update(GEARMAN_COMMAND_WORK_COMPLETE, current_job, encoded)

    def send_job_failure(self, current_job: GearmanJob) -> None:
        self.send_command(GEARMAN_COMMAND_WORK_FAIL, job_handle=current_job.handle)

    def send_job_exception(self, current_job: GearmanJob, data: Any) -> None:
        self._send_update(
            GEARMAN_COMMAND_WORK_EXCEPTION, current_job, self.encode_data(data)
        )

    def send_job_data(self, current_job: GearmanJob, data: Any) -> None:
        self._send_update(
            GEARMAN_COMMAND_WORK_DATA, current_job, self.encode_data(data)
        )

    def send_job_warning(self, current_job: GearmanJob, data: Any) -> None:
        self._send_update(
            GEARMAN_COMMAND_WORK_WARNING, current_job, self.encode_data(data)
        )

    def send_job_retry(
        self, current_job: GearmanJob, seconds: str, reason: str | bytes
    ) -> None:
        """Give a job back; raises UnsupportedByServer if the server can't take it."""
        if not self.extensions:
            server = server_name(current_job.connection)
            raise UnsupportedByServer(server, ["to try a job again"])
        self.send_command(
            GEARMAN_COMMAND_WORK_RETRY,
            job_handle=current_job.handle,
            seconds=seconds,
            reason=reason,
        )

    def _send_update(
        self, cmd_type: int, current_job: GearmanJob, encoded: str | bytes
    ) -> None:
        self.send_command(cmd_type, job_handle=current_job.handle, data=encoded)

    # Sleeping and grabbing.

    def take_job(self) -> None:
        """Grab a job if the lock is free, else sleep."""
        if self._acquire_job_lock():
            self._grab_job()
        else:
            self._sleep()

    def _grab_job(self) -> None:
        grab_all = getattr(self.connection_manager, "grab_all", False)
        self.send_command(
            GEARMAN_COMMAND_GRAB_JOB_ALL if grab_all else GEARMAN_COMMAND_GRAB_JOB_UNIQ
        )

    def stop_waiting(self) -> None:
        """Release the lock for other handlers, as a grab is not answered in time."""
        self._overdue = True
        self._owed += 1
        self._release_job_lock()

    def _sleep(self) -> None:
        self.send_command(GEARMAN_COMMAND_PRE_SLEEP)

    def _queue_grab(self, after_job: bool = False) -> bool:
        """Whether the worker will call `take_job` when this handler may grab."""
        queue_grab = getattr(self.connection_manager, "queue_grab", None)
        return queue_grab is not None and bool(queue_grab(self, after_job))

    def _check_job_lock(self) -> bool:
        return self.connection_manager.check_job_lock(self)

    def _acquire_job_lock(self) -> bool:
        return self.connection_manager.set_job_lock(self, lock=True)

    def _release_job_lock(self) -> bool:
        if not self.connection_manager.set_job_lock(self, lock=False):
            raise InvalidWorkerState(f"Unable to release job lock for {self!r}")
        return True

    # Packets from the server.

    def recv_noop(self) -> bool:
        """Wake up, unless this handler already awaits a job."""
        if not (self._overdue or self._check_job_lock() or self._queue_grab()):
            self.take_job()
        return True

    def recv_no_job(self) -> bool:
        if not self._comes_late():
            self._release_job_lock()
        self._sleep()
        return True

    def recv_option_res(self, option_name: str) -> bool:
        self._options.accepted(option_name)
        return True

    def recv_work_cancel(self, job_handle: str) -> bool:
        self._cancelled = job_handle
        return True

    def recv_job_trace(self, job_handle: str, trace: str) -> bool:
        self._trace = (job_handle, trace)
        return True

    def recv_error(self, error_code: str, error_text: str) -> bool:
        """Tell the worker, and stop waiting: this may be the answer to a grab."""
        if error_code.upper() == "UNKNOWN_OPTION" and self._options.unanswered:
            self._options.refused()
            return True
        announce_soon = getattr(self.connection_manager, "announce_soon", None)
        if error_code == "QUEUE_ERROR" and announce_soon is not None:
            self.refused = True
            announce_soon()
        if self.expects_answer():
            if not self._overdue:
                self.stop_waiting()
            self._overdue = False
            self._sleep()
        return super().recv_error(error_code, error_text)

    def _comes_late(self) -> bool:
        """Whether this answers a grab for which the handler had stopped waiting."""
        self._overdue = False
        late = self._owed > 0 and not self._check_job_lock()
        self._owed -= late
        return late

    def recv_job_assign_uniq(
        self, job_handle: str, task: str, unique: str | None, data: Payload
    ) -> bool:
        """Run a job, then grab or wait for the next one.

        Raises InvalidWorkerState if no job was asked for.
        """
        self._run(job_handle, task, unique, data, None)
        return True

    def recv_job_assign(self, job_handle: str, task: str, data: Payload) -> bool:
        return self.recv_job_assign_uniq(job_handle, task, None, data)

    def recv_job_assign_all(
        self, job_handle: str, task: str, unique: str, reducer: str, data: Payload
    ) -> bool:
        self._run(job_handle, task, unique, data, reducer or None)
        return True

    def _run(
        self,
        job_handle: str,
        task: str | bytes,
        unique: str | None,
        data: Payload,
        reducer: str | None,
    ) -> None:
        holder = None
        if self._comes_late():
            holder = self.connection_manager.lend_job_lock(self)
        if not self._check_job_lock():
            raise InvalidWorkerState("Received a job when we weren't expecting one")
        task = self._keys.get(as_text(task), task)
        self._running = True
        self._cancelled = None
        try:
            self._execute(job_handle, task, unique, data, reducer)
        except ServerUnavailable:
            # The job is lost with its connection; other connections may still be open.
            if self._check_job_lock():
                raise
        finally:
            self._running = False
        if self._check_job_lock():
            self._release_job_lock()
            if holder is not None:
                self.connection_manager.set_job_lock(holder, lock=True)
            self._go_on()

    def _execute(
        self,
        job_handle: str,
        task: str | bytes,
        unique: str | None,
        data: Payload,
        reducer: str | None,
    ) -> None:
        """Run a job; a workload that cannot be decoded makes it fail."""
        worker = self.connection_manager
        problem = None
        try:
            data = self.decode_data(data)
        except Exception:
            problem = sys.exc_info()
        job = worker.create_job(self, job_handle, task, unique, data)
        if reducer is not None:
            job.reducer = reducer
        if problem is None:
            worker.on_job_execute(job)
        else:
            worker.on_job_exception(job, problem)

    def _go_on(self) -> None:
        if self._announce_later:
            self._announce()
        if not self._queue_grab(after_job=True):
            self._sleep()
