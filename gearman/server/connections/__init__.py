"""Connections: a socket and a protocol, back-pressure, time limits, TLS."""
