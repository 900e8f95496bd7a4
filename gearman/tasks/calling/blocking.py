"""Submitting jobs by the blocking client, and asking for them later."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, TypeVar

from ...address import format_address
from ...admin_client import GearmanAdminClient
from ...blocking.uniques import random_unique
from ...client import RANDOM_UNIQUE_BYTES, GearmanClient
from ...client_core.inquiry import UNKNOWN_JOB
from ...client_core.results import failure
from ...constants import JOB_COMPLETE, JOB_CREATED, JOB_FAILED
from ...errors import (
    GearmanError,
    NotAccepted,
    ProtocolError,
    ResultNotReady,
    ServerUnavailable,
)
from ...job import Connection, GearmanJob, GearmanJobRequest
from ..jobs import Address, Status
from ..task import Call, Job, Task

R = TypeVar("R")

# Seconds of one wait where there is no limit.
_LONG = 86400.0


class Calling:
    """Submits the jobs of an app over one client, which threads may share."""

    def __init__(
        self,
        client: GearmanClient,
        admin: Callable[[str], GearmanAdminClient],
    ) -> None:
        self.client = client
        self._admin = admin

    def call(self, task: Task[..., Any], workload: bytes) -> Any:
        """Run a foreground job; return its decoded result."""
        steering = task.steering
        request = self.client.submit_job(
            task.name,
            workload,
            steering.unique,
            steering.priority,
            options=steering.options,
        )
        return outcome(task, request)

    def map(self, calls: Iterable[Call[R]], concurrency: int) -> Iterator[R]:
        """Run foreground jobs; yield their results in order."""
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        return self._mapped(iter(calls), concurrency)

    def _mapped(self, calls: Iterator[Call[R]], concurrency: int) -> Iterator[R]:
        # Half of the jobs are submitted at once, so that workers have work meanwhile.
        batch = max(1, concurrency // 2)
        waiting: deque[tuple[Call[R], GearmanJobRequest]] = deque()
        while True:
            while len(waiting) + batch <= concurrency:
                new = list(islice(calls, batch))
                if not new:
                    break
                waiting += self._start(new)
            if not waiting:
                return
            for _ in range(min(batch, len(waiting))):
                call, request = waiting.popleft()
                if not request.complete:
                    self.client.wait_until_jobs_completed([request])
                yield outcome(call.task, request)

    def _start(self, calls: list[Call[R]]) -> list[tuple[Call[R], GearmanJobRequest]]:
        requests = _requests(calls, background=False)
        self.client.submit_multiple_requests(requests, wait_until_complete=False)
        return list(zip(calls, requests, strict=True))

    def submit(self, task: Task[..., R], workload: bytes) -> Job[R]:
        """Submit a background job."""
        steering = task.steering
        if steering.server is not None:
            return self.submit_many([Call(task, workload)])[0]
        request = self.client.submit_job(
            task.name,
            workload,
            steering.unique,
            steering.priority,
            background=True,
            options=steering.options,
        )
        job = _accepted(task, request)
        if job is None:
            raise _refusal([request], [job])
        return job

    def submit_many(
        self, calls: Sequence[Call[R]], *, bound: bool = False
    ) -> list[Job[R]]:
        """Submit background jobs at once; if they are `bound`, all to one server."""
        requests = _requests(calls, background=True)
        for call, request in zip(calls, requests, strict=True):
            if call.task.steering.server is not None:
                request.bound_to = self._connection(call.task.steering.server)
        problem: GearmanError | None = None
        try:
            # A client that discovers servers has others as soon as it is used.
            if bound and (self.client.discover or len(self._servers()) > 1):
                self._bind(requests)
            self.client.submit_multiple_requests(requests)
        except GearmanError as error:
            problem = error
        jobs = [
            _accepted(call.task, request)
            for call, request in zip(calls, requests, strict=True)
        ]
        accepted = [job for job in jobs if job is not None]
        if len(accepted) < len(jobs):
            if problem is not None and not accepted:
                raise problem
            raise _refusal(requests, jobs) from problem
        return accepted

    def _connection(self, server: Address) -> Connection | None:
        """Return the connection to a server, if it is one of the client's."""
        connections = self.client.connection_list
        return next((c for c in connections if c.get_address() == server), None)

    def _bind(self, requests: list[GearmanJobRequest]) -> None:
        """Submit the first request, and let the others go to the same server."""
        first, *others = requests
        self.client.submit_multiple_requests([first])
        for request in others:
            request.bound_to = first.job.connection

    # Asking for jobs.

    def result(self, job: Job[R], wait: float | None) -> R:
        """Return the decoded result of a job."""
        data = self._fetch(job.request or job.handle, wait)
        result: R = job.task.serializer.load_result(data)
        return result

    def fetch(self, handle: str, wait: float | None) -> bytes:
        """Return the result of any job, as bytes."""
        return self._fetch(handle, wait)

    def _fetch(self, job: GearmanJobRequest | str, wait: float | None) -> bytes:
        while wait is None:
            with suppress(ResultNotReady):
                return bytes(self.client.get_result(job, _LONG))
        return bytes(self.client.get_result(job, wait))

    def status(self, job: Job[Any]) -> Status:
        """Ask for the status of a job."""
        if job.request is not None:
            request = self.client.get_job_status(job.request)
        else:
            request = self.client.get_job_status(job.handle)
        return _status(request)

    def statuses(self, jobs: Sequence[Job[Any]]) -> list[Status]:
        """Ask for the statuses of jobs at once."""
        asked = [job.request or job.handle for job in jobs]
        return [_status(request) for request in self.client.get_job_statuses(asked)]

    def cancel(self, job: Job[Any]) -> bool:
        """Have a job dropped; return whether a server knew it."""
        return any(self._cancel(server, job.handle) for server in self._servers_of(job))

    def _cancel(self, server: str, handle: str) -> bool:
        with self._admin(server) as admin:
            line = admin.cancel_job(handle)
        if not line.startswith(("OK", *UNKNOWN_JOB)):
            raise ProtocolError(line)
        return line.startswith("OK")

    def failed_attempts(self, server: str, handle: str) -> int | None:
        """Ask a server how many attempts of a job have failed; None if unknown."""
        try:
            with self._admin(server) as admin:
                return int(admin.get_job(handle)["attempts"])
        except ProtocolError:
            return None

    def _servers(self) -> list[Address]:
        return [each.get_address() for each in self.client.connection_list]

    def _servers_of(self, job: Job[Any]) -> Sequence[str]:
        servers = self._servers() if job.server is None else [job.server]
        return [format_address(*server) for server in servers]

    def close(self) -> None:
        """Close the connections. They are opened again if the client is used again."""
        self.client.close()


def _status(request: GearmanJobRequest) -> Status:
    said = request.status
    return Status(
        said["known"], said["running"], said["numerator"], said["denominator"]
    )


def _requests(
    calls: Sequence[Call[Any]], *, background: bool
) -> list[GearmanJobRequest]:
    """Make the requests for calls; those without a unique get a random one."""
    requests = []
    for call in calls:
        task, steering = call.task, call.task.steering
        unique = steering.unique or random_unique(RANDOM_UNIQUE_BYTES)
        job = GearmanJob(None, None, task.name, unique, call.workload)
        request = GearmanJobRequest(job, steering.priority, background)
        if steering.options is not None:
            request.options = steering.options
        requests.append(request)
    return requests


def outcome(task: Task[..., R], request: GearmanJobRequest) -> R:
    """Return the result of a foreground job that should have ended."""
    if request.state == JOB_COMPLETE:
        result: R = task.serializer.load_result(request.result)
        return result
    handle = request.job.handle
    if request.state == JOB_FAILED and handle is None:
        raise _refusal([request], [None])
    if request.state == JOB_FAILED:
        raise failure(handle, request.exception)
    raise ServerUnavailable(f"the connection was lost before {handle} has ended")


def _accepted(task: Task[..., R], request: GearmanJobRequest) -> Job[R] | None:
    handle = request.job.handle
    if request.state != JOB_CREATED or handle is None:
        return None
    return Job(task, handle, request)


def _refusal(
    requests: Sequence[GearmanJobRequest], jobs: Sequence[Job[Any] | None]
) -> NotAccepted:
    """Return the error for jobs of which some were not accepted."""
    lacking = [
        request for request, job in zip(requests, jobs, strict=True) if job is None
    ]
    reasons = [str(each.exception) for each in lacking if each.exception is not None]
    why = reasons[0] if reasons else "the connection was lost"
    if len(requests) == 1:
        return NotAccepted(f"the job was not accepted: {why:.200}", jobs)
    return NotAccepted(
        f"{len(lacking)} of {len(requests)} jobs were not accepted: {why:.200}", jobs
    )
