"""The servers and clients are those of `tests/client`."""

from tests.client.conftest import admin, client, server, task, worker

__all__ = ["admin", "client", "server", "task", "worker"]
