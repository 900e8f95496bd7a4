"""What a task is: a function, its name on the server, and the options of its jobs."""

import copy
from collections.abc import Callable, Mapping
from functools import cached_property, update_wrapper
from typing import Any, Self, Unpack, cast

from .options import Steering, TaskOptions, steering
from .wire.serializers import Name, Serializer, serializer
from .wire.signatures import checker, signature_of


class Definition:
    """What workers and submitters know of a task."""

    is_async = False

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        serializer: Name | None,
        options: Mapping[str, Any],
    ) -> None:
        # The names, the docstring and the annotations of the function.
        update_wrapper(cast(Callable[..., Any], self), function)
        self.__name__: str = getattr(function, "__name__", name)
        self.function = function
        self.name = name
        self.options = dict(options)
        self._serializer_name = serializer
        self._steering = steering(options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function here."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def timeout(self) -> float | None:
        """Seconds that an attempt may take; workers announce it."""
        options = self._steering.options
        return None if options is None else options.timeout

    @property
    def steering(self) -> Steering:
        """The options of the jobs, as the client takes them."""
        return self._steering

    @cached_property
    def serializer(self) -> Serializer:
        """Makes bytes of arguments and results."""
        return serializer(self._serializer_name, signature_of(self.function))

    @cached_property
    def _check(self) -> Callable[..., None]:
        return checker(self.__name__, signature_of(self.function))

    def with_options(self, **options: Unpack[TaskOptions]) -> Self:
        """Return this task with other options for the jobs that it submits.

        Options that are not named stay; None forgets one.
        """
        other = copy.copy(self)
        other.options = {**self.options, **options}
        other._steering = steering(other.options)
        return other

    def packed(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """Return arguments as bytes. Raises TypeError if they do not fit."""
        self._check(*args, **kwargs)
        return self.serializer.dump_arguments(args, kwargs)
