"""Packets as text for the log."""

from ...commands import COMMANDS, RESPONSES
from ...errors import ProtocolError
from ...framing import Packet
from ...text import shown

# Arguments that the log does not show: they are data of clients and workers.
_OPAQUE = {"workload", "result", "data"}


def describe(packet: Packet) -> str:
    """Return a packet as text for the log: its names, but no workload or result."""
    number, arguments = packet
    if isinstance(arguments, ProtocolError):
        return f"an invalid packet: {arguments}"
    row = COMMANDS.get(number % RESPONSES)
    if row is None:
        words = [f"command {number}" if number else "TEXT"]
        fields = tuple("line" for _ in arguments)
    else:
        words, fields = [row.command.name], row.arguments
    for field, argument in zip(fields, arguments, strict=True):
        if field in _OPAQUE:
            words.append(f"({len(argument)} bytes)")
        else:
            words.append(shown(argument))
    return " ".join(words)
