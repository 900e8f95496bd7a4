cimport cython

from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.model cimport Extra, Job, Peer, is_wanted
from gearman.server.broker_c.places cimport Places
from gearman.server.broker_c.steering.attempts cimport Attempts
from gearman.server.broker_c.steering.values cimport steered, timeout_of

cdef int ABANDONED, GIVEN_UP, GONE, LOST, WORK_CANCEL, WORK_FAIL
cdef Py_ssize_t MAX_LATE, MAX_REFUSED


@cython.final
cdef class Losses:
    cdef public int retries
    cdef public bint timeout_fails
    cdef public list notices
    cdef Attempts _attempts
    cdef Places _places
    cdef Jobs _jobs

    @cython.locals(job=Job, extra=Extra)
    cpdef lose(self, Peer worker)
    @cython.locals(job=Job, extra=Extra)
    cpdef expire(self)
    @cython.locals(worker=Peer)
    cpdef overdue(self, Job job)
    cpdef lost(self, Job job, Peer worker, reason)
    @cython.locals(own=double, limit=double)
    cdef bint _is_own_timeout(self, Job job, Peer worker)
    @cython.locals(worker=Peer)
    cpdef dismiss(self, Job job)
    cdef _expect(self, Peer worker, Job job)
    cdef _give_up(self, Job job, Peer worker, reason)
    cpdef note(self, event, Job job, Peer worker, reason)
    cpdef ignore(self, Peer peer, bytes handle)
