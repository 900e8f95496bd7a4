"""The queue plugin sqlite: background jobs in a file."""

from .queue import Queue

__all__ = ["Queue"]
