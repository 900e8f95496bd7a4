"""Which growth counts as a leak."""

import asyncio
from random import Random

import pytest

from tests.crash.process import Server
from tests.soak.memory import OBSERVED, WARM_UP, Use, leaks

MEBIBYTE = 1 << 20

# Waves of twenty minutes, and seconds from one to the next.
WAVES = 60
WAVE = 20
HOUR = 3600


def uses(allocated=lambda wave: 0, objects=lambda wave: 0, **fields):
    """Return the uses of a server of 40 MiB, with an addition after each wave."""
    noise = Random(1).gauss
    steady = {"resident": 40 * MEBIBYTE, "descriptors": 10, "free": MEBIBYTE}
    steady |= {"sqlite": 6 * MEBIBYTE} | fields
    return [
        Use(
            seconds=wave * WAVE,
            allocated=6 * MEBIBYTE + int(noise(0, 4000)) + int(allocated(wave)),
            objects=100_000 + int(noise(0, 30)) + int(objects(wave)),
            **steady,
        )
        for wave in range(WAVES)
    ]


def in_an_hour(amount):
    return lambda wave: amount * wave * WAVE / HOUR


def after(waves, amount):
    return lambda wave: amount * (wave >= waves)


def test_noise_is_no_leak():
    assert leaks(uses()) == []


@pytest.mark.parametrize("percent", [2, 10])
def test_bytes_that_become_more_with_each_wave_are_a_leak(percent):
    (found,) = leaks(uses(allocated=in_an_hour(percent * 0.4 * MEBIBYTE)))
    assert found.startswith("bytes in use: ")


@pytest.mark.parametrize("percent", [2, 10])
def test_objects_that_become_more_with_each_wave_are_a_leak(percent):
    (found,) = leaks(uses(objects=in_an_hour(percent * 1000)))
    assert found.startswith("objects in use: ")


def test_leak_of_every_tenth_wave_is_one():
    assert leaks(uses(allocated=lambda wave: wave // 10 * 100_000)) != []


@pytest.mark.parametrize("waves", range(WARM_UP, WAVES, 5))
def test_what_comes_once_is_no_leak(waves):
    assert leaks(uses(allocated=after(waves, MEBIBYTE))) == []


def test_growth_of_the_first_waves_is_no_leak():
    grown = [min(wave, WARM_UP) * MEBIBYTE for wave in range(WAVES)]
    assert leaks(uses(allocated=grown.__getitem__, objects=grown.__getitem__)) == []


def test_few_waves_are_not_judged():
    grown = uses(allocated=in_an_hour(100 * MEBIBYTE))
    assert leaks(grown[: WARM_UP + 5]) == []
    assert leaks(grown[: WARM_UP + 10]) != []


def test_sqlite_may_not_have_any_amount():
    (found,) = leaks(uses(sqlite=20 * MEBIBYTE))
    assert found.startswith("memory of SQLite: ")


def test_descriptors_that_stay_open_are_a_leak():
    first, *_ = uses(descriptors=10)
    *_, last = uses(descriptors=11)
    assert leaks([first, last]) == ["descriptors: 10, then 11"]


def test_memory_that_the_system_lacks_is_told():
    first, *_ = uses()
    *_, last = uses(resident=57 * MEBIBYTE)
    (found,) = leaks([first, last])
    assert found.startswith("memory of the system: ")


def test_server_tells_what_it_has_in_use():
    async def ask():
        server = await Server.start(program=OBSERVED)
        try:
            await server.ready()
            return [await Use.of(server, times) for times in range(2)]
        finally:
            await server.end()

    one, other = asyncio.run(ask())
    assert one.objects == pytest.approx(other.objects, rel=0.01)
    assert one.objects > 10_000
    assert MEBIBYTE < other.allocated < other.resident
