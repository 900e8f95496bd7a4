"""What `manage.py check` says of the settings."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.apps import apps
from django.core.checks import Error, Warning

from ..errors import ConfigurationError
from .options import Options


def find(alias: str, options: Mapping[str, Any]) -> list[Any]:
    """Return what is wrong with the OPTIONS of a backend, and with the apps."""
    return [*_errors(alias, options), *_warnings()]


def _errors(alias: str, options: Mapping[str, Any]) -> Iterator[Any]:
    try:
        Options.read(options)
    except (ConfigurationError, TypeError, ValueError) as error:
        yield Error(
            f"The OPTIONS of TASKS[{alias!r}] can't be used: {error}",
            id="gearman.E001",
        )


def _warnings() -> Iterator[Any]:
    if not apps.is_installed("gearman.django"):
        yield Warning(
            "There is no `manage.py gearman_worker`.",
            hint="Add 'gearman.django' to INSTALLED_APPS.",
            id="gearman.W001",
        )
