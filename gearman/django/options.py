"""The OPTIONS of the backend, in the setting TASKS."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self, cast

from ..address import parse
from ..errors import ConfigurationError
from ..tasks import TaskOptions
from ..tasks.options import steering

# Seconds that results are kept.
KEEP: Final = 24 * 3600.0

# The options of all jobs of a backend; others belong to a single job.
OF_JOBS: Final = ("timeout", "retries", "backoff", "ttl", "keep", "dead")


@dataclass(frozen=True, slots=True)
class Options:
    """The checked options. `prefix` and a queue's name are a function on the server."""

    servers: tuple[str, ...] = ()
    prefix: str = "django."
    enqueue_on_commit: bool = False
    discover: bool = False
    of_jobs: TaskOptions = field(default_factory=lambda: TaskOptions(keep=KEEP))

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Return the options of a setting. Raises ConfigurationError."""
        known = ("servers", "prefix", "enqueue_on_commit", "discover", *OF_JOBS)
        for name in given:
            if name not in known:
                raise ConfigurationError(
                    f"{name!r} is no option: there are {', '.join(known)}"
                )
        jobs: dict[str, Any] = {"keep": KEEP}
        jobs |= {name: given[name] for name in OF_JOBS if name in given}
        steering(jobs)
        return cls(
            _servers(given.get("servers", ())),
            str(given.get("prefix", "django.")),
            bool(given.get("enqueue_on_commit", False)),
            bool(given.get("discover", False)),
            cast(TaskOptions, jobs),
        )


def _servers(given: Any) -> tuple[str, ...]:
    servers = (given,) if isinstance(given, str) else tuple(given)
    for server in servers:
        try:
            parse(server)
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
    return servers
