"""Sockets: listening, connections, turns, time-outs, TLS, the compiled engine."""
