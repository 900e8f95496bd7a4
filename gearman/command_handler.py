"""The base class of the handlers of connections.

A handler holds the state of one connection, and decides what to do with a received
command. It does no I/O: its connection manager sends for it, and calls it when there
are commands to fetch.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final, Protocol

from .encoders import Encoder
from .errors import UnknownCommandError
from .payload import Payload, excerpt
from .protocol import GEARMAN_COMMAND_TO_NAME, Received, Sendable, get_command_name

gearman_logger = logging.getLogger(__name__)

_PREFIX = "GEARMAN_COMMAND_"
CALLBACKS: Final[Mapping[int, str]] = {
    number: "recv_" + name.removeprefix(_PREFIX).lower()
    for number, name in GEARMAN_COMMAND_TO_NAME.items()
}


class Manager(Protocol):
    """What a handler needs from its connection manager."""

    @property
    def data_encoder(self) -> Encoder:
        """Encodes objects into payloads, and decodes payloads."""

    def read_command(
        self, command_handler: "GearmanCommandHandler"
    ) -> tuple[int, Received] | None:
        """Return the next command for a handler, or None."""

    def send_command(
        self,
        command_handler: "GearmanCommandHandler",
        cmd_type: int,
        cmd_args: Sendable,
    ) -> object:
        """Queue a command on the handler's connection."""

    def on_gearman_error(self, error_code: str, error_text: str) -> bool:
        """Handle an ERROR packet of a server."""

    def current_time(self) -> float:
        """Return the seconds since the epoch."""


class GearmanCommandHandler:
    """Calls `recv_...` for each command that arrives; subclasses add these methods.

    The methods get keyword arguments, whose names are in
    `gearman.protocol.GEARMAN_PARAMS_FOR_COMMAND`.
    """

    connection_manager: Manager

    def __init__(self, connection_manager: Any = None) -> None:
        self.connection_manager = connection_manager

    def initial_state(self, *largs: Any, **kwargs: Any) -> None:
        """Send the first packets of a connection; called when it has been opened."""

    def on_io_error(self) -> None:
        """Called when the connection is lost."""

    def expects_answer(self) -> bool:
        """Whether the server has not answered a request that it can answer at once."""
        return False

    def decode_data(self, data: Payload) -> Any:
        """Decode a received payload; raises what the encoder raises."""
        return self.connection_manager.data_encoder.decode(data)

    def encode_data(self, data: Any) -> str | bytes:
        """Encode an object as a payload; raises what the encoder raises."""
        return self.connection_manager.data_encoder.encode(data)

    def fetch_commands(self) -> None:
        """Handle all commands that have arrived.

        The values that the callbacks return are not used. python-gearman 2.0.2 stopped
        at False, and left commands in the queue until the next one arrived.
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

        Raises ValueError for a number that is no command, and UnknownCommandError if
        the handler has no method for the command.
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
        """Pass an ERROR packet on to the connection manager."""
        return self.connection_manager.on_gearman_error(error_code, error_text)

    def recv_option_res(self, option_name: str) -> bool:
        """Called when the server has switched an option on."""
        return True
