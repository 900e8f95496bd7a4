"""Counting and logging of peers that break a rule or exceed a limit."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ..watch.limited_log import LimitedLog

log = logging.getLogger("gearman.server")


class Report:
    """Counts in `hits`, by the name of the limit, and logs a few lines of each kind."""

    def __init__(self, hits: Counter[str], time: Callable[[], float]) -> None:
        self._hits = hits
        self._time = time
        self._lines = LimitedLog()

    def count(self, limit: str) -> None:
        """Count a hit of a limit, or of another row of `show limits`."""
        self._hits[limit] += 1

    def complain(
        self,
        kind: str,
        text: object,
        bug: BaseException | None = None,
        facts: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        """Log a line about a peer, unless there were too many lines of this kind.

        For a `bug`, the traceback is logged as well. `facts` returns those for JSON.
        """
        if line := self._lines.line(kind, text, self._time()):
            level = log.critical if bug else log.warning
            level("%s", line, exc_info=bug, extra={"facts": {"event": kind, **facts()}})

    def tell(self, kind: str, text: object, facts: Mapping[str, object]) -> None:
        """Log a line that is no complaint, in the same way."""
        if line := self._lines.line(kind, text, self._time()):
            log.info("%s", line, extra={"facts": facts})

    def exception(
        self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]
    ) -> None:
        """Log an exception in the event loop, which is a bug."""
        if line := self._lines.line("bug", context["message"], self._time()):
            log.critical("%s", line, exc_info=context.get("exception"))
