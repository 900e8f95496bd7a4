"""What is counted and logged of peers that do wrong, or go beyond a limit."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from ..watch.limited_log import LimitedLog

log = logging.getLogger("gearman.server")


class Report:
    """Counts into `hits`, by the option that sets a limit, and logs a few of a kind."""

    def __init__(self, hits: Counter[str], time: Callable[[], float]) -> None:
        self._hits = hits
        self._time = time
        self._lines = LimitedLog()

    def count(self, limit: str) -> None:
        """Count that a limit was hit, or something else in that table came about."""
        self._hits[limit] += 1

    def complain(
        self, kind: str, text: object, bug: BaseException | None = None
    ) -> None:
        """Log a line about a peer, unless there are too many of its kind.

        A bug comes with its traceback.
        """
        if line := self._lines.line(kind, text, self._time()):
            level = log.critical if bug else log.warning
            level("%s", line, exc_info=bug)

    def exception(
        self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]
    ) -> None:
        """Log what went wrong in the event loop: it is a bug."""
        if line := self._lines.line("bug", context["message"], self._time()):
            log.critical("%s", line, exc_info=context.get("exception"))
