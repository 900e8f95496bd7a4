"""A disk that fills up soon: a small file system in memory."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CAP_SYS_ADMIN = 21


def may_mount() -> bool:
    """Tell whether this process may mount a file system."""
    status = Path("/proc/self/status")
    if os.geteuid() != 0 or not status.exists():
        return False
    (capabilities,) = (
        line.split()[1]
        for line in status.read_text().splitlines()
        if line.startswith("CapEff:")
    )
    return bool(int(capabilities, 16) >> _CAP_SYS_ADMIN & 1)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a file system of this size on a folder, for as long as it is needed."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "gearman-test"]
    subprocess.run([*mount, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
