"""The compiled modules of `broker.steering`, and their C types."""
