"""What a connection wants of its transport, be it asyncio's or the engine's."""

from typing import Any, Protocol


class Transport(Protocol):
    """A socket's two directions. Sizes are in bytes.

    When more than `high` of the limits waits to be sent, the connection is told by
    `fell_behind`, and when no more than `low` does, by `caught_up`.
    """

    def get_extra_info(self, name: str) -> Any: ...

    def set_write_buffer_limits(self, high: int, low: int) -> None: ...

    def get_write_buffer_size(self) -> int: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def write_eof(self) -> None:
        """Send nothing more once everything that waits was sent."""

    def close(self) -> None:
        """Close once everything that waits was sent."""

    def abort(self) -> None:
        """Close now."""

    def let_go(self) -> None:
        """Break the cycle with a lost connection, so that it is freed at once."""
