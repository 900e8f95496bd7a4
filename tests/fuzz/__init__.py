"""Fuzzing: random bytes for the server from many peers at once, in both builds.

A script has the steps of peers of one server: they connect, send bytes and disconnect;
time passes; a store succeeds or fails. `write` makes scripts from a seed, with valid
requests, and with requests that a mutator has damaged. `play` plays a script on a
server of one build without sockets, and returns all data that was sent to peers;
`sockets` plays it on a listener. For every script this must hold: no exception but one
that closes a single connection; all data sent to peers are answers of their protocol;
after all peers have gone, no data of them is left; and every build answers the same.

A script that fails is printed. Put it into `corpus/`: the test suite plays the scripts
there, and the mutator uses their bytes.
"""
