"""The programs that type checkers read are complete."""

import re
from inspect import isfunction
from pathlib import Path

import pytest

import gearman
from gearman import aio, tasks

FOLDER = Path(__file__).parent
BLOCKING = (
    gearman.GearmanClient,
    gearman.GearmanWorker,
    gearman.GearmanAdminClient,
    gearman.GearmanJob,
    gearman.GearmanJobRequest,
)
ASYNC = (aio.Admin, aio.Client, aio.Job, aio.RunningJob, aio.Worker)
# The connections of a worker call these.
FOR_LINKS = {"answered", "may_grab", "run", "cancel", "end", "runs_in"}
TASKS = (
    *(tasks.App, tasks.Task, tasks.Job, tasks.Group, tasks.CurrentJob),
    *(tasks.TaskWorker, tasks.AsyncTaskWorker),
)
# What the parts of gearman.tasks call.
OF_TASKS = {"submit_after", "asubmit_after", "prepared", "packed"}


@pytest.mark.parametrize(
    ("name", "classes", "others", "least"),
    [
        ("program.py", BLOCKING, set(), 60),
        ("aio_program.py", ASYNC, FOR_LINKS, 40),
        ("tasks_program.py", TASKS, OF_TASKS, 30),
    ],
)
def test_program_uses_each_public_method(
    name: str, classes: tuple[type, ...], others: set[str], least: int
) -> None:
    program = (FOLDER / name).read_text()
    names = {
        name
        for each in classes
        for name in dir(each)
        if isfunction(getattr(each, name)) and not name.startswith("_")
    } - others
    assert len(names) > least
    assert names == {name for name in names if re.search(rf"\b{name}\(", program)}


def test_type_checkers_must_report_mistakes_with_tasks() -> None:
    program = (FOLDER / "tasks_program.py").read_text()
    start = program.index("def mistakes()")
    end = program.index("def takes_any_task")
    assert program[start:end].count("# type: ignore[") > 15
    assert "# type: ignore[" not in program[:start] + program[end:]
    assert "\n# pyright: reportUnnecessaryTypeIgnoreComment=true\n" in program
