"""The pages: a table. Each handler is in the module of its subject.

All pages are complete without a script: the modules in `static/` read them again when
there is something new, and put what has changed into place.
"""

from typing import Final

from ...history.spans import SPANS
from ..page import LOGIN, Handler, Page
from ..queries import Parameter, choice, integer, name, text
from . import changes, clusters, function, jobs, lists, login, overview

_NOTE: Final = text("the key of what is told about an action")
_SERVER: Final = text("the address of a server")
_NAMED_SERVER: Final = text("the address of a server", required=True)
_FUNCTION: Final = name("the name of the function", required=True)
_ANY_FUNCTION: Final = name("the name of a function")
_SPAN: Final = choice("the time until now", [*SPANS], "10m")
_AFTER: Final = name("the handle before the first one")


def _page(path: str, handler: Handler, **query: Parameter) -> Page:
    return Page(path, handler, query={**query, "note": _NOTE})


PAGES: Final[tuple[Page, ...]] = (
    _page(
        "/",
        overview.show,
        span=_SPAN,
        search=text("a part of the names"),
        offset=integer("how many functions are left out before", 0, 0, 1_000_000),
    ),
    _page(
        "/function",
        function.show,
        function=_FUNCTION,
        span=_SPAN,
        server=_SERVER,
        state=choice("the state of the jobs", jobs.STATES, ""),
        after=_AFTER,
    ),
    _page(
        "/job",
        jobs.show,
        server=_NAMED_SERVER,
        handle=name("the handle of the job", required=True),
        form=choice("how the workload is shown", ["", *jobs.FORMS], ""),
    ),
    _page("/find", jobs.find, q=name("a handle, a unique or a part of a function")),
    _page("/dead", jobs.dead, server=_SERVER, function=_ANY_FUNCTION, after=_AFTER),
    _page("/workers", lists.workers, server=_SERVER, function=_ANY_FUNCTION),
    _page("/schedules", lists.schedules, server=_SERVER),
    _page("/limits", lists.limits, server=_SERVER),
    _page("/clusters", clusters.show),
    _page("/relays", clusters.relayed),
    _page(
        "/events",
        lists.events,
        server=_SERVER,
        function=name("a pattern of functions, with * and ?"),
        events=text("the name of an event"),
        handle=name("the handle of a job"),
    ),
    _page(
        "/audit",
        lists.audit,
        before=integer("only those before this id; 0: all", 0, 0, 10**15),
    ),
    _page("/submit", changes.form, function=_ANY_FUNCTION, server=_SERVER),
    Page("/submit/job", changes.submit, methods=("POST",)),
    Page("/act", changes.act, methods=("POST",)),
    Page(LOGIN, login.login, role="", methods=("GET", "POST"), post_role=""),
    Page("/logout", login.logout, methods=("POST",), post_role="view"),
)
