"""Tasks of a project."""

import sys
from threading import Event
from typing import Any

from gearman.django.library import tasks
from gearman.tasks import Retry

going_on = Event()
started = Event()
seen: list[Any] = []


@tasks.task
def noop(*args: Any, **kwargs: Any) -> None:
    pass


@tasks.task
def add(one: Any, two: Any) -> Any:
    seen.append((one, two))
    return one + two


@tasks.task(queue_name="mail", priority=7)
def mail(to: str) -> str:
    return f"to {to}"


@tasks.task
async def later(number: int) -> int:
    return number + 1


@tasks.task
def failing(text: str) -> None:
    raise ValueError(text) from KeyError("a cause")


@tasks.task
def leaving() -> None:
    sys.exit("it leaves")


@tasks.task
def complex_exception() -> None:
    raise ValueError(ValueError("an exception with one in it"))


@tasks.task
def bad_value() -> Any:
    return object()


@tasks.task
def waiting() -> str:
    started.set()
    assert going_on.wait(20)
    return "went on"


@tasks.task(takes_context=True)
def attempt(context: Any) -> list[Any]:
    result = context.task_result
    return [context.attempt, result.id, str(result.status), result.worker_ids[:-1]]


@tasks.task(takes_context=True)
def fails_at_first(context: Any) -> int:
    if context.attempt == 1:
        raise ValueError("try again")
    return int(context.attempt)


@tasks.task(takes_context=True)
def fails_then_waits(context: Any) -> str:
    if context.attempt == 1:
        raise ValueError("try again")
    return str(waiting.func())


@tasks.task(takes_context=True)
def once_more(context: Any) -> str:
    if not seen:
        seen.append(context.attempt)
        raise Retry(0.0, "not now", counts=False)
    return "done"


def no_task() -> None:
    pass
