"""What Redis promises for stored jobs, which depends on how it is configured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .wire import Wire

# Policies that may remove jobs: the keys of jobs have no time to live.
_EVICTING: Final = "allkeys-"
# The setting of Redis, and where INFO has it.
_SETTINGS: Final = {
    "appendonly": "aof_enabled",
    "appendfsync": "",
    "save": "",
    "maxmemory-policy": "maxmemory_policy",
}
_WORDS: Final = {"aof_enabled": {"0": "no", "1": "yes"}}

_SHARED: Final = "while the job server runs, it stores again what Redis has lost"


@dataclass(frozen=True, slots=True)
class Waits:
    """What a batch waits for: copies on replicas, and each copy's disk (`disk`)."""

    replicas: int = 0
    disk: bool = False


@dataclass(frozen=True, slots=True)
class Promise:
    """Whether jobs outlive all crashes of Redis, and a line that says it."""

    durable: bool
    line: str


def read(wire: Wire) -> dict[str, str]:
    """Return the settings of Redis that can be read: CONFIG may be forbidden."""
    found = {}
    for name in _SETTINGS:
        answer = wire.ask(b"CONFIG", b"GET", name.encode())
        if answer and len(answer) > 1:
            found[name] = answer[1].decode("utf-8", "replace")
    if not found:
        for section in b"persistence", b"memory":
            found |= _of_info(wire.ask(b"INFO", section) or b"")
    return found


def _of_info(text: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in text.decode("utf-8", "replace").split())
    values = {name: value for name, _, value in lines}
    return {
        setting: _WORDS.get(name, {}).get(values[name], values[name])
        for setting, name in _SETTINGS.items()
        if name in values
    }


def promise(
    settings: Mapping[str, str], waits: Waits, *, sentinel: bool = False
) -> Promise:
    """Return what is promised with these settings."""
    durable, text = _on_disk(settings, waits)
    policy = settings.get("maxmemory-policy", "")
    if policy.startswith(_EVICTING):
        durable = False
        text += (
            f"; Redis may drop jobs when its memory is full (maxmemory-policy {policy}"
        )
        text += "): set maxmemory-policy noeviction"
    elif not policy:
        durable = False
        text += "; whether Redis drops jobs when its memory is full is unknown"
    if sentinel and not waits.replicas:
        durable = False
        text += "; a failover may lose the latest jobs without --redis-wait-replicas"
    return Promise(durable, text if durable else f"{text} ({_SHARED})")


def _on_disk(settings: Mapping[str, str], waits: Waits) -> tuple[bool, str]:
    if settings.get("appendonly") == "yes":
        return _appended(settings.get("appendfsync", ""), waits)
    if "appendonly" not in settings:
        return False, "whether Redis stores jobs on a disk can't be read from it"
    if settings.get("save", "?") == "":
        return False, "jobs end with Redis, which stores nothing (appendonly no)"
    return False, (
        "a crash of Redis loses the jobs since its last snapshot (appendonly no): set"
        " appendonly yes, and appendfsync always"
    )


def _appended(sync: str, waits: Waits) -> tuple[bool, str]:
    if waits.disk:
        return True, "a job is acknowledged when it is on Redis' disk (WAITAOF)"
    if sync == "always":
        return (
            True,
            "a job is acknowledged when it is on Redis' disk (appendfsync always)",
        )
    if sync == "everysec":
        return False, (
            "a crash of Redis or its machine loses the jobs of the last two seconds"
            " (appendfsync everysec)"
        )
    if sync == "no":
        return False, (
            "a crash of Redis' machine loses the jobs that the system has not written"
            " yet (appendfsync no)"
        )
    return False, (
        "Redis writes jobs to a disk, but its appendfsync can't be read: allow CONFIG"
        " GET to its user"
    )
