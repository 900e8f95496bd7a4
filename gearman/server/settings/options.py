"""The table of all options, for the command line and configuration files.

They are gearmand's options, in its spelling, and this server's own. Their defaults are
those of `Config`; a test compares the defaults in the help with it.
"""

from argparse import SUPPRESS, BooleanOptionalAction
from typing import Any, Final

from ...address import FORMS
from ...queue import NAMES as QUEUES
from ..protocols.registry import NAMES
from .cluster import ROWS as CLUSTER
from .values import (
    endpoint,
    file_mode,
    handle_prefix,
    level,
    log_file,
    networks,
    packet_size,
    path,
    port,
    seconds,
    size,
    whole_number,
)

DEFAULT_FILE: Final = "/etc/gearmand.conf"

Row = tuple[tuple[str, ...], dict[str, Any]]


def row(*names: str, **settings: Any) -> Row:
    """Return the arguments of ArgumentParser.add_argument."""
    return names, settings


def flag(*names: str, **settings: Any) -> Row:
    """Return the row of an option without a value."""
    return names, {"action": "store_true", **settings}


_GENERAL = (
    row(
        "--config-file",
        metavar="FILE",
        type=path,
        action="append",
        help="read options from FILE, also written @FILE; may be repeated, a later"
        f" file overrides an earlier one (default: {DEFAULT_FILE} if it exists)",
    ),
    row(
        "--settings",
        metavar="FILE",
        type=path,
        help="read policies of functions, schedules and limits from FILE, and again on"
        " HUP",
    ),
    flag(
        "--check-args",
        help="print the problems that would keep the server from starting, as far as"
        " they show without opening ports, and exit",
    ),
)

_LISTENING = (
    row(
        *("-L", "--listen"),
        metavar="ADDRESS",
        action="append",
        type=endpoint,
        help=f"address to listen on: {FORMS}; may be"
        " repeated (default: all addresses, IPv4 and IPv6)",
    ),
    row(
        *("-p", "--port"),
        type=port,
        help="TCP port of each address without a port; 0 is any free one"
        " (default: 4730)",
    ),
    row(
        *("-b", "--backlog"),
        metavar="N",
        type=whole_number(0),
        help="connections that may wait to be accepted (default: 1024)",
    ),
    row(
        *("-r", "--protocol"),
        metavar="NAME",
        action="append",
        help=f"protocol to speak in addition to gear: {', '.join(NAMES)}; may be"
        " repeated (default: gear)",
    ),
    row(
        "--metrics-port",
        metavar="PORT",
        type=port,
        help="port on each address for monitoring by HTTP: /metrics for Prometheus,"
        " /healthz and /readyz; without this option there is none",
    ),
    row(
        "--metrics-functions",
        metavar="N",
        type=whole_number(0),
        help="functions with metrics of their own, those with most jobs; the others are"
        " added up (default: 1000)",
    ),
)

_ACCESS = (
    row(
        "--allow-from",
        metavar="NETWORKS",
        action="extend",
        type=networks,
        help="addresses and networks that may connect by TCP, such as"
        " 10.0.0.0/8,192.0.2.7; may be repeated (default: all networks)",
    ),
    row(
        "--admin-from",
        metavar="NETWORKS",
        action="extend",
        type=networks,
        help="addresses and networks that may use the admin commands cancel, create,"
        " drop, maxqueue and shutdown, and cancel jobs by other protocols; may be"
        " repeated (default: all, but 127.0.0.0/8,::1 for shutdown and for other"
        " protocols)",
    ),
    row(
        "--socket-mode",
        metavar="MODE",
        type=file_mode,
        help="permissions of the files of Unix sockets, such as 0660 (default: by the"
        " umask)",
    ),
    row(
        "--socket-group",
        metavar="GROUP",
        help="group of the files of Unix sockets (default: that of the server)",
    ),
)

_JOBS = (
    row(
        *("-j", "--job-retries"),
        metavar="N",
        dest="retries",
        type=whole_number(-1),
        help="how many attempts a job has if its workers are lost or too slow: 0 and 1"
        " are one attempt, -1 is no limit (default: -1)",
    ),
    row(
        "--job-handle-prefix",
        metavar="TEXT",
        dest="handle_prefix",
        type=handle_prefix,
        help="what job handles begin with (default: H: and the name of this host)",
    ),
    row(
        *("-R", "--round-robin"),
        action=BooleanOptionalAction,
        help="give a worker jobs of its functions in turn, instead of in the order in"
        " which it registered the functions (default: in turn)",
    ),
    row(
        "--priority-scope",
        choices=("global", "function"),
        help="compare the priorities of jobs over all functions of a worker, or only"
        " within one function (default: global)",
    ),
    row(
        *("-w", "--worker-wakeup"),
        metavar="N",
        dest="wakeup",
        type=whole_number(0),
        help="how many sleeping workers to wake for a new job, 0 for all (default: 0);"
        " if a woken worker does not ask for a job within a second, the next is woken",
    ),
    row(
        "--timeout-action",
        choices=("requeue", "fail"),
        help="whether to queue a job again, or let it fail, if its worker exceeds the"
        " timeout that it declared (default: requeue)",
    ),
    flag(
        "--exceptions",
        help="send workers' exceptions to all clients, even if they did not ask for"
        " exceptions",
    ),
    row(
        *("-q", "--queue-type"),
        metavar="NAME",
        dest="queue",
        help="where background jobs are stored, so that they outlive the server:"
        f" {', '.join(QUEUES)}, or builtin, which is in memory only (default: builtin)",
    ),
    flag(
        "--queue-inbox",
        dest="inbox",
        help="create a table NAME_inbox beside that of the queue, and make jobs of the"
        " rows that other programs insert into it in their own transactions",
    ),
    flag("--allow-shutdown", help="obey the admin command shutdown"),
)

_LIMITS = (
    row(
        "--max-connections",
        metavar="N",
        type=whole_number(1),
        help="connections at a time; others are closed immediately (default: the limit"
        " of open files, less 64)",
    ),
    row(
        "--max-connections-per-address",
        metavar="N",
        type=whole_number(0),
        help="connections at a time from one address, or network of 64 bits in IPv6, "
        "0 for any number (default: 0)",
    ),
    row(
        "--max-functions",
        metavar="N",
        type=whole_number(0),
        help="functions that the server knows; for a new one, an unused one is"
        " forgotten; if there is none, the new one is refused; 0 for any number"
        " (default: 0)",
    ),
    row(
        "--max-functions-per-worker",
        metavar="N",
        type=whole_number(0),
        help="functions that a worker may register, 0 for any number (default: 0)",
    ),
    row(
        "--max-jobs",
        metavar="N",
        type=whole_number(0),
        help="jobs at a time, waiting and running, 0 for any number (default: 0)",
    ),
    row(
        "--max-jobs-per-function",
        metavar="N",
        type=whole_number(0),
        help="jobs of one function, unless the admin command maxqueue has set another"
        " limit for it; 0 for any number (default: 0)",
    ),
    row(
        "--max-job-memory",
        metavar="BYTES",
        type=size(0, 2**50),
        help="memory for jobs: their workloads, and 350 bytes for each job; in bytes or"
        " with K, M or G; 0 for any size (default: three quarters of --max-memory)",
    ),
    row(
        "--max-memory",
        metavar="BYTES",
        type=size(0, 2**50),
        help="memory for all that peers make the server keep: jobs, functions, received"
        " data, and data that waits to be sent; above it, the connections that hold"
        " most are closed; 0 for any size (default: three quarters of the memory of the"
        " machine or its cgroup less 256M, at least half of it)",
    ),
    row(
        "--max-dead",
        metavar="N",
        type=whole_number(0),
        help="jobs in the dead list, without the oldest if there are more; 0 for none"
        " (default: 10000)",
    ),
    row(
        "--dead-age",
        metavar="SECONDS",
        type=seconds,
        help="how long a job stays in the dead list (default: 15552000, 180 days)",
    ),
    row(
        "--max-results",
        metavar="BYTES",
        type=size(0, 2**50),
        help="memory for kept results, without the oldest if there are more; in bytes"
        " or with K, M or G; 0 for none (default: 64M)",
    ),
    row(
        "--max-packet",
        metavar="BYTES",
        type=packet_size,
        help="largest packet accepted, in bytes or with K, M or G, but no larger than"
        " three quarters of --max-memory (default: 4G)",
    ),
    row(
        "--max-outbox",
        metavar="BYTES",
        type=size(0, 2**40),
        help="data that may wait for a peer, not counting the largest packet, before"
        " the peer is disconnected; 0 for any size (default: 0)",
    ),
    row(
        "--request-timeout",
        metavar="SECONDS",
        type=seconds,
        help="how long a request or a TLS handshake may be incomplete, or an HTTP"
        " connection idle, before the peer is disconnected (default: 300)",
    ),
    # Its old name.
    row("--handshake-timeout", dest="request_timeout", type=seconds, help=SUPPRESS),
    row(
        "--write-timeout",
        metavar="SECONDS",
        type=seconds,
        help="how long a peer may accept no data, while data waits for it, before it is"
        " disconnected (default: 600)",
    ),
    row(
        *("-f", "--file-descriptors"),
        metavar="N",
        dest="descriptors",
        type=whole_number(32),
        help="how many files and connections may be open (default: the most that the"
        " system allows)",
    ),
    flag("--keepalive", help="have the system probe idle TCP connections"),
    row(
        "--keepalive-idle",
        metavar="SECONDS",
        type=whole_number(-1, 32767),
        help="idle time before the first probe, -1 for the system's (default: -1)",
    ),
    row(
        "--keepalive-interval",
        metavar="SECONDS",
        type=whole_number(-1, 32767),
        help="time between probes, -1 for the system's (default: -1)",
    ),
    row(
        "--keepalive-count",
        metavar="N",
        type=whole_number(-1, 127),
        help="unanswered probes that end a connection, -1 for the system's"
        " (default: -1)",
    ),
)

_LOGGING = (
    row(
        *("-l", "--log-file"),
        metavar="FILE",
        type=log_file,
        help="file to append the log to, or stderr, or none; a daemon has no stderr"
        " (default: stderr)",
    ),
    row(
        "--log-format",
        choices=["text", "json"],
        help="format of a line of the log: text, or an object of JSON with the keys"
        " time, level and text, and with facts such as handle, function, peer, event"
        " (default: text)",
    ),
    row(
        "--verbose",
        metavar="LEVEL",
        dest="level",
        type=level,
        help="least important level to log: FATAL, ALERT, CRITICAL, ERROR, WARNING,"
        " NOTICE, INFO or DEBUG (default: NOTICE)",
    ),
    row(
        "-v",
        action="count",
        dest="steps",
        help="log one more level for each v: -v is INFO, -vv is DEBUG",
    ),
    flag("--syslog", help="log to syslog as well"),
    flag(
        "--traces",
        help="make OpenTelemetry spans for the time that jobs with a trace wait, and"
        " export them as the environment variables OTEL_* say",
    ),
)

_PROCESS = (
    flag("-d", "--daemon", help="run in the background once the server listens"),
    row(
        *("-P", "--pid-file"),
        metavar="FILE",
        type=path,
        help="file to write the process id to",
    ),
    row("-u", "--user", help="user to change to after the start; needs root"),
    flag("--coredump", help="leave a core dump when a signal kills the server"),
)

_TLS = (
    flag("--ssl", help="speak TLS, 1.2 or newer, on every TCP port"),
    row(
        "--ssl-certificate",
        metavar="FILE",
        type=path,
        help="certificate of this server, and the intermediate certificates",
    ),
    row(
        "--ssl-key",
        metavar="FILE",
        type=path,
        help="private key of the certificate (default: in the certificate's file)",
    ),
    row(
        "--ssl-ca-file",
        metavar="FILE",
        type=path,
        help="certificates of the authorities that sign clients' certificates",
    ),
    row(
        "--ssl-verify",
        choices=("none", "optional", "required"),
        help="whether clients need a certificate; optional: if a client shows one, it"
        " must be valid (default: none)",
    ),
)

_NO_MEANING = (
    row("-t", "--threads", metavar="N", type=whole_number(0), help="not needed"),
    row("--hashtable-buckets", metavar="N", type=whole_number(0), help="not needed"),
)

GROUPS: Final = {
    "general": _GENERAL,
    "listening": _LISTENING,
    "access": _ACCESS,
    "jobs": _JOBS,
    "cluster": CLUSTER,
    "limits": _LIMITS,
    "logging": _LOGGING,
    "process": _PROCESS,
    "TLS": _TLS,
}
LAST_GROUPS: Final = {"accepted from gearmand, without effect": _NO_MEANING}
