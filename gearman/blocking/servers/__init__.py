"""The servers of a client or worker: their order, and finding more of them."""
