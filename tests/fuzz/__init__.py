"""Odd bytes for the server, from many peers at once, in both builds side by side.

A script is what peers do with one server: they come, send bytes, leave; time passes;
a store stores or fails. `write` makes scripts up from a seed: requests as they should
be, and ones that a mutator has spoilt. `play` plays a script on a server of one build
without sockets and returns all that peers were sent; `sockets` plays it on a listener.
Whatever the script, nothing may be raised but what ends one connection, all that comes
back must be answers, nothing may be left when everybody is gone, and every build must
answer the same.

A script that fails is printed. It belongs into `corpus/`, which the test suite plays
and whose bytes the mutator starts from.
"""
