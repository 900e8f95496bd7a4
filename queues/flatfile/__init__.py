"""The queue plugin flatfile: background jobs in a folder of files."""

from .queue import Queue

__all__ = ["Queue"]
