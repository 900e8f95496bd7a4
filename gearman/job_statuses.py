"""How far jobs are."""

from typing import Any

from . import util
from .constants import JOB_UNKNOWN
from .payload import as_text
from .server_choice import ServerChoice
from .waiting import All, assert_several


class JobStatuses(ServerChoice):
    """Asks servers how far jobs are, by request or by unique."""

    def get_job_status(
        self, current_request: Any, poll_timeout: float | None = None
    ) -> Any:
        """Ask how far a job is; the answer is in the request's `status`."""
        return util.unlist(
            self.get_job_statuses([current_request], poll_timeout=poll_timeout)
        )

    def get_job_statuses(
        self, job_requests: Any, poll_timeout: float | None = None
    ) -> Any:
        """Ask how far jobs are, and wait for the answers.

        Raises KeyError if the connection that a job was submitted on is lost.
        """
        assert_several(job_requests)
        self._drop_inherited()
        for request in job_requests:
            request.status["last_time_received"] = request.status.get("time_received")
            handler = self.connection_to_handler_map[request.job.connection]
            handler.send_get_status_of_job(request)
        return self.wait_until_job_statuses_received(
            job_requests, poll_timeout=poll_timeout
        )

    def wait_until_job_statuses_received(
        self, job_requests: Any, poll_timeout: float | None = None
    ) -> Any:
        """Wait for the answers to what `get_job_statuses` asked."""
        assert_several(job_requests)
        if any(map(_has_old_status, job_requests)):
            self.poll_connections_until_stopped(
                self.connection_list,
                All(job_requests, _awaits_status),
                timeout=poll_timeout,
            )
        for request in job_requests:
            request.status = request.status or {}
            request.timed_out = _has_old_status(request)
        return job_requests

    def get_unique_status(
        self, unique: str | bytes, poll_timeout: float | None = None
    ) -> dict[str, Any] | None:
        """Ask how far the job with a unique is, whoever submitted it.

        Returns a dict like a request's `status`, with `unique` and the number of
        waiting `clients`; None if no server answered in time. All servers are
        asked; raises ServerUnavailable if none can be reached.
        """
        name = as_text(unique)
        statuses = []
        for connection in self._reachable():
            status: dict[str, Any] = {}
            handler = self.connection_to_handler_map[connection]
            handler.send_get_status_of_unique(name, status)
            statuses.append((connection, status))
        self.poll_connections_until_stopped(
            self.connection_list,
            lambda _: any(not s and c.connected for c, s in statuses),
            timeout=poll_timeout,
        )
        answers = [status for _, status in statuses if status]
        return max(answers, key=lambda status: status["known"], default=None)


def _has_old_status(request: Any) -> bool:
    status = request.status
    return bool(status.get("time_received") == status.get("last_time_received"))


def _awaits_status(request: Any) -> bool:
    return _has_old_status(request) and request.state != JOB_UNKNOWN
