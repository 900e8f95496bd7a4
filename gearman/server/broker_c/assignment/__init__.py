"""The compiled modules of `broker.assignment`, and their C types."""
