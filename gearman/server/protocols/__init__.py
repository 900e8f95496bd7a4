"""The protocols of the server: each turns bytes into calls of the broker, and back.

Packages with a protocol of their own import from here; docs/protocols.md says how.
"""

from .interface import Option, Peer, Protocol, Recipient, Server, Service, Trace

__all__ = ["Option", "Peer", "Protocol", "Recipient", "Server", "Service", "Trace"]
