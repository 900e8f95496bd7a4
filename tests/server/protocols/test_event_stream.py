"""A peer that watches events is sent them, and costs nothing when it is gone."""

import json

from gearman.server.protocols.interface import HIGH_WATER


def watching(server):
    watcher = server.connect()
    assert b'"watching"' in watcher.ask(b"watch events events=submitted")
    return watcher


def events(data):
    return [json.loads(line) for line in data.splitlines()]


def test_slow_watcher_misses_events_and_is_told_how_many(server):
    watcher, client = watching(server), server.connect()
    watcher.peer.write(bytes(HIGH_WATER + 1))
    for _ in range(3):
        client.submit()
    assert watcher.data() == bytes(HIGH_WATER + 1)
    client.submit()
    left_out, submitted = events(watcher.data())
    assert left_out == {"time": server.wall, "event": "left_out", "count": 3}
    assert submitted["event"] == "submitted"


def test_blocked_watcher_misses_events(server):
    watcher, client = watching(server), server.connect()
    watcher.peer.blocked = True
    client.submit()
    assert watcher.data() == b""
    watcher.peer.blocked = False
    client.submit()
    assert [each["event"] for each in events(watcher.data())] == [
        *("left_out", "submitted"),
    ]


def test_nothing_is_watched_when_the_last_watcher_has_left(server):
    first, second = watching(server), watching(server)
    assert len(server.site.events) == 2
    first.leave()
    assert server.broker.places.watch is server.site.events
    second.leave()
    assert server.broker.places.watch is None
    assert len(server.site.events) == 0


def test_watcher_may_send_other_lines(server):
    watcher = watching(server)
    assert watcher.ask(b"version") == b"OK 1.2.3\n"
    server.connect().submit()
    assert [each["event"] for each in events(watcher.data())] == ["submitted"]


def test_watcher_that_watches_twice_gets_events_twice_and_leaves_twice(server):
    watcher = watching(server)
    watcher.ask(b"watch events")
    server.connect().submit()
    assert len(events(watcher.data())) == 2
    watcher.leave()
    assert len(server.site.events) == 0
