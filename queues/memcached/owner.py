"""Who uses the jobs under a prefix: a process of this machine, if it is alive."""

import os
import socket
from pathlib import Path
from typing import Final

_open: Final[set[bytes]] = set()


def new_token() -> bytes:
    """Return what stands for a store opened by this process, until it is released."""
    pid = os.getpid()
    fields = (_machine(), str(pid), _started(pid), os.urandom(8).hex())
    token = " ".join(fields).encode()
    _open.add(token)
    return token


def release(token: bytes) -> None:
    _open.discard(token)


def is_alive(token: bytes) -> bool:
    """Tell whether the owner is known to live. One on another machine is not."""
    fields = token.decode("utf-8", "replace").split(" ")
    if len(fields) != 4 or fields[0] != _machine() or not fields[1].isdigit():
        return False
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
    """Name the machine since its start, and the container, as process ids are theirs.

    Where there is no /proc it is the host's name.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname().replace(" ", "-")


def _started(pid: int) -> str:
    """Return when a process started, as another may get its id; "-" if unknown."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except OSError:
        return "-"
    return after_name.split()[19]
