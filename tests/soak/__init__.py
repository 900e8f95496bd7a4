"""Long runs of a real server under load, with a record of every job.

The load comes in waves. In a wave, clients and workers of all kinds connect and
disconnect, some of them without warning. After the wave, when all clients have their
results, the server must have no data of them left. It must use as much memory and as
many descriptors as after the first wave.
"""
