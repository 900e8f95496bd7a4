"""Listening sockets, the event loop and the compiled engine: a server that runs."""
