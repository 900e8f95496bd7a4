cimport cython

from gearman.server.broker._broker_c cimport Broker as TrackedBroker


@cython.final
cdef class Broker(TrackedBroker):
    pass
