"""All metrics of a server in the text format of Prometheus."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from ...broker.stats import BOUNDS
from ..interface import Server
from ..lines import PIECE_SIZE
from .families import buckets, head
from .rows import Row, Rows
from .samples import Samples

CONTENT_TYPE: Final = (b"Content-Type", b"text/plain; version=0.0.4; charset=utf-8")

# Each has a sample from the start on, so that its first hit is seen as an increase.
LIMITS: Final = (
    *("max-connections", "max-connections-per-address", "max-functions"),
    *("max-functions-per-worker", "max-jobs", "max-jobs-per-function"),
    *("max-job-memory", "max-memory", "max-packet", "max-outbox"),
    *("request-timeout", "write-timeout", "allow-from", "bad-input", "bugs"),
)

# The keys of what is known of the store, and the families of them.
_STORE: Final = {
    "outage": ("gearman_store_outage", "gauge", "Whether jobs cannot be stored."),
    "waiting": (
        "gearman_store_waiting_changes",
        "gauge",
        "Changes of jobs that wait for their commit.",
    ),
    "stored": (
        "gearman_store_stored_total",
        "counter",
        "Jobs and records that were stored.",
    ),
    "removed": ("gearman_store_removed_total", "counter", "Removals from the store."),
    "failures": (
        "gearman_store_failures_total",
        "counter",
        "Commits that have failed.",
    ),
}
# The same of the inbox, if there is one.
_INBOX: Final = {
    "waiting": (
        "gearman_inbox_waiting_rows",
        "gauge",
        "Rows that waited when they were last counted.",
    ),
    "taken": (
        "gearman_inbox_taken_total",
        "counter",
        "Rows that became jobs, or joined one.",
    ),
    "refused": ("gearman_inbox_refused_total", "counter", "Rows that were refused."),
    "failing": ("gearman_inbox_failing", "gauge", "Whether rows cannot be read."),
    "failures": (
        "gearman_inbox_failures_total",
        "counter",
        "How often rows could not be read.",
    ),
}
# The same of each hook.
_HOOK: Final = {
    "waiting": ("gearman_hook_waiting_events", "gauge", "Events that wait for a hook."),
    "delivered": (
        "gearman_hook_delivered_total",
        "counter",
        "Events that a hook has delivered.",
    ),
    "dropped": (
        "gearman_hook_dropped_total",
        "counter",
        "Events for which a hook had no room, or that were refused for good.",
    ),
    "failures": (
        "gearman_hook_failures_total",
        "counter",
        "Attempts to deliver that have failed.",
    ),
}
# The same of each relay.
_RELAY: Final = {
    "connected": (
        "gearman_relay_connected",
        "gauge",
        "Whether a relay is connected to another server.",
    ),
    "waiting": (
        "gearman_relay_waiting_jobs",
        "gauge",
        "Queued jobs of the functions of a relay.",
    ),
    "unanswered": (
        "gearman_relay_unanswered_jobs",
        "gauge",
        "Jobs that a relay has taken, and the other server has not accepted yet.",
    ),
    "passed_on": (
        "gearman_relay_passed_on_total",
        "counter",
        "Jobs that the other server has accepted.",
    ),
    "refused": (
        "gearman_relay_refused_total",
        "counter",
        "Jobs that the other server has refused for good.",
    ),
    "failures": (
        "gearman_relay_failures_total",
        "counter",
        "Failed connections of a relay, and refusals after which it has waited.",
    ),
}
_COMMITS: Final = "gearman_store_commit_seconds"


class Exposition:
    """Makes the metrics of a server when they are asked for."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._rows = Rows(server.broker, server.metrics_functions)
        self._samples = Samples()

    def pieces(self) -> Iterator[bytes]:
        """Yield the text in pieces of about PIECE_SIZE bytes.

        Other peers may be served after each step: a step that fills no piece is empty.
        """
        piece: list[bytes] = []
        size = 0
        for part in self._parts():
            piece.append(part)
            size += len(part)
            if size < PIECE_SIZE:
                yield b""
                continue
            yield b"".join(piece)
            piece.clear()
            size = 0
        yield b"".join(piece)

    def _parts(self) -> Iterator[bytes]:
        yield self._of_server()
        rows: list[Row] = []
        for _ in self._rows.fill(rows):
            yield b""
        yield from self._samples.pieces(rows)

    def _of_server(self) -> bytes:
        """Return the families that have a few samples for the whole server."""
        broker, facts = self._server.broker, self._server.facts()
        memory, hits = broker.memory, broker.hits.counts
        version = f'version="{self._server.version}"'
        kinds = {
            "jobs": memory.jobs,
            "peers": memory.peers,
            "buffers": memory.buffers,
        }
        limits = dict.fromkeys((*LIMITS, *sorted(hits)), 0) | hits
        texts = [
            family("gearman_up", "gauge", "Whether the server runs.", 1),
            family(
                "gearman_version_info",
                "gauge",
                "The version of the server; the value is 1.",
                {version: 1},
            ),
            family(
                *("gearman_connections", "gauge", "Open connections."),
                len(broker.peers),
            ),
            family(
                "gearman_functions",
                "gauge",
                "Functions that the server knows.",
                len(broker.functions.known),
            ),
            family(
                "gearman_dead_jobs",
                "gauge",
                "Jobs in the dead list.",
                len(broker.dead.known),
            ),
            family(
                "gearman_results",
                "gauge",
                "Results that are kept.",
                len(broker.results.known),
            ),
            family(
                "gearman_memory_bytes",
                "gauge",
                "Memory of what peers make the server keep: jobs, peers, buffers.",
                {f'kind="{kind}"': size for kind, size in kinds.items()},
            ),
            family(
                "gearman_limit_hits_total",
                "counter",
                "How often a limit was hit, by the option that sets it.",
                {f'limit="{limit}"': count for limit, count in limits.items()},
            ),
            *_of_process(facts),
            *_of_store(facts.get("store")),
            *_of_hooks_and_relays(facts),
            *_of_cluster(facts.get("cluster")),
        ]
        return b"".join(texts)


def family(
    name: str, kind: str, text: str, value: float | Mapping[str, float]
) -> bytes:
    """Return a family with one value, or with values by their labels."""
    if isinstance(value, Mapping):
        lines = [f"{name}{{{labels}}} {each}\n" for labels, each in value.items()]
    else:
        lines = [f"{name} {value}\n"]
    return head(name, kind, text) + "".join(lines).encode()


def _of_process(facts: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield families by the names that Prometheus's own libraries use."""
    rows = (
        ("process_cpu_seconds_total", "counter", "Processor time used.", "cpu"),
        ("process_resident_memory_bytes", "gauge", "Resident memory.", "resident"),
        (
            "process_start_time_seconds",
            "gauge",
            "When the server started, in seconds since 1970.",
            "started",
        ),
    )
    for name, kind, text, key in rows:
        # The system does not tell all of them everywhere.
        if (value := facts.get(key)) is not None:
            yield family(name, kind, text, value)


def _of_cluster(cluster: Mapping[str, Any] | None) -> Iterator[bytes]:
    """Yield what is known of the cluster, if the server is in one."""
    if cluster is None:
        return
    servers = cluster["servers"]
    mine = [it for it in servers if it["id"] == cluster["server"]]
    linked = [it for it in servers if it["link"] == "up"]
    lags = [it["lag"] for it in linked if it["lag"] is not None]
    values = (
        ("servers", "Servers that have joined.", len(servers)),
        ("links", "Servers to which the link is up.", len(linked)),
        ("shards", "Shards of this server.", sum(it["owned"] for it in mine)),
        ("free_shards", "Shards of no server.", cluster["unowned"]),
        ("lease_seconds", "How long a lease is.", cluster["lease"]),
        (
            "lease_left_seconds",
            "How long this server may go on without the database; 0: cut off.",
            cluster["left"],
        ),
        (
            "link_lag_seconds",
            "The slowest answer to the last ping of each link.",
            max(lags, default=0.0),
        ),
        (
            "draining",
            "Whether this server gives its shards away.",
            int(any(it["draining"] for it in mine)),
        ),
    )
    for name, text, value in values:
        yield family(f"gearman_cluster_{name}", "gauge", text, value)


def _of_store(store: Mapping[str, Any] | None) -> Iterator[bytes]:
    """Yield what is known of the store, if there is one."""
    if store is None:
        return
    yield from _numbers(_STORE, store)
    yield from _numbers(_INBOX, store["inbox"] or {})
    seconds, counts = store["commits"]["seconds"], store["commits"]["counts"]
    counts = [*accumulate([*counts, *[0] * (len(BOUNDS) + 1 - len(counts))])]
    lines = "".join(buckets(_COMMITS, BOUNDS)) % (*counts,)
    lines += f"{_COMMITS}_sum {seconds}\n{_COMMITS}_count {counts[-1]}\n"
    yield head(_COMMITS, "histogram", "How long commits took.") + lines.encode()


def _numbers(
    table: Mapping[str, tuple[str, str, str]], values: Mapping[str, Any]
) -> Iterator[bytes]:
    """Yield families of a table that have values; the inbox may not be counted yet."""
    for key, (name, kind, text) in table.items():
        if (value := values.get(key)) is not None:
            yield family(name, kind, text, int(value))


def _of_hooks_and_relays(facts: Mapping[str, Any]) -> Iterator[bytes]:
    yield from _of_each("hook", _HOOK, facts.get("hooks", ()))
    yield from _of_each("relay", _RELAY, facts.get("relays", ()))


def _of_each(
    what: str,
    families: Mapping[str, tuple[str, str, str]],
    several: Sequence[Mapping[str, Any]],
) -> Iterator[bytes]:
    """Yield how each hook or relay does, if there are any."""
    if several:
        labels = [f'{what}="{_escaped(each["name"])}"' for each in several]
        for key, (name, kind, text) in families.items():
            values = [int(each[key]) for each in several]
            yield family(name, kind, text, dict(zip(labels, values, strict=True)))


def _escaped(name: str) -> str:
    return name.replace("\\", r"\\").replace('"', r"\"")
