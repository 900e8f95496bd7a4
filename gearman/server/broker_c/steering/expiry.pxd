cimport cython
from libc.stdint cimport int64_t

from gearman.server.broker_c.model cimport Function, Job

cdef int HIGH, LOW, QUEUED
cdef Py_ssize_t MANY_EXPIRE


@cython.final
cdef class Expiry:
    cdef public double first
    cdef list _looks
    cdef int64_t _last

    cpdef apply(self, Function function, double ttl)
    cpdef add(self, Job job, double expires)
    cpdef started(self, Job job)
    @cython.locals(function=Function)
    cpdef list due(self, double now)
    @cython.locals(following=double, expires=double, priority=int, job=Job)
    cdef _find(self, Function function, double now, list jobs)
    cdef _look_at(self, Function function, double when)


cdef bint _fresh(Job job)
