"""What a client has to know of the protocol: no sockets, no clock, no waiting."""
