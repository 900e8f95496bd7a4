"""The clients and servers of `tests/client`; one of these has `mark.interop`."""

from tests.client.conftest import admin, certificate, client, server, task, worker

__all__ = ["admin", "certificate", "client", "server", "task", "worker"]
