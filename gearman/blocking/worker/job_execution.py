"""Running a job: its function, its result, its failure, and the job lock."""

import json
import logging
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Unpack, cast

from ...client_core.attempts import details
from ...command_handler import GearmanCommandHandler
from ...errors import JobRetry, UnsupportedByServer
from ...job import Connection, GearmanJob
from ..options import Options, Server
from .job_updates import JobUpdates

# The result of `sys.exc_info` while an exception is handled.
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

gearman_logger = logging.getLogger(__name__)


class JobExecution(JobUpdates):
    """Runs the jobs that a worker's handlers get; subclasses may override each step."""

    report_exceptions = False

    def __init__(
        self, host_list: Iterable[Server] | None = None, **options: Unpack[Options]
    ) -> None:
        super().__init__(host_list=host_list, **options)
        self.worker_abilities: dict[str | bytes, Callable[..., Any]] = {}
        self.command_handler_holding_job_lock: GearmanCommandHandler | None = None

    def create_job(
        self,
        command_handler: GearmanCommandHandler,
        job_handle: str,
        task: str | bytes,
        unique: str | bytes | None,
        data: Any,
    ) -> GearmanJob:
        """Make a job from the arguments that the server has sent."""
        connection = self.handler_to_connection_map[command_handler]
        job = self.job_class(connection, job_handle, task, unique, data)
        job._runner = self
        return job

    def on_job_execute(self, current_job: GearmanJob) -> bool:
        """Run a job and send its result; return False if it has failed.

        A job fails if its function raises an exception, or if its result cannot be
        encoded. After JobRetry the server is to try it again.
        """
        try:
            callback = self.worker_abilities[cast(str | bytes, current_job.task)]
            result = callback(self, current_job)
        except JobRetry as wish:
            return self._try_again(current_job, wish)
        except Exception as error:
            return self.on_job_exception(current_job, _exc_info(error))
        try:
            return self.on_job_complete(current_job, result)
        except Exception as error:
            connection = cast(Connection, current_job.connection)
            handler = self.connection_to_handler_map.get(connection)
            if error is not getattr(handler, "unsendable", None):
                raise
            return self.on_job_exception(current_job, _exc_info(error))

    def _try_again(self, job: GearmanJob, wish: JobRetry) -> bool:
        try:
            self.send_job_retry(job, wish.delay, wish.reason, wish.counts)
        except (UnsupportedByServer, ValueError, TypeError) as error:
            return self.on_job_exception(job, _exc_info(error))
        return False

    def on_job_exception(self, current_job: GearmanJob, exc_info: ExcInfo) -> bool:
        """Log that a job failed, and why; tell the server; return False."""
        gearman_logger.error(
            "Job %s of %r failed",
            *(current_job.handle, current_job.task),
            exc_info=exc_info,
        )
        if self.report_exceptions:
            self._report(current_job, exc_info)
        elif self._may_send_later():
            self._queue_failure(current_job)
        else:
            self.send_job_failure(current_job)
        return False

    def _report(self, job: GearmanJob, exc_info: ExcInfo) -> None:
        report = details(exc_info[1])
        try:
            self.data_encoder.encode(report)
        except Exception:
            self.send_job_exception(job, json.dumps(report))
        else:
            self.send_job_exception(job, report)

    def on_job_complete(self, current_job: GearmanJob, job_result: Any) -> bool:
        """Send the result of a job to the server; return True."""
        if self._may_send_later():
            self._queue_complete(current_job, job_result)
        else:
            self.send_job_complete(current_job, job_result)
        return True

    def _may_send_later(self) -> bool:
        """Whether the result of a job may wait, to be sent with the next packet."""
        return False

    def set_job_lock(self, command_handler: GearmanCommandHandler, lock: bool) -> bool:
        """Take or release the job lock; return whether that was possible."""
        if command_handler not in self.handler_to_connection_map:
            return False
        holder = self.command_handler_holding_job_lock
        if holder is not (None if lock else command_handler):
            return False
        self.command_handler_holding_job_lock = command_handler if lock else None
        return True

    def lend_job_lock(
        self, command_handler: GearmanCommandHandler
    ) -> GearmanCommandHandler | None:
        """Give the lock to a handler whose job came late; return the last holder."""
        holder = self.command_handler_holding_job_lock
        self.command_handler_holding_job_lock = command_handler
        return holder

    def check_job_lock(self, command_handler: GearmanCommandHandler) -> bool:
        """Whether a handler awaits or runs a job."""
        return self.command_handler_holding_job_lock == command_handler

    def has_job_lock(self) -> bool:
        """Whether any handler awaits or runs a job."""
        return self.command_handler_holding_job_lock is not None


def _exc_info(error: BaseException) -> ExcInfo:
    return type(error), error, error.__traceback__
