"""A disk that is full for a while: a small file system in memory."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gearman.queue import load
from tests.queues.backend import Arguments, Backend, Store

from .outage import survives

MEGABYTES = 64

CAP_SYS_ADMIN = 21


def may_mount() -> bool:
    status = Path("/proc/self/status")
    if os.geteuid() != 0 or not status.exists():
        return False
    (capabilities,) = (
        line.split()[1]
        for line in status.read_text().splitlines()
        if line.startswith("CapEff:")
    )
    return bool(int(capabilities, 16) >> CAP_SYS_ADMIN & 1)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    if not may_mount():
        pytest.skip("mounting a small file system needs root")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "gearman-test"]
    subprocess.run([*mount, tmp_path], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "--lazy", tmp_path], check=True)


ARGUMENTS: dict[str, Arguments] = {
    "sqlite": {"db": "jobs.db"},
    "flatfile": {"folder": "jobs", "segment_size": 1 << 20},
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_full_disk_loses_no_job(name, disk):
    arguments = {
        key: disk / value if isinstance(value, str) else value
        for key, value in ARGUMENTS[name].items()
    }
    store = Store(Backend(load(name), dict), arguments)
    filler = disk / "filler"

    async def fill() -> None:
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    async def make_room() -> None:
        filler.unlink()

    # Finished jobs leave some room, which is enough for a commit now and then.
    survives(store, fill, make_room, news=20)
