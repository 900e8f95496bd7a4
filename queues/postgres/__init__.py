"""The queue plugin postgres: background jobs in a table."""

from .queue import Queue

__all__ = ["Queue"]
