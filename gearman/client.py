"""The blocking client: submits jobs and waits for what becomes of them."""

import logging
import os
import random
from collections import deque
from collections.abc import Iterable
from typing import Any, Unpack
from weakref import WeakKeyDictionary

from . import util
from .client_handler import GearmanClientCommandHandler
from .connection_manager import GearmanConnectionManager, Options
from .constants import JOB_FAILED, JOB_PENDING, JOB_UNKNOWN, PRIORITY_NONE
from .errors import ConnectionError, ExceededConnectionAttempts, ServerUnavailable
from .job import GearmanJobRequest
from .payload import as_bytes, as_text
from .placement import Ring, rested_first
from .seams import Seams
from .waiting import Acceptance, All, One

gearman_logger = logging.getLogger(__name__)

# In hexadecimal these are 32 of the 64 bytes that a unique may have.
RANDOM_UNIQUE_BYTES = 16


class GearmanClient(GearmanConnectionManager):
    """Submits jobs to one of several servers.

    See GearmanConnectionManager for `host_list` and the options they share.

    consistent_hashing: choose the server by the job's unique instead of at random,
        so that submissions of the same unique meet at the same server.
    """

    command_handler_class = GearmanClientCommandHandler

    consistent_hashing = False

    def __init__(
        self,
        host_list: Iterable[Any] | None = None,
        random_unique_bytes: int = RANDOM_UNIQUE_BYTES,
        *,
        consistent_hashing: bool | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(host_list=host_list, **options)
        if consistent_hashing is not None:
            self.consistent_hashing = consistent_hashing
        self.random_unique_bytes = random_unique_bytes
        # In which order the servers are tried for a request; kept only where there
        # is a choice, and no longer than the request.
        self.request_to_rotating_connection_queue: WeakKeyDictionary[
            GearmanJobRequest, deque[Any]
        ] = WeakKeyDictionary()
        self._ring: tuple[list[Any], Ring[Any]] | None = None

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
        _assert_several(jobs_to_submit)
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
        _assert_several(job_requests)
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
        _assert_several(job_requests)
        if job_requests:
            accepting = Acceptance(job_requests, self.send_job_request)
            self.poll_connections_until_stopped(
                self.connection_list, accepting, timeout=poll_timeout
            )
            accepting.submit_rest()
        for request in job_requests:
            request.timed_out = request.state == JOB_PENDING
        return job_requests

    def wait_until_jobs_completed(
        self, job_requests: Any, poll_timeout: float | None = None
    ) -> Any:
        """Wait until all have ended; those that were lost are not waited for."""
        _assert_several(job_requests)
        self._wait_for_all(job_requests, _is_unfinished, poll_timeout)
        for request in job_requests:
            request.timed_out = not request.complete
            if request.complete and self.request_to_rotating_connection_queue:
                self.request_to_rotating_connection_queue.pop(request, None)
        return job_requests

    def _wait_for_all(
        self, requests: Any, outstanding: Any, poll_timeout: float | None
    ) -> None:
        waiting = All(requests, outstanding)
        if waiting(False):
            self.poll_connections_until_stopped(
                self.connection_list, waiting, timeout=poll_timeout
            )

    # Status.

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
        _assert_several(job_requests)
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
        _assert_several(job_requests)
        self._wait_for_all(job_requests, _awaits_status, poll_timeout)
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

    def _reachable(self) -> list[Any]:
        connections = []
        for connection in self.connection_list:
            try:
                connections.append(self.establish_connection(connection))
            except ConnectionError as error:
                gearman_logger.debug("cannot connect: %s", error)
        return connections

    # What subclasses extend.

    def _create_request_from_dictionary(
        self, job_info: dict[str, Any], background: bool = False, max_retries: int = 0
    ) -> Any:
        """Make a request of a job's description; without a unique it gets one."""
        unique = job_info.get("unique") or os.urandom(self.random_unique_bytes).hex()
        job = self.job_class(
            connection=None,
            handle=None,
            task=job_info["task"],
            unique=unique,
            data=job_info["data"],
        )
        request = self.job_request_class(
            job,
            initial_priority=job_info.get("priority", PRIORITY_NONE),
            background=background,
            max_attempts=max_retries + 1,
        )
        for name in ("when_to_run", "reducer"):
            if job_info.get(name) is not None:
                setattr(request, name, job_info[name])
        return request

    def establish_request_connection(self, current_request: Any) -> Any:
        """Return an open connection for a request; raise ServerUnavailable if none."""
        if len(self.connection_list) == 1 and self.connection_list[0].connected:
            return self.establish_connection(self.connection_list[0])
        queue = self._servers_for(current_request)
        problem = None
        for turns, connection in enumerate(list(queue)):
            try:
                chosen = self.establish_connection(connection)
            except ConnectionError as error:
                problem = error
                continue
            queue.rotate(-turns)
            return chosen
        raise ServerUnavailable(
            f"Found no valid connections: {self.connection_list!r}: {problem}"
        ) from problem

    def _servers_for(self, request: Any) -> deque[Any]:
        if len(self.connection_list) < 2:
            return deque(self.connection_list)
        queue = self.request_to_rotating_connection_queue.get(request)
        if not queue:
            queue = deque(rested_first(self._preferred(request)))
            self.request_to_rotating_connection_queue[request] = queue
        return queue

    def _preferred(self, request: Any) -> list[Any]:
        """Return the servers in the order in which they should get a request."""
        if not self.consistent_hashing:
            return random.sample(self.connection_list, len(self.connection_list))
        if self._ring is None or self._ring[0] != self.connection_list:
            named = [(_name(c), c) for c in self.connection_list]
            self._ring = list(self.connection_list), Ring(named)
        return self._ring[1].order(as_bytes(request.job.unique))

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


def _assert_several(items: Any) -> None:
    assert type(items) in (list, tuple, set), "Expected several jobs, received one?"


def _is_unfinished(request: Any) -> bool:
    if request.complete or request.state == JOB_UNKNOWN:
        return False
    # The server refused it; in the background that does not count as complete.
    return bool(request.state != JOB_FAILED)


def _has_old_status(request: Any) -> bool:
    status = request.status
    return bool(status.get("time_received") == status.get("last_time_received"))


def _awaits_status(request: Any) -> bool:
    return _has_old_status(request) and request.state != JOB_UNKNOWN


def _name(connection: Any) -> bytes:
    host, port = connection.get_address()
    return f"{host}:{port}".encode()


_SUBMITTING = Seams(
    GearmanClient,
    *("submit_multiple_jobs", "submit_multiple_requests"),
    *("wait_until_jobs_accepted", "wait_until_jobs_completed"),
)
