"""A backend for Django's tasks. docs/frameworks.md has more.

    INSTALLED_APPS = [..., "gearman.django"]
    TASKS = {"default": {"BACKEND": "gearman.django.Backend"}}

`manage.py gearman_worker` runs the tasks. The tasks are those of `django.tasks`, or of
the package django-tasks if that is among the installed apps.
"""

from .backend import Backend, worker_app

__all__ = ["Backend", "worker_app"]
