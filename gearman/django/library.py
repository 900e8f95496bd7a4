"""The library of tasks that a project uses: django.tasks, or the package django-tasks.

Both have the same names, in modules of the same names.
"""

from collections.abc import Collection
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from django.conf import settings

BUILT_IN: Final = "django.tasks"
PACKAGE: Final = "django_tasks"
_JSON: Final = {BUILT_IN: "django.utils.json", PACKAGE: "django_tasks.utils"}


def chosen(installed_apps: Collection[str]) -> str:
    """Return the name of the library: django.tasks unless the other one is installed.

    Raises ImportError if there is none.
    """
    if PACKAGE in installed_apps or find_spec(BUILT_IN) is None:
        if find_spec(PACKAGE) is None:
            raise ImportError(
                "this Django has no tasks: pip install django-tasks, and add"
                " django_tasks to INSTALLED_APPS"
            )
        return PACKAGE
    return BUILT_IN


_name: Final = chosen(settings.INSTALLED_APPS)
_base: Any = import_module(f"{_name}.base")
_exceptions: Any = import_module(f"{_name}.exceptions")
_json: Any = import_module(_JSON[_name])

tasks: Any = import_module(_name)
signals: Any = import_module(f"{_name}.signals")
BaseTaskBackend: Any = import_module(f"{_name}.backends.base").BaseTaskBackend
Task: Any = _base.Task
TaskContext: Any = _base.TaskContext
TaskError: Any = _base.TaskError
TaskResult: Any = _base.TaskResult
TaskResultStatus: Any = _base.TaskResultStatus
TaskResultDoesNotExist: Any = _exceptions.TaskResultDoesNotExist
normalize_json: Any = _json.normalize_json
