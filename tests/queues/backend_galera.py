"""A cluster of Galera: three servers of MariaDB with the same data."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import servers

from .backend_mysql import HOST, PASSWORD, USER, Daemon, Database, pymysql

PROVIDERS = (
    "/usr/lib/galera/libgalera_smm.so",
    "/usr/lib64/galera-4/libgalera_smm.so",
)

# Small, since there are three. No machine crashes, so that disks are not waited for.
SETTINGS = {
    "innodb-flush-log-at-trx-commit": "2",
    "innodb-flush-method": "nosync",
    "innodb-buffer-pool-size": "16M",
    "innodb-log-file-size": "16M",
    "innodb-autoinc-lock-mode": "2",
    "binlog-format": "ROW",
    "performance-schema": "OFF",
    "ssl": "OFF",
    "max-connections": "40",
}

# Seconds without a sign after which the others do without a node.
SUSPECT = 2

# Seconds in which nodes agree who is there.
INSTALL = 15

NODES = 3


@dataclass
class Node(Daemon):
    """A server of MariaDB; `peers` are the ports by which all nodes are connected.

    `receiving` are its ports for missed changes, and for a copy of all data.
    """

    peers: Sequence[int] = ()
    number: int = 0
    receiving: tuple[int, int] = 0, 0
    # For the next start: whether it is the first one, and at which state it is.
    first: bool = False
    position: str = ""

    @property
    def owner(self) -> str:
        """The user to run as: programs for copying data do not run as root."""
        return "mysql" if os.geteuid() == 0 else ""

    def options(self) -> Iterator[str]:
        for option in super().options():
            if not option.startswith("--user="):
                yield option
        if self.owner:
            yield f"--user={self.owner}"
        # The usual folder may be closed to that user.
        yield f"--tmpdir={self.folder}"

    def create(self) -> None:
        self.give()
        super().create()

    def group_options(self) -> Iterator[str]:
        nodes = ",".join(f"{HOST}:{port}" for port in self.peers)
        own = self.peers[self.number]
        changes, copy = self.receiving
        provider = {
            "gcache.size": "16M",
            "base_host": HOST,
            "gmcast.listen_addr": f"tcp://{HOST}:{own}",
            "ist.recv_addr": f"{HOST}:{changes}",
            "evs.suspect_timeout": f"PT{SUSPECT}S",
            "evs.keepalive_period": "PT0.5S",
            "evs.inactive_check_period": "PT0.25S",
            # On a busy machine nodes need time to agree who is there: those that do not
            # within evs.install_timeout part again, again and again.
            "evs.inactive_timeout": f"PT{INSTALL}S",
            "evs.install_timeout": f"PT{INSTALL}S",
            "evs.join_retrans_period": "PT0.25S",
        }
        yield "--wsrep-on=ON"
        yield f"--wsrep-provider={library()}"
        yield f"--wsrep-cluster-address=gcomm://{nodes}"
        yield f"--wsrep-node-address={HOST}:{own}"
        yield f"--wsrep-node-name=node{self.number}"
        yield "--wsrep-sst-method=rsync"
        yield f"--wsrep-sst-receive-address={HOST}:{copy}"
        settings = ";".join(f"{name}={value}" for name, value in provider.items())
        yield f"--wsrep-provider-options={settings}"
        if self.first:
            yield "--wsrep-new-cluster"
        if self.position:
            yield f"--wsrep-start-position={self.position}"

    def give(self) -> None:
        """Give its files to the user that it runs as."""
        if self.owner:
            subprocess.run(["chown", "-R", self.owner, self.folder], check=True)

    def start(self) -> None:
        self.give()
        super().start()
        servers.until(self.synced)

    def command(self) -> Iterator[str]:
        yield from super().command()
        yield from self.group_options()

    def connect(self, database: str | None = None) -> Any:
        connection = super().connect(database)
        # Statements see what others have committed before.
        connection.cursor().execute("SET SESSION wsrep_sync_wait = 7")
        return connection

    def synced(self) -> bool:
        """Whether it has all data of the others, and is one of the majority."""
        with suppress(pymysql().MySQLError):
            return self.status("wsrep_local_state_comment") == "Synced"
        return False

    def complete(self) -> bool:
        """Whether it is connected with all others."""
        return self.synced() and self.status("wsrep_cluster_size") == str(NODES)

    def status(self, name: str) -> str:
        [(_, value)] = self.sql(f"SHOW STATUS LIKE '{name}'")
        return str(value)

    def isolate(self, cut: bool = True) -> None:
        """Cut the network between it and the other nodes, or heal it."""
        option = f"gmcast.isolate={int(cut)}"
        self.sql(f"SET GLOBAL wsrep_provider_options = '{option}'")

    def recover(self) -> None:
        """Find out at which state it was when it was killed."""
        said = subprocess.run(
            [*self.command(), "--wsrep-recover"],
            check=True,
            capture_output=True,
            text=True,
            timeout=servers.DEADLINE,
        )
        found = re.search("Recovered position: (.+)", said.stderr)
        assert found, said.stderr
        self.position = found[1]


@dataclass
class Galera:
    """Nodes that run, or were stopped by a test."""

    nodes: list[Node]

    def hosts(self, *numbers: int) -> str:
        """Return the addresses of nodes, of all if none are named."""
        nodes = [self.nodes[number] for number in numbers or range(NODES)]
        return ",".join(f"{HOST}:{node.port}" for node in nodes)

    def create(self) -> None:
        first = self.nodes[0]
        first.create()
        first.first = True
        first.start()
        first.sql(f"CREATE USER {USER} IDENTIFIED BY %s", PASSWORD)
        first.sql(f"GRANT ALL ON *.* TO {USER}")
        first.stop()
        # So the others need only what comes later.
        for other in self.nodes[1:]:
            shutil.copytree(
                first.data, other.data, ignore=shutil.ignore_patterns("galera.cache")
            )
        first.start()
        first.first = False
        for other in self.nodes[1:]:
            other.start()

    def heal(self) -> None:
        """Return when all nodes run, and are connected."""
        dead = [node for node in self.nodes if node.process.poll() is not None]
        for node in dead:
            if node.process.returncode == -signal.SIGKILL:
                node.recover()
            node.start()
            node.position = ""
        for node in self.nodes:
            node.isolate(False)
        for node in self.nodes:
            servers.until(node.complete)

    def stop(self) -> None:
        for node in self.nodes:
            if hasattr(node, "process"):
                node.stop(signal.SIGKILL)


@dataclass
class GaleraDatabase(Database):
    """A new database on all nodes."""

    galera: Galera
    # Whether each server knows a single node.
    alone: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        # A connection to a database does not wait until a node has it; these do.
        for node in self.galera.nodes:
            node.sql("SELECT 1")

    def at(self, *nodes: int) -> dict[str, Any]:
        """Return arguments of the plugin for these nodes, or all of them."""
        return {**self.tcp, "host": self.galera.hosts(*nodes), "port": 0}


def library() -> str:
    """Return the path of Galera's library."""
    found = next((path for path in PROVIDERS if Path(path).exists()), None)
    return found or servers.missing("galera")


@contextmanager
def galera() -> Iterator[Galera]:
    """Run three nodes on free ports, in a folder that is removed at the end."""
    library()
    for program in "rsync", "ss":
        if shutil.which(program) is None:
            servers.missing(program)
    with (
        tempfile.TemporaryDirectory(prefix="gearman-galera-") as folder,
        servers.kept_ports(4 * NODES) as kept,
    ):
        os.chmod(folder, 0o755)
        peers, ports, changes, copies = (kept[kind::4] for kind in range(4))
        nodes = []
        for number in range(NODES):
            own = Path(folder, str(number))
            own.mkdir()
            node = Node(own, ports[number], SETTINGS, peers=peers, number=number)
            node.receiving = changes[number], copies[number]
            node.log.touch()
            nodes.append(node)
        running = Galera(nodes)
        try:
            running.create()
            yield running
        finally:
            running.stop()
            # pytest prints this if the test fails.
            for node in nodes:
                print(node.log.read_text(errors="replace")[-10_000:])
