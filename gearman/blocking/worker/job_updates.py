"""The packets that a worker sends for a job: updates, and its end."""

from collections.abc import Iterable
from typing import Any, cast
from weakref import ref

from ...client_core.attempts import retry_seconds
from ...connection import GearmanConnection
from ...errors import ServerUnavailable
from ...job import Connection, GearmanJob
from ...worker_handler import GearmanWorkerCommandHandler
from ..servers.discovery import Discovering

# Seconds that a server may take to say whether it has the extensions.
_ANSWER = 10.0


class JobUpdates(Discovering):
    """Sends the updates and the end of a job; each method waits until its data is sent.

    With a `poll_timeout` (seconds) a method returns after that time, even if the socket
    accepts no data; with 0 the packet is only queued. The methods raise
    ServerUnavailable if the job's connection is lost, and the encoder's error if it
    cannot encode `data`.
    """

    extensions = False

    # The last job that has ended with an exception, or that was given back. No result
    # may follow, but the same job may come again, as another object.
    _ended: ref[GearmanJob] | None = None

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
        """Wait until all queued packets on the connections of these jobs are sent."""
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
        """Send how far the job is (WORK_STATUS): numerator of denominator.

        Raises AssertionError unless both are int or float, as python-gearman 2.0.2.
        """
        self._get_handler_for_job(current_job).send_job_status(
            current_job, numerator=numerator, denominator=denominator
        )
        self.wait_until_updates_sent([current_job], poll_timeout=poll_timeout)

    def send_job_data(
        self, current_job: GearmanJob, data: Any, poll_timeout: float | None = None
    ) -> None:
        """Send a part of the result (WORK_DATA)."""
        self._get_handler_for_job(current_job).send_job_data(current_job, data=data)
        self.wait_until_updates_sent([current_job], poll_timeout=poll_timeout)

    def send_job_warning(
        self, current_job: GearmanJob, data: Any, poll_timeout: float | None = None
    ) -> None:
        """Send a warning (WORK_WARNING)."""
        self._get_handler_for_job(current_job).send_job_warning(current_job, data=data)
        self.wait_until_updates_sent([current_job], poll_timeout=poll_timeout)

    def send_job_complete(
        self, current_job: GearmanJob, data: Any, poll_timeout: float | None = None
    ) -> None:
        """End the job with its result (WORK_COMPLETE)."""
        self._queue_complete(current_job, data)
        self.wait_until_updates_sent([current_job], poll_timeout=poll_timeout)

    def send_job_failure(
        self, current_job: GearmanJob, poll_timeout: float | None = None
    ) -> None:
        """End the job as failed (WORK_FAIL)."""
        self._queue_failure(current_job)
        self.wait_until_updates_sent([current_job], poll_timeout=poll_timeout)

    def send_job_exception(
        self, current_job: GearmanJob, data: Any, poll_timeout: float | None = None
    ) -> None:
        """End the job as failed, with data about the reason (WORK_EXCEPTION).

        A failure or result of this job is not sent after this. The server does not
        know the job any more, as gearmand does not.
        """
        self._queue_exception(current_job, data)
        self.wait_until_updates_sent([current_job], poll_timeout=poll_timeout)

    def send_job_retry(
        self,
        current_job: GearmanJob,
        delay: float = 0.0,
        reason: str | bytes = "",
        counts: bool = True,
        poll_timeout: float | None = None,
    ) -> None:
        """Give the job back, to be tried again in `delay` seconds (WORK_RETRY).

        If it `counts`, this is a failed attempt, of which the job has as many as its
        option `retries` allows; after the last one the job fails. A result, a failure
        or an exception of this job is not sent after this. `reason` is for the
        server's log and its list of dead jobs.

        Raises UnsupportedByServer if the server does not have this, which it is asked
        once on each connection; and ValueError for a delay that is no number of
        seconds, or over 100 years.
        """
        seconds = retry_seconds(delay, counts)
        handler = self._get_handler_for_job(current_job)
        if handler.extensions is None:
            self._ask_extensions(handler, current_job)
        handler.send_job_retry(current_job, seconds, reason)
        self._ended = ref(current_job)
        self.wait_until_updates_sent([current_job], poll_timeout=poll_timeout)

    def _ask_extensions(
        self, handler: GearmanWorkerCommandHandler, job: GearmanJob
    ) -> None:
        handler.ask_extensions()
        connection = cast(GearmanConnection, job.connection)
        self.poll_connections_until_stopped(
            [connection], lambda _: handler.extensions is None, timeout=_ANSWER
        )

    def is_cancelled(self, current_job: GearmanJob) -> bool:
        """Whether the server has said that nobody wants the job any more.

        Reads what has arrived, without waiting. At the first look, the server is asked
        to say it. It is True as well if the connection to the server is lost.
        """
        connection = cast(GearmanConnection, current_job.connection)
        self.extensions = True
        handler = self.connection_to_handler_map.get(connection)
        if handler is None:
            return True
        cast(GearmanWorkerCommandHandler, handler).ask_extensions()
        found = self.poll_connections_once([connection], timeout=0)
        self.handle_connection_activity(*found)
        if handler is not self.connection_to_handler_map.get(connection):
            return True
        return cast(GearmanWorkerCommandHandler, handler).is_cancelled(current_job)

    def _queue_complete(self, job: GearmanJob, data: Any) -> None:
        handler = self._get_handler_for_job(job)
        if self._ended is None or self._ended() is not job:
            handler.send_job_complete(job, data=data)

    def _queue_failure(self, job: GearmanJob) -> None:
        handler = self._get_handler_for_job(job)
        if self._ended is None or self._ended() is not job:
            handler.send_job_failure(job)

    def _queue_exception(self, job: GearmanJob, data: Any) -> None:
        handler = self._get_handler_for_job(job)
        if self._ended is None or self._ended() is not job:
            handler.send_job_exception(job, data=data)
            self._ended = ref(job)
