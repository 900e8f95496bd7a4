"""The admin client's side of a connection: lines out, and their answers to who asked.

The handler of the blocking admin client joins the lines of an answer.
"""

import asyncio
from collections import deque
from typing import Any

from ..admin_client_handler import GearmanAdminClientCommandHandler
from ..command_handler import GearmanCommandHandler
from ..encoders import NoopEncoder
from ..errors import ProtocolError
from ..framing import Packet
from ..protocol import (
    GEARMAN_COMMAND_TEXT_COMMAND,
    Sendable,
    name_arguments,
    pack,
    pack_text_command,
)
from .link import Link, arguments_of, fail, logger, tell
from .servers import Server


class AdminLink(Link):
    """Asks one server; any number of questions may be open at a time."""

    data_encoder = NoopEncoder

    def __init__(self, server: "Server[AdminLink]") -> None:
        super().__init__(server.name, server.opening.max_packet, self._fail_all)
        self._handler = GearmanAdminClientCommandHandler(self)
        # Who waits for the answers, in their order.
        self._waiting: deque[asyncio.Future[Any]] = deque()

    def ask(self, line: str) -> asyncio.Future[Any]:
        """Send an admin command; raises ProtocolError if it is not known."""
        self._handler.send_text_command(line)
        return self._expect()

    def echo(self, text: str) -> asyncio.Future[Any]:
        """Have the server send a text back."""
        self._handler.send_echo_request(text)
        return self._expect()

    def _expect(self) -> asyncio.Future[Any]:
        future = self.loop.create_future()
        self._waiting.append(future)
        return future

    def _fail_all(self) -> None:
        for future in self._waiting:
            fail(future, self.error())

    def act(self, packets: list[Packet]) -> None:
        for packet in packets:
            number, arguments = name_arguments(packet[0], arguments_of(packet))
            try:
                self._handler.recv_command(number, **arguments)
            except ProtocolError as error:
                fail(self._waiting.popleft(), error)
                raise
            if self._handler.response_ready:
                answer = self._handler.pop_response().answer
                future = self._waiting.popleft()
                if isinstance(answer, ProtocolError):
                    fail(future, answer)
                else:
                    tell(future, answer)

    # What the handler needs of its manager.

    def send_command(
        self, command_handler: GearmanCommandHandler, cmd_type: int, cmd_args: Sendable
    ) -> None:
        """Send a command."""
        text = cmd_type == GEARMAN_COMMAND_TEXT_COMMAND
        self.send((pack_text_command if text else pack)(cmd_type, cmd_args))

    def on_gearman_error(self, error_code: str, error_text: str) -> bool:
        """Log an ERROR packet."""
        logger.warning("the server %s says: %s: %s", self.name, error_code, error_text)
        return True
