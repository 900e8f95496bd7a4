cimport cython

from gearman.server.broker_c.links.ahead cimport Ahead
from gearman.server.broker_c.model cimport Function, Job

cdef double BEHIND


@cython.final
cdef class Waiting:
    cdef public double first
    cdef Ahead _ahead
    cdef dict _woken
    cdef dict _behind

    @cython.locals(until=double)
    cpdef add(self, Job job, double now, bint behind)
    cpdef remove(self, Job job)
    cpdef list of(self, Function function)
    cpdef list due(self, double now)
    cpdef look(self)
    cpdef clear(self)
