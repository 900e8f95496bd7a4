"""A project of Django in this process, whose tasks go to a server of each test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django
from django.conf import settings
from django.test import override_settings

from tests.servers import until

# Since then, Django has tasks itself.
HAS_TASKS = django.VERSION >= (6, 0)
LIBRARY = "django.tasks" if HAS_TASKS else "django_tasks"


def backends(*servers: str, **options: Any) -> dict[str, dict[str, Any]]:
    """Return the setting TASKS for these servers."""
    common = {"BACKEND": "gearman.django.Backend"}
    return {
        "default": {
            **common,
            "QUEUES": ["default", "mail"],
            "OPTIONS": {"servers": servers, **options},
        },
        "any": {**common, "QUEUES": [], "OPTIONS": {"servers": servers}},
        "dummy": {"BACKEND": f"{LIBRARY}.backends.dummy.DummyBackend"},
    }


def set_up() -> None:
    """Make the project that of this process."""
    settings.configure(
        INSTALLED_APPS=[*([] if HAS_TASKS else ["django_tasks"]), "gearman.django"],
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        },
        LOGGING_CONFIG=None,
        # With another one, overriding settings would change that of this process.
        TIME_ZONE="UTC",
        TASKS=backends("127.0.0.1:1"),
        USE_TZ=True,
    )
    django.setup()


@contextmanager
def tasks_on(*servers: str, **options: Any) -> Iterator[None]:
    """Let the tasks of Django go to these servers."""
    from gearman.django.library import tasks

    with override_settings(TASKS=backends(*servers, **options)):
        yield
        for alias in ("default", "any"):
            tasks.task_backends[alias].app.close()


def ended(result: Any) -> Any:
    """Wait for the end of a task; return its result."""

    def has_ended() -> bool:
        result.refresh()
        return bool(result.is_finished)

    until(has_ended)
    return result
