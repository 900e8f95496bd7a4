"""The servers and clients are those of `tests/client`."""

from tests.client.conftest import admin, certificate, client, server, task, worker

__all__ = ["admin", "certificate", "client", "server", "task", "worker"]
