"""The order in which servers are tried."""

from gearman.client_core.server_order import Ring


def test_ring_without_places_has_no_order() -> None:
    assert Ring([]).order(b"key") == []
