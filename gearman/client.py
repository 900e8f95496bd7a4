"""The blocking client: submits jobs and waits for what becomes of them."""

import logging
import os
import time
from collections.abc import Callable, Iterable
from typing import Any, Unpack

from . import compat as compat
from . import util
from .blocking.job_statuses import JobStatuses
from .blocking.seams import Seams
from .blocking.shortcut import PASSED_BY, submit_at_once, submitter, take_handles
from .blocking.waiting import Acceptance, All, One, assert_several
from .client_handler import GearmanClientCommandHandler
from .connection_manager import GearmanConnectionManager as GearmanConnectionManager
from .connection_manager import Options
from .constants import JOB_FAILED, JOB_PENDING, JOB_UNKNOWN, PRIORITY_NONE
from .constants import PRIORITY_HIGH as PRIORITY_HIGH
from .constants import PRIORITY_LOW as PRIORITY_LOW
from .errors import ConnectionError as ConnectionError
from .errors import ExceededConnectionAttempts
from .errors import ServerUnavailable as ServerUnavailable

gearman_logger = logging.getLogger(__name__)

# In hexadecimal these are 32 of the 64 bytes that a unique may have.
RANDOM_UNIQUE_BYTES = 16


class GearmanClient(JobStatuses):
    """Submits jobs to one of several servers.

    See GearmanConnectionManager for `host_list` and the options they share.

    consistent_hashing: choose the server by the job's unique instead of at random,
        so that submissions of the same unique meet at the same server.
    """

    command_handler_class = GearmanClientCommandHandler

    def __init__(
        self,
        host_list: Iterable[Any] | None = None,
        random_unique_bytes: int = RANDOM_UNIQUE_BYTES,
        *,
        consistent_hashing: bool | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(host_list=host_list, **options)
        self._set("consistent_hashing", consistent_hashing)
        self.random_unique_bytes = random_unique_bytes

    # Submitting.

    def submit_job(
        self,
        task: str | bytes,
        data: Any,
        unique: str | bytes | None = None,
        priority: str | None = PRIORITY_NONE,
        background: bool = False,
        wait_until_complete: bool = True,
        max_retries: int = 0,
        poll_timeout: float | None = None,
        *,
        when_to_run: float | None = None,
        reducer: str | bytes | None = None,
    ) -> Any:
        """Submit a job and return its request.

        Waits until it is accepted, and until it has ended unless it runs in the
        background or `wait_until_complete` is False; `poll_timeout` seconds at most,
        for ever if None. Look at the request's `state` and `timed_out`: running out
        of time raises nothing. After a lost connection the job is submitted again
        `max_retries` times.

        `when_to_run`, in seconds since the epoch, keeps a background job from
        running earlier. `reducer` names the function that shall reduce the results.

        Raises ServerUnavailable if no server can be reached, or all connections are
        lost while waiting; ExceededConnectionAttempts when it was lost too often.
        """
        job = {"task": task, "data": data, "unique": unique, "priority": priority}
        if when_to_run is not None:
            job["when_to_run"] = when_to_run
        if reducer is not None:
            job["reducer"] = reducer
        if _SUBMITTING.intact(self):
            request = self._create_request_from_dictionary(
                job, background=background, max_retries=max_retries
            )
            self._submit_one(request, wait_until_complete, poll_timeout)
            return request
        requests = self.submit_multiple_jobs(
            [job],
            background=background,
            wait_until_complete=wait_until_complete,
            max_retries=max_retries,
            poll_timeout=poll_timeout,
        )
        return util.unlist(requests)

    def _submit_one(
        self, request: Any, until_complete: bool, poll_timeout: float | None
    ) -> None:
        until_complete = until_complete and not request.background
        start = time.monotonic()
        with self._exclusively():
            accepted = submit_at_once(self, request, poll_timeout)
        if accepted and not until_complete:
            return
        if poll_timeout:
            poll_timeout = max(0.0, poll_timeout + start - time.monotonic())
        self.poll_connections_until_stopped(
            self.connection_list,
            One(request, self.send_job_request, until_complete),
            timeout=poll_timeout,
        )
        if until_complete:
            request.timed_out = not request.complete
        else:
            request.timed_out = request.state == JOB_PENDING
        if request.complete and self.request_to_rotating_connection_queue:
            self.request_to_rotating_connection_queue.pop(request, None)

    def submit_multiple_jobs(
        self,
        jobs_to_submit: Any,
        background: bool = False,
        wait_until_complete: bool = True,
        max_retries: int = 0,
        poll_timeout: float | None = None,
    ) -> Any:
        """Submit jobs and return their requests, in the same order.

        A job is a dict with `task` and `data`, and maybe `unique`, `priority`,
        `when_to_run` and `reducer`; the rest is as in `submit_job`.
        """
        assert_several(jobs_to_submit)
        requests = [
            self._create_request_from_dictionary(
                job, background=background, max_retries=max_retries
            )
            for job in jobs_to_submit
        ]
        return self.submit_multiple_requests(
            requests, wait_until_complete=wait_until_complete, poll_timeout=poll_timeout
        )

    def submit_multiple_requests(
        self,
        job_requests: Any,
        wait_until_complete: bool = True,
        poll_timeout: float | None = None,
    ) -> Any:
        """Submit requests, wait as `submit_job` does, and return `job_requests`."""
        assert_several(job_requests)
        stopwatch = util.Stopwatch(poll_timeout)
        processed = self.wait_until_jobs_accepted(
            job_requests, poll_timeout=stopwatch.get_time_remaining()
        )
        remaining = stopwatch.get_time_remaining()
        if wait_until_complete and remaining != 0.0:
            processed = self.wait_until_jobs_completed(
                processed, poll_timeout=remaining
            )
        return processed

    # Waiting.

    def wait_until_jobs_accepted(
        self, job_requests: Any, poll_timeout: float | None = None
    ) -> Any:
        """Submit what is JOB_UNKNOWN and wait until all are accepted.

        What is lost before that is submitted again, as often as its
        `max_connection_attempts` allows. With a `poll_timeout` of 0 jobs are queued
        only.
        """
        assert_several(job_requests)
        if job_requests:
            accepting = Acceptance(job_requests, self._submitter())
            self.poll_connections_until_stopped(
                self.connection_list, accepting, timeout=poll_timeout
            )
            with self._exclusively():
                accepting.submit_rest()
        for request in job_requests:
            request.timed_out = request.state == JOB_PENDING
        return job_requests

    def wait_until_jobs_completed(
        self, job_requests: Any, poll_timeout: float | None = None
    ) -> Any:
        """Wait until all have ended; those that were lost are not waited for."""
        assert_several(job_requests)
        if not all(request.complete for request in job_requests):
            self.poll_connections_until_stopped(
                self.connection_list,
                All(job_requests, _is_unfinished),
                timeout=poll_timeout,
            )
        queues = self.request_to_rotating_connection_queue
        for request in job_requests:
            complete = request.complete
            request.timed_out = not complete
            if complete and queues:
                queues.pop(request, None)
        return job_requests

    def _submitter(self) -> Callable[[Any], Any]:
        if not _SENDING.intact(self):
            return self.send_job_request
        with self._exclusively():
            return submitter(self)

    def _handle_received(self, connection: Any) -> None:
        take_handles(self, connection)
        super()._handle_received(connection)

    # What subclasses extend.

    def _create_request_from_dictionary(
        self, job_info: dict[str, Any], background: bool = False, max_retries: int = 0
    ) -> Any:
        """Make a request of a job's description; without a unique it gets one."""
        unique = job_info.get("unique") or os.urandom(self.random_unique_bytes).hex()
        job = self.job_class(None, None, job_info["task"], unique, job_info["data"])
        request = self.job_request_class(
            job,
            initial_priority=job_info.get("priority", PRIORITY_NONE),
            background=background,
            max_attempts=max_retries + 1,
        )
        if "when_to_run" in job_info or "reducer" in job_info:
            request.when_to_run = job_info.get("when_to_run")
            request.reducer = job_info.get("reducer")
        return request

    def send_job_request(self, current_request: Any) -> Any:
        """Submit a request on a connection that is open, and return it.

        Raises ExceededConnectionAttempts if it was submitted too often.
        """
        allowed = current_request.max_connection_attempts
        if current_request.connection_attempts >= allowed:
            raise ExceededConnectionAttempts(
                f"Exceeded {allowed} connection attempt(s) :: {current_request!r}"
            )
        connection = self.establish_request_connection(current_request)
        current_request.job.connection = connection
        current_request.connection_attempts += 1
        current_request.timed_out = False
        handler = self.connection_to_handler_map[connection]
        handler.send_job_request(current_request)
        return current_request


def _is_unfinished(request: Any) -> bool:
    if request.complete or request.state == JOB_UNKNOWN:
        return False
    # The server refused it; in the background that does not count as complete.
    return bool(request.state != JOB_FAILED)


_SENDING = Seams(GearmanClient, "send_job_request")
_SUBMITTING = Seams(
    GearmanClient,
    *PASSED_BY,
    "send_job_request",
    *("submit_multiple_jobs", "submit_multiple_requests"),
    *("wait_until_jobs_accepted", "wait_until_jobs_completed"),
)
