"""The client's side of the protocol, without sockets, clock or waiting."""
