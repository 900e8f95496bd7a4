"""The tests need Django with tasks, and a project in this process."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from gearman.server import embedded

MISSING = "Django, or its tasks, are not installed: pip install 'gearman-py[django]'"


def _has_tasks() -> bool:
    if find_spec("django") is None:
        return False
    return (
        find_spec("django_tasks") is not None or find_spec("django.tasks") is not None
    )


if _has_tasks():
    from tests.django import project

    project.set_up()


def pytest_pycollect_makemodule() -> None:
    """Skip the modules, since they could not even be imported."""
    if not _has_tasks():
        pytest.skip(MISSING, allow_module_level=True)


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server to which tasks go."""
    with embedded.server() as address, project.tasks_on(address):
        yield address
