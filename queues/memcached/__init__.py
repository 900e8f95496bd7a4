"""The queue plugin memcached: background jobs in the memory of memcached."""

from .queue import Queue

__all__ = ["Queue"]
