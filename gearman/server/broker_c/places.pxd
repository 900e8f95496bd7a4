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
cdef int GROUP_BITS, GROUP_SIZE
cdef double EXACTNESS
cdef Py_ssize_t MANY_DUE, MANY_SKIPPED, MANY_SWEPT, RUN_MEMORY, SWEEP, TIMER_MEMORY, TIMERS_MEMORY


@cython.final
cdef class TimerGroup:
    cdef public int64_t number
    cdef public list jobs
    cdef public Py_ssize_t count
    cdef public Py_ssize_t passed


@cython.final
cdef class Timers:
    cdef public list _entries
    cdef public list _old
    cdef public list _groups
    cdef list _free
    cdef TimerGroup _group
    cdef double _when
    cdef int64_t _last
    cdef Memory _memory
    cdef public double first

    @cython.locals(group=TimerGroup)
    cpdef start(self, Job job, double when, double slack=*)
    @cython.locals(group=TimerGroup, timer=int64_t)
    cpdef stop(self, Job job)
    @cython.locals(group=TimerGroup, heap=list, jobs=list, skipped=Py_ssize_t)
    cpdef list due(self, double now)
    @cython.locals(job=Job)
    cdef bint _take(self, TimerGroup group, list jobs)
    @cython.locals(group=TimerGroup, number=Py_ssize_t)
    cdef TimerGroup _add_group(self, double when)
    @cython.locals(group=TimerGroup)
    cdef _leave_group(self)
    @cython.locals(running=Py_ssize_t)
    cdef _finish(self, TimerGroup group)
    cdef list _heap(self)
    @cython.locals(group=TimerGroup, entry=tuple)
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
