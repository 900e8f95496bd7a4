"""Passing jobs on to another server or cluster: decisions, no I/O."""
