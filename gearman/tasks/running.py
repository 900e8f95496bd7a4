"""Running a job: its arguments, its function, its result as bytes."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from .current import CurrentJob, running
from .task import Task
from .wire.serializers import Arguments

# Seconds that a result may take to be stored after the end of its job.
_STORING = 10.0


def run(job: CurrentJob, workload: bytes) -> bytes:
    """Run the function of a plain task; return the result. Raises what it raises."""
    task = job.task
    found = task.serializer.load_arguments(workload)
    with _around(job):
        args = _with_results(task, found)
        return task.serializer.dump_result(task.function(*args, **found.kwargs))


async def arun(job: CurrentJob, workload: bytes) -> bytes:
    """Run the function of an `async def` task; return the result."""
    task = job.task
    found = task.serializer.load_arguments(workload)
    with _around(job):
        args = found.args
        if found.results_of:
            args = await asyncio.to_thread(_with_results, task, found)
        return task.serializer.dump_result(await task.function(*args, **found.kwargs))


def _around(job: CurrentJob) -> ExitStack:
    """Make a job the current one, and enter the middleware, the first one outermost."""
    with ExitStack() as stack:
        stack.enter_context(running(job))
        for each in job.task.app.middleware:
            stack.enter_context(each.running(job))
        return stack.pop_all()


def _with_results(task: Task[..., Any], found: Arguments) -> Sequence[Any]:
    """Return the positional arguments, after the results of other jobs, if any."""
    if not found.results_of:
        return found.args
    fetch = task.app.calling.fetch
    results = [fetch(handle, _STORING) for handle in found.results_of]
    return [task.serializer.load_results(results), *found.args]
