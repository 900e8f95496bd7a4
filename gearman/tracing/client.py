"""The span of a submission: from the request to the answer of the server.

The job gets the context of that span by its option `trace`, if its server has options.
"""

from collections.abc import Callable
from typing import Any, cast

from opentelemetry.trace import Tracer

from ..client import GearmanClient
from ..client_core.submission import submission
from ..client_handler import GearmanClientCommandHandler
from ..constants import JOB_FAILED
from ..job import GearmanJobRequest
from .attributes import error_type
from .patches import Patches
from .submissions import LOST, Submissions

Method = Callable[..., Any]


class ClientSpans:
    """Makes a span for each submission of a request."""

    def __init__(self, tracer: Tracer) -> None:
        self._spans = Submissions(tracer)

    def apply(self, patches: Patches) -> None:
        """Replace the methods through which all submissions and answers go."""
        handler = GearmanClientCommandHandler
        patches.wrap(GearmanClient, "send_job_request", self._sending)
        patches.wrap(handler, "_submit_steered", self._steering)
        patches.wrap(handler, "recv_job_created", self._created)
        patches.wrap(handler, "recv_error", self._refused)
        patches.wrap(handler, "on_io_error", self._lost)

    # The methods.

    def _sending(self, original: Method) -> Method:
        def send_job_request(
            client: GearmanClient, current_request: GearmanJobRequest
        ) -> GearmanJobRequest:
            self._spans.begin(current_request)
            try:
                sent: GearmanJobRequest = original(client, current_request)
            except Exception as error:
                self._spans.fail(current_request, error_type(error), str(error))
                raise
            return sent

        return send_job_request

    def _steering(self, original: Method) -> Method:
        def submit_steered(
            handler: GearmanClientCommandHandler,
            request: GearmanJobRequest,
            data: str | bytes,
        ) -> None:
            if not handler.extensions:
                # This server has no options: the job goes there as ever.
                self._spans.without_trace(request)
            if request.options is None:
                handler._send(request, submission(request, data))
            else:
                original(handler, request, data)

        return submit_steered

    def _created(self, original: Method) -> Method:
        def recv_job_created(
            handler: GearmanClientCommandHandler, job_handle: str
        ) -> Any:
            request = _oldest(handler)
            # It raises an error if there is no request.
            result = original(handler, job_handle)
            answered = cast(GearmanJobRequest, request)
            self._spans.end(answered, {"messaging.message.id": job_handle})
            return result

        return recv_job_created

    def _refused(self, original: Method) -> Method:
        def recv_error(
            handler: GearmanClientCommandHandler, error_code: str, error_text: str
        ) -> Any:
            request = _oldest(handler)
            try:
                return original(handler, error_code, error_text)
            finally:
                if request is not None and request.state == JOB_FAILED:
                    self._spans.fail(request, error_code, error_text)

        return recv_error

    def _lost(self, original: Method) -> Method:
        def on_io_error(handler: GearmanClientCommandHandler) -> None:
            original(handler)
            for request in handler.open_requests.awaiting_handles:
                self._spans.fail(request, "ConnectionError", LOST)

        return on_io_error


def _oldest(handler: GearmanClientCommandHandler) -> GearmanJobRequest | None:
    """Return the request that the next JOB_CREATED is for."""
    awaiting = handler.open_requests.awaiting_handles
    return awaiting[0] if awaiting else None
