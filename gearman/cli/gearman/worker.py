"""The worker mode of `gearman`: runs a command for each job."""

import os
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any

from ...errors import ConfigurationError, GearmanError
from ...worker import POLL_TIMEOUT_IN_SECONDS, GearmanWorker
from .. import servers
from ..options import Options
from ..program import CLOSED, complain, discard_output
from . import child


class JobFailed(GearmanError):
    """The command has failed; the text says how it ended."""


class Worker(GearmanWorker):
    """Runs the command `options.operands` for each job, or writes the job's data."""

    def __init__(
        self, addresses: Sequence[servers.Address], options: Options, **settings: Any
    ) -> None:
        discover = options.discover
        super().__init__(addresses, reconnect=True, discover=discover, **settings)
        self._options = options
        self._count = 0
        self._last_job = time.monotonic()
        check_command(options.operands)
        for function in options.functions:
            self.register_task(function, run_command if options.operands else write)

    def connect(self) -> None:
        """Connect to the servers; raises ServerUnavailable if none can be reached."""
        problems: dict[str, BaseException] = {}
        for connection in self.connection_list:
            try:
                self.establish_connection(connection)
            except GearmanError as error:
                problems[servers.name(connection.get_address())] = error
        if len(problems) == len(self.connection_list):
            raise servers.unreachable(problems)
        for name, problem in problems.items():
            why = servers.reason(problem.__cause__ or problem)
            complain("gearman", f"cannot connect to {name} yet ({why})")

    def run(self) -> None:
        """Work until as many jobs as -c says have ended."""
        self._last_job = time.monotonic()
        self.work(self._options.timeout or POLL_TIMEOUT_IN_SECONDS)

    def after_poll(self, any_activity: bool) -> bool:
        """Print a message if no job came for as long as -t says."""
        now = time.monotonic()
        timeout = self._options.timeout
        if timeout and now - self._last_job >= timeout and not self.has_job_lock():
            self._last_job = now
            text = f"no job came within {timeout:g} seconds; still waiting"
            complain("gearman", text)
        return True

    def after_job(self) -> bool:
        """Count jobs, and end after the last one."""
        self._count += 1
        self._last_job = time.monotonic()
        return self._count != self._options.count

    def handle_error(self, current_connection: Any) -> None:
        """Print that a connection is lost; it is opened again when that is possible."""
        if current_connection in self.connection_to_handler_map:
            name = servers.name(current_connection.get_address())
            complain("gearman", f"the connection to {name} was lost; trying again")
        super().handle_error(current_connection)

    def on_gearman_error(self, error_code: str, error_text: str) -> bool:
        """Print an error of the server."""
        complain("gearman", f"the server says {error_code}: {error_text}")
        return False

    def on_job_complete(self, current_job: Any, job_result: Any) -> bool:
        self._log(current_job, "succeeded")
        return super().on_job_complete(current_job, job_result)

    def on_job_exception(self, current_job: Any, exc_info: Any) -> bool:
        """Fail the job; print the reason, unless it is the command's status."""
        error = exc_info[1]
        if isinstance(error, JobFailed):
            self._log(current_job, str(error))
        else:
            complain("gearman", f"job {current_job.handle} failed: {error}")
        return super().on_job_exception(current_job, exc_info)

    def _log(self, job: Any, what: str) -> None:
        if self._options.verbose:
            complain("gearman", f"job {job.handle} of {os.fsdecode(job.task)} {what}")


def check_command(command: Sequence[bytes]) -> None:
    """Raise ConfigurationError if the program of a command can't be found."""
    if command and shutil.which(os.fsdecode(command[0])) is None:
        raise ConfigurationError(
            f"{os.fsdecode(command[0])!r} cannot be run: no such program; give one that"
            " is in PATH, or a path to one"
        )


def write(worker: Worker, job: Any) -> bytes:
    """Write a job's data to standard output; the result is empty."""
    try:
        sys.stdout.buffer.write(job.data)
        sys.stdout.flush()
    except BrokenPipeError:
        # The job is not at fault: another worker gets it.
        discard_output()
        raise SystemExit(CLOSED) from None
    return b""


def run_command(worker: Worker, job: Any) -> bytes:
    """Run the command and return its output; with -n, send it line by line instead.

    Raises JobFailed unless the command ends with status 0.
    """
    options = worker._options
    lines = LineSender(worker, job, strip=options.strip)
    output = bytearray()
    take = lines.take if options.lines else output.extend
    status, cut = child.run(options.operands, job.data, environment(job), take)
    lines.close()
    if cut:
        complain(
            "gearman",
            f"job {job.handle}: the command has ended, but processes that it left"
            " running keep its input or output open; not waiting for them any longer",
        )
    if status:
        raise JobFailed(
            f"failed: killed by signal {-status}"
            if status < 0
            else f"failed: the command ended with status {status}"
        )
    return bytes(output)


def environment(job: Any) -> dict[bytes, bytes]:
    """Return the variables that tell a command which job it runs."""
    return {
        b"GEARMAN_JOB_HANDLE": os.fsencode(job.handle),
        b"GEARMAN_JOB_UNIQUE": os.fsencode(job.unique or ""),
        b"GEARMAN_JOB_FUNCTION": os.fsencode(job.task),
    }


class LineSender:
    """Sends each line of a job's output as data, as soon as it is complete."""

    def __init__(self, worker: Worker, job: Any, *, strip: bool) -> None:
        self._worker = worker
        self._job = job
        self._end = b"" if strip else b"\n"
        self._pieces: list[bytes] = []

    def take(self, data: bytes) -> None:
        """Add output, and send the lines that it completes."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._send(b"".join([*self._pieces, line, self._end]))
            self._pieces = []
        self._pieces.append(rest)

    def close(self) -> None:
        """Send the last line if it has no line end."""
        rest = b"".join(self._pieces)
        if rest:
            self._send(rest)

    def _send(self, line: bytes) -> None:
        self._worker.send_job_data(self._job, line)
