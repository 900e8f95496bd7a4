"""SQL functions for Postgres that run a job and return its result, in PL/Python.

The queue postgres has the statements that create them. Their bodies call `functions`,
inside of the processes of Postgres.
"""
