"""The queue plugin redis: background jobs in Redis."""

from .queue import Queue

__all__ = ["Queue"]
