"""Every result that differs from that of python-gearman 2.0.2, and the reason."""

from dataclasses import dataclass
from typing import Any

BOTH = ("gearmand", "ours")

COMPLETE = {"state": "COMPLETE", "complete": True}
CREATED = {"state": "CREATED", "complete": True}
FAILED = {"state": "FAILED", "complete": True}
LOST = {"state": "CREATED", "timed_out": True}
IGNORED = {"state": "PENDING", "timed_out": True}

PYTHON3 = "text and bytes are two things on Python 3, and both are taken"
NOT_TOLD = "2.0.2 ignored errors from the server, so a refused job was waited for"
ONE_SENTENCE = "what cannot name a server is refused where it is given"
WRONG_ADDRESS = "raised gearman.errors.GearmanError"
SAYS_WHY = "the error says what is wrong"
CLOSED = "a connection that the server has closed is not used once more"

NOT_SENT = "raised gearman.errors.InvalidClientState"
UNAVAILABLE = "raised gearman.errors.ServerUnavailable: Found no valid connections"
REFUSED = "<127.0.0.1:PORT> ConnectionRefusedError(111, 'Connection refused')"
SERVER_GONE = (
    "raised gearman.errors.ServerUnavailable: The server that was given the job"
    f" cannot be reached: {REFUSED}"
)
EXCEEDED = (
    "raised gearman.errors.ExceededConnectionAttempts: Exceeded 1 connection"
    " attempt(s) :: <GearmanJobRequest task='x', unique='UNIQUE', priority=None,"
    " background=True, state='UNKNOWN', timed_out=False>"
)


@dataclass(frozen=True)
class Difference:
    """A result of a scene: that of 2.0.2, and that of this library."""

    scene: str
    label: str
    original: Any
    ours: Any
    reason: str
    servers: tuple[str, ...] = BOTH


Results = dict[str, tuple[Any, Any]]


def rows(
    scene: str, reason: str, results: Results, servers: tuple[str, ...] = BOTH
) -> list[Difference]:
    """Return the rows of one scene that have one reason."""
    return [
        Difference(scene, label, original, ours, reason, servers)
        for label, (original, ours) in results.items()
    ]


def job_repr(data: str) -> str:
    connection = "<GearmanConnection 127.0.0.1:PORT connected=True>"
    where = f"connection/handle=({connection}, 'HANDLE')"
    return f"<GearmanJob {where}, task=look, unique=key, data={data}>"


DIFFERENCES: tuple[Difference, ...] = (
    *rows(
        "uniques",
        "2.0.2 sent the data in place of a unique that means: coalesce by data",
        {"'-'": ("data", "-")},
    ),
    *rows(
        "two_requests_of_one_unique",
        "2.0.2 knew one request of a handle, and the end of the other was a KeyError",
        {
            "completed": ("raised KeyError", [{**COMPLETE, "result": "ABC"}] * 2),
            "first": ({"state": "CREATED"}, {**COMPLETE, "result": "ABC"}),
        },
    ),
    *rows(
        "a_unique_that_is_too_long",
        NOT_TOLD,
        {
            "request": (
                IGNORED,
                {
                    "state": "FAILED",
                    "exception": "ARGUMENT_TOO_LARGE: Unique value too large",
                },
            )
        },
    ),
    *rows(
        "an_error_from_the_server",
        NOT_TOLD,
        {
            "request": (
                IGNORED,
                {
                    **FAILED,
                    "exception": "ARGUMENT_TOO_LARGE: Unique value too large",
                },
            )
        },
    ),
    *rows(
        "wrong_types",
        PYTHON3,
        {
            "'x', u'abc'": ("raised TypeError", CREATED),
            "u'x', 'abc'": ("raised gearman.errors.ProtocolError", CREATED),
            "'x', 'abc', u'key'": ("raised gearman.errors.ProtocolError", CREATED),
        },
    ),
    *rows(
        "a_job_as_both_sides_see_it",
        PYTHON3,
        {"its repr there": (job_repr("'abc'"), job_repr("b'abc'"))},
    ),
    *rows(
        "a_status_of_fractions",
        "a worker may send fractions, and they raised an error in 2.0.2's client",
        {
            "request": (
                "raised ValueError",
                {
                    **COMPLETE,
                    "result": "",
                    "status": {
                        "handle": "HANDLE",
                        "known": True,
                        "running": True,
                        "numerator": 1,
                        "denominator": 3,
                        "time_received": "float",
                    },
                },
            )
        },
    ),
    *rows(
        "a_task_returns_what_is_no_string",
        "the job went back to the queue and ended the next worker too",
        {
            "work, None": ("raised TypeError", 0),
            "request, None": (LOST, {**COMPLETE, "result": ""}),
            "work, 5": ("raised TypeError", 0),
            "request, 5": (LOST, FAILED),
            "work, ['a']": ("raised TypeError", 0),
            "request, ['a']": (LOST, FAILED),
            "work, True": ("raised TypeError", 0),
            "request, True": (LOST, FAILED),
        },
    ),
    *rows(
        "a_task_returns_what_is_no_string",
        PYTHON3,
        {
            "work, u'text'": ("raised TypeError", 0),
            "request, u'text'": (LOST, {**COMPLETE, "result": "text"}),
        },
    ),
    *rows(
        "an_encoder_that_fails",
        "the job went back to the queue and ended the next worker too",
        {"decoding": ("raised ValueError", 0)},
    ),
    *rows(
        "an_exception_is_sent_to_the_client",
        "gearmand makes it a failure of a handle that 2.0.2 did not know",
        {
            turn: ("raised KeyError", {**FAILED, "exception": "no good: abc"})
            for turn in ("first", "second", "third")
        },
        servers=("gearmand",),
    ),
    *rows(
        "an_exception_is_sent_to_the_client",
        "2.0.2 did not ask the server for exceptions, so it got failures",
        {
            turn: (FAILED, {**FAILED, "exception": "no good: abc"})
            for turn in ("first", "second", "third")
        },
        servers=("ours",),
    ),
    *rows(
        "ways_to_name_a_server",
        ONE_SENTENCE,
        {
            "None": ("raised TypeError", WRONG_ADDRESS),
            "4731": ("raised TypeError", WRONG_ADDRESS),
            "all hosts: 'localhost'": (9, "raised ValueError"),
        },
    ),
    *rows(
        "ways_to_name_a_server",
        "addresses of IPv6 can be named, and lists as JSON has them",
        {
            "['localhost', 4731]": (
                {"tuple": [["localhost", 4731], 4730]},
                {"tuple": ["localhost", 4731]},
            ),
            "'[::1]:4731'": ("raised ValueError", {"tuple": ["::1", 4731]}),
            "'::1'": ("raised ValueError", {"tuple": ["::1", 4730]}),
        },
    ),
    *rows(
        "maxqueue",
        "servers end this answer with CR LF, which 2.0.2 did not expect",
        dict.fromkeys(("1", "'1'", "0"), ("raised gearman.errors.ProtocolError", "OK")),
    ),
    *rows(
        "a_worker_id_with_a_space",
        "one such worker hid all the others",
        {"workers": ("raised gearman.errors.ProtocolError", ["my worker"])},
    ),
    *rows(
        "a_server_that_answers_nonsense",
        "a malformed answer is a ProtocolError, whatever is malformed in it",
        {
            "get_status, a/tb/tc/td/n": (
                "raised ValueError",
                "raised gearman.errors.ProtocolError",
            )
        },
    ),
    *rows(
        "an_own_worker_handler",
        "after a job the next one is asked for at once, which saves a round",
        {
            "names": (
                [
                    *("SET_CLIENT_ID", "RESET_ABILITIES", "CAN_DO", "PRE_SLEEP"),
                    *("NOOP", "GRAB_JOB_UNIQ", "JOB_ASSIGN_UNIQ", "WORK_COMPLETE"),
                    "PRE_SLEEP",
                ],
                [
                    *("SET_CLIENT_ID", "RESET_ABILITIES", "CAN_DO", "PRE_SLEEP"),
                    *("NOOP", "GRAB_JOB_UNIQ", "JOB_ASSIGN_UNIQ", "WORK_COMPLETE"),
                ],
            )
        },
    ),
    *rows(
        "small_functions",
        "2.0.2 compared nothing left with the time of day",
        {"util.Stopwatch(0).has_time_remaining()": (True, False)},
    ),
    *rows(
        "one_server_only",
        SAYS_WHY,
        {
            "the error": (
                "2",
                "an admin client asks one server, not 2: make one for each",
            )
        },
    ),
    *rows(
        "no_server_in_the_list",
        SAYS_WHY,
        {
            "admin": (
                "raised AssertionError",
                f"{UNAVAILABLE} in list: []: there are no servers: name some, such as"
                " host_list=['localhost:4730']",
            )
        },
    ),
    *rows(
        "status_of_a_job_that_was_never_sent",
        SAYS_WHY,
        {"status": ("raised KeyError", NOT_SENT)},
    ),
    *rows(
        "status_from_another_client",
        SAYS_WHY,
        {
            "its connection": ("raised KeyError", NOT_SENT),
            "unconnected": ("raised KeyError", NOT_SENT),
        },
    ),
    *rows(
        "a_server_goes_while_a_client_waits",
        SAYS_WHY,
        {"status": ("raised KeyError", SERVER_GONE)},
    ),
    *rows(
        "one_of_two_servers_goes",
        SAYS_WHY,
        {"of the lost one": ("raised KeyError", SERVER_GONE)},
    ),
    *rows(
        "a_server_goes_between_two_submits",
        CLOSED,
        {
            "without it": (
                EXCEEDED,
                f"{UNAVAILABLE}: [<GearmanConnection 127.0.0.1:PORT connected=False>]:"
                f" {REFUSED}",
            )
        },
    ),
    *rows(
        "a_server_restarts_between_two_submits",
        CLOSED,
        {"0 retries, after": (EXCEEDED, CREATED)},
    ),
)


def expected(scene: str, server: str) -> dict[str, tuple[Any, Any]]:
    """Return what must differ in a scene, by its labels."""
    return {
        row.label: (row.original, row.ours)
        for row in DIFFERENCES
        if row.scene == scene and server in row.servers
    }
