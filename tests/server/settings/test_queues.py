"""Which queue is in use, and whether it has an inbox."""

import pytest

from gearman.errors import ConfigurationError
from gearman.server.settings.config import embedded


def test_inbox_is_an_argument_of_the_plugin() -> None:
    words = ["-q", "libsqlite3", "--libsqlite3-db=/a"]
    without, wanted = embedded(words), embedded([*words, "--queue-inbox"])
    assert (without.inbox, without.queue_options) == (False, {"db": "/a"})
    assert (wanted.inbox, wanted.queue_options) == (True, {"db": "/a", "inbox": True})


@pytest.mark.parametrize("queue", ["builtin", "flatfile", "libmemcached"])
def test_queue_without_an_inbox_is_refused(queue: str) -> None:
    with pytest.raises(ConfigurationError, match="has no inbox: leave out") as error:
        embedded(["-q", queue, "--queue-inbox"])
    assert str(error.value).endswith("another queue: sqlite, postgres, mysql")
