"""The spans of submissions by the client for asyncio, as those of the blocking one."""

from collections.abc import Callable
from typing import Any, cast
from weakref import WeakKeyDictionary

from opentelemetry.trace import Tracer

from ..aio.client_link import ClientLink
from ..aio.requests import Request
from ..client_core.submission import submission
from ..job import GearmanJobRequest
from ..protocol import pack_request
from .attributes import error_type
from .patches import Patches
from .submissions import LOST, Submissions

Method = Callable[..., Any]


class AioClientSpans:
    """Makes a span for each request that a connection submits."""

    def __init__(self, tracer: Tracer) -> None:
        self._spans = Submissions(tracer)
        # Where requests were submitted that have no answer yet.
        self._links: WeakKeyDictionary[GearmanJobRequest, ClientLink] = (
            WeakKeyDictionary()
        )

    def apply(self, patches: Patches) -> None:
        """Replace the methods through which all submissions and answers go."""
        patches.wrap(ClientLink, "submit", self._submitting)
        patches.wrap(ClientLink, "_submit_steered", self._steering)
        patches.wrap(ClientLink, "_created", self._creating)
        patches.wrap(ClientLink, "_not_accepted", self._refusing)
        patches.wrap(ClientLink, "_drop", self._dropping)
        patches.wrap(ClientLink, "_fail_all", self._losing)

    def _submitting(self, original: Method) -> Method:
        def submit(link: ClientLink, request: Request) -> None:
            self._spans.begin(request)
            self._links[request] = link
            try:
                original(link, request)
            except Exception as error:
                self._fail(request, error_type(error), str(error))
                raise

        return submit

    def _steering(self, original: Method) -> Method:
        def submit_steered(
            link: ClientLink, request: GearmanJobRequest, data: str | bytes
        ) -> None:
            if not link.open.options.extensions:
                # This server has no options: the job goes there as ever.
                self._spans.without_trace(request)
            if request.options is None:
                link.send(pack_request(*submission(request, data)))
                link.open.submitted(request)
            else:
                original(link, request, data)

        return submit_steered

    def _creating(self, original: Method) -> Method:
        def created(link: ClientLink, request: GearmanJobRequest) -> None:
            handle = cast(str, request.job.handle)
            self._links.pop(request, None)
            self._spans.end(request, {"messaging.message.id": handle})
            original(link, request)

        return created

    def _refusing(self, original: Method) -> Method:
        def not_accepted(
            link: ClientLink, request: Request, code: str, text: str
        ) -> None:
            self._fail(request, code, text)
            original(link, request, code, text)

        return not_accepted

    def _dropping(self, original: Method) -> Method:
        def drop(link: ClientLink, request: Request, error: Exception) -> None:
            self._fail(request, error_type(error), str(error))
            original(link, request, error)

        return drop

    def _losing(self, original: Method) -> Method:
        def fail_all(link: ClientLink) -> None:
            original(link)
            lost = [request for request, own in self._links.items() if own is link]
            for request in lost:
                self._fail(request, "ConnectionError", LOST)

        return fail_all

    def _fail(self, request: GearmanJobRequest, kind: str, text: str) -> None:
        self._links.pop(request, None)
        self._spans.fail(request, kind, text)
