"""What all handlers of a connection have in common.

A handler holds the state of one connection and decides what a received command
means; it does no I/O. It sends through its connection manager, which also tells it
when there are commands to fetch.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final, Protocol

from .encoders import Encoder
from .errors import UnknownCommandError
from .payload import Payload, excerpt
from .protocol import GEARMAN_COMMAND_TO_NAME, get_command_name

gearman_logger = logging.getLogger(__name__)

_PREFIX = "GEARMAN_COMMAND_"
CALLBACKS: Final[Mapping[int, str]] = {
    number: "recv_" + name.removeprefix(_PREFIX).lower()
    for number, name in GEARMAN_COMMAND_TO_NAME.items()
}


class Manager(Protocol):
    """What a handler asks of its connection manager."""

    @property
    def data_encoder(self) -> Encoder:
        """What turns objects into payloads and back."""

    def read_command(
        self, command_handler: "GearmanCommandHandler"
    ) -> tuple[int, dict[str, Any]] | None:
        """Return the next command for a handler, or None."""

    def send_command(
        self,
        command_handler: "GearmanCommandHandler",
        cmd_type: int,
        cmd_args: dict[str, Any],
    ) -> object:
        """Queue a command on the handler's connection."""

    def on_gearman_error(self, error_code: str, error_text: str) -> bool:
        """Take note of what a server complains about."""

    def current_time(self) -> float:
        """Return the seconds since the epoch."""


class GearmanCommandHandler:
    """Calls `recv_...` for each command that arrives; derive from it to add them.

    The methods get the arguments under the names in
    `gearman.protocol.GEARMAN_PARAMS_FOR_COMMAND`.
    """

    connection_manager: Manager

    def __init__(self, connection_manager: Any = None) -> None:
        self.connection_manager = connection_manager

    def initial_state(self, *largs: Any, **kwargs: Any) -> None:
        """Send what opens a conversation; called when the connection is up."""

    def on_io_error(self) -> None:
        """Take note that the connection is lost."""

    def expects_answer(self) -> bool:
        """Whether the server owes an answer that it can give at once."""
        return False

    def decode_data(self, data: Payload) -> Any:
        """Turn a received payload into an object."""
        return self.connection_manager.data_encoder.decode(data)

    def encode_data(self, data: Any) -> str | bytes:
        """Turn an object into a payload."""
        return self.connection_manager.data_encoder.encode(data)

    def fetch_commands(self) -> None:
        """Handle all commands that have arrived.

        What the callbacks return does not matter: a command left in the queue would
        stay there until the next one arrives.
        """
        while True:
            command = self.connection_manager.read_command(self)
            if command is None:
                return
            cmd_type, cmd_args = command
            self.recv_command(cmd_type, **cmd_args)

    def send_command(self, cmd_type: int, **cmd_args: Any) -> None:
        """Queue a command."""
        self.connection_manager.send_command(self, cmd_type, cmd_args)

    def recv_command(self, cmd_type: int, **cmd_args: Any) -> Any:
        """Call the method for a command and return what it returns.

        Raises ValueError for a number that stands for nothing, and
        UnknownCommandError where there is no method.
        """
        name = CALLBACKS.get(cmd_type)
        if name is None:
            raise ValueError(
                f"Could not handle command: {cmd_type!r} - {excerpt(cmd_args)}"
            )
        callback = getattr(self, name, None)
        if callback is None:
            text = f"Could not handle command: {get_command_name(cmd_type)!r}"
            gearman_logger.error("%s - %s", text, excerpt(cmd_args))
            raise UnknownCommandError(f"{text} - {excerpt(cmd_args)}")
        return callback(**cmd_args)

    def recv_error(self, error_code: str, error_text: str) -> bool:
        """Tell the connection manager what the server complains about."""
        return self.connection_manager.on_gearman_error(error_code, error_text)

    def recv_option_res(self, option_name: str) -> bool:
        """Take note that an option is in force."""
        return True
