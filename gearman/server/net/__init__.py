"""A running server: listening sockets, the event loop and the compiled engine."""
