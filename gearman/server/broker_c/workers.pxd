cimport cython

from gearman.server.broker_c.answers cimport Answers
from gearman.server.broker_c.assignment.choice cimport Choice
from gearman.server.broker_c.functions cimport Functions
from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.assignment.losses cimport Losses
from gearman.server.broker_c.model cimport Extra, Function, Job, Peer, Queue, is_wanted
from gearman.server.broker_c.places cimport Places
from gearman.server.broker_c.assignment.sleepers cimport Sleepers
from gearman.server.broker_c.stats cimport Stats
from gearman.server.broker_c.steering.attempts cimport Attempts
from gearman.server.broker_c.steering.values cimport steered

cdef int AWAKE, JOB_ASSIGN, JOB_ASSIGN_ALL, JOB_ASSIGN_UNIQ, JOB_TRACE, NO_JOB
cdef int SLEEPING, WOKEN
cdef int WORK_COMPLETE, WORK_DATA, WORK_FAIL, WORK_STATUS, WORK_WARNING
cdef int COMPLETED, FAILED, GIVEN_UP, GONE, RAISED, RUNNING
cdef Py_ssize_t ABILITY_MEMORY, MAX_FUNCTION, MAX_NUMBER_TEXT
cdef dict FULL


@cython.final
cdef class Workers:
    cdef Functions _functions
    cdef Choice _choice
    cdef Sleepers _sleepers
    cdef Places _places
    cdef Answers _answers
    cdef Jobs _jobs
    cdef Attempts _attempts
    cdef Losses _losses

    @cython.locals(function=Function, functions=Functions)
    cpdef can_do(self, Peer peer, bytes name, double timeout=*)
    @cython.locals(function=Function)
    cpdef cant_do(self, Peer peer, bytes name)
    @cython.locals(function=Function)
    cpdef reset_abilities(self, Peer peer)
    cdef _unregister(self, Peer peer, Function function)
    cpdef leave(self, Peer peer)
    cpdef pre_sleep(self, Peer peer)
    @cython.locals(job=Job)
    cpdef grab(self, Peer peer)
    @cython.locals(job=Job)
    cpdef grab_unique(self, Peer peer)
    @cython.locals(job=Job)
    cpdef grab_all(self, Peer peer)
    @cython.locals(job=Job, queue=Queue, woken=bint)
    cdef Job _take(self, Peer peer)
    cdef _assign_unique(self, Peer peer, Job job)
    @cython.locals(job=Job)
    cpdef status(self, Peer peer, bytes handle, bytes numerator, bytes denominator)
    @cython.locals(job=Job)
    cpdef data(self, Peer peer, bytes handle, bytes data)
    @cython.locals(job=Job)
    cpdef warning(self, Peer peer, bytes handle, bytes data)
    @cython.locals(job=Job, function=Function, stats=Stats)
    cpdef complete(self, Peer peer, bytes handle, bytes result)
    @cython.locals(job=Job)
    cpdef fail(self, Peer peer, bytes handle)
    @cython.locals(job=Job)
    cpdef exception(self, Peer peer, bytes handle, bytes data)
    @cython.locals(job=Job, extra=Extra)
    cpdef retry(
        self, Peer peer, bytes handle, double pause, bytes reason, bint counts
    )
    cdef _attempt_failed(self, Job job, Peer peer, reason, bytes error)
    @cython.locals(job=Job)
    cpdef refuse_result(
        self, Peer peer, bytes handle, Py_ssize_t size, Py_ssize_t limit
    )
    @cython.locals(job=Job)
    cdef Job _owned(self, Peer peer, bytes handle, bytes text=*)
    @cython.locals(job=Job, late=Job)
    cdef Job _ended(self, Peer peer, bytes handle, bytes text=*)
    cdef _finish(self, Job job, int event)


cdef _forget_attempts(Peer peer, Job job)
cdef _tell_trace(Peer peer, bytes handle, options)
