"""The protocol's numbers and arguments under python-gearman's names, and its packets.

All is derived from the command table. The library's connections use `gearman.framing`;
the functions here are for programs that pack and parse packets themselves. In a dict
of parsed arguments, names are str and data is a Payload. Arguments to be packed may be
str or bytes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from struct import Struct
from typing import Any, Final

from . import compat as compat
from .commands import COMMANDS, HEADER_SIZE, REQUEST, RESPONSE, Command
from .constants import PRIORITY_HIGH, PRIORITY_LOW, PRIORITY_NONE
from .errors import ProtocolError
from .framing import encode, encode_request
from .payload import Payload, as_bytes, as_text, excerpt

NULL_CHAR: Final = Payload(b"\0")
MAGIC_RES_STRING: Final = Payload(RESPONSE)
MAGIC_REQ_STRING: Final = Payload(REQUEST)

COMMAND_HEADER_SIZE: Final = HEADER_SIZE

GEARMAN_COMMAND_CAN_DO: Final = int(Command.CAN_DO)
GEARMAN_COMMAND_CANT_DO: Final = int(Command.CANT_DO)
GEARMAN_COMMAND_RESET_ABILITIES: Final = int(Command.RESET_ABILITIES)
GEARMAN_COMMAND_PRE_SLEEP: Final = int(Command.PRE_SLEEP)
GEARMAN_COMMAND_NOOP: Final = int(Command.NOOP)
GEARMAN_COMMAND_SUBMIT_JOB: Final = int(Command.SUBMIT_JOB)
GEARMAN_COMMAND_JOB_CREATED: Final = int(Command.JOB_CREATED)
GEARMAN_COMMAND_GRAB_JOB: Final = int(Command.GRAB_JOB)
GEARMAN_COMMAND_NO_JOB: Final = int(Command.NO_JOB)
GEARMAN_COMMAND_JOB_ASSIGN: Final = int(Command.JOB_ASSIGN)
GEARMAN_COMMAND_WORK_STATUS: Final = int(Command.WORK_STATUS)
GEARMAN_COMMAND_WORK_COMPLETE: Final = int(Command.WORK_COMPLETE)
GEARMAN_COMMAND_WORK_FAIL: Final = int(Command.WORK_FAIL)
GEARMAN_COMMAND_GET_STATUS: Final = int(Command.GET_STATUS)
GEARMAN_COMMAND_ECHO_REQ: Final = int(Command.ECHO_REQ)
GEARMAN_COMMAND_ECHO_RES: Final = int(Command.ECHO_RES)
GEARMAN_COMMAND_SUBMIT_JOB_BG: Final = int(Command.SUBMIT_JOB_BG)
GEARMAN_COMMAND_ERROR: Final = int(Command.ERROR)
GEARMAN_COMMAND_STATUS_RES: Final = int(Command.STATUS_RES)
GEARMAN_COMMAND_SUBMIT_JOB_HIGH: Final = int(Command.SUBMIT_JOB_HIGH)
GEARMAN_COMMAND_SET_CLIENT_ID: Final = int(Command.SET_CLIENT_ID)
GEARMAN_COMMAND_CAN_DO_TIMEOUT: Final = int(Command.CAN_DO_TIMEOUT)
GEARMAN_COMMAND_ALL_YOURS: Final = int(Command.ALL_YOURS)
GEARMAN_COMMAND_WORK_EXCEPTION: Final = int(Command.WORK_EXCEPTION)
GEARMAN_COMMAND_OPTION_REQ: Final = int(Command.OPTION_REQ)
GEARMAN_COMMAND_OPTION_RES: Final = int(Command.OPTION_RES)
GEARMAN_COMMAND_WORK_DATA: Final = int(Command.WORK_DATA)
GEARMAN_COMMAND_WORK_WARNING: Final = int(Command.WORK_WARNING)
GEARMAN_COMMAND_GRAB_JOB_UNIQ: Final = int(Command.GRAB_JOB_UNIQ)
GEARMAN_COMMAND_JOB_ASSIGN_UNIQ: Final = int(Command.JOB_ASSIGN_UNIQ)
GEARMAN_COMMAND_SUBMIT_JOB_HIGH_BG: Final = int(Command.SUBMIT_JOB_HIGH_BG)
GEARMAN_COMMAND_SUBMIT_JOB_LOW: Final = int(Command.SUBMIT_JOB_LOW)
GEARMAN_COMMAND_SUBMIT_JOB_LOW_BG: Final = int(Command.SUBMIT_JOB_LOW_BG)
GEARMAN_COMMAND_SUBMIT_JOB_SCHED: Final = int(Command.SUBMIT_JOB_SCHED)
GEARMAN_COMMAND_SUBMIT_JOB_EPOCH: Final = int(Command.SUBMIT_JOB_EPOCH)
GEARMAN_COMMAND_SUBMIT_REDUCE_JOB: Final = int(Command.SUBMIT_REDUCE_JOB)
GEARMAN_COMMAND_SUBMIT_REDUCE_JOB_BACKGROUND: Final = int(
    Command.SUBMIT_REDUCE_JOB_BACKGROUND
)
GEARMAN_COMMAND_GRAB_JOB_ALL: Final = int(Command.GRAB_JOB_ALL)
GEARMAN_COMMAND_JOB_ASSIGN_ALL: Final = int(Command.JOB_ASSIGN_ALL)
GEARMAN_COMMAND_GET_STATUS_UNIQUE: Final = int(Command.GET_STATUS_UNIQUE)
GEARMAN_COMMAND_STATUS_RES_UNIQUE: Final = int(Command.STATUS_RES_UNIQUE)
GEARMAN_COMMAND_SUBMIT_JOB_WITH: Final = int(Command.SUBMIT_JOB_WITH)
GEARMAN_COMMAND_GET_RESULT: Final = int(Command.GET_RESULT)
GEARMAN_COMMAND_RESULT_RES: Final = int(Command.RESULT_RES)
GEARMAN_COMMAND_WATCH_JOB: Final = int(Command.WATCH_JOB)
GEARMAN_COMMAND_WORK_RETRY: Final = int(Command.WORK_RETRY)
GEARMAN_COMMAND_WORK_CANCEL: Final = int(Command.WORK_CANCEL)
GEARMAN_COMMAND_JOB_TRACE: Final = int(Command.JOB_TRACE)

# A number of our own for a line of the admin protocol.
GEARMAN_COMMAND_TEXT_COMMAND: Final = 9999

GEARMAN_SERVER_COMMAND_STATUS: Final = "status"
GEARMAN_SERVER_COMMAND_VERSION: Final = "version"
GEARMAN_SERVER_COMMAND_WORKERS: Final = "workers"
GEARMAN_SERVER_COMMAND_MAXQUEUE: Final = "maxqueue"
GEARMAN_SERVER_COMMAND_SHUTDOWN: Final = "shutdown"
GEARMAN_SERVER_COMMAND_GETPID: Final = "getpid"
GEARMAN_SERVER_COMMAND_SHOW_JOBS: Final = "show jobs"
GEARMAN_SERVER_COMMAND_SHOW_UNIQUE_JOBS: Final = "show unique jobs"
GEARMAN_SERVER_COMMAND_CANCEL_JOB: Final = "cancel job"
GEARMAN_SERVER_COMMAND_PRIORITYSTATUS: Final = "prioritystatus"
GEARMAN_SERVER_COMMAND_VERBOSE: Final = "verbose"
GEARMAN_SERVER_COMMAND_CREATE_FUNCTION: Final = "create function"
GEARMAN_SERVER_COMMAND_DROP_FUNCTION: Final = "drop function"

_RENAMED = {
    "function": "task",
    "handle": "job_handle",
    "workload": "data",
    "result": "data",
    "code": "error_code",
    "text": "error_text",
    "option": "option_name",
}

GEARMAN_PARAMS_FOR_COMMAND: dict[int, list[str]] = {
    number: [_RENAMED.get(name, name) for name in row.arguments]
    for number, row in COMMANDS.items()
}
GEARMAN_PARAMS_FOR_COMMAND[GEARMAN_COMMAND_TEXT_COMMAND] = ["raw_text"]

GEARMAN_COMMAND_TO_NAME: dict[int, str] = {
    number: f"GEARMAN_COMMAND_{row.command.name}" for number, row in COMMANDS.items()
}
GEARMAN_COMMAND_TO_NAME[GEARMAN_COMMAND_TEXT_COMMAND] = "GEARMAN_COMMAND_TEXT_COMMAND"

SUBMIT_COMMANDS: Final = {
    (False, PRIORITY_NONE): GEARMAN_COMMAND_SUBMIT_JOB,
    (False, PRIORITY_LOW): GEARMAN_COMMAND_SUBMIT_JOB_LOW,
    (False, PRIORITY_HIGH): GEARMAN_COMMAND_SUBMIT_JOB_HIGH,
    (True, PRIORITY_NONE): GEARMAN_COMMAND_SUBMIT_JOB_BG,
    (True, PRIORITY_LOW): GEARMAN_COMMAND_SUBMIT_JOB_LOW_BG,
    (True, PRIORITY_HIGH): GEARMAN_COMMAND_SUBMIT_JOB_HIGH_BG,
}
_HEADER = Struct(">4sII")


def _handle(value: bytes) -> str:
    return as_text(value.rstrip(b"\0"))


# The arguments of a command that was received, by their names; only "data" is no text.
Received = dict[str, str | Payload]
# The arguments of a command to be sent, by their names.
Sendable = Mapping[str, str | bytes]

Convert = Callable[[bytes], str | Payload]

_ARGUMENTS: dict[int, list[tuple[str, Convert]]] = {
    number: [(name, Payload if name == "data" else bytes.decode) for name in names]
    for number, names in GEARMAN_PARAMS_FOR_COMMAND.items()
}
# Where a name is no UTF-8.
_TOLERANT: dict[Convert, Convert] = {bytes.decode: as_text}

# gearmand ends the handle with a NUL when this stands for an exception.
_ARGUMENTS[GEARMAN_COMMAND_WORK_FAIL] = [("job_handle", _handle)]
_ARGUMENTS[Command.TEXT] = _ARGUMENTS.pop(GEARMAN_COMMAND_TEXT_COMMAND)


def get_command_name(cmd_type: int) -> str | int:
    """Return the name of a command, or the number itself if it is unknown."""
    return GEARMAN_COMMAND_TO_NAME.get(cmd_type, cmd_type)


def submit_cmd_for_background_priority(background: bool, priority: str | None) -> int:
    """Return the number of the command that submits such a job.

    `priority` is one of PRIORITY_NONE, PRIORITY_LOW and PRIORITY_HIGH. Raises KeyError
    for others.
    """
    return SUBMIT_COMMANDS[background, priority]


def name_arguments(number: int, arguments: tuple[bytes, ...]) -> tuple[int, Received]:
    """Return the command and the named arguments of a packet of `gearman.framing`.

    Raises ProtocolError (fatal) if the number is unknown.
    """
    converters = _ARGUMENTS.get(number)
    if converters is None:
        raise ProtocolError(f"Received unknown binary command: {number}", fatal=True)
    try:
        if len(arguments) == 2:
            (name, convert), (other, convert_other) = converters
            named = {name: convert(arguments[0]), other: convert_other(arguments[1])}
        else:
            named = {
                name: convert(value)
                for (name, convert), value in zip(converters, arguments, strict=True)
            }
    except UnicodeDecodeError:
        named = {
            name: _TOLERANT.get(convert, convert)(value)
            for (name, convert), value in zip(converters, arguments, strict=True)
        }
    return number or GEARMAN_COMMAND_TEXT_COMMAND, named


def parse_binary_command(
    in_buffer: str | bytes, is_response: bool = True
) -> tuple[int | None, Received | None, int]:
    """Return the first packet of a buffer: (command, arguments, its size in bytes).

    Returns (None, None, 0) if the packet is incomplete. `is_response` says whether the
    packet comes from a server. Raises ProtocolError for another magic, an unknown
    command, or a wrong number of arguments.
    """
    data = as_bytes(in_buffer)
    if len(data) < HEADER_SIZE:
        return None, None, 0
    magic, number, length = _HEADER.unpack_from(data)
    if magic != (RESPONSE if is_response else REQUEST):
        raise ProtocolError(f"Malformed Magic: {excerpt(magic)}")
    if number not in COMMANDS:
        raise ProtocolError(f"Received unknown binary command: {number}")
    end = HEADER_SIZE + length
    if len(data) < end:
        return None, None, 0
    arguments = _split(number, data[HEADER_SIZE:end])
    return *name_arguments(number, arguments), end


def _split(number: int, body: bytes) -> tuple[bytes, ...]:
    expected = len(COMMANDS[number].arguments)
    name = get_command_name(number)
    if not expected:
        if body:
            raise ProtocolError(f"Expected no binary payload: {name}")
        return ()
    arguments = tuple(body.split(b"\0", expected - 1))
    if len(arguments) != expected:
        raise ProtocolError(
            f"Received {len(arguments)} argument(s), expecting {expected} "
            f"argument(s): {name}"
        )
    return arguments


def pack_binary_command(
    cmd_type: int, cmd_args: Sendable, is_response: bool = False
) -> Payload:
    """Return the packet of a command as a Payload; raises what `pack` raises."""
    return Payload(pack(cmd_type, cmd_args, is_response))


def pack(cmd_type: int, cmd_args: Sendable, is_response: bool = False) -> bytes:
    """Return the packet of a command as plain bytes.

    `cmd_args` has exactly the names of GEARMAN_PARAMS_FOR_COMMAND; values are str or
    bytes. `is_response` says whether a server sends the packet. Raises ProtocolError
    for an unknown command, for arguments that are missing, superfluous or of another
    type, for NUL in any but the last, and for a body of 4 GiB or more.
    """
    if cmd_type not in COMMANDS:
        name = get_command_name(cmd_type)
        raise ProtocolError(f"Received unknown binary command: {name}")
    names = GEARMAN_PARAMS_FOR_COMMAND[cmd_type]
    if len(names) != len(cmd_args) or not all(map(cmd_args.__contains__, names)):
        raise ProtocolError(
            f"Received arguments did not match expected arguments: "
            f"{sorted(names)} != {sorted(cmd_args)}"
        )
    try:
        values = [as_bytes(cmd_args[name]) for name in names]
    except TypeError:
        raise ProtocolError(
            f"Received non-binary arguments: {excerpt(cmd_args)}"
        ) from None
    for value in values[:-1]:
        if 0 in value:
            raise ProtocolError(
                f"Received an argument that contains NUL: {excerpt(cmd_args)}"
            )
    return encode(cmd_type, values, RESPONSE if is_response else REQUEST)


def pack_request(cmd_type: int, values: Sequence[object]) -> bytes:
    """Return the packet of a request whose arguments are in their order.

    Raises what `pack` raises.
    """
    packet = encode_request(cmd_type, values)
    if packet is not None:
        return packet
    try:
        packed = [as_bytes(value) for value in values]
    except (TypeError, UnicodeEncodeError):
        return pack(cmd_type, by_name(cmd_type, values))
    for encoded in packed[:-1]:
        if 0 in encoded:
            # It says what is wrong.
            return pack(cmd_type, by_name(cmd_type, values))
    return encode(cmd_type, packed, REQUEST)


def by_name(cmd_type: int, values: Iterable[object]) -> dict[str, Any]:
    """Return the arguments of a command by name."""
    return dict(zip(GEARMAN_PARAMS_FOR_COMMAND[cmd_type], values, strict=True))


def parse_text_command(
    in_buffer: str | bytes,
) -> tuple[int | None, Received | None, int]:
    """Return the first line: (command, {'raw_text': line}, its size in bytes).

    The line is without its end, but its end is counted. Returns (None, None, 0) if the
    line is incomplete. Raises ProtocolError if the line contains NUL.
    """
    line, end, _ = as_bytes(in_buffer).partition(b"\n")
    if not end:
        return None, None, 0
    if b"\0" in line:
        raise ProtocolError(f"Received unexpected character: {excerpt(line)}")
    text = as_text(line.removesuffix(b"\r"))
    return GEARMAN_COMMAND_TEXT_COMMAND, {"raw_text": text}, len(line) + 1


def pack_text_command(cmd_type: int, cmd_args: Sendable) -> Payload:
    """Return `cmd_args['raw_text']` as it is, which should end with a line end.

    Raises ProtocolError for another command, and if there is no text.
    """
    if cmd_type != GEARMAN_COMMAND_TEXT_COMMAND:
        name = get_command_name(cmd_type)
        raise ProtocolError(f"Expected GEARMAN_COMMAND_TEXT_COMMAND, received {name}")
    line = cmd_args.get("raw_text")
    if line is None:
        raise ProtocolError(f"Did not receive any valid arguments: {excerpt(cmd_args)}")
    return Payload(as_bytes(line))
