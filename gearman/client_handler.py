"""The client's side of a connection: sends requests, and passes on the answers.

`gearman.client_core` decides what an answer means.
"""

import logging
from typing import Any

from .client_core.open_requests import OpenRequests
from .client_core.results import ResultAnswer
from .client_core.server_options import EXCEPTIONS, EXTENSIONS
from .client_core.steered import steered_submission
from .client_core.submission import Arguments, check_state, submission
from .command_handler import GearmanCommandHandler
from .constants import JOB_COMPLETE as JOB_COMPLETE
from .constants import JOB_CREATED as JOB_CREATED
from .constants import JOB_FAILED as JOB_FAILED
from .constants import JOB_PENDING as JOB_PENDING
from .constants import JOB_UNKNOWN
from .errors import InvalidClientState as InvalidClientState
from .job import GearmanJobRequest, JobStatus, UniqueStatus
from .payload import Payload
from .protocol import (
    GEARMAN_COMMAND_GET_RESULT,
    GEARMAN_COMMAND_GET_STATUS,
    GEARMAN_COMMAND_GET_STATUS_UNIQUE,
    GEARMAN_COMMAND_OPTION_REQ,
    GEARMAN_COMMAND_WATCH_JOB,
    by_name,
)
from .protocol import (
    submit_cmd_for_background_priority as submit_cmd_for_background_priority,
)

gearman_logger = logging.getLogger(__name__)


class GearmanClientCommandHandler(GearmanCommandHandler):
    """Sends the requests of a GearmanClient, and passes the answers on to them.

    `open_requests` knows which request an answer is for. The maps
    `requests_awaiting_handles` and `handle_to_request_map` are parts of it.
    """

    def __init__(self, connection_manager: Any = None) -> None:
        super().__init__(connection_manager=connection_manager)
        self.open_requests = OpenRequests()
        self.requests_awaiting_handles = self.open_requests.awaiting_handles
        self.handle_to_request_map = self.open_requests.by_handle

    def initial_state(self, *largs: Any, **kwargs: Any) -> None:
        """Ask for exceptions: otherwise gearmand reports them as failures only."""
        self._ask_for(EXCEPTIONS)

    def _ask_for(self, option: str) -> None:
        self.open_requests.options.asked(option)
        self.send_command(GEARMAN_COMMAND_OPTION_REQ, option_name=option)

    # Called by the client.

    def send_job_request(self, current_request: GearmanJobRequest) -> None:
        """Submit a job.

        Raises InvalidClientState unless the request's state is JOB_UNKNOWN. If the
        request cannot be sent, raises ProtocolError, UnsupportedByServer or the error
        of the encoder; the state remains JOB_UNKNOWN then.

        If the request has options, and the server was not asked for the extensions, it
        is asked now, and the request is sent when it has answered. If the request
        cannot be sent then, its state becomes JOB_UNKNOWN again, and its `exception`
        says why; to submit it again raises the error.
        """
        check_state(current_request, JOB_UNKNOWN)
        data = self.encode_data(current_request.job.data)
        if current_request.options is None:
            self._send(current_request, submission(current_request, data))
        elif self.extensions is None:
            self.open_requests.hold(current_request, data)
            self.ask_extensions()
        else:
            self._submit_steered(current_request, data)

    def _send(self, request: GearmanJobRequest, packet: tuple[int, Arguments]) -> None:
        command, arguments = packet
        self.send_command(command, **by_name(command, arguments))
        self.open_requests.submitted(request)

    def _submit_steered(self, request: GearmanJobRequest, data: str | bytes) -> None:
        request.exception = None
        extensions = bool(self.extensions)
        self._send(request, steered_submission(request, data, extensions, self._now()))

    def _submit_held(self) -> None:
        for request, data in self.open_requests.release():
            try:
                self._submit_steered(request, data)
            except Exception as error:
                # An error raised here could end the wait of another thread. The client
                # submits the request again, which raises it where it belongs.
                request.exception = str(error)
                request.connection_attempts -= 1

    @property
    def extensions(self) -> bool | None:
        """Whether the server has the extensions; None if that is not known (yet)."""
        return self.open_requests.options.extensions

    def ask_extensions(self) -> None:
        """Ask once whether the server has the extensions."""
        options = self.open_requests.options
        if options.extensions is None and not options.awaited:
            self._ask_for(EXTENSIONS)

    def send_get_result(self, answer: ResultAnswer) -> None:
        """Ask for the result of a job, from a server with the extensions."""
        self.open_requests.asked_result(answer)
        self.send_command(GEARMAN_COMMAND_GET_RESULT, job_handle=answer.handle)

    def send_watch_job(self, request: GearmanJobRequest) -> None:
        """Watch the job of a request that has only a handle, until the job ends."""
        self.open_requests.watched(request)
        self.send_command(GEARMAN_COMMAND_WATCH_JOB, job_handle=request.job.handle)

    def send_get_status_of_job(self, current_request: GearmanJobRequest) -> None:
        """Ask for the status of a job."""
        self.open_requests.asked_status(current_request)
        self.send_command(
            GEARMAN_COMMAND_GET_STATUS, job_handle=current_request.job.handle
        )

    def send_get_status_of_handle(self, handle: str, status: JobStatus) -> None:
        """Ask for the status of a job without a request; `status` gets the answer."""
        self.open_requests.asked_handle(handle, status.update)
        self.send_command(GEARMAN_COMMAND_GET_STATUS, job_handle=handle)

    def send_get_status_of_unique(self, unique: str, status: UniqueStatus) -> None:
        """Ask for the status of the job with a unique; `status` gets the answer."""
        self.open_requests.asked_unique(unique, status.update)
        self.send_command(GEARMAN_COMMAND_GET_STATUS_UNIQUE, unique=unique)

    def on_io_error(self) -> None:
        self.open_requests.lost()

    def expects_answer(self) -> bool:
        return self.open_requests.expects_answer

    # Packets from the server.

    def recv_job_created(self, job_handle: str) -> bool:
        self.open_requests.created(job_handle)
        return True

    def recv_work_data(self, job_handle: str, data: Payload) -> bool:
        self.open_requests.data_came(job_handle, data, self.decode_data)
        return True

    def recv_work_warning(self, job_handle: str, data: Payload) -> bool:
        self.open_requests.warned(job_handle, data, self.decode_data)
        return True

    def recv_work_status(
        self, job_handle: str, numerator: str, denominator: str
    ) -> bool:
        self.open_requests.progressed(job_handle, numerator, denominator, self._now())
        return True

    def recv_work_complete(self, job_handle: str, data: Payload) -> bool:
        try:
            self.open_requests.completed(job_handle, data, self.decode_data)
        except Exception:
            if not self._others_wait():
                raise
            # An error raised here could end the wait of another thread.
            gearman_logger.exception("the result of %s is unreadable", job_handle)
        return True

    def recv_work_fail(self, job_handle: str) -> bool:
        self.open_requests.failed(job_handle)
        return True

    def recv_work_exception(self, job_handle: str, data: Payload) -> bool:
        """End the job: no WORK_FAIL follows."""
        self.open_requests.raised(job_handle, data, self.decode_data)
        return True

    def recv_option_res(self, option_name: str) -> bool:
        self.open_requests.options.accepted(option_name)
        self._submit_held()
        return True

    def recv_result_res(self, job_handle: str, state: str, data: Payload) -> bool:
        self.open_requests.result_told(job_handle, state, data)
        return True

    def recv_status_res(
        self,
        job_handle: str,
        known: str,
        running: str,
        numerator: str,
        denominator: str,
    ) -> bool:
        self.open_requests.status_told(
            job_handle, known, running, numerator, denominator, self._now()
        )
        return True

    def recv_status_res_unique(
        self,
        unique: str,
        known: str,
        running: str,
        numerator: str,
        denominator: str,
        clients: str,
    ) -> bool:
        self.open_requests.unique_status_told(
            unique, known, running, numerator, denominator, clients, self._now()
        )
        return True

    def recv_error(self, error_code: str, error_text: str) -> bool:
        """Let the request that the server refuses fail: it will get no handle."""
        if not self.open_requests.refused(error_code, error_text):
            self._submit_held()
            return True
        return super().recv_error(error_code, error_text)

    def _now(self) -> float:
        return self.connection_manager.current_time()

    def _others_wait(self) -> bool:
        """Whether other threads wait for data that this thread receives."""
        turns = getattr(self.connection_manager, "_turns", None)
        return turns is not None and turns.followed
