"""Connections: bytes between a socket and a protocol, back-pressure, time-outs, TLS."""
