"""memcached is disconnected, or hangs for a while, while a server uses it."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator

import pytest

from gearman.queue import load
from tests.queues.backend import Backend, Store
from tests.queues.backend_memcached import Link, link, running
from tests.servers import HOST

from .outage import survives, survives_a_pause


@pytest.fixture
def port() -> Iterator[int]:
    pytest.importorskip("pymemcache")
    with running() as port:
        yield port


@pytest.fixture
def way(port: int) -> Iterator[Link]:
    with link(port) as way:
        yield way


def store_at(port: int) -> Store:
    return Store(Backend(load("memcached"), dict), {"servers": f"{HOST}:{port}"})


def test_cut_connection_loses_no_job(way):
    survives(
        store_at(way.port),
        lambda: asyncio.to_thread(way.cut),
        lambda: asyncio.to_thread(way.restore),
    )


def process_of(port: int) -> int:
    with socket.create_connection((HOST, port)) as peer, peer.makefile("rb") as answers:
        peer.sendall(b"stats\r\n")
        words = next(line.split() for line in answers if line.startswith(b"STAT pid "))
    return int(words[2])


def test_memcached_that_stands_still_is_waited_for(port):
    process = process_of(port)

    async def tell(number: int) -> None:
        os.kill(process, number)

    survives_a_pause(
        store_at(port), lambda: tell(signal.SIGSTOP), lambda: tell(signal.SIGCONT)
    )
