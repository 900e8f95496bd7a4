"""What a request asks for: to run a job, or something that is answered directly."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

import h11

from ....errors import OptionError
from ....options import JobOptions, parse_job_options
from ...broker import HIGH, LOW, NORMAL, Job, Peer
from ..interface import Server
from ..metrics.exposition import Exposition
from ..metrics.pages import listing
from . import answers
from .answers import Answer, Listing, Refused
from .health import alive, ready
from .origin import Origins
from .reserved import is_reserved
from .results import MAX_WAIT, Wait, ended, unfinished
from .target import split

_T = TypeVar("_T")

_PRIORITIES: Final = {b"high": HIGH, b"normal": NORMAL, b"low": LOW}
_NAMES: Final = {number: name.decode() for name, number in _PRIORITIES.items()}
_TRUTHS: Final = {b"true": True, b"false": False}

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SECONDS = re.compile(rb"[0-9]{1,9}(\.[0-9]{1,9})?")

_PATHS: Final = {
    "run a job": "/FUNCTION or /functions/FUNCTION",
    "status of a job, or cancel it by DELETE": "/jobs/HANDLE",
    "result of a job": "/jobs/HANDLE/result",
    "whether the server is alive": "/healthz",
    "whether it takes jobs": "/readyz",
    "metrics for Prometheus": "/metrics",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A job that a request asks for. `timeout` is in seconds; 0 is no limit.

    If it has `options`, these have its priority, and whether it is in the background.
    """

    function: bytes
    unique: bytes
    background: bool
    priority: int
    timeout: float
    options: JobOptions | None = None


# What a request asks for: an answer, a job, or the end of a job.
Found = Answer | Listing | Call | Wait


class _Resource(NamedTuple):
    """A path that runs no job: its methods, and the function that answers."""

    methods: bytes
    get: Callable[["Routes", bytes, bytes], Answer | Listing | Wait]


class Routes:
    """Finds out what the requests to a server ask for.

    A few paths are not functions; a function of such a name has the path
    /functions/NAME. `timeout`, in seconds, is for requests that do not give one. `get`
    says which functions GET and HEAD run: those that are `known` (a worker has or had
    the function, or an admin created it), `any`, or none (`never`). `origins` decides
    which requests of browsers are refused.
    """

    def __init__(
        self,
        server: Server,
        timeout: float = 0,
        get: str = "known",
        origins: Origins | None = None,
    ) -> None:
        self.server = server
        self._origins = origins or Origins()
        self._exposition = Exposition(server)
        self._timeout = timeout
        self._any = get == "any"
        self._methods = _SENDING if get == "never" else _METHODS

    def find(self, request: h11.Request, peer: Peer) -> Found:
        """Return what a request asks for."""
        try:
            return self._find(request, peer)
        except Refused as refused:
            return refused.answer

    def _find(self, request: h11.Request, peer: Peer) -> Found:
        method, (path, query) = request.method, split(request.target)
        self._origins.check_host(request)
        if path.startswith(_JOBS) and path.endswith(_RESULT):
            handle = path[len(_JOBS) : -len(_RESULT)]
            return self._known(_JOB_RESULT, method, handle + b"?" + query)
        if path.startswith(_JOBS):
            if method == b"DELETE":
                self._origins.check_change(request)
                if not self.server.may_change(peer):
                    raise Refused(
                        403, "That is only for hosts named with --admin-from."
                    )
            return self._known(_JOB, method, path.removeprefix(_JOBS))
        if path in _FIXED and not (path in _BY_GET_ONLY and method in _BY_POST):
            return self._known(_FIXED[path], method, b"")
        if method == b"OPTIONS":
            return answers.options(self._methods)
        if method not in self._methods.split(b", "):
            return answers.not_allowed(method, self._methods)
        return self._call(path, request)

    def _known(
        self, resource: _Resource, method: bytes, rest: bytes
    ) -> Answer | Listing | Wait:
        if method == b"OPTIONS":
            return answers.options(resource.methods)
        if method not in resource.methods.split(b", "):
            return answers.not_allowed(method, resource.methods)
        return resource.get(self, method, rest)

    def _call(self, path: bytes, request: h11.Request) -> Answer | Call:
        name = path.lstrip(b"/")
        function = _unescaped(name.removeprefix(_FUNCTIONS))
        if not function:
            raise Refused(404, "No function is named: its name is the path.")
        if request.method in _BY_GET:
            self._check_get(function, explicit=name.startswith(_FUNCTIONS))
        self._origins.check_change(request)
        if self.server.draining:
            return answers.shutting_down()
        headers = _Headers(request)
        call = Call(
            function=function,
            unique=headers.get(b"unique", b""),
            background=headers.choose(b"background", _TRUTHS, b"false"),
            priority=headers.choose(b"priority", _PRIORITIES, b"normal"),
            timeout=headers.seconds(b"timeout", self._timeout),
        )
        return headers.with_options(call)

    def _check_get(self, function: bytes, *, explicit: bool) -> None:
        """Raise Refused unless GET may run this function.

        Browsers, crawlers and scanners send GET for functions that no worker has. Such
        jobs would wait for ever.
        """
        if is_reserved(function) and not explicit:
            raise Refused(404, _RESERVED)
        known = self.server.broker.functions.known.get(function)
        if not (self._any or (known and known.offered)):
            raise Refused(404, _UNKNOWN)

    # -- resources that are answered directly

    def _root(self, method: bytes, rest: bytes) -> Answer:
        broker = self.server.broker
        return answers.document(
            {
                "server": f"Gearman/{self.server.version}",
                "jobs": len(broker.jobs.known),
                "functions": len(broker.functions.known),
                "connections": len(broker.peers),
                "paths": _PATHS,
            }
        )

    def _alive(self, method: bytes, rest: bytes) -> Answer:
        return alive()

    def _ready(self, method: bytes, rest: bytes) -> Answer:
        return ready(self.server)

    def _metrics(self, method: bytes, rest: bytes) -> Listing:
        return listing(self._exposition, method)

    def _job(self, method: bytes, rest: bytes) -> Answer:
        handle = _unescaped(rest)
        job = self.server.broker.jobs.find(handle)
        if job is None:
            text = "There is no such job: it ended, was cancelled, or never was."
            return answers.sentence(404, text)
        status = _status(job)
        if method == b"DELETE":
            status["cancelled"] = self.server.broker.cancel(handle)
        return answers.document(status)

    def _result(self, method: bytes, rest: bytes) -> Answer | Wait:
        escaped, _, query = rest.partition(b"?")
        handle, seconds = _unescaped(escaped), _wait(query)
        answer = ended(self.server.broker, handle)
        if answer is None and not seconds:
            answer = unfinished(self.server.broker, handle)
        return answer or Wait(handle, seconds)


class _Headers:
    """The headers of a request that begin with X-Gearman-."""

    def __init__(self, request: h11.Request) -> None:
        self._values: dict[bytes, bytes] = {}
        for name, value in request.headers:
            if name.startswith(_PREFIX):
                key = name.removeprefix(_PREFIX)
                if key in self._values:
                    raise Refused(400, f"{_title(key)} is given twice.")
                self._values[key] = value

    def get(self, key: bytes, default: bytes) -> bytes:
        return self._values.get(key, default)

    def choose(self, key: bytes, words: Mapping[bytes, _T], default: bytes) -> _T:
        """Return the value of a header, which must be one of these words."""
        word = self.get(key, default).lower()
        if word not in words:
            known = " or ".join(word.decode() for word in words)
            raise Refused(400, f"{_title(key)} must be {known}.")
        return words[word]

    def seconds(self, key: bytes, default: float) -> float:
        text = self.get(key, b"")
        return _seconds(_title(key), text) if text else default

    def with_options(self, call: Call) -> Call:
        """Add the options in a header, if there are some."""
        if _OPTIONS not in self._values:
            return call
        try:
            options = parse_job_options(self._values[_OPTIONS])
        except OptionError as error:
            raise Refused(400, f"{_title(_OPTIONS)} is invalid: {error}.") from error
        for name in ("background", "priority"):
            key = name.encode()
            if key in self._values:
                if getattr(options, name) is not None:
                    both = f"{_title(_OPTIONS)} and {_title(key)}"
                    raise Refused(400, f"{both} both say {name}.")
                options = replace(options, **{name: getattr(call, name)})
        return replace(call, options=options, background=bool(options.background))


def _title(key: bytes) -> str:
    return f"X-Gearman-{key.decode().title()}"


def _wait(query: bytes) -> float:
    """Return the seconds of `wait=SECONDS` in a query; 0 if there is none."""
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if key == b"wait":
            return min(_seconds("wait", value), MAX_WAIT)
    return 0.0


def _seconds(name: str, text: bytes) -> float:
    if not _SECONDS.fullmatch(text):
        raise Refused(400, f"{name} must be a number of seconds.")
    return float(text)


def _unescaped(path: bytes) -> bytes:
    """Return a part of a path with its escapes decoded. Raises Refused."""
    if _BAD_ESCAPE.search(path):
        raise Refused(400, "A % in a path must be followed by two hexadecimal digits.")
    name = unquote_to_bytes(path)
    if b"\0" in name:
        raise Refused(400, "A name must not contain NUL.")
    return name


def _status(job: Job) -> dict[str, Any]:
    numerator, denominator = job.progress
    return {
        "handle": _text(job.handle),
        "function": _text(job.function.name),
        "unique": _text(job.unique),
        "background": bool(job.background),
        "priority": _NAMES[job.priority],
        "retries": job.retries,
        "running": job.worker is not None,
        "numerator": numerator,
        "denominator": denominator,
    }


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")


_PREFIX: Final = b"x-gearman-"
_OPTIONS: Final = b"options"
_METHODS: Final = b"GET, HEAD, POST, PUT, OPTIONS"
_SENDING: Final = b"POST, PUT, OPTIONS"
_BY_GET: Final = (b"GET", b"HEAD")
_BY_POST: Final = (b"POST", b"PUT")
_FUNCTIONS: Final = b"functions/"
_RESERVED: Final = (
    "GET of this path runs no function: use /functions/NAME for one of this name."
)
_UNKNOWN: Final = (
    "No worker has registered this function yet. GET runs only functions that a worker"
    " has registered; POST runs any."
)
# With POST and PUT, these are paths of functions.
_BY_GET_ONLY: Final = (b"/", b"/metrics")
_READ: Final = b"GET, HEAD, OPTIONS"
_FIXED: Final = {
    b"*": _Resource(b"OPTIONS", Routes._root),
    b"/": _Resource(_READ, Routes._root),
    b"/healthz": _Resource(_READ, Routes._alive),
    b"/readyz": _Resource(_READ, Routes._ready),
    b"/metrics": _Resource(_METHODS, Routes._metrics),
}
_JOBS: Final = b"/jobs/"
_JOB: Final = _Resource(b"GET, HEAD, DELETE, OPTIONS", Routes._job)
_RESULT: Final = b"/result"
_JOB_RESULT: Final = _Resource(b"GET, HEAD, OPTIONS", Routes._result)
