"""The blocking client: submits jobs and waits for their results."""

import logging
import time
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from threading import active_count
from typing import Any, TypeVar, Unpack, cast, overload

from . import compat as compat
from . import util
from .blocking import direct, job_statuses, results
from .blocking.job_statuses import Job
from .blocking.making import requests_of
from .blocking.options import NamedOptions, Options, Server
from .blocking.seams import Seams
from .blocking.servers.order import first_open, server_order
from .blocking.sharing import Shared
from .blocking.waiting import Acceptance, All, One, assert_several, one_by_one
from .client_core.inquiry import checked_unique, has_old_status
from .client_core.open_requests import incomplete, is_unfinished
from .client_core.steered import united
from .client_core.submission import begin_attempt, check_attempts
from .client_handler import GearmanClientCommandHandler
from .connection import GearmanConnection
from .connection_manager import GearmanConnectionManager as GearmanConnectionManager
from .constants import JOB_CREATED, JOB_PENDING, PRIORITY_NONE
from .constants import JOB_FAILED as JOB_FAILED
from .constants import JOB_UNKNOWN as JOB_UNKNOWN
from .constants import PRIORITY_HIGH as PRIORITY_HIGH
from .constants import PRIORITY_LOW as PRIORITY_LOW
from .errors import ConnectionError as ConnectionError
from .errors import ExceededConnectionAttempts as ExceededConnectionAttempts
from .errors import ProtocolError
from .errors import ServerUnavailable as ServerUnavailable
from .job import Connection, GearmanJobRequest, UniqueStatus
from .options import JobOptions

gearman_logger = logging.getLogger(__name__)

# In hexadecimal these are 32 of the 64 bytes that a unique may have.
RANDOM_UNIQUE_BYTES = 16

Requests = TypeVar("Requests", bound=Collection[GearmanJobRequest])
Info = dict[str, Any]


class GearmanClient(Shared):
    """Submits jobs to one of several servers.

    See GearmanConnectionManager for `host_list` and the other options. A job without
    a unique gets a random one of `random_unique_bytes` bytes, written in hexadecimal.

    consistent_hashing: choose the server by the job's unique instead of at random,
        so that all submissions of one unique go to the same server.
    """

    command_handler_class = GearmanClientCommandHandler

    consistent_hashing = False

    def __init__(
        self,
        host_list: Iterable[Server] | None = None,
        random_unique_bytes: int = RANDOM_UNIQUE_BYTES,
        *,
        consistent_hashing: bool | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(host_list=host_list, **options)
        self._set("consistent_hashing", consistent_hashing)
        self.random_unique_bytes = random_unique_bytes
        self._order = server_order()
        self.request_to_rotating_connection_queue = self._order.queues

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
        options: JobOptions | Mapping[str, object] | None = None,
        **named: Unpack[NamedOptions],
    ) -> GearmanJobRequest:
        """Submit a job of the function `task`, and return its request.

        Waits until the job is accepted; then until it ends, unless it is a background
        job or `wait_until_complete` is False. The waits take `poll_timeout` seconds at
        most (None: no limit). A timeout raises nothing, as in python-gearman 2.0.2:
        look at the request's `timed_out` and `state`. After a lost connection the job
        is submitted again, `max_retries` times at most. `unique` has up to 64 bytes.
        A background job does not start before `when_to_run`, in seconds since the
        epoch. `reducer` names the function that reduces the results. For the other
        options see NamedOptions; `options` has them in one dict.

        Raises ServerUnavailable if no server can be reached or all connections are
        lost, and ExceededConnectionAttempts after too many attempts. Raises ValueError
        for options that exclude each other or are wrong, UnsupportedByServer for those
        that the server does not have, and the encoder's errors for `data`.
        """
        job: Info = {"task": task, "data": data, "unique": unique, "priority": priority}
        if when_to_run is not None:
            job["when_to_run"] = when_to_run
        if reducer is not None:
            job["reducer"] = reducer
        if options or named:
            job["options"] = united(options, named)
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
        return cast(GearmanJobRequest, util.unlist(requests))

    def _submit_one(
        self,
        request: GearmanJobRequest,
        until_complete: bool,
        poll_timeout: float | None,
    ) -> None:
        until_complete = until_complete and not request.background
        end = poll_timeout and time.monotonic() + poll_timeout
        accepted = self._submit_directly(request, until_complete, poll_timeout)
        if accepted and (request.complete or not until_complete):
            return
        waiting = One(request, self.send_job_request, until_complete, accepted)
        timeout = end and max(0.0, end - time.monotonic())
        self.poll_connections_until_stopped(
            self.connection_list, waiting, timeout=timeout
        )
        request.timed_out = waiting.has_timed_out
        if request.complete:
            self._order.forget(request)

    def _submit_directly(
        self, request: GearmanJobRequest, until_complete: bool, timeout: float | None
    ) -> bool:
        """Submit a request, wait for a short time, return whether it was accepted."""
        with self._exclusively():
            slowly = self.discover or self.read_timeout is not None
            if slowly or self._others or timeout == 0:
                return False
            way = direct.find(self.connection_list, self.connection_to_handler_map)
            if way is None:
                return False
            if request.options is not None and not direct.knows_extensions(way):
                return False
            packet, dialogue = direct.packet_of(way, request), self._dialogue
            # Other threads cannot use this client during the wait.
            until_end = until_complete and active_count() == 1
            waited = direct.UNENDED if until_end else direct.UNACCEPTED
            try:
                direct.send_and_wait(way, packet, request, dialogue, waited, timeout)
            except ConnectionError as error:
                accepted = request.state == JOB_CREATED
                self._failures.note(way[0], error)
                self.handle_error(way[0])
                return accepted
            except ProtocolError:
                # What follows on this connection cannot be read.
                self.handle_error(way[0])
                raise
            return request.state != JOB_PENDING

    def submit_multiple_jobs(
        self,
        jobs_to_submit: Collection[Mapping[str, Any]],
        background: bool = False,
        wait_until_complete: bool = True,
        max_retries: int = 0,
        poll_timeout: float | None = None,
    ) -> list[GearmanJobRequest]:
        """Submit jobs and return their requests, in the same order.

        A job is a dict with `task` and `data`, and optionally `unique`, `priority`,
        `when_to_run`, `reducer` and `options`. The other arguments are those of
        `submit_job`.
        """
        assert_several(jobs_to_submit)
        if _MAKING.intact(self):
            requests = requests_of(self, jobs_to_submit, background, max_retries)
        else:
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
        job_requests: Requests,
        wait_until_complete: bool = True,
        poll_timeout: float | None = None,
    ) -> Requests:
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
        self, job_requests: Requests, poll_timeout: float | None = None
    ) -> Requests:
        """Submit the JOB_UNKNOWN requests, and wait until all requests are accepted.

        A request whose connection is lost is submitted again, and
        `max_connection_attempts` times in all at most. `poll_timeout` is in seconds;
        with 0 the packets are only queued for sending.
        """
        assert_several(job_requests)
        if job_requests:
            submit = one_by_one(self.send_job_request)
            if _SENDING.intact(self):
                with self._exclusively():
                    submit = direct.submitter(
                        self.connection_list, self.connection_to_handler_map, submit
                    )
            accepting = Acceptance(job_requests, submit)
            self.poll_connections_until_stopped(
                self.connection_list, accepting, timeout=poll_timeout
            )
            with self._exclusively():
                accepting.submit_rest()
        for request in job_requests:
            request.timed_out = request.last_state == JOB_PENDING
        return job_requests

    def wait_until_jobs_completed(
        self, job_requests: Requests, poll_timeout: float | None = None
    ) -> Requests:
        """Wait until all requests have ended, but not for those that were lost."""
        assert_several(job_requests)
        waiting = incomplete(job_requests)
        if waiting:
            self.poll_connections_until_stopped(
                self.connection_list, All(waiting, is_unfinished), timeout=poll_timeout
            )
        for request in waiting:
            request.timed_out = not request.complete
        if self._order.queues:
            for request in job_requests:
                if not request.timed_out:
                    self._order.forget(request)
        return job_requests

    def _handle_received(self, connection: GearmanConnection) -> None:
        way = direct.usual(connection, self.connection_to_handler_map)
        if way is not None and _SENDING.intact(self):
            direct.act(way)
        else:
            super()._handle_received(connection)

    # Methods that subclasses may extend.

    def _create_request_from_dictionary(
        self,
        job_info: Mapping[str, Any],
        background: bool = False,
        max_retries: int = 0,
    ) -> GearmanJobRequest:
        """Make the request for a job's description; add a unique if it has none."""
        (request,) = requests_of(self, [job_info], background, max_retries)
        return request

    def send_job_request(self, current_request: GearmanJobRequest) -> GearmanJobRequest:
        """Submit a request on a connection that is open, and return it.

        Raises ExceededConnectionAttempts after its last attempt, or ServerUnavailable.
        """
        check_attempts(current_request)
        connection = self.establish_request_connection(current_request)
        begin_attempt(current_request, connection)
        self._handler(connection).send_job_request(current_request)
        return current_request

    def establish_request_connection(
        self, current_request: GearmanJobRequest
    ) -> GearmanConnection:
        """Return an open connection for a request; raise ServerUnavailable if none."""
        queue = self._order.queue(
            current_request, self.connection_list, self.consistent_hashing
        )
        try:
            return first_open(queue, self.establish_connection)
        except ConnectionError as error:
            raise self._unavailable("Found no valid connections") from error

    def _handler(self, connection: Connection | None) -> GearmanClientCommandHandler:
        """Return the handler of a connection; raises KeyError if it is not open."""
        handler = self.connection_to_handler_map[cast(Connection, connection)]
        return cast(GearmanClientCommandHandler, handler)

    def _give_up(self, connection: GearmanConnection) -> None:
        # The server may have sent a result before it closed the connection.
        connection.read_to_end()
        try:
            self._handle_received(connection)
        finally:
            self.handle_error(connection)

    # The status of jobs.

    def get_job_status(
        self, current_request: Job, poll_timeout: float | None = None
    ) -> GearmanJobRequest:
        """Ask for the status of a job; the answer is in the request's `status`.

        A job of another client is given by its handle. Then all servers are asked, and
        a new request with the answer is returned. The status is empty if no server
        answers within `poll_timeout` seconds.
        """
        requests = self.get_job_statuses([current_request], poll_timeout=poll_timeout)
        return cast(GearmanJobRequest, util.unlist(requests))

    # A list that has only requests matches the first overload.
    @overload
    def get_job_statuses(  # type: ignore[overload-overlap]
        self, job_requests: Requests, poll_timeout: float | None = None
    ) -> Requests: ...

    @overload
    def get_job_statuses(
        self, job_requests: Collection[Job], poll_timeout: float | None = None
    ) -> list[GearmanJobRequest]: ...

    def get_job_statuses(
        self, job_requests: Collection[Job], poll_timeout: float | None = None
    ) -> Collection[GearmanJobRequest]:
        """Ask for the status of jobs; wait `poll_timeout` seconds at most.

        If there are handles among the jobs, returns a list with a new request for each
        handle. Raises InvalidClientState for a request that was not submitted, and
        ProtocolError for a handle with a NUL or over 64 bytes. Raises
        ServerUnavailable if the server of a job can't be reached.
        """
        assert_several(job_requests)
        requests, handles = job_statuses.divide(job_requests)
        if handles:
            stopwatch = util.Stopwatch(poll_timeout)
            inquiry = job_statuses.ask_all(
                self, handles, lambda each: each.send_get_status_of_handle, poll_timeout
            )
            self.get_job_statuses(requests, stopwatch.get_time_remaining())
            return job_statuses.united(
                job_requests, inquiry, self.job_class, self.job_request_class
            )
        with self._exclusively():
            for request in requests:
                connection = job_statuses.open_for(
                    request, self.connection_list, self.establish_connection
                )
                self._handler(connection).send_get_status_of_job(request)
        jobs = cast("Collection[GearmanJobRequest]", job_requests)
        return self.wait_until_job_statuses_received(jobs, poll_timeout=poll_timeout)

    def wait_until_job_statuses_received(
        self, job_requests: Requests, poll_timeout: float | None = None
    ) -> Requests:
        """Wait for the answers to the questions of `get_job_statuses`."""
        assert_several(job_requests)
        if any(map(has_old_status, job_requests)):
            self.poll_connections_until_stopped(
                self.connection_list,
                All(job_requests, partial(job_statuses.is_awaited, self)),
                timeout=poll_timeout,
            )
        for request in job_requests:
            request.status = request.status or {}
            request.timed_out = has_old_status(request)
        return job_requests

    def get_unique_status(
        self, unique: str | bytes, poll_timeout: float | None = None
    ) -> UniqueStatus | None:
        """Ask for the status of the job with a unique, whichever client submitted it.

        All servers are asked. Returns a dict like a request's `status`, with `unique`
        and the number of waiting `clients`; None if no server answers within
        `poll_timeout` seconds. Raises ServerUnavailable if no server can be reached,
        and ProtocolError for a unique with a NUL or over 64 bytes.
        """
        name = checked_unique(unique)
        inquiry = job_statuses.ask_all(
            self, [name], lambda each: each.send_get_status_of_unique, poll_timeout
        )
        return inquiry.answer(name)[1] or None

    def get_result(
        self, job: Job, wait: float | None = None, poll_timeout: float | None = None
    ) -> Any:
        """Return the result of a job, decoded; the job is a request or a handle.

        The server of a request is asked, or all servers for a handle. It knows results
        of background jobs with the option `keep`. If the job has not ended, it is
        waited for, `wait` seconds at most. The servers have `poll_timeout` seconds to
        answer (None: no limit).

        Raises ResultNotReady (a TimeoutError) if the job has not ended, or no server
        has answered in time; JobFailed; UnknownJob (a LookupError) if no server knows
        it or its result; UnsupportedByServer; ServerUnavailable; InvalidClientState
        for a request that was not accepted; and what the encoder raises.
        """
        return results.get_result(self, job, wait, poll_timeout)


_MAKING = Seams(GearmanClient, "_create_request_from_dictionary")
_SENDING = Seams(GearmanClient, *direct.PASSED_BY, "send_job_request")
_SUBMITTING = Seams(
    GearmanClient,
    *(*direct.PASSED_BY, "send_job_request"),
    *("submit_multiple_jobs", "submit_multiple_requests"),
    *("wait_until_jobs_accepted", "wait_until_jobs_completed"),
)
