"""The compiled modules of `broker.links`, and their C types."""
