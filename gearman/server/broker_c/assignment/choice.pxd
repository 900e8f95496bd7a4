cimport cython

from gearman.server.broker_c.model cimport Function, Peer, Queue

cdef int HIGH, LOW
cdef Py_ssize_t FEW


@cython.final
cdef class Choice:
    cdef public bint priority_first
    cdef public bint round_robin
    cdef public Py_ssize_t weights
    cdef public tuple listed

    @cython.locals(queue=Queue)
    cpdef add(self, Function function, int priority)
    cpdef weigh(self, Function function, Py_ssize_t weight)
    @cython.locals(listed=dict)
    cpdef forget(self, Function function)
    @cython.locals(priority=int, function=Function, queue=Queue, functions=list)
    cpdef Queue queue(self, Peer peer)
    @cython.locals(function=Function, functions=list)
    cpdef bint has_any(self, Peer peer)
    @cython.locals(function=Function, queue=Queue, functions=list)
    cdef Queue _next(self, Peer peer)
    cdef _rotate(self, Peer peer, Function function)
    cdef bint _goes_on(self, Peer peer, Function function)
    @cython.locals(
        found=list, priority=int, listed=dict, function=Function, queue=Queue,
        others=Py_ssize_t, empty=list,
    )
    cdef list _candidates(self, Peer peer, int first, int last)


@cython.locals(high=Queue, normal=Queue, low=Queue)
cdef Queue _first_queue(Function function)
