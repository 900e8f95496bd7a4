cimport cython
from libc.stdint cimport int64_t

from gearman.server.broker_c.memory cimport Memory
from gearman.server.broker_c.model cimport Function, Job

cdef int HIGH, LOW, QUEUED
cdef Py_ssize_t EXPIRY_MEMORY, MANY_EXPIRE, SWEEP


@cython.final
cdef class Expiry:
    cdef public double first
    cdef Memory _memory
    cdef public list _looks
    cdef int64_t _last

    cpdef apply(self, Function function)
    @cython.locals(function=Function)
    cpdef bint add(self, Job job, double expires)
    cpdef started(self, Job job)
    @cython.locals(function=Function, when=double)
    cpdef list due(self, double now)
    @cython.locals(
        following=double, expires=double, priority=int, job=Job, fresh=bint
    )
    cdef _find(self, Function function, double now, list jobs)
    cdef _sweep(self, object line)
    cdef _look_at(self, Function function, double when)


cdef bint _fresh(Job job)
