"""The compiled I/O engine, if it was built."""

from typing import Any, Final

from ..compiled import ENGINE, compiled

_module: Any = compiled(ENGINE)

Engine: Final[Any] = _module and _module.Engine
