"""The queue plugin mysql: background jobs in a table of MariaDB or MySQL."""

from .queue import Queue

__all__ = ["Queue"]
