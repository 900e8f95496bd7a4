"""A server that says what a test wants: one that is broken, hostile, or far away."""

import json
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from tests.servers import HOST


@contextmanager
def telling(*functions: dict[str, Any], **facts: Any) -> Iterator[str]:
    """Run a server whose `show stats` has these, and return its address.

    It knows no other command.
    """
    records = [{"kind": "server", "version": "1", **facts}, *functions]
    stats = b"".join(json.dumps(record).encode() + b"\n" for record in records)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                answer = b"ERR UNKNOWN_COMMAND Unknown+server+command"
                if line.strip() == b"show stats":
                    answer = stats + b"."
                self.wfile.write(answer + b"\n")

    with socketserver.ThreadingTCPServer((HOST, 0), Handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()


def hostile_cluster(text: str) -> dict[str, Any]:
    """Return what a server says of its cluster, with a text in each place of one."""
    rows = [
        {"id": text + number, "address": text + number, "shards": text, "owned": 99}
        for number in "123"
    ]
    rows[0] |= {"link": "self", "joined": 1e300}
    rows[1] |= {"link": "up", "lag": 1e300, "up": 1e300, "draining": True}
    found = {"server": f"{text}1", "name": text, "lease": 10.0, "left": 1.0}
    return {**found, "shards": 64, "unowned": 3, "servers": rows}


def hostile_relays(text: str) -> list[dict[str, Any]]:
    """Return what a server says of its relays."""
    numbers = dict.fromkeys(("waiting", "unanswered", "passed_on", "refused"), 1 << 61)
    relay = {"name": text, "server": [text, 1], "error": text, **numbers}
    return [{**relay, "connected": False}, {"name": "well", "connected": True}]
