cimport cython
from libc.stdint cimport int64_t

from gearman.server.broker_c.assignment.choice cimport Choice
from gearman.server.broker_c.memory cimport Memory
from gearman.server.broker_c.model cimport Extra, Function, Job, Peer, Queue
from gearman.server.broker_c.assignment.sleepers cimport Sleepers
from gearman.server.broker_c.steering.expiry cimport Expiry
from gearman.server.broker_c.steering.starts cimport Starts
from gearman.server.broker_c.steering.values cimport shorter, timeout_of, value

cdef int ASSIGNED, AWAITING, AWAY, DUE, NEW, PENDING, QUEUED, RUNNING, SCHEDULED
cdef Py_ssize_t MANY_DUE, MANY_SKIPPED, MANY_SWEPT, RUN_MEMORY, SWEEP, TIMER_MEMORY, TIMERS_MEMORY


@cython.final
cdef class TimerGroup:
    cdef public int64_t last


@cython.final
cdef class Timers:
    cdef public list _entries
    cdef public list _old
    cdef TimerGroup _group
    cdef double _when
    cdef public dict _jobs
    cdef public int64_t _last
    cdef Memory _memory
    cdef public double first

    @cython.locals(group=TimerGroup)
    cpdef start(self, Job job, double when)
    cpdef stop(self, Job job)
    @cython.locals(
        job=Job, timer=int64_t, last=int64_t, jobs=list, when=double,
        group=TimerGroup, skipped=Py_ssize_t,
    )
    cpdef list due(self, double now)
    cdef list _heap(self)
    @cython.locals(timer=int64_t, last=int64_t, when=double, group=TimerGroup)
    cdef _sweep(self)
    cdef _set_first(self)


@cython.final
cdef class Places:
    cdef public double now
    cdef public double wall
    cdef public Timers scheduled
    cdef public Timers deadlines
    cdef public Timers lives
    cdef public Expiry expiry
    cdef public Starts starts
    cdef public bint steered
    cdef public object watch
    cdef public int watched
    cdef public object links
    cdef Choice _choice
    cdef Sleepers _sleepers
    cdef Memory _memory

    @cython.locals(function=Function, queue=Queue, place=int)
    cpdef move(self, Job job, int event, int to)
    @cython.locals(job=Job)
    cpdef Job assign(self, Queue queue, Peer peer)
    @cython.locals(job=Job)
    cpdef queue_due(self)
    @cython.locals(worker=Peer, function=Function, timeout=double)
    cdef _start(self, Job job)
    @cython.locals(worker=Peer, function=Function)
    cdef _stop(self, Job job)
    @cython.locals(extra=Extra, expires=double)
    cdef _limit_life(self, Job job, Function function)


cdef double _start_time(Job job)
