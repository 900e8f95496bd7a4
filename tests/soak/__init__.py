"""Everybody at once for a long time on a real server, and the books on every job.

Load comes in waves. In a wave clients and workers of all kinds come and go, politely
and not. At its end, when all clients have what they were promised, nothing may be left
in the server, and as much memory and as many descriptors be in use as after the first
wave.
"""
