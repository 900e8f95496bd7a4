cimport cython
from libc.stdint cimport int64_t

from gearman.server.broker_c.memory cimport Memory
from gearman.server.broker_c.model cimport ExpiryGroup, ExpiryLine, Function, Job, Queue

cdef int QUEUED
cdef Py_ssize_t EXPIRY_MEMORY, GROUP_MEMORY, GROUP_SIZE, MANY_EXPIRE, SWEEP


@cython.final
cdef class Expiry:
    cdef public double first
    cdef Memory _memory
    cdef public list _looks
    cdef int64_t _last

    cpdef apply(self, Function function)
    @cython.locals(function=Function, line=ExpiryLine, group=ExpiryGroup, queue=Queue)
    cpdef bint add(self, Job job, double expires, double slack)
    @cython.locals(
        line=ExpiryLine, group=ExpiryGroup, jobs=list, at=Py_ssize_t, following=Job
    )
    cpdef started(self, Job job)
    @cython.locals(function=Function, when=double)
    cpdef list due(self, double now)
    @cython.locals(following=double, line=ExpiryLine)
    cdef _find(self, Function function, double now, list jobs)
    @cython.locals(group=ExpiryGroup, at=Py_ssize_t, job=Job)
    cdef _pass(self, ExpiryLine line, double now, list due)
    @cython.locals(group=ExpiryGroup, kept=ExpiryGroup, jobs=list)
    cdef _sweep(self, ExpiryLine line)
    @cython.locals(group=ExpiryGroup)
    cdef ExpiryGroup _add_group(self, ExpiryLine line, double expires)
    cdef _forget(self, ExpiryGroup group)
    cdef _look_at(self, Function function, double when)


cdef bint _fresh(Job job)
