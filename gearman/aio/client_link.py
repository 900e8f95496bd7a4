"""The client's side of a connection: requests out, and their answers to who waits.

`gearman.client_core` decides which request an answer is for, and what it changes.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, cast

from ..client_core.open_requests import OpenRequests
from ..client_core.results import ResultAnswer
from ..client_core.server_options import EXCEPTIONS, EXTENSIONS
from ..client_core.steered import steered_submission
from ..client_core.submission import begin_attempt, submission
from ..commands import Command
from ..constants import JOB_CREATED, JOB_FAILED, JOB_PENDING, JOB_UNKNOWN
from ..errors import GearmanError, ProtocolError
from ..framing import Packet
from ..job import GearmanJobRequest
from ..payload import Payload
from ..protocol import name_arguments, pack_request
from .link import Link, arguments_of, fail, logger, tell
from .requests import Data, Progress, Request, Warned
from .servers import Server

_CREATED: Final = int(Command.JOB_CREATED)
_COMPLETE: Final = int(Command.WORK_COMPLETE)
_LINE: Final = int(Command.TEXT)

# Payloads are passed on as they are.
_decode: Final = cast("Callable[[Payload], object]", bytes)

Future = asyncio.Future[Any]


class Answer(ResultAnswer):
    """The answer to GET_RESULT, which can be waited for."""

    def __init__(self, handle: str, server: "Server[ClientLink]") -> None:
        super().__init__(handle, server)
        self.server = server
        self.come: Future = asyncio.get_running_loop().create_future()

    def told(self, state: str, data: Payload) -> None:
        super().told(state, data)
        tell(self.come, None)


class ClientLink(Link):
    """Sends the requests of a client to one server."""

    def __init__(self, server: "Server[ClientLink]") -> None:
        super().__init__(server.name, server.opening.max_packet, self._fail_all)
        self.server = server
        self.open = OpenRequests()
        # Who waits for answers that are not about a request: they end with the
        # connection. Lines are answered in their order.
        self._questions: set[Future] = set()
        self._lines: deque[Future] = deque()
        self._asked_extensions: list[Future] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # Otherwise servers report exceptions as failures only.
        self._ask_for(EXCEPTIONS)

    def _ask_for(self, option: str) -> None:
        self.open.options.asked(option)
        self.send(pack_request(Command.OPTION_REQ, (option,)))

    # Submitting.

    def submit(self, request: Request) -> None:
        """Submit a job; the request then expects its handle.

        If it has options, and it is not known whether the server has the extensions,
        it is sent when that is known. Raises ProtocolError, UnsupportedByServer or
        ValueError for what cannot be sent.
        """
        begin_attempt(request, self.server)
        if request.options is None:
            self.send(pack_request(*submission(request, request.job.data)))
            self.open.submitted(request)
        elif self.open.options.extensions is None:
            self.open.hold(request, request.job.data)
            self.ask_extensions()
        else:
            self._submit_steered(request, request.job.data)

    def _submit_steered(self, request: GearmanJobRequest, data: str | bytes) -> None:
        extensions = bool(self.open.options.extensions)
        packet = steered_submission(request, data, extensions, time.time())
        self.send(pack_request(*packet))
        self.open.submitted(request)

    def ask_extensions(self) -> None:
        """Ask once whether the server has the extensions."""
        options = self.open.options
        if options.extensions is None and not options.awaited:
            self._ask_for(EXTENSIONS)

    def _know_extensions(self) -> None:
        """Submit what has waited for the answer about the extensions."""
        if self.open.options.extensions is None:
            return
        for request, data in self.open.release():
            try:
                self._submit_steered(request, data)
            except (GearmanError, ValueError) as error:
                self._drop(cast(Request, request), error)
        asked, self._asked_extensions = self._asked_extensions, []
        for future in asked:
            tell(future, self.open.options.extensions)

    def _drop(self, request: Request, error: Exception) -> None:
        request.problem = error
        request.state = JOB_UNKNOWN
        request.told_end()

    def abandon(self, request: Request) -> None:
        """Nobody waits for a request any more; cancel its job if it is its own.

        So the job ends as that of a client that has gone.
        """
        if not request.own or not self.connected:
            return
        if request.state == JOB_PENDING:
            request.abandoned = True
        elif request.state == JOB_CREATED:
            self.ask_line(f"cancel job {request.job.handle}")

    # Questions. The futures have the answers; they fail if the connection is lost.

    def _question(self) -> Future:
        future = self.loop.create_future()
        self._questions.add(future)
        future.add_done_callback(self._questions.discard)
        return future

    def extensions(self) -> Future:
        """Ask whether the server has the extensions."""
        future = self._question()
        if self.open.options.extensions is None:
            self._asked_extensions.append(future)
            self.ask_extensions()
        else:
            future.set_result(self.open.options.extensions)
        return future

    def ask_line(self, line: str) -> Future:
        """Ask by a line of the admin protocol; the answer is one line."""
        future = self._question()
        self._lines.append(future)
        self.send(line.encode(errors="surrogateescape") + b"\r\n")
        return future

    def ask_status(self, handle: str) -> Future:
        """Ask for the status of a job: a JobStatus."""
        future = self._question()

        self.send(pack_request(Command.GET_STATUS, (handle,)))
        self.open.asked_handle(handle, partial(tell, future))
        return future

    def ask_unique(self, unique: str) -> Future:
        """Ask for the status of the job with a unique: a UniqueStatus."""
        future = self._question()

        self.send(pack_request(Command.GET_STATUS_UNIQUE, (unique,)))
        self.open.asked_unique(unique, partial(tell, future))
        return future

    def ask_result(self, answer: Answer) -> Future:
        """Ask for the result of a job, from a server with the extensions."""
        answer.come = self._question()
        self.send(pack_request(Command.GET_RESULT, (answer.handle,)))
        self.open.asked_result(answer)
        return answer.come

    def watch(self, request: Request) -> None:
        """Watch a job that has a handle, on a server with the extensions."""
        handle = cast(str, request.job.handle)
        self.send(pack_request(Command.WATCH_JOB, (handle,)))
        self.open.watched(request)

    def _fail_all(self) -> None:
        for request in cast("Iterable[Request]", self.open.lost()):
            request.problem = self.error()
            request.told_end()
        for future in tuple(self._questions):
            fail(future, self.error())

    # Packets from the server.

    def act(self, packets: list[Packet]) -> None:
        completed, created = self.open.completed, self.open.created
        for packet in packets:
            number = packet[0]
            if number == _COMPLETE:
                name, data = cast("tuple[bytes, Payload]", packet[1])
                handle = str(name, "utf-8", "surrogateescape")
                for request in completed(handle, data, _decode):
                    cast(Request, request).told_end()
            elif number == _CREATED:
                (name,) = cast("tuple[bytes]", packet[1])
                self._created(created(str(name, "utf-8", "surrogateescape")))
            else:
                arguments = arguments_of(packet)
                _, named = name_arguments(number, arguments)
                act = _ACTS.get(number)
                if act is None:
                    raise ProtocolError(f"unexpected packet {number}", fatal=True)
                act(self, *named.values())

    def _created(self, request: GearmanJobRequest) -> None:
        own = cast(Request, request)
        if own.accepting:
            own.told_accepted()
        if own.abandoned:
            self.abandon(own)

    def _data(self, handle: str, data: Payload) -> None:
        for request in self.open.data_came(handle, data, _decode):
            cast(Request, request).told_update(Data(bytes(data)))

    def _warning(self, handle: str, data: Payload) -> None:
        for request in self.open.warned(handle, data, _decode):
            cast(Request, request).told_update(Warned(bytes(data)))

    def _progress(self, handle: str, numerator: str, denominator: str) -> None:
        now = time.time()
        for request in self.open.progressed(handle, numerator, denominator, now):
            status = request.status
            update = Progress(status["numerator"], status["denominator"])
            cast(Request, request).told_update(update)

    def _failed(self, handle: str) -> None:
        for request in self.open.failed(handle):
            cast(Request, request).told_end()

    def _raised(self, handle: str, data: Payload) -> None:
        for request in self.open.raised(handle, data, _decode):
            cast(Request, request).told_end()

    def _status(self, *arguments: str) -> None:
        self.open.status_told(*arguments, time.time())  # type: ignore[call-arg, arg-type]

    def _unique_status(self, *arguments: str) -> None:
        self.open.unique_status_told(*arguments, time.time())  # type: ignore[call-arg, arg-type]

    def _result(self, handle: str, state: str, data: Payload) -> None:
        self.open.result_told(handle, state, data)

    def _option(self, name: str) -> None:
        self.open.options.accepted(name)
        self._know_extensions()

    def _refused(self, code: str, text: str) -> None:
        waiting = self.open.awaiting_handles
        oldest = waiting[0] if waiting else None
        if not self.open.refused(code, text):
            self._know_extensions()
        elif oldest is not None and oldest.state == JOB_FAILED:
            self._not_accepted(cast(Request, oldest), code, text)
        else:
            logger.warning("the server %s says: %s: %s", self.name, code, text)

    def _not_accepted(self, request: Request, code: str, text: str) -> None:
        request.told_end()

    def _line(self, text: str) -> None:
        if not self._lines:
            raise ProtocolError("a line came without a question", fatal=True)
        tell(self._lines.popleft(), text)


_ACTS: Final[dict[int, Callable[..., None]]] = {
    Command.WORK_DATA: ClientLink._data,
    Command.WORK_WARNING: ClientLink._warning,
    Command.WORK_STATUS: ClientLink._progress,
    Command.WORK_FAIL: ClientLink._failed,
    Command.WORK_EXCEPTION: ClientLink._raised,
    Command.STATUS_RES: ClientLink._status,
    Command.STATUS_RES_UNIQUE: ClientLink._unique_status,
    Command.RESULT_RES: ClientLink._result,
    Command.OPTION_RES: ClientLink._option,
    Command.ERROR: ClientLink._refused,
    _LINE: ClientLink._line,
}
