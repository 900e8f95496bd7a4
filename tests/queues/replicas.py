"""A primary of Redis, a replica, and a Sentinel that knows both."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import servers

from .backend_redis import IN_MEMORY, Redis, running

MASTER = "jobs"

# Milliseconds without an answer after which Sentinel counts Redis as dead: never on a
# busy machine, and soon when a test has killed the primary.
NEVER, SOON = 1_000_000_000, 300


@dataclass
class Replicas:
    primary: Redis
    replica: Redis
    sentinel: Redis

    @property
    def url(self) -> str:
        return f"redis+sentinel://{servers.HOST}:{self.sentinel.port}/{MASTER}"

    def current(self) -> int:
        """Return the port of the primary that Sentinel names."""
        words = "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER
        return int(self.sentinel.call(*words)[1])

    def fail_over(self) -> None:
        """Kill the primary, and return when the replica has taken its place."""
        self.primary.stop(signal.SIGKILL)
        setting = "down-after-milliseconds"
        self.sentinel.call("SENTINEL", "SET", MASTER, setting, SOON)
        servers.until(lambda: self.current() == self.replica.port)


def linked(redis: Redis) -> bool:
    """Whether a replica has all data of its primary."""
    return b"master_link_status:up" in _info(redis, "replication")


def _info(redis: Redis, section: str) -> bytes:
    from redis import Redis as Client

    with Client(servers.HOST, redis.port, protocol=2) as client:
        client.response_callbacks.clear()
        text: Any = client.execute_command("INFO", section)
        return text if isinstance(text, bytes) else str(text).encode()


@contextmanager
def replicas(
    folder: Path, settings: Mapping[str, str] = IN_MEMORY
) -> Iterator[Replicas]:
    with ExitStack() as stack:
        primary = stack.enter_context(running(folder, settings))
        follow = {"replicaof": f"{servers.HOST} {primary.port}"}
        fast = {"repl-diskless-sync-delay": "0", **settings, **follow}
        primary.call("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        replica = stack.enter_context(running(folder, fast))
        servers.until(lambda: linked(replica))
        watch = {
            "sentinel monitor": f"{MASTER} {servers.HOST} {primary.port} 1",
            "sentinel down-after-milliseconds": f"{MASTER} {NEVER}",
            "sentinel failover-timeout": f"{MASTER} 3000",
        }
        sentinel = stack.enter_context(running(folder, watch, program="redis-sentinel"))
        # It has to know the replica before the primary fails.
        servers.until(lambda: sentinel.call("SENTINEL", "REPLICAS", MASTER))
        yield Replicas(primary, replica, sentinel)
