"""What the server speaks: bytes in, bytes out, calls of the broker in between.

Packages that bring a protocol import from here what docs/protocols.md names.
"""

from .interface import Option, Peer, Protocol, Recipient, Server, Service, Trace

__all__ = ["Option", "Peer", "Protocol", "Recipient", "Server", "Service", "Trace"]
