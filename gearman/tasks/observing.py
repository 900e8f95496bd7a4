"""What both kinds of workers have: which tasks they run, and telling of their jobs."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from .app import App
from .current import CurrentJob
from .task import Task

OnStart = Callable[[str, str], object]
OnEnd = Callable[[str, str, float, BaseException | None], object]
Telling = Callable[[CurrentJob], AbstractContextManager[None]]

_NOBODY = nullcontext()


def teller(on_start: OnStart | None, on_end: OnEnd | None) -> Telling:
    """Return a context manager that tells the start and the end of a job."""
    if on_start is None and on_end is None:
        return lambda _: _NOBODY
    start: OnStart = on_start or (lambda *_: None)
    end: OnEnd = on_end or (lambda *_: None)

    @contextmanager
    def telling(job: CurrentJob) -> Iterator[None]:
        start(job.function, job.handle)
        begin, problem = time.monotonic(), None
        try:
            yield
        except BaseException as error:
            problem = error
            raise
        finally:
            end(job.function, job.handle, time.monotonic() - begin, problem)

    return telling


def chosen(
    app: App, functions: Collection[str] | None, *, is_async: bool
) -> list[Task[..., Any]]:
    """Return the tasks of a worker: all of a kind, or those that are named.

    Raises ValueError for a name that is no task, or one of the other kind.
    """
    if functions is None:
        return [task for task in app.tasks.values() if task.is_async is is_async]
    for name in functions:
        if name not in app.tasks:
            raise ValueError(f"the app has no task {name!r:.80}")
        if app.tasks[name].is_async is not is_async:
            kind = "a plain function" if is_async else "async def"
            raise ValueError(f"the task {name} is {kind}: use the other worker for it")
    return [app.tasks[name] for name in functions]
