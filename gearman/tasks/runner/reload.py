"""Telling the runner of changed files, for --reload; a process of its own."""

import importlib.util
import os

from ...errors import StartupError
from .link import Link


def check() -> None:
    """Raise StartupError if the package that it needs is not installed."""
    if importlib.util.find_spec("watchfiles") is None:
        raise StartupError(
            "--reload needs watchfiles: pip install 'gearman-py[reload]'"
        )


def follow(link: Link) -> int:
    """Tell of files of Python that change in the current directory, and below."""
    import watchfiles

    folder = os.getcwd()
    changes = watchfiles.watch(
        folder,
        watch_filter=watchfiles.PythonFilter(),
        debounce=200,
        yield_on_timeout=True,
    )
    for changed in changes:
        # It ends with the runner, at the latest after the next time-out.
        list(link.hear())
        if link.closed:
            break
        if changed:
            file = min(path for _, path in changed)
            link.say(event="changed", file=os.path.relpath(file, folder))
    return 0
