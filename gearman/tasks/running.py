"""Running a job: its arguments, its function, its result as bytes."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from typing import Any

from .current import CurrentJob, reset_current, set_current
from .task import Task
from .wire.serializers import Arguments

# Seconds that a result may take to be stored after the end of its job.
_STORING = 10.0

_NONE = nullcontext()


def run(job: CurrentJob, workload: bytes) -> bytes:
    """Run the function of a plain task; return the result. Raises what it raises."""
    task = job.task
    found = task.serializer.load_arguments(workload)
    token = set_current(job)
    try:
        with _middleware(job) if task.app.middleware else _NONE:
            args = _with_results(task, found) if found.results_of else found.args
            return task.serializer.dump_result(task.function(*args, **found.kwargs))
    finally:
        reset_current(token)


async def arun(job: CurrentJob, workload: bytes) -> bytes:
    """Run the function of an `async def` task; return the result."""
    task = job.task
    found = task.serializer.load_arguments(workload)
    token = set_current(job)
    try:
        with _middleware(job) if task.app.middleware else _NONE:
            args = found.args
            if found.results_of:
                args = await asyncio.to_thread(_with_results, task, found)
            result = await task.function(*args, **found.kwargs)
            return task.serializer.dump_result(result)
    finally:
        reset_current(token)


def _middleware(job: CurrentJob) -> ExitStack:
    """Enter the middleware; the first one is the outermost."""
    with ExitStack() as stack:
        for each in job.task.app.middleware:
            stack.enter_context(each.running(job))
        return stack.pop_all()


def _with_results(task: Task[..., Any], found: Arguments) -> Sequence[Any]:
    """Return the positional arguments, after the results of other jobs."""
    fetch = task.app.calling.fetch
    results = [fetch(handle, _STORING) for handle in found.results_of]
    return [task.serializer.load_results(results), *found.args]
