"""Sending admin lines to a server, and reading its answers."""

from collections import deque
from collections.abc import Iterator
from typing import Any, cast

from ..command_handler import GearmanCommandHandler
from ..connection_manager import GearmanConnectionManager
from ..errors import ConnectionError, GearmanError, ServerUnavailable
from ..protocol import GEARMAN_COMMAND_TEXT_COMMAND
from . import servers


class Refused(GearmanError):
    """The server has answered with an error, whose text this is."""


class _Lines(GearmanCommandHandler):
    """Collects the lines of answers."""

    def __init__(self, connection_manager: Any = None) -> None:
        super().__init__(connection_manager)
        self.lines: deque[str] = deque()

    def ask(self, line: str) -> None:
        self.send_command(GEARMAN_COMMAND_TEXT_COMMAND, raw_text=f"{line}\r\n")

    def recv_text_command(self, raw_text: str) -> None:
        self.lines.append(raw_text)


class Admin(GearmanConnectionManager):
    """An admin connection to the first server that can be reached.

    The methods raise Refused for an error answer, and ServerUnavailable if no server
    can be reached, or no line arrives within `timeout` seconds.
    """

    command_handler_class = _Lines

    def __init__(
        self, addresses: list[servers.Address], timeout: float, **settings: Any
    ) -> None:
        super().__init__(addresses, connect_timeout=timeout, **settings)
        self._timeout = timeout

    def ask(self, line: str) -> str:
        """Send a line, and return the answer, which is one line."""
        answer = next(self._answers(line))
        if answer.startswith("ERR "):
            raise Refused(answer.removeprefix("ERR "))
        return answer

    def ask_list(self, line: str) -> list[str]:
        """Send a line, and return the list that answers it, without its final `.`."""
        rows: list[str] = []
        for answer in self._answers(line):
            if answer == ".":
                break
            # A row of a list that begins like this has a tab.
            if not rows and answer.startswith("ERR ") and "\t" not in answer:
                raise Refused(answer.removeprefix("ERR "))
            rows.append(answer)
        return rows

    def follow(self, line: str) -> Iterator[str]:
        """Send a line, and yield lines as they come, until the connection ends."""
        for number, answer in enumerate(self._answers(line, endless=True)):
            if not number and answer.startswith("ERR "):
                raise Refused(answer.removeprefix("ERR "))
            yield answer

    def _answers(self, line: str, *, endless: bool = False) -> Iterator[str]:
        connection = self._connected()
        handler = cast(_Lines, self.connection_to_handler_map[connection])
        handler.ask(line)
        timeout: float | None = self._timeout
        while True:
            self._await_line(connection, handler, timeout)
            yield handler.lines.popleft()
            if endless:
                timeout = None

    def _connected(self) -> Any:
        problems: dict[str, BaseException] = {}
        for connection in self.connection_list:
            try:
                return self.establish_connection(connection)
            except ConnectionError as error:
                problems[servers.name(connection.get_address())] = error
        raise servers.unreachable(problems)

    def _await_line(
        self, connection: Any, handler: _Lines, timeout: float | None
    ) -> None:
        name = servers.name(connection.get_address())
        if handler.lines:
            return
        try:
            silent = self.poll_connections_until_stopped(
                [connection], lambda _: not handler.lines, timeout
            )
        except ServerUnavailable as error:
            if handler.lines:
                return
            raise ServerUnavailable(f"{name} has closed the connection") from error
        if silent:
            raise ServerUnavailable(f"{name} did not answer within {timeout:g} seconds")
