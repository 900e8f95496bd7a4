"""Valid or almost valid requests: packets, admin lines, HTTP, memcached."""

from random import Random

from gearman.commands import COMMANDS
from tests.fuzz.mutate import pick
from tests.fuzz.script import ASSIGNED, CREATED
from tests.wire import NUMBERS, packet

FUNCTIONS = [
    *(b"f", b"f", b"f", b"g", b"g", b"f\tg\n", b"", b"F" * 70, b"\xff\x1b["),
    *(b"F" * 8180, b"F" * 8181),
]
UNIQUES = [
    *(b"", b"", b"", b"u", b"u", b"v", b"-", b"u" * 64, b"u" * 65, b"\nu\t1"),
]
HANDLES = [
    *([ASSIGNED] * 12 + [CREATED] * 6),
    *(b"H:1", b"", b"H:", b"nope", b"H:1000001 ", b"h:1000001", b"H:" + b"9" * 19),
    *(b"H:" + b"9" * 62, b"H" * 65),
]
WORKLOADS = [
    *(b"", b"w", b"w", b"work", b"a\0b", b"\0" * 3, b"0", b"\0REQ\0\0\0\7\0\0\0\0"),
    *(b"x" * 300, b"x" * 5000, b"x" * 19_900),
]
INTEGERS = [
    *(b"0", b"1", b"2", b"50", b"100", b"-1", b"+7", b" 5 ", b"1.5", b"", b"x"),
    *(b"4294967295", b"4294967296", b"9223372036854775807", b"9223372036854775808"),
    *(b"-9223372036854775808", b"1" * 30, b"1\0", b"1e3", b"0x10"),
]
TIMES = [*INTEGERS, b"1700000001", b"1700000005", b"1700000050", b"1699999999"]
OPTIONS = [
    *(
        b"",
        b"background=1",
        b"background=1",
        b"retries=1&backoff=fixed:0",
        b"x=1",
        b"&",
    ),
    *(b"retries=2&backoff=fixed:100&background=1", b"delay=5", b"delay=1&ttl=1"),
    *(b"ttl=1&background=1", b"timeout=1&retries=1", b"keep=50&background=1"),
    *(b"dead=list&background=1", b"dead=function:g&background=1", b"priority=high"),
    *(b"dead=list&ttl=1.5&background=1&keep=9", b"after=" + CREATED, b"need-worker=1"),
    *(b"after=" + CREATED + b"," + ASSIGNED + b"&background=1", b"at=1700000005"),
    *(b"priority=low&background=0", b"dead=function:%66&keep=1&background=1", b"ttl"),
    b"trace=00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01",
]
SECONDS = [b"0", b"0", b"0+", b"0.5", b"5+", b"100", b"-1", b"", b"x", b"9" * 12]
CALENDAR = [b"", b"*", b"0", b"1", b"6", b"12", b"29", b"31", b"60", b"-1", b"1,2"]
CLIENT_IDS = [b"me", b"", b"a b", b"a\nb\t.", b"i" * 1024, b"i" * 1025, b"\xff\0x"]
ARGUMENTS = {
    "function": FUNCTIONS,
    "reducer": FUNCTIONS,
    "unique": UNIQUES,
    "handle": HANDLES,
    "numerator": INTEGERS,
    "denominator": INTEGERS,
    "timeout": [b"0", b"1", b"500", b"1500", b"5000", *INTEGERS],
    "epoch": TIMES,
    **dict.fromkeys(("minute", "hour", "day", "month", "weekday"), CALENDAR),
    "client_id": CLIENT_IDS,
    "options": OPTIONS,
    "seconds": SECONDS,
    "option": [
        b"extensions",
        b"traces",
        b"exceptions",
        b"EXCEPTIONS",
        b"exceptions\0",
        b"other",
        b"",
    ],
}

# Requests that get jobs done; they are more frequent than the others.
_MOVES = """
    SUBMIT_JOB SUBMIT_JOB SUBMIT_JOB SUBMIT_JOB_BG SUBMIT_JOB_BG SUBMIT_JOB_HIGH
    SUBMIT_JOB_LOW_BG SUBMIT_JOB_EPOCH CAN_DO CAN_DO CAN_DO CAN_DO_TIMEOUT GRAB_JOB
    GRAB_JOB GRAB_JOB GRAB_JOB GRAB_JOB_UNIQ GRAB_JOB_ALL PRE_SLEEP PRE_SLEEP
    WORK_COMPLETE WORK_COMPLETE WORK_COMPLETE WORK_DATA WORK_STATUS WORK_WARNING
    WORK_FAIL WORK_EXCEPTION GET_STATUS ECHO_REQ OPTION_REQ SUBMIT_JOB_WITH
    SUBMIT_JOB_WITH SUBMIT_JOB_WITH SUBMIT_JOB_WITH WORK_RETRY GET_RESULT WATCH_JOB
"""
MOVES = _MOVES.split()
ALL = [name for name in NUMBERS if name != "TEXT"]

LINES = [
    *(b"status\n", b"prioritystatus\n", b"workers\r\n", b"show jobs\n", b"version\n"),
    *(b"show unique jobs\n", b"getpid\n", b"verbose\r\n", b"shutdown graceful\n"),
    *(b"create function f\n", b"drop function f\n", b"drop function g\n"),
    *(b"maxqueue f 2\n", b"maxqueue f 1 2 3\n", b"maxqueue f\n", b"maxqueue g x\n"),
    *(b"cancel job " + CREATED + b"\n", b"cancel job " + ASSIGNED + b"\r\n"),
    *(b"\n", b"\r\n", b"\r\r\n", b"show\n", b"nonsense\n", b"STATUS\n", b" status\n"),
    *(b"create function " + b"c" * 8170 + b"\n", b"s" * 8191 + b"\n", b"s" * 8192),
    *(b"set function f dead=list\n", b"set function f retries=1&backoff=fixed:2\n"),
    *(b"set function g max-running=1&keep=9\n", b"set function f x=1\n", b"set f\n"),
    *(b"unset function f\n", b"pause function g\n", b"resume function g\n"),
    *(b"show policies\n", b"show dead\n", b"list jobs\n", b"list jobs limit=2\n"),
    *(b"list jobs state=dead\n", b"list jobs function=f&after=" + CREATED + b"\n"),
    *(b"show job " + CREATED + b"\n", b"show job " + ASSIGNED + b"\n"),
    *(b"retry job " + ASSIGNED + b"\n", b"forget job " + CREATED + b"\n"),
    *(b"retry function f\n", b"forget function f\n", b"purge function f\n"),
    *(b"show schedules\n", b"run schedule s\n", b"pause schedule s\n"),
    *(b"resume schedule s\n", b"run schedule x\n", b"pause schedule \xff\n"),
    *(b"set schedule t cron=@daily&function=f&owner=o\n", b"unset schedule t\n"),
    *(b"set schedule s cron=@daily&function=f\n", b"set schedule u cron=x\n"),
    *(b"1 2 3 4 5 6\n", b"GET / HTTP/1.1\r\n", b"\xff\xfe\n", b"cancel job\n"),
]

METHODS = [b"GET", b"POST", b"POST", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE"]
TARGETS = [
    *(b"/f", b"/f", b"/f", b"/g", b"/functions/f", b"/functions/%66", b"/", b"*"),
    *(b"/jobs/" + CREATED, b"/jobs/" + CREATED, b"/healthz", b"/readyz", b"/jobs/"),
    *(b"/jobs/" + CREATED + b"/result", b"/jobs/" + CREATED + b"/result?wait=2"),
    *(b"/%00", b"/f%", b"http://h/f?q", b"//f", b"/" + b"F" * 8181, b"f", b"/f?a=b"),
]
HEADERS = [
    *(b"X-Gearman-Background: true", b"X-Gearman-Background: true"),
    *(b"X-Gearman-Unique: u", b"X-Gearman-Unique: " + b"u" * 65),
    *(b"X-Gearman-Priority: high", b"X-Gearman-Priority: low", b"X-Gearman-Priority:"),
    *(b"X-Gearman-Timeout: 2", b"X-Gearman-Timeout: 0", b"X-Gearman-Timeout: -1"),
    *(b"X-Gearman-Options: keep=5&retries=1", b"X-Gearman-Options: x"),
    *(b"X-Gearman-Options: background=1&delay=1", b"X-Gearman-Options: after=H:1"),
    *(b"Connection: close", b"Connection: keep-alive", b"Expect: 100-continue"),
    *(b"Expect: more", b"Content-Length: 5", b"Content-Length: 5, 5", b"Upgrade: h2c"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Host: other"),
    *(b"Content-Length: 99999999999999999999", b"Content-Length: -1", b"X\0: 1"),
    *(b"X: \xff", b" folded: 1", b"NoColon", b"X-Long: " + b"x" * 33_000),
]
VERSIONS = [b"HTTP/1.1"] * 12 + [b"HTTP/1.0", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9"]
ENDS = [b"\r\n"] * 30 + [b"\n"]

KEYS = [*FUNCTIONS, CREATED, CREATED, b"f g"]
COMMANDS_WITH_KEYS = [b"get", b"gets", b"delete", b"incr", b"touch"]
SETS = [b"set"] * 8 + [b"add", b"replace", b"append", b"cas", b"ms"]
SHORT = [
    *(b"stats\r\n", b"version\r\n", b"quit\r\n", b"\r\n", b"verbosity 1\r\n"),
    *(b"\x80", b"get\r\n", b"delete\r\n"),
]


# Requests that a working worker sends together.
WORK = [
    packet("CAN_DO", b"f") + packet("PRE_SLEEP"),
    packet("CAN_DO", b"f") + packet("GRAB_JOB"),
    packet("CAN_DO_TIMEOUT", b"f", b"1000") + packet("GRAB_JOB_ALL"),
    packet("WORK_DATA", ASSIGNED, b"d") + packet("WORK_DATA", ASSIGNED, b"\0"),
    packet("WORK_COMPLETE", ASSIGNED, b"r") + packet("GRAB_JOB_UNIQ"),
    packet("WORK_EXCEPTION", ASSIGNED, b"e") + packet("WORK_FAIL", ASSIGNED),
    packet("WORK_FAIL", ASSIGNED) + packet("GRAB_JOB"),
    packet("WORK_RETRY", ASSIGNED, b"0+", b"again") + packet("GRAB_JOB"),
    packet("OPTION_REQ", b"extensions") + packet("CAN_DO", b"g") + packet("GRAB_JOB"),
    packet("OPTION_REQ", b"traces") + packet("CAN_DO", b"f") + packet("GRAB_JOB_UNIQ"),
]


def gear(rng: Random) -> bytes:
    how = rng.random()
    if how < 0.2:
        return pick(rng, WORK)
    return command(rng, pick(rng, MOVES if how < 0.9 else ALL))


def command(rng: Random, name: str) -> bytes:
    row = COMMANDS.get(NUMBERS[name])
    arguments = row.arguments if row else ()
    return packet(name, *[pick(rng, ARGUMENTS.get(it, WORKLOADS)) for it in arguments])


def line(rng: Random) -> bytes:
    return pick(rng, LINES)


def http(rng: Random) -> bytes:
    end = pick(rng, ENDS)
    method = pick(rng, METHODS)
    lines = [b" ".join((method, pick(rng, TARGETS), pick(rng, VERSIONS))), b"Host: h"]
    while rng.random() < 0.4:
        lines.append(pick(rng, HEADERS))
    body = b""
    if method in (b"POST", b"PUT"):
        body = pick(rng, WORKLOADS)
        if rng.random() < 0.3:
            lines.append(b"Transfer-Encoding: chunked")
            body = chunked(rng, body)
        else:
            lines.append(b"Content-Length: %d" % len(body))
    return end.join([*lines, b"", b""]) + body


def chunked(rng: Random, body: bytes) -> bytes:
    middle = int(rng.random() * len(body))
    parts = [
        b"%x%b\r\n%b\r\n" % (len(part), pick(rng, [b"", b"", b";e=f"]), part)
        for part in (body[:middle], body[middle:])
        if part
    ]
    return b"".join(parts) + pick(rng, [b"0\r\n\r\n"] * 4 + [b"0\r\nT: 1\r\n\r\n"])


def memcached(rng: Random) -> bytes:
    kind = rng.random()
    if kind < 0.6:
        data = pick(rng, WORKLOADS)
        silent = pick(rng, [b"", b"", b" noreply"])
        head = b"%b %b 0 0 %d%b" % (pick(rng, SETS), pick(rng, KEYS), len(data), silent)
        return b"%b\r\n%b\r\n" % (head, data)
    if kind < 0.9:
        return b"%b %b\r\n" % (pick(rng, COMMANDS_WITH_KEYS), pick(rng, KEYS))
    return pick(rng, SHORT)
