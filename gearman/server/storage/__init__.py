"""Storing background jobs by a queue plugin, and loading them at the start."""
