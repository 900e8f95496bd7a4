"""The order in which servers are tried."""

import random
from typing import Any

from gearman.client_core.server_order import Ring, ServerOrder
from gearman.job import GearmanJob, GearmanJobRequest


class Place:
    connected = True

    def get_address(self) -> tuple[str, int]:
        return "a", 1


def test_ring_without_places_has_no_order() -> None:
    assert Ring([]).order(b"key") == []


def test_a_server_that_was_dropped_is_not_tried_for_a_request() -> None:
    order: ServerOrder[Any] = ServerOrder(random.sample, lambda: 0.0)
    request = GearmanJobRequest(GearmanJob(None, None, "f", "u", ""))
    servers = [Place(), Place(), Place()]
    first = order.queue(request, servers, by_unique=False)
    assert set(first) == set(servers)
    assert set(order.queue(request, servers[:2], by_unique=False)) == set(servers[:2])
    others = [Place(), Place()]
    assert set(order.queue(request, others, by_unique=False)) == set(others)
