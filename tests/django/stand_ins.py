"""Backends that stand for those of Django in Django's own tests: `djangos_tests`."""

import asyncio
import os
import sys
import unittest
from copy import deepcopy
from importlib import import_module
from typing import Any

from gearman import testing
from gearman.django import Backend, worker_app
from gearman.server import embedded
from tests.django.project import LIBRARY, ended

MODULES = ("test_tasks", "test_dummy_backend", "test_immediate_backend")

# What is about the ways of Django's backends, and no behaviour of others.
LEFT_OUT = {
    # They write into the list in which the dummy backend has its results, or empty it.
    *("test_clear", "test_refresh_result", "test_refresh_result_async"),
    # The immediate backend cannot do this; it is in `test_tasks` for those that can.
    *("test_cannot_get_result", "test_cannot_refresh_result"),
    "test_cannot_pass_run_after",
    # It ends a worker, and not who has enqueued the task.
    "test_throws_keyboard_interrupt",
}


class Waiting(Backend):
    """Stands for the dummy backend, which keeps what was enqueued."""

    def __init__(self, alias: str, params: Any) -> None:
        super().__init__(alias, params)
        self.results: list[Any] = []

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        result = super().enqueue(task, args, kwargs)
        self.results.append(deepcopy(result))
        return result

    def clear(self) -> None:
        self.results.clear()


class Immediate(Backend):
    """Stands for the immediate backend."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return self._run(super().enqueue(task, args, kwargs))

    async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return await asyncio.to_thread(self.enqueue, task, args, kwargs)

    def _run(self, result: Any) -> Any:
        with testing.worker(worker_app(self.alias, [result.task.queue_name])):
            return ended(result)


def chosen(suite: unittest.TestSuite) -> unittest.TestSuite:
    """Return the tests of a suite that are not left out."""
    found = unittest.TestSuite()
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            found.addTest(chosen(each))
        elif each.id().rpartition(".")[2] not in LEFT_OUT:
            found.addTest(each)
    return found


def run(folder: str) -> unittest.TestResult:
    """Run the tests in Django's folder `tests`."""
    from django.test.runner import DiscoverRunner

    sys.path.insert(0, folder)
    for name, stand_in in (("dummy", Waiting), ("immediate", Immediate)):
        module = import_module(f"{LIBRARY}.backends.{name}")
        setattr(module, f"{name.title()}Backend", stand_in)
    names = [f"tasks.{name}" for name in MODULES]
    suite = chosen(unittest.defaultTestLoader.loadTestsFromNames(names))
    DiscoverRunner(verbosity=0, interactive=False).setup_databases(aliases={"default"})
    with embedded.server() as address:
        os.environ["GEARMAN_SERVERS"] = address
        return unittest.TextTestRunner(verbosity=1).run(suite)
