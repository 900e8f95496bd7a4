"""The program that type checkers read is complete."""

import re
from inspect import isfunction
from pathlib import Path

import gearman

PROGRAM = Path(__file__).with_name("program.py").read_text()
CLASSES = (
    gearman.GearmanClient,
    gearman.GearmanWorker,
    gearman.GearmanAdminClient,
    gearman.GearmanJob,
    gearman.GearmanJobRequest,
)


def test_program_uses_each_public_method() -> None:
    names = {
        name
        for each in CLASSES
        for name in dir(each)
        if isfunction(getattr(each, name)) and not name.startswith("_")
    }
    assert len(names) > 60
    assert names == {name for name in names if re.search(rf"\b{name}\(", PROGRAM)}
