"""Transactions that submit jobs, while the server and the database are killed.

See CONTRIBUTING.md.
"""
