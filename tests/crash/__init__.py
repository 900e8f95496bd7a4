"""Servers that are killed, stopped or lose their back ends, with a record of jobs."""
