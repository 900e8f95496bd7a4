"""The owner of stored jobs: a process, and whether it is alive."""

import os
import socket
from pathlib import Path
from typing import Final

_open: Final[set[bytes]] = set()


def new_token() -> bytes:
    """Return a token for a store that this process opens; `release` ends it."""
    pid = os.getpid()
    fields = (_machine(), str(pid), _started(pid), os.urandom(8).hex())
    token = " ".join(fields).encode()
    _open.add(token)
    return token


def release(token: bytes) -> None:
    _open.discard(token)


def is_here(token: bytes) -> bool:
    """Whether the owner is a process of this machine, or was one."""
    fields = token.decode("utf-8", "replace").split(" ")
    return len(fields) == 4 and fields[0] == _machine() and fields[1].isdigit()


def is_alive(token: bytes) -> bool:
    """Whether the owner is known to be alive; False for one on another machine."""
    if not is_here(token):
        return False
    fields = token.decode("utf-8", "replace").split(" ")
    pid = int(fields[1])
    if pid == os.getpid():
        return token in _open
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass
    except (OSError, OverflowError):
        return False
    return fields[2] == _started(pid)


def _machine() -> str:
    """Return the id of this boot of the machine, and of the container.

    Process ids are unique within these. Without /proc it is the host's name.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname().replace(" ", "-")


def _started(pid: int) -> str:
    """Return the start time of a process, "-" if unknown; its id may be reused."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except OSError:
        return "-"
    return after_name.split()[19]
