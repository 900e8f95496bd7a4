"""Plays a script on a listener of this process, with or without the engine."""

import asyncio
import logging
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gearman.options import parse_policy
from gearman.server.net.engine import Engine
from gearman.server.net.listener import Listener
from gearman.server.net.loop import Selector, run
from gearman.server.protocols.http.service import Http
from gearman.server.protocols.memcached import Memcached
from gearman.server.settings.config import Config
from gearman.server.settings.protocols import ChosenProtocol
from tests.fuzz.answers import READERS
from tests.fuzz.builds import build
from tests.fuzz.play import (
    DESCRIPTOR,
    HTTP_TIMEOUT,
    MAX_PACKET,
    SCHEDULE,
    Never,
    Site,
    Transcript,
    check_empty,
    state,
)
from tests.fuzz.script import ASSIGNED, CREATED, FIRST_HANDLE, Script, Step

WAYS = ["asyncio"] + ["engine"] * bool(Engine)
CONFIG = Config(
    listen=(),
    max_packet=MAX_PACKET,
    protocols=(
        ChosenProtocol("http", Http, (), {"timeout": HTTP_TIMEOUT}),
        ChosenProtocol("memcached", Memcached, (), {}),
    ),
)
BUFFER = 4 * 1024 * 1024
# The time in an answer: a line, a value of JSON, or a column.
CLOCK = re.compile(
    rb"\r\n(Date:|STAT time) [^\r\n]*"
    rb'|"(submitted|due|expires|died|ran)": [0-9.]+(e-[0-9]+)?|\t1[0-9]{9}(?=\t)'
)

# After so many rounds of the event loop without data, no more is expected.
QUIET = 6


class Unplayable(Exception):
    """A step that has another meaning with sockets."""


class Visitor:
    """The peer's end of a connection."""

    def __init__(self, who: int, kind: str) -> None:
        self.who = who
        self.kind = kind
        self.answers = READERS[kind]()
        self.socket, served = socket.socketpair()
        for end in (self.socket, served):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        os.dup2(served.fileno(), DESCRIPTOR + who, inheritable=False)
        served.close()
        self.served = socket.socket(fileno=DESCRIPTOR + who)
        self.sent = b""
        self.ended = False

    def read(self) -> bool:
        """Read available data; return whether there was any."""
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        came = bool(data) or not self.ended
        self.sent += data
        self.ended = self.ended or not data
        return came


LIMITS = (
    *("jobs", "jobs_per_function", "job_memory", "memory"),
    *("functions", "functions_per_worker"),
)


class Stage:
    """A listener with its visitors."""

    def __init__(self, listener: Listener, script: Script) -> None:
        self.broker: Any = listener.broker
        self._choose({**script.of_broker, "limits": script.limits})
        for name, text in script.policies.items():
            self.broker.policies.set(name, parse_policy(text))
        schedules = [SCHEDULE] if script.scheduled else []
        self.broker.schedules.load(schedules, Never(), time.time())
        jobs = self.broker.jobs
        jobs.handle_prefix, jobs.next_number = b"H", FIRST_HANDLE
        self._accept = listener._accept
        self._services: dict[str, Any] = {"gear": listener._gear}
        self._services |= {name: service for name, service, _ in listener._others}
        self.visitors: dict[int, Visitor] = {}
        self._created = CREATED

    def _choose(self, options: dict[str, Any]) -> None:
        """Give the broker the options that the script has, as if it were made so."""
        broker = self.broker
        parts = (broker, broker.losses, broker.sleepers, broker.choice)
        limits = dict.fromkeys(LIMITS, 0) | options.pop("limits")
        for name, limit in limits.items():
            setattr(broker.limits, name, limit)
        for name, value in options.items():
            setattr(next(part for part in parts if hasattr(part, name)), name, value)

    async def step(self, step: Step) -> list[tuple[int, bytes, bool]]:
        what, who, *arguments = step
        if what == "join":
            await self._join(who, *arguments)
        elif what == "leave":
            await self._leave(who)
        else:
            self._send(self.visitors[who], *arguments)
        await self._quiet()
        return [
            await self._outcome(visitor)
            for _, visitor in sorted(self.visitors.items())
            if visitor.sent or visitor.ended
        ]

    async def _outcome(self, visitor: Visitor) -> tuple[int, bytes, bool]:
        if visitor.sent and visitor.kind != "http":
            visitor.answers.read(visitor.sent)
            self._created = visitor.answers.created or self._created
        sent, visitor.sent = visitor.sent, b""
        if visitor.ended:
            await self._leave(visitor.who)
            await self._join(visitor.who, visitor.kind)
        return visitor.who, CLOCK.sub(b"", sent), visitor.ended

    async def _join(self, who: int, kind: str) -> None:
        if who not in self.visitors:
            visitor = self.visitors[who] = Visitor(who, kind)
            address = "127.0.0.1", 40_000 + who
            self._accept(self._services[kind], visitor.served, address)
            await self._quiet()

    async def _leave(self, who: int) -> None:
        visitor = self.visitors.pop(who, None)
        if visitor is not None:
            visitor.socket.close()
            await self._quiet()
            if visitor.served.fileno() >= 0:
                raise Unplayable("the listener does not read from it, so may not know")

    def _send(self, visitor: Visitor, data: bytes) -> None:
        if ASSIGNED in data:
            data = data.replace(ASSIGNED, visitor.answers.assigned or ASSIGNED)
        data = data.replace(CREATED, self._created)
        if data and visitor.socket.send(data) != len(data):
            raise Unplayable("too much for the socket's buffer")

    async def _quiet(self) -> None:
        left = QUIET
        while left:
            await asyncio.sleep(0)
            came = [visitor.read() for visitor in self.visitors.values()]
            left = QUIET if any(came) else left - 1

    async def end(self) -> None:
        for who in list(self.visitors):
            await self._leave(who)
        for job in list(self.broker.jobs.known.values()):
            assert job.background, f"nobody is left who wants {job.handle!r}"
            assert self.broker.cancel(job.handle)
        check_empty(self.broker)


def played(way: str, script: Script) -> Transcript:
    """Return the data that all guests got, step by step, and the broker's state.

    Raises Unplayable if the result can't be compared.
    """
    selector = Selector()
    came: Transcript = []

    async def main() -> None:
        listener = Listener(CONFIG, [], selector if way == "engine" else None, [[], []])
        serving = asyncio.create_task(listener.serve(lambda: None))
        await asyncio.sleep(0)
        stage = Stage(listener, script)
        try:
            for step in script.steps:
                came.append(await stage.step(step))
            came.append(state(stage.broker))
            await stage.end()
        finally:
            for visitor in stage.visitors.values():
                visitor.socket.close()
            listener.stop()
            await serving

    with complaints() as heard:
        run(main(), selector)
    assert not heard, heard
    return came


@contextmanager
def complaints() -> Iterator[list[str]]:
    """A context that collects log records which only bugs can cause."""
    heard: list[str] = []
    log = logging.getLogger("gearman.server")
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: heard.append(repr(record))  # type: ignore[method-assign]
    log.addHandler(handler)
    propagates, log.propagate = log.propagate, False
    try:
        yield heard
    finally:
        log.propagate = propagates
        log.removeHandler(handler)


def playable(script: Script) -> Script:
    """Return a script without the steps that need a server without a clock."""
    steps = [step for step in script.steps if step[0] in ("join", "send", "leave")]
    options = {**script.options, "persistent": False}
    return Script(options, steps, name=script.name)


def expected(name: str, script: Script) -> Transcript:
    """Return the result of a playable script without sockets."""
    site = Site(build(name), script, like_listener=True)
    came: Transcript = []
    for step in script.steps:
        outcomes = site.step(step)
        came.append(
            [
                (who, CLOCK.sub(b"", sent), bool(end))
                for who, sent, end in outcomes
                if sent or end
            ]
        )
    came.append(state(site.broker))
    site.end()
    return came
