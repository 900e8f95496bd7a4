"""The broker of a server, as its settings say."""

import os
import random
import socket
import time

from ..broker import Broker
from ..cluster.home import NO_SHARDS
from ..cluster.shards import Map
from ..settings.config import Config
from ..settings.values import MAX_HANDLE_PREFIX


def new_broker(config: Config, persistent: bool, map: Map | None) -> Broker:
    """Return a new broker, which owns the shards of this server if there is a map."""
    prefix = config.handle_prefix or f"H:{socket.gethostname()}"
    shards = map.mine() if map is not None else NO_SHARDS
    first = map.first_number(shards) if map is not None else 0
    broker = Broker(
        handle_prefix=os.fsencode(prefix)[:MAX_HANDLE_PREFIX],
        # A handle of an earlier run must not name a job of this run. That could only be
        # if more than one handle was assigned in each microsecond.
        first_handle=first or time.time_ns() // 1000,
        retries=config.retries,
        wakeup=config.wakeup,
        priority_first=config.priority_scope == "global",
        round_robin=config.round_robin,
        timeout_fails=config.timeout_action == "fail",
        exceptions=config.exceptions,
        persistent=persistent,
        chance=random.random,
    )
    if map is not None:
        broker.stored.own(shards)
    return broker
