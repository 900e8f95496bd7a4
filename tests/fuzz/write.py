"""Writing scripts at random."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from tests.fuzz import requests
from tests.fuzz.mutate import BYTES, PACKET, pick, spoil
from tests.fuzz.script import Script, Step

KINDS = ["gear"] * 5 + ["http", "http", "memcached"]
OPTIONS: dict[str, list[Any]] = {
    "retries": [-1, -1, 0, 1, 2],
    "wakeup": [0, 0, 1, 2],
    "priority_first": [True, False],
    "round_robin": [True, False],
    "timeout_fails": [True, False],
    "exceptions": [False, False, True],
    "persistent": [False, False, True],
    "limits": [
        *({}, {}, {}, {"jobs": 3}, {"jobs_per_function": 2}, {"job_memory": 6000}),
        *({"functions": 2}, {"functions_per_worker": 1}),
    ],
}
POLICIES = [
    *(b"retries=1&backoff=fixed:0", b"ttl=1", b"timeout=1", b"keep=5", b"dead=list"),
    *(b"dead=function:g", b"priority=low", b"max-running=1", b"rate=2/h", b"rate=1/s"),
    *(b"max-running=2&rate=3/m&retries=1", b"paused=1", b"paused=0", b"max-queue=2"),
    *(b"weight=2", b"need-worker=1", b"retries=0&dead=none&ttl=60&keep=0"),
]
# Those that a script begins with do not depend on the time, which a listener has.
FIRST_POLICIES = [it for it in POLICIES if b"=1/s" not in it and b"tt" not in it]
WAITS = [0.0, 0.1, 1.0, 1.5, 6.0, 60.0]


class Writer:
    """Writes scripts; damaged bytes of the scripts `known` are used in them."""

    def __init__(self, rng: Random, known: Sequence[Script] = ()) -> None:
        self._rng = rng
        self._known = [
            step[2] for script in known for step in script.steps if step[0] == "send"
        ] or [b""]

    def script(self, steps: int = 60) -> Script:
        """Return a script with about so many steps."""
        rng = self._rng
        options = {name: pick(rng, values) for name, values in OPTIONS.items()}
        guests = [pick(rng, KINDS) for _ in range(2 + int(rng.random() * 4))]
        guests[:2] = ["gear", "gear"]
        play = [("join", who, kind) for who, kind in enumerate(guests)]
        rests = [b""] * len(guests)
        for _ in range(steps):
            play.extend(self._steps(guests, rests, options["persistent"]))
        options["policies"] = {
            name: pick(rng, FIRST_POLICIES)
            for name in (b"f", b"g")
            if rng.random() < 0.2
        }
        options["scheduled"] = rng.random() < 0.2
        return Script(options, play, trace=rng.random() < 0.02)

    def _steps(
        self, guests: list[str], rests: list[bytes], persistent: bool
    ) -> Iterator[Step]:
        rng = self._rng
        who = int(rng.random() * len(guests))
        what = rng.random()
        if what < 0.9:
            data = rests[who] or self._data(guests[who])
            rests[who] = b""
            if what < 0.15:
                cut = int(rng.random() * len(data))
                data, rests[who] = data[:cut], data[cut:]
            yield "send", who, data
        elif what < 0.93:
            yield "leave", who
            rests[who] = b""
            yield "join", who, guests[who]
        elif what < 0.97:
            yield "wait", pick(rng, WAITS)
        elif what < 0.98:
            yield "policy", pick(rng, [b"f", b"f", b"g", b""]), pick(rng, POLICIES)
        elif what < 0.985:
            yield "dead", rng.random() < 0.7
        elif what > 0.9995:
            yield ("drain",)
        elif persistent and what > 0.995:
            yield "outage", rng.random() < 0.3
        if persistent and rng.random() < 0.3:
            yield "store", rng.random() < 0.9

    def _data(self, kind: str) -> bytes:
        rng = self._rng
        how = rng.random()
        if how < 0.1:
            return spoil(rng, pick(rng, self._known))
        data = self._request(kind)
        if how < 0.35:
            return spoil(rng, data, PACKET if kind == "gear" else BYTES)
        while rng.random() < 0.25:
            data += self._request(kind)
        return data

    def _request(self, kind: str) -> bytes:
        rng = self._rng
        if kind == "http":
            return requests.http(rng)
        if kind == "memcached":
            return requests.memcached(rng)
        return requests.gear(rng) if rng.random() < 0.9 else requests.line(rng)
