"""The client mode of `gearman`: submits jobs and shows their results.

Jobs are pipelined: many of them are submitted at once. The output of a job is held back
until all jobs before it have ended, so that the output is the same as if they ran one
after the other. In two cases they do run one after the other: with a unique key, since
they would join each other; and if the server's queue is full, since it would refuse all
but the first.
"""

import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, cast

from ...blocking.polling import ready
from ...client import GearmanClient
from ...client_core.server_order import rested_first
from ...constants import JOB_UNKNOWN
from ...errors import ConnectionError, GearmanError, ServerUnavailable
from .. import servers
from ..options import Options
from .absence import without_worker
from .call import Call
from .output import Output
from .workloads import Workloads

# Jobs, and bytes of their workloads, that may be pending at once.
_JOBS: Final = 256
_BYTES: Final = 16 << 20

# Seconds without an update after which the server is asked whether there is a worker.
_SILENCE: Final = 5.0


class Client(GearmanClient):
    """Runs a job of each function for each workload; can be used once."""

    job_request_class = Call

    def __init__(
        self,
        addresses: Sequence[servers.Address],
        options: Options,
        workloads: Workloads,
        output: Output,
        **settings: Any,
    ) -> None:
        super().__init__(addresses, **settings)
        if options.timeout:
            self.connect_timeout = options.timeout
        self._options = options
        self._workloads = workloads
        self._output = output
        # Those whose end has not been shown, in the order of submission.
        self._calls: deque[Call] = deque()
        self._bytes = 0
        self._limit = _JOBS
        if options.unique and not options.background:
            self._limit = 1
        self._last_news = time.monotonic()
        self._shown = 0
        # Whether the server was asked for workers.
        self._asked = False

    def connect(self) -> None:
        """Connect to the first server that can be reached; raises ServerUnavailable."""
        self.establish_request_connection(None)

    def run(self) -> None:
        """Run all jobs; raises ServerUnavailable if the server is lost or silent."""
        try:
            while self._calls or not self._workloads.ended:
                self._submit()
                self._wait()
                self._show()
        finally:
            self._output.close()

    # Submitting.

    def _submit(self) -> None:
        while len(self._workloads) and self._has_room():
            if not self._calls:
                self._last_news = time.monotonic()
            alone = not self._calls
            workload = self._workloads.take()
            for function in self._options.functions:
                self._submit_call(function, workload, alone)

    def _has_room(self) -> bool:
        return len(self._calls) < self._limit and self._bytes < _BYTES

    def _submit_call(self, function: bytes, workload: bytes, alone: bool) -> None:
        request = self._create_request_from_dictionary(
            {
                "task": function,
                "data": workload,
                "unique": self._options.unique,
                "priority": self._options.priority,
                "options": self._options.job_options,
            },
            background=self._options.background,
            max_retries=1,
        )
        call = cast(Call, request)
        call.alone = alone
        call.position = self._workloads.position
        self._calls.append(call)
        self._bytes += len(workload)
        self.send_job_request(call)

    def establish_request_connection(self, current_request: Any) -> Any:
        """Return a connection to the first server that can be reached."""
        problems: dict[str, BaseException] = {}
        for connection in rested_first(self.connection_list, time.monotonic()):
            try:
                return self.establish_connection(connection)
            except ConnectionError as error:
                problems[servers.name(connection.get_address())] = error
        raise servers.unreachable(problems)

    # Waiting.

    def _wait(self) -> None:
        """Wait for the server or for input, and handle what arrives."""
        live = [c for c in self.connection_list if c.connected]
        writing = [c for c in live if c.writable()]
        reading = live + self._sources()
        if not reading:
            return
        waits = (self._time_left(), self._output.redraw, self._until_question())
        timeout = min((wait for wait in waits if wait is not None), default=None)
        found = ready(reading, writing, timeout, watched=live)
        if self._workloads in found[0]:
            found[0].remove(self._workloads)
            self._workloads.read()
        self.handle_connection_activity(*found)
        if any(found):
            self._last_news = time.monotonic()
        elif self._until_question() == 0:
            self._ask_for_workers()
        elif self._time_left() == 0:
            raise ServerUnavailable(
                f"no news of the jobs within {self._options.timeout:g} seconds: is a"
                " worker running? -t sets how long to wait"
            )

    def _sources(self) -> list[Any]:
        """Return the input, if another job could be submitted from it now."""
        wanted = self._workloads.wants_reading and not len(self._workloads)
        return [self._workloads] if wanted and self._has_room() else []

    def _time_left(self) -> float | None:
        if not self._calls or not self._options.timeout:
            return None
        return max(0.0, self._last_news + self._options.timeout - time.monotonic())

    def _until_question(self) -> float | None:
        if self._asked or not self._calls:
            return None
        return max(0.0, self._last_news + _SILENCE - time.monotonic())

    def _ask_for_workers(self) -> None:
        """Say, only once, that jobs wait because no worker has their function."""
        self._asked = True
        settings = {} if self.ssl_context is None else {"ssl_context": self.ssl_context}
        for connection in self.connection_list:
            if not connection.connected:
                continue
            address = connection.get_address()
            absent = without_worker(address, self._options.functions, **settings)
            if absent:
                self._output.notice(
                    f"no worker for {', '.join(absent)} is connected to"
                    f" {servers.name(address)} yet; waiting for one"
                )

    # Showing.

    def _show(self) -> None:
        """Show the output of the first jobs, up to one that has not ended."""
        while self._calls:
            call = self._calls[0]
            self._show_events(call)
            if call.state == JOB_UNKNOWN and call.exception is not None:
                # The server does not have an option of the jobs.
                raise GearmanError(call.exception)
            if call.state == JOB_UNKNOWN:
                raise self._lost()
            if not call.ended or self._is_to_be_repeated(call):
                break
            self._calls.popleft()
            self._bytes -= len(call.job.data)
            self._shown = call.position
            self._output.ended(call)
        self._output.flush(self._shown)

    def _show_events(self, call: Call) -> None:
        if call.job.handle is not None and not call.handle_shown:
            call.handle_shown = True
            self._output.created(call)
        while call.events:
            self._output.event(call, call.events.popleft())

    def _is_to_be_repeated(self, call: Call) -> bool:
        """Have a call wait for those behind it if there was no room for them all."""
        full = call.refused and str(call.exception).startswith("QUEUE_ERROR")
        if not full or call.alone:
            return False
        self._limit = 1
        if all(other.ended for other in self._calls):
            call.reset()
            call.alone = True
            self.send_job_request(call)
        return True

    def _lost(self) -> ServerUnavailable:
        names = ", ".join(servers.name(c.get_address()) for c in self.connection_list)
        return ServerUnavailable(
            f"the connection to {names} was lost before {len(self._calls)} job(s) had"
            " ended"
        )
