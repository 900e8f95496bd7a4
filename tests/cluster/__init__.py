"""Servers of a cluster under load, while machines and networks fail."""
