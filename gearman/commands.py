"""The command table of the binary protocol: one row for each command.

Framing, dispatch, documentation and tests read this table. Numbers, names and
arguments are those of gearmand's PROTOCOL document, with three differences that every
deployed implementation shares:

- SUBMIT_REDUCE_JOB has a fourth argument, the aggregator, which no server reads.
- The first argument of STATUS_RES_UNIQUE is the unique.
- ALL_YOURS is not implemented.

The numbers from 256 on are our own. A server sends them only to a peer that has asked
for the option `extensions`, or over a link to another server of its cluster.
"""

from dataclasses import dataclass
from enum import Flag, IntEnum, auto


class Command(IntEnum):
    """The packet types, with their numbers.

    TEXT stands for a line of the admin protocol; no packet has its number.
    """

    TEXT = 0
    CAN_DO = 1
    CANT_DO = 2
    RESET_ABILITIES = 3
    PRE_SLEEP = 4
    NOOP = 6
    SUBMIT_JOB = 7
    JOB_CREATED = 8
    GRAB_JOB = 9
    NO_JOB = 10
    JOB_ASSIGN = 11
    WORK_STATUS = 12
    WORK_COMPLETE = 13
    WORK_FAIL = 14
    GET_STATUS = 15
    ECHO_REQ = 16
    ECHO_RES = 17
    SUBMIT_JOB_BG = 18
    ERROR = 19
    STATUS_RES = 20
    SUBMIT_JOB_HIGH = 21
    SET_CLIENT_ID = 22
    CAN_DO_TIMEOUT = 23
    ALL_YOURS = 24
    WORK_EXCEPTION = 25
    OPTION_REQ = 26
    OPTION_RES = 27
    WORK_DATA = 28
    WORK_WARNING = 29
    GRAB_JOB_UNIQ = 30
    JOB_ASSIGN_UNIQ = 31
    SUBMIT_JOB_HIGH_BG = 32
    SUBMIT_JOB_LOW = 33
    SUBMIT_JOB_LOW_BG = 34
    SUBMIT_JOB_SCHED = 35
    SUBMIT_JOB_EPOCH = 36
    SUBMIT_REDUCE_JOB = 37
    SUBMIT_REDUCE_JOB_BACKGROUND = 38
    GRAB_JOB_ALL = 39
    JOB_ASSIGN_ALL = 40
    GET_STATUS_UNIQUE = 41
    STATUS_RES_UNIQUE = 42
    SUBMIT_JOB_WITH = 256
    GET_RESULT = 257
    RESULT_RES = 258
    WATCH_JOB = 259
    WORK_RETRY = 260
    WORK_CANCEL = 261
    AUTH_REQ = 262
    AUTH_RES = 263
    GRAB_JOBS = 264
    JOB_TRACE = 265
    LINK_HELLO = 266
    LINK_JOB = 267
    LINK_READY = 268
    LINK_PING = 269
    LINK_PONG = 270
    # The numbers 271 and 272 are kept free.
    LINK_RUNNING = 273
    LINK_RUNS = 274
    # The number 275 is kept free.
    LINK_SETTING = 276
    LINK_TOKENS = 277
    LINK_GRANT = 278
    LINK_LEAVE = 279
    LINK_SUBMIT = 280
    LINK_CREATED = 281
    LINK_REFUSED = 282
    LINK_STARTED = 283
    LINK_ASK = 284
    LINK_TELL = 285
    LINK_BACK = 286
    LINK_ADOPT = 287


class Sender(Flag):
    """Who may send a command; a link is a server that is connected to another one."""

    CLIENT = auto()
    WORKER = auto()
    SERVER = auto()
    LINK = auto()


@dataclass(frozen=True, slots=True)
class Row:
    """One command: its arguments in order, and who may send it.

    Arguments are separated by NUL; the last one ends with the packet and may
    contain NUL. A command without arguments may carry a body, which is ignored.
    """

    command: Command
    arguments: tuple[str, ...]
    senders: Sender


_C, _W, _J, _L = Sender.CLIENT, Sender.WORKER, Sender.SERVER, Sender.LINK
_SUBMIT = ("function", "unique", "workload")
_REDUCE = ("function", "unique", "reducer", "aggregator", "workload")
_SCHED = ("function", "unique", "minute", "hour", "day", "month", "weekday", "workload")
_STATUS = ("known", "running", "numerator", "denominator")

_ROWS = (
    Row(Command.CAN_DO, ("function",), _W),
    Row(Command.CANT_DO, ("function",), _W),
    Row(Command.RESET_ABILITIES, (), _W),
    Row(Command.PRE_SLEEP, (), _W),
    Row(Command.NOOP, (), _J),
    Row(Command.SUBMIT_JOB, _SUBMIT, _C),
    Row(Command.JOB_CREATED, ("handle",), _J),
    Row(Command.GRAB_JOB, (), _W),
    Row(Command.NO_JOB, (), _J),
    Row(Command.JOB_ASSIGN, ("handle", "function", "workload"), _J),
    Row(Command.WORK_STATUS, ("handle", "numerator", "denominator"), _W | _J),
    Row(Command.WORK_COMPLETE, ("handle", "result"), _W | _J),
    Row(Command.WORK_FAIL, ("handle",), _W | _J),
    Row(Command.GET_STATUS, ("handle",), _C),
    Row(Command.ECHO_REQ, ("data",), _C | _W),
    Row(Command.ECHO_RES, ("data",), _J),
    Row(Command.SUBMIT_JOB_BG, _SUBMIT, _C),
    Row(Command.ERROR, ("code", "text"), _J),
    Row(Command.STATUS_RES, ("handle", *_STATUS), _J),
    Row(Command.SUBMIT_JOB_HIGH, _SUBMIT, _C),
    Row(Command.SET_CLIENT_ID, ("client_id",), _W),
    Row(Command.CAN_DO_TIMEOUT, ("function", "timeout"), _W),
    Row(Command.ALL_YOURS, (), _W),
    Row(Command.WORK_EXCEPTION, ("handle", "data"), _W | _J),
    Row(Command.OPTION_REQ, ("option",), _C | _W),
    Row(Command.OPTION_RES, ("option",), _J),
    Row(Command.WORK_DATA, ("handle", "data"), _W | _J),
    Row(Command.WORK_WARNING, ("handle", "data"), _W | _J),
    Row(Command.GRAB_JOB_UNIQ, (), _W),
    Row(Command.JOB_ASSIGN_UNIQ, ("handle", "function", "unique", "workload"), _J),
    Row(Command.SUBMIT_JOB_HIGH_BG, _SUBMIT, _C),
    Row(Command.SUBMIT_JOB_LOW, _SUBMIT, _C),
    Row(Command.SUBMIT_JOB_LOW_BG, _SUBMIT, _C),
    Row(Command.SUBMIT_JOB_SCHED, _SCHED, _C),
    Row(Command.SUBMIT_JOB_EPOCH, ("function", "unique", "epoch", "workload"), _C),
    Row(Command.SUBMIT_REDUCE_JOB, _REDUCE, _C),
    Row(Command.SUBMIT_REDUCE_JOB_BACKGROUND, _REDUCE, _C),
    Row(Command.GRAB_JOB_ALL, (), _W),
    Row(
        Command.JOB_ASSIGN_ALL,
        ("handle", "function", "unique", "reducer", "workload"),
        _J,
    ),
    Row(Command.GET_STATUS_UNIQUE, ("unique",), _C),
    Row(Command.STATUS_RES_UNIQUE, ("unique", *_STATUS, "clients"), _J),
    Row(Command.SUBMIT_JOB_WITH, ("function", "unique", "options", "workload"), _C),
    Row(Command.GET_RESULT, ("handle",), _C),
    Row(Command.RESULT_RES, ("handle", "state", "data"), _J),
    Row(Command.WATCH_JOB, ("handle",), _C),
    Row(Command.WORK_RETRY, ("handle", "seconds", "reason"), _W),
    Row(Command.WORK_CANCEL, ("handle",), _J),
    Row(Command.AUTH_REQ, ("mechanism", "data"), _L),
    Row(Command.AUTH_RES, ("state", "data"), _L),
    Row(Command.GRAB_JOBS, ("function", "count", "ahead"), _L),
    Row(Command.JOB_TRACE, ("handle", "trace"), _J),
    Row(
        Command.LINK_HELLO,
        ("cluster", "id", "epoch", "address", "nonce", "version"),
        _L,
    ),
    Row(
        Command.LINK_JOB,
        ("handle", "function", "unique", "reducer", "fields", "workload"),
        _L,
    ),
    Row(Command.LINK_READY, ("function", "count", "unmet"), _L),
    Row(Command.LINK_PING, ("counter",), _L),
    Row(Command.LINK_PONG, ("counter",), _L),
    Row(Command.LINK_RUNNING, ("shards",), _L),
    Row(Command.LINK_RUNS, ("handles",), _L),
    Row(Command.LINK_SETTING, ("kind", "record"), _L),
    Row(Command.LINK_TOKENS, ("function", "running", "starts"), _L),
    Row(Command.LINK_GRANT, ("function", "running", "starts"), _L),
    Row(Command.LINK_LEAVE, ("handle",), _L),
    Row(
        Command.LINK_SUBMIT,
        ("token", "function", "unique", "fields", "reducer", "options", "workload"),
        _L,
    ),
    Row(Command.LINK_CREATED, ("token", "handle"), _L),
    Row(Command.LINK_REFUSED, ("token", "code", "text"), _L),
    Row(Command.LINK_STARTED, ("handle",), _L),
    Row(Command.LINK_ASK, ("token", "what", "key"), _L),
    Row(Command.LINK_TELL, ("token", "known", "data"), _L),
    Row(Command.LINK_BACK, ("handle", "why"), _L),
    Row(Command.LINK_ADOPT, ("handle",), _L),
)

COMMANDS: dict[int, Row] = {int(row.command): row for row in _ROWS}

# A number below the first one is a packet type, even where no row names it (5). From
# the second up to, but not including, the third one, it is one if it has a row.
STANDARD_LIMIT = Command.STATUS_RES_UNIQUE + 1
FIRST_EXTENSION = int(Command.SUBMIT_JOB_WITH)
COMMAND_LIMIT = max(COMMANDS) + 1

HEADER_SIZE = 12
REQUEST = b"\0REQ"
RESPONSE = b"\0RES"

# For a stream that has requests and responses: what a decoder takes as the magic, and
# adds to the numbers of responses. No packet begins with that magic.
BOTH = REQUEST + RESPONSE
RESPONSES = COMMAND_LIMIT

DEFAULT_PORT = 4730

# Limits in bytes. MAX_UNIQUE is gearmand's, and MAX_FUNCTION follows from the size of
# its receive buffer. gearmand truncates handles and client ids, so no program depends
# on longer ones.
# A header can declare 4 GiB - 1. The server turns a packet or an HTTP request into
# another packet that is longer by a handle or a function name, as JOB_ASSIGN is longer
# than SUBMIT_JOB.
MAX_PACKET = 4 * 1024**3 - 64 * 1024
MAX_LINE = 8191
MAX_FUNCTION = 8180
MAX_UNIQUE = 64
MAX_HANDLE = 64
MAX_CLIENT_ID = 1024
