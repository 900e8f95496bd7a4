"""What an app does around the submission and the run of its jobs."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from .current import CurrentJob
from .task import Call


class Middleware:
    """Does nothing; derive from it, and override what is needed."""

    def submitting(self, call: Call[Any]) -> Call[Any]:
        """Called before a job is submitted; return the call, or another one for it.

        What it raises is raised to the caller, and nothing is submitted.
        """
        return call

    def running(self, job: CurrentJob) -> AbstractContextManager[object]:
        """Return a context manager in which the task's function is called.

        The exception of the function passes through it. This serves `async def` tasks
        too: it is entered and left in the task of asyncio that runs the job.
        """
        return nullcontext()
