"""The programs that type checkers read are complete."""

import re
from inspect import isfunction
from pathlib import Path

import pytest

import gearman
from gearman import aio

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


@pytest.mark.parametrize(
    ("name", "classes", "least"),
    [("program.py", BLOCKING, 60), ("aio_program.py", ASYNC, 40)],
)
def test_program_uses_each_public_method(
    name: str, classes: tuple[type, ...], least: int
) -> None:
    program = (FOLDER / name).read_text()
    names = {
        name
        for each in classes
        for name in dir(each)
        if isfunction(getattr(each, name)) and not name.startswith("_")
    } - (FOR_LINKS if classes is ASYNC else set())
    assert len(names) > least
    assert names == {name for name in names if re.search(rf"\b{name}\(", program)}
