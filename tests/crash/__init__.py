"""Servers that are killed, stopped and robbed of their back ends, and books on it."""
