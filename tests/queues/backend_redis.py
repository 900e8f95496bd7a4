"""The plugin redis, with a Redis of its own, and a link that can be cut."""

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

from gearman.queue import load
from tests import servers

from .backend import Arguments, Backend
from .backend_memcached import link

# How a configuration file says that a value is empty.
EMPTY = '""'

# Jobs are on the disk when they are acknowledged.
DURABLE = {"appendonly": "yes", "appendfsync": "always", "save": ""}
# Jobs end with Redis.

IN_MEMORY = {"appendonly": "no", "save": ""}


@dataclass
class Redis:
    """A Redis that a test can stop and start; `program` may be redis-sentinel."""

    folder: Path
    settings: Mapping[str, str]
    port: int
    program: str = "redis-server"
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        settings = {
            "port": str(self.port),
            "bind": servers.HOST,
            "dir": str(self.folder),
            "logfile": str(self.folder / f"log-{self.port}"),
            **self.settings,
        }
        # A file, since Sentinel writes into it.
        file = self.folder / f"conf-{self.port}"
        if not file.exists():
            rows = (f"{name} {value or EMPTY}" for name, value in settings.items())
            file.write_text("\n".join(rows) + "\n")
        self.process = subprocess.Popen(
            [servers.foreign(self.program), file],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + servers.DEADLINE
        while self.process.poll() is None and time.monotonic() < end:
            with suppress(Exception):
                # Asks for a password, if it has one.
                self.call("PING")
                return
            time.sleep(0.005)
        log = (self.folder / f"log-{self.port}").read_text(errors="replace")
        raise AssertionError(f"Redis does not start:\n{log[-5000:]}")

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(servers.DEADLINE)

    def restart(self, how: int = signal.SIGTERM) -> None:
        self.stop(how)
        self.start()

    def call(self, *words: Any, password: str | None = None) -> Any:
        """Execute a command over a connection of its own."""
        from redis import Redis as Client

        tls = "tls-port" in self.settings
        password = password or self.settings.get("requirepass")
        with Client(
            servers.HOST,
            int(self.settings["tls-port"]) if tls else self.port,
            password=password,
            ssl=tls,
            ssl_cert_reqs="none",
            ssl_check_hostname=False,
            protocol=2,
        ) as client:
            return client.execute_command(*words)

    def all_keys(self) -> set[bytes]:
        return set(self.call("KEYS", "*"))


def needed() -> None:
    """Skip the test, or fail in CI, if something for Redis is missing."""
    servers.foreign("redis-server")
    if find_spec("redis") is None:
        servers.missing("redis-py")


@contextmanager
def running(
    folder: Path,
    settings: Mapping[str, str] = IN_MEMORY,
    *,
    port: int | None = None,
    program: str = "redis-server",
) -> Iterator[Redis]:
    """Run Redis on a free port; its files are in the folder."""
    needed()
    with servers.kept_ports() as [own]:
        redis = Redis(folder, settings, port or own, program)
        redis.start()
        try:
            yield redis
        finally:
            redis.process.kill()
            redis.process.wait(servers.DEADLINE)


def at(port: int, **more: Any) -> dict[str, Any]:
    """Return the arguments of the plugin for a port of this machine."""
    return {"url": f"redis://{servers.HOST}:{port}", **more}


@contextmanager
def redis(folder: Path) -> Iterator[Backend]:
    prefixes = map("test-{}".format, count())
    with (
        running(folder, DURABLE) as server,
        link(server.port) as way,
        servers.kept_ports() as [nobody],
    ):

        @contextmanager
        def outage(arguments: Arguments) -> Iterator[None]:
            way.cut()
            try:
                yield
            finally:
                way.restore()

        yield Backend(
            load("redis"),
            lambda: at(way.port, prefix=next(prefixes)),
            unreachable=at(nobody),
            outage=outage,
        )
