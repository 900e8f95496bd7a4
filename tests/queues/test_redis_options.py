"""The options of the queue redis, and what Redis' settings promise."""

from pathlib import Path
from typing import Any

import pytest
from gearman.queues.redis.address import (
    Address,
    Login,
    Tls,
    from_options,
    parse,
)

from gearman.errors import ConfigurationError
from gearman.queue import load

pytest.importorskip("redis")
from gearman.queues.redis.promises import Waits, promise  # noqa: E402

Plugin: Any = load("redis")

URLS = {
    "redis://": Address(),
    "redis://db": Address(("db", 6379)),
    "redis://db:7000/3": Address(("db", 7000), db=3),
    "redis://db?db=3": Address(("db", 6379), db=3),
    "redis://[::1]:7000": Address(("::1", 7000)),
    "redis://user:pass@db": Address(("db", 6379), login=Login("user", "pass")),
    "redis://:p%40ss%2F@db": Address(("db", 6379), login=Login("", "p@ss/")),
    "redis://a:b@c@db": Address(("db", 6379), login=Login("a", "b@c")),
    "rediss://db": Address(("db", 6379), tls=Tls()),
    "unix:///run/redis.sock": Address(path="/run/redis.sock"),
    "unix://:x@/run/r?db=2": Address(path="/run/r", db=2, login=Login("", "x")),
    "redis+sentinel://a,b:7000/jobs": Address(
        sentinels=(("a", 26379), ("b", 7000)), master="jobs"
    ),
    "rediss+sentinel://u:p@a/jobs/4?sentinel_password=s": Address(
        db=4,
        login=Login("u", "p"),
        tls=Tls(),
        sentinels=(("a", 26379),),
        master="jobs",
        sentinel_login=Login("", "s"),
    ),
}


@pytest.mark.parametrize("url", URLS)
def test_url_says_where_redis_is(url: str) -> None:
    assert parse(url) == URLS[url]


@pytest.mark.parametrize(
    "url",
    [
        "db:6379",
        "http://db",
        "redis://db:port",
        "redis://db:70000",
        "redis://db/x",
        "redis://db/-1",
        "redis://unix:x",
        "redis://db?timeout=3",
        "redis://db?db",
        "unix://",
        "unix:///",
        "unix://host/path",
        "redis+sentinel://a",
        "redis+sentinel:///jobs",
        "redis+sentinel://a,/jobs",
    ],
)
def test_other_urls_are_refused_without_their_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="--redis-url can't be read") as error:
        parse(url.replace("://", "://:secret@", 1))
    assert "secret" not in str(error.value)


def test_text_of_an_address_has_no_password() -> None:
    for address in URLS.values():
        assert "pass" not in str(address) + repr(address).replace("password", "")


def test_options_of_gearmand_say_where_redis_is() -> None:
    assert from_options({}) == Address()
    assert from_options({"server": "db"}) == Address(("db", 6379))
    assert from_options({"port": "7000"}) == Address(("localhost", 7000))
    assert from_options({"server": "db", "port": "7000"}) == Address(("db", 7000))
    assert from_options({"server": "db:7000"}) == Address(("db", 7000))
    assert from_options({"server": "/run/r"}) == Address(path="/run/r")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"server": "a b"}, "--redis-server must be"),
        ({"port": "0"}, "--redis-port a port"),
        ({"port": "http"}, "--redis-port a port"),
        ({"url": "redis://a", "server": "b"}, "leave out --redis-server"),
        ({"url": "redis://a", "port": "1"}, "leave out --redis-server"),
        ({"url": "unix:///a", "ca": "/x"}, "leave out --redis-tls"),
        ({"password_file": "/nonexistent"}, "--redis-password-file .* can't be read"),
    ],
)
def test_options_that_do_not_fit_are_told(options: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        Plugin.check(options)


@pytest.mark.parametrize("prefix", ["", "two words", "é", "p" * 201, "{a}"])
def test_prefix_has_to_fit_into_keys(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="--redis-prefix"):
        Plugin(prefix=prefix)


def test_password_that_is_nearest_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("from the file\r\n")
    options = {
        "password": "from the option",
        "url": "redis://user:from%20the%20URL@db",
        "password_file": str(file),
    }
    monkeypatch.setenv("REDISCLI_AUTH", "from the environment")
    found = []
    for name in [*options, None]:
        found.append(from_options(options).login.password)
        if name == "url":
            options["url"] = "redis://user@db"
        elif name:
            del options[name]
    assert found == [
        "from the option",
        "from the URL",
        "from the file",
        "from the environment",
    ]
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="it is no text"):
        from_options({"password_file": str(file)})


def test_files_for_tls_turn_it_on() -> None:
    assert from_options({"ca": "/ca"}).tls == Tls("/ca")
    assert from_options({"url": "rediss://db", "cert": "/c", "key": "/k"}) == Address(
        ("db", 6379), tls=Tls("", "/c", "/k")
    )


def test_check_opens_nothing() -> None:
    Plugin.check({"url": "redis://192.0.2.1"})


DURABLE = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "volatile-lru",
}


def test_jobs_that_are_synced_are_durable() -> None:
    assert promise(DURABLE, Waits()).durable
    later = DURABLE | {"appendfsync": "everysec"}
    assert not promise(later, Waits()).durable
    assert promise(later, Waits(disk=True)).durable


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"appendfsync": "no"}, "the system has not written yet"),
        ({"maxmemory-policy": "allkeys-random"}, "set maxmemory-policy noeviction"),
        ({"appendonly": "no", "save": "60 1"}, "set appendonly yes"),
    ],
)
def test_what_may_be_lost_is_told(settings: dict[str, str], text: str) -> None:
    promised = promise(DURABLE | settings, Waits())
    assert not promised.durable
    assert text in promised.line
    assert "it stores again what Redis has lost" in promised.line


def test_failover_needs_copies() -> None:
    assert not promise(DURABLE, Waits(), sentinel=True).durable
    assert promise(DURABLE, Waits(1), sentinel=True).durable
