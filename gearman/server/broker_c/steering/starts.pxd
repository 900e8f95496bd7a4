cimport cython
from libc.stdint cimport int64_t

from gearman.server.broker_c.assignment.choice cimport Choice
from gearman.server.broker_c.model cimport Extra, Function, Job, Queue
from gearman.server.broker_c.assignment.sleepers cimport Sleepers
from gearman.server.broker_c.steering.start_limits cimport StartGroup, StartLimits

cdef int HIGH, LOW
cdef double EXACTNESS


@cython.final
cdef class Starts:
    cdef public double now
    cdef public double first
    cdef public bint doubtful
    cdef public object links
    cdef Choice _choice
    cdef Sleepers _sleepers
    cdef list _pauses
    cdef int64_t _last

    @cython.locals(limits=StartLimits)
    cpdef apply(self, Function function, policy)
    @cython.locals(limits=StartLimits, group=StartGroup)
    cpdef started(self, Function function)
    cpdef stopped(self, Function function)
    @cython.locals(function=Function)
    cpdef go_on(self)
    cpdef bint owns(self, Job job)
    @cython.locals(function=Function)
    cpdef doubt(self, functions, bint on)
    @cython.locals(held=bint, priority=int, queue=Queue)
    cpdef look(self, Function function)
    cpdef bint blocks(self, Function function)
    @cython.locals(limits=StartLimits)
    cdef bint _must_wait(self, Function function)
    cdef bint _has_share(self, Function function, StartLimits limits)
    @cython.locals(group=StartGroup)
    cpdef forget_old(self, StartLimits limits)
    @cython.locals(group=StartGroup, until=double)
    cdef bint _window_is_full(self, Function function, StartLimits limits)


@cython.locals(queue=Queue, job=Job)
cdef bint _next_is_borrowed(Function function)


@cython.locals(queue=Queue, job=Job)
cdef bint _next_is_stored(Function function)
