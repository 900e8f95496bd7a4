"""Hooks: events go to a URL, to a program, or to a function as jobs."""
