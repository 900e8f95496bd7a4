"""The broker in use."""

from ._broker import (
    HIGH,
    LOW,
    NORMAL,
    Broker,
    Function,
    Job,
    Peer,
)

__all__ = ["HIGH", "LOW", "NORMAL", "Broker", "Function", "Job", "Peer"]
