"""What a worker tells about a job while it runs, and at its end."""

from collections.abc import Iterable
from typing import Any, cast

from ..connection import GearmanConnection
from ..connection_manager import GearmanConnectionManager
from ..errors import ServerUnavailable
from ..job import Connection, GearmanJob
from ..worker_handler import GearmanWorkerCommandHandler


class JobUpdates(GearmanConnectionManager):
    """Sends updates; each has left when its method returns.

    They raise ServerUnavailable if the job's connection is lost. With a
    `poll_timeout` (seconds) they return after that time even if the socket took
    nothing; with 0 the update is queued only.
    """

    # The handle of the last job that ended with an exception: nothing may follow.
    _ended_by_exception: str | None = None

    def _get_handler_for_job(
        self, current_job: GearmanJob
    ) -> GearmanWorkerCommandHandler:
        connection = cast(Connection, current_job.connection)
        handler = self.connection_to_handler_map.get(connection)
        if handler is None:
            raise ServerUnavailable(f"The connection of {current_job.handle} is lost")
        return cast(GearmanWorkerCommandHandler, handler)

    def wait_until_updates_sent(
        self,
        multiple_gearman_jobs: Iterable[GearmanJob],
        poll_timeout: float | None = None,
    ) -> None:
        """Wait until the updates of these jobs have left."""
        connections = {
            cast(GearmanConnection, job.connection) for job in multiple_gearman_jobs
        }
        self.poll_connections_until_stopped(
            connections,
            lambda any_activity: any(c.writable() for c in connections),
            timeout=poll_timeout,
        )

    def send_job_status(
        self,
        current_job: GearmanJob,
        numerator: float,
        denominator: float,
        poll_timeout: float | None = None,
    ) -> None:
        """Tell how far the job is; AssertionError unless both are int or float."""
        self._get_handler_for_job(current_job).send_job_status(
            current_job, numerator=numerator, denominator=denominator
        )
        self.wait_until_updates_sent([current_job], poll_timeout=poll_timeout)

    def send_job_data(
        self, current_job: GearmanJob, data: Any, poll_timeout: float | None = None
    ) -> None:
        """Send a part of the result."""
        self._get_handler_for_job(current_job).send_job_data(current_job, data=data)
        self.wait_until_updates_sent([current_job], poll_timeout=poll_timeout)

    def send_job_warning(
        self, current_job: GearmanJob, data: Any, poll_timeout: float | None = None
    ) -> None:
        """Send a warning."""
        self._get_handler_for_job(current_job).send_job_warning(current_job, data=data)
        self.wait_until_updates_sent([current_job], poll_timeout=poll_timeout)

    def send_job_complete(
        self, current_job: GearmanJob, data: Any, poll_timeout: float | None = None
    ) -> None:
        """End the job with its result."""
        self._queue_complete(current_job, data)
        self.wait_until_updates_sent([current_job], poll_timeout=poll_timeout)

    def send_job_failure(
        self, current_job: GearmanJob, poll_timeout: float | None = None
    ) -> None:
        """End the job as failed."""
        self._queue_failure(current_job)
        self.wait_until_updates_sent([current_job], poll_timeout=poll_timeout)

    def send_job_exception(
        self, current_job: GearmanJob, data: Any, poll_timeout: float | None = None
    ) -> None:
        """End the job as failed, and tell why.

        No failure or result of this job is sent any more: it is unknown to the
        server from now on.
        """
        self._queue_exception(current_job, data)
        self.wait_until_updates_sent([current_job], poll_timeout=poll_timeout)

    def _queue_complete(self, job: GearmanJob, data: Any) -> None:
        handler = self._get_handler_for_job(job)
        if self._ended_by_exception != job.handle:
            handler.send_job_complete(job, data=data)

    def _queue_failure(self, job: GearmanJob) -> None:
        handler = self._get_handler_for_job(job)
        if self._ended_by_exception != job.handle:
            handler.send_job_failure(job)

    def _queue_exception(self, job: GearmanJob, data: Any) -> None:
        self._get_handler_for_job(job).send_job_exception(job, data=data)
        self._ended_by_exception = job.handle
