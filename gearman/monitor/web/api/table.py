"""The endpoints, in the order in which the description has them."""

from typing import Final

from ...access.users import ROLES
from ...acting import ACTIONS
from ...history.points import FIELDS
from ...history.spans import SPANS
from ...reading.events import EVENTS
from ..queries import choice, integer, name, text, words
from ..schema import (
    BOOLEAN,
    BYTES,
    INTEGER,
    NAME,
    NUMBER,
    OBJECT,
    TEXT,
    array,
    maybe,
    one_of,
    record,
)
from . import actions, charts, fleet, jobs, records, session, streams
from .endpoints import Endpoint

_SERVER: Final = text("the address of a server; without it, all servers")
_NAMED_SERVER: Final = text("the address of a server", required=True)
_FUNCTION: Final = name("the name of a function, with %XX for bytes")
_FIELDS: Final = ", ".join(FIELDS)
_EVENTS: Final = ", ".join(EVENTS)
_SPAN: Final = choice("the time until now", [*SPANS], "10m")

_PROBLEMS: Final = array(record({"server": TEXT, "reason": TEXT}))
_VALUES: Final = array(maybe(NUMBER))
_STATES: Final = ["", "waiting", "scheduled", "awaiting", "pending", "running", "dead"]
_SESSION: Final = record({"name": TEXT, "role": one_of(*ROLES), "token": TEXT})
_SHORT: Final = {"type": "string", "maxLength": 200}

_FLEET: Final = (
    Endpoint(
        "GET",
        "/api/overview",
        "totals, servers, and the functions with the worst trouble",
        fleet.overview,
        record(
            {
                "totals": records.SERVER,
                "servers": array(records.SERVER),
                "functions": array(records.FUNCTION),
                "count": INTEGER,
            }
        ),
        {"limit": integer("how many functions", 50, 0, 10_000)},
    ),
    Endpoint(
        "GET",
        "/api/servers",
        "servers with health, version and sums",
        fleet.servers,
        record({"servers": array(records.SERVER)}),
    ),
    Endpoint(
        "GET",
        "/api/clusters",
        "clusters, with their servers, shards, leases and links",
        fleet.clusters,
        record({"clusters": array(records.CLUSTER)}),
    ),
    Endpoint(
        "GET",
        "/api/relays",
        "relays of servers to other servers, those without a connection first",
        fleet.relays,
        record({"relays": array(records.RELAY)}),
    ),
    Endpoint(
        "GET",
        "/api/functions",
        "functions, those with the worst trouble first",
        fleet.functions,
        record({"functions": array(records.FUNCTION), "count": INTEGER}),
        {
            "server": _SERVER,
            "search": text("a part of the name"),
            "limit": integer("how many", 100, 1, 10_000),
            "offset": integer("how many are left out before", 0, 0, 1_000_000),
        },
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/api/function",
        "one function, with its parts and policies by server",
        fleet.function,
        {
            **records.FUNCTION_WITH_PARTS,
            "properties": {
                **records.FUNCTION_WITH_PARTS["properties"],
                "policies": array(record({"server": TEXT, "policy": TEXT})),
            },
        },
        {"function": name("the name of the function", required=True)},
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/api/workers",
        "workers, with the number of jobs that they have, and up to 100 of these",
        fleet.workers,
        record({"workers": array(records.WORKER), "problems": _PROBLEMS}),
        {"server": _SERVER, "function": _FUNCTION},
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/api/policies",
        "the policies of functions",
        fleet.policies,
        record(
            {
                "policies": array(
                    record({"server": TEXT, "function": BYTES, "policy": TEXT})
                ),
                "problems": _PROBLEMS,
            }
        ),
        {"server": _SERVER},
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/api/schedules",
        "schedules; times are in seconds since 1970",
        fleet.schedules,
        record(
            {
                "schedules": array(
                    record(
                        {
                            **dict.fromkeys(("server", "name", "cron"), TEXT),
                            "function": TEXT,
                            "next": maybe(NUMBER),
                            "last": maybe(NUMBER),
                            "paused": BOOLEAN,
                            "source": TEXT,
                            "owner": maybe(TEXT),
                        }
                    )
                ),
                "problems": _PROBLEMS,
            }
        ),
        {"server": _SERVER},
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/api/limits",
        "the limits of servers, and how often they were hit",
        fleet.limits,
        record(
            {
                "limits": array(
                    record(
                        {
                            "server": TEXT,
                            "name": TEXT,
                            "limit": maybe(NUMBER),
                            "used": maybe(INTEGER),
                            "hits": INTEGER,
                        }
                    )
                ),
                "problems": _PROBLEMS,
            }
        ),
        {"server": _SERVER},
        errors=(404,),
    ),
)

_CHARTS: Final = (
    Endpoint(
        "GET",
        "/api/history",
        "the past of a function, or of all functions, at equal distances; null is where"
        " the server was not read. What is counted is per second, times are in seconds",
        charts.history,
        record(
            {
                "start": INTEGER,
                "step": INTEGER,
                "fields": {"type": "object", "additionalProperties": _VALUES},
            }
        ),
        {
            "server": _SERVER,
            "function": _FUNCTION,
            "span": _SPAN,
            "fields": words(f"of {_FIELDS}, with commas between them", FIELDS),
        },
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/api/sparklines",
        "one field of the functions with the worst trouble",
        charts.sparklines,
        record(
            {
                "lines": array(
                    record(
                        {
                            "name": BYTES,
                            "start": INTEGER,
                            "step": INTEGER,
                            "values": _VALUES,
                        }
                    )
                )
            }
        ),
        {
            "server": _SERVER,
            "span": _SPAN,
            "field": choice("which field", [*FIELDS], "submitted"),
            "limit": integer("how many functions", 50, 1, charts.MOST_LINES),
        },
        errors=(404,),
    ),
)

_JOBS: Final = (
    Endpoint(
        "GET",
        "/api/jobs",
        "jobs in the order of their handles, of each server so many",
        jobs.jobs,
        record({"jobs": array(OBJECT), "problems": _PROBLEMS}),
        {
            "server": _SERVER,
            "function": _FUNCTION,
            "unique": name("the unique of the jobs"),
            "state": choice("the state of the jobs; without it, any", _STATES, ""),
            "limit": integer("how many", 100, 1, 10_000),
            "after": name("the handle before the first one"),
        },
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/api/job",
        "one job",
        jobs.job,
        OBJECT,
        {
            "server": _NAMED_SERVER,
            "handle": name("the handle of the job", required=True),
        },
        errors=(404,),
    ),
    Endpoint(
        "GET",
        "/api/jobevents",
        "the last events of a job that the monitor has seen, newest first",
        jobs.job_events,
        record({"events": array(OBJECT)}),
        {
            "server": _NAMED_SERVER,
            "handle": name("the handle of the job", required=True),
        },
        errors=(404,),
    ),
    Endpoint(
        "POST",
        "/api/jobs",
        "submit a background job",
        jobs.submit,
        record({"server": TEXT, "handle": TEXT}),
        body=record(
            {"server": _SHORT, "function": NAME},
            {
                "workload": BYTES,
                "unique": BYTES,
                "priority": one_of("high", "normal", "low"),
                "options": {
                    "type": "object",
                    "additionalProperties": {"type": ["string", "number", "boolean"]},
                },
            },
        ),
        role="act",
        errors=(404, 413, 415),
    ),
)

_ACTIONS: Final = (
    Endpoint(
        "GET",
        "/api/actions",
        "the actions that there are",
        actions.actions,
        record(
            {"actions": array(record({"action": TEXT, "noun": TEXT, "meaning": TEXT}))}
        ),
    ),
    Endpoint(
        "POST",
        "/api/actions",
        "do something to each of several functions, jobs, schedules or servers",
        actions.act,
        record(
            {
                "results": array(
                    record(
                        {
                            "server": TEXT,
                            "name": BYTES,
                            "ok": BOOLEAN,
                            "count": maybe(INTEGER),
                            "error": TEXT,
                        }
                    )
                )
            }
        ),
        body=record(
            {
                "action": one_of(*ACTIONS),
                "targets": array(
                    record({"server": _SHORT, "name": NAME}),
                    minItems=1,
                    maxItems=10_000,
                ),
            },
            {
                "policy": {
                    "type": "object",
                    "additionalProperties": {"type": ["string", "number", "boolean"]},
                }
            },
        ),
        role="act",
        errors=(404, 413, 415),
    ),
    Endpoint(
        "GET",
        "/api/audit",
        "who did what, newest first",
        actions.audit,
        record(
            {
                "notes": array(
                    record(
                        {
                            "id": INTEGER,
                            "time": NUMBER,
                            **dict.fromkeys(
                                ("who", "action", "server", "target"), TEXT
                            ),
                            "detail": TEXT,
                            "result": TEXT,
                        }
                    )
                )
            }
        ),
        {
            "limit": integer("how many", 100, 1, 1000),
            "before": integer("only those before this id; 0: all", 0, 0, 10**15),
        },
    ),
)

_SESSIONS: Final = (
    Endpoint(
        "GET",
        "/api/session",
        "who asks, and the token that changes need in the header X-CSRF-Token",
        session.show,
        _SESSION,
    ),
    Endpoint(
        "POST",
        "/api/session",
        "log in; the answer sets a cookie",
        session.log_in,
        _SESSION,
        body=record(
            {"name": _SHORT, "password": {"type": "string", "maxLength": 1000}}
        ),
        role="",
        errors=(401, 413, 415, 429),
    ),
    Endpoint("DELETE", "/api/session", "log out", session.log_out, {}),
)

_STREAMS: Final = (
    Endpoint(
        "GET",
        "/api/live",
        "server-sent events: `reading` whenever a server was read",
        streams.live,
        None,
        errors=(503,),
    ),
    Endpoint(
        "GET",
        "/api/events",
        "server-sent events: `event` with an object for what happens on a server",
        streams.events,
        None,
        {
            "server": _SERVER,
            "function": name("a pattern of functions, with * and ?"),
            "events": words(f"of {_EVENTS}, with commas between them", EVENTS),
        },
        errors=(404, 503),
    ),
)

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *(*_FLEET, *_CHARTS, *_JOBS, *_ACTIONS, *_SESSIONS, *_STREAMS),
)
