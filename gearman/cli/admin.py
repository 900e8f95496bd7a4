"""Asking a server line by line, whatever it answers."""

from collections import deque
from collections.abc import Iterator
from typing import Any, cast

from ..command_handler import GearmanCommandHandler
from ..connection_manager import GearmanConnectionManager
from ..errors import ConnectionError, GearmanError, ServerUnavailable
from ..protocol import GEARMAN_COMMAND_TEXT_COMMAND
from . import servers


class Refused(GearmanError):
    """The server answers with an error; the text is what it says."""


class _Lines(GearmanCommandHandler):
    """Collects lines."""

    def __init__(self, connection_manager: Any = None) -> None:
        super().__init__(connection_manager)
        self.lines: deque[str] = deque()

    def ask(self, line: str) -> None:
        self.send_command(GEARMAN_COMMAND_TEXT_COMMAND, raw_text=f"{line}\r\n")

    def recv_text_command(self, raw_text: str) -> None:
        self.lines.append(raw_text)


class Admin(GearmanConnectionManager):
    """A conversation in the admin protocol with the first server that is there.

    Its methods raise Refused, and ServerUnavailable if there is no server or no
    line within `patience` seconds.
    """

    command_handler_class = _Lines

    def __init__(
        self, addresses: list[servers.Address], patience: float, **settings: Any
    ) -> None:
        super().__init__(addresses, connect_timeout=patience, **settings)
        self._patience_for_a_line = patience

    def ask(self, line: str) -> str:
        """Return the line that answers a line."""
        answer = next(self._answers(line))
        if answer.startswith("ERR "):
            raise Refused(answer.removeprefix("ERR "))
        return answer

    def ask_list(self, line: str) -> list[str]:
        """Return the lines that answer a line, without the full stop at the end."""
        rows: list[str] = []
        for answer in self._answers(line):
            if answer == ".":
                break
            # No row of the lists with columns begins like this and has no tab.
            if not rows and answer.startswith("ERR ") and "\t" not in answer:
                raise Refused(answer.removeprefix("ERR "))
            rows.append(answer)
        return rows

    def _answers(self, line: str) -> Iterator[str]:
        connection = self._connected()
        handler = cast(_Lines, self.connection_to_handler_map[connection])
        handler.ask(line)
        while True:
            self._await_line(connection, handler)
            yield handler.lines.popleft()

    def _connected(self) -> Any:
        problems: dict[str, BaseException] = {}
        for connection in self.connection_list:
            try:
                return self.establish_connection(connection)
            except ConnectionError as error:
                problems[servers.name(connection.get_address())] = error
        raise servers.unreachable(problems)

    def _await_line(self, connection: Any, handler: _Lines) -> None:
        name = servers.name(connection.get_address())
        if handler.lines:
            return
        try:
            silent = self.poll_connections_until_stopped(
                [connection], lambda _: not handler.lines, self._patience_for_a_line
            )
        except ServerUnavailable as error:
            if handler.lines:
                return
            raise ServerUnavailable(f"{name} has closed the connection") from error
        if silent:
            raise ServerUnavailable(
                f"{name} did not answer within {self._patience_for_a_line:g} seconds"
            )
