"""The interface of a connection's transport: asyncio's and the engine's have it."""

from typing import Any, Protocol


class Transport(Protocol):
    """Sends to a socket, and pauses and resumes reading from it. Sizes are in bytes.

    It calls the connection's `fell_behind` when more than `high` bytes wait to be sent,
    and its `caught_up` when no more than `low` bytes wait after that.
    """

    def get_extra_info(self, name: str) -> Any: ...

    def set_write_buffer_limits(self, high: int, low: int) -> None: ...

    def get_write_buffer_size(self) -> int: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def write_eof(self) -> None:
        """Shut down the sending side once all waiting data was sent."""

    def close(self) -> None:
        """Close once all waiting data was sent."""

    def abort(self) -> None:
        """Close now."""

    def break_cycle(self) -> None:
        """Break the reference cycles of a lost connection, so that it is freed."""
