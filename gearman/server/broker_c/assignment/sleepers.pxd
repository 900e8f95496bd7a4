cimport cython

from gearman.server.broker_c.model cimport Function, Peer

cdef int NOOP, SLEEPING, WOKEN


@cython.final
cdef class Sleepers:
    cdef public int wakeup
    cdef public double now
    cdef public double first
    cdef public object _woken

    @cython.locals(function=Function)
    cpdef add(self, Peer peer)
    cpdef forget(self, Peer peer)
    @cython.locals(left=Py_ssize_t, peer=Peer)
    cpdef wake(self, Function function)
    @cython.locals(first=Peer)
    cpdef rouse(self, Peer peer)
    @cython.locals(peer=Peer)
    cpdef pass_over(self)
    @cython.locals(function=Function)
    cpdef pass_on(self, list functions)
