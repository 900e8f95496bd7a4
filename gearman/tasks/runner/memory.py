"""How much memory another process uses."""

import os
import subprocess
from contextlib import suppress


def resident(pid: int) -> int:
    """Return the bytes of a process that are in memory; 0 if it is gone."""
    if os.path.exists("/proc/self/statm"):
        with suppress(OSError), open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return 0
    done = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True
    )
    return int(done.stdout or 0) * 1024
