"""Connections on the transports of asyncio, with TLS and without it."""
