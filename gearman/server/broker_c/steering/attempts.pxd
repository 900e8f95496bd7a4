cimport cython

from gearman.server.broker_c.functions cimport Functions
from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.model cimport Extra, Function, Job, Peer, is_wanted
from gearman.server.broker_c.places cimport Places
from gearman.server.broker_c.steering.dead cimport DeadJobs
from gearman.server.broker_c.steering.results cimport Results
from gearman.server.broker_c.steering.values cimport dead_of, longest_pause, retries_of

cdef int DEAD, EXPIRED, FAILED, GIVEN_UP, GONE, RAISED, RETURNED, SUBMITTED
cdef int WORK_CANCEL, WORK_FAIL
cdef Py_ssize_t MAX_ERROR


@cython.final
cdef class Attempts:
    cdef Places _places
    cdef Functions _functions
    cdef Jobs _jobs
    cdef DeadJobs _dead
    cdef Results _results
    cdef list _notices
    cdef object _chance

    @cython.locals(extra=Extra, event=int, pause=double)
    cpdef failed(self, Job job, Peer worker, str reason, bytes error)
    @cython.locals(extra=Extra)
    cpdef returned(self, Job job, Peer worker, double pause, str reason, bint counts)
    cpdef timed_out(self, Job job, Peer worker)
    @cython.locals(places=Places, job=Job)
    cpdef expire(self)
    cpdef ended(self, Job job, bytes result)
    @cython.locals(jobs=Jobs, extra=Extra)
    cpdef give_up(self, Job job, int event, str reason, bytes error)
    cdef _try_again(
        self, Job job, Extra extra, Peer worker, int event, double pause, str reason
    )
    @cython.locals(
        jobs=Jobs, workload=bytes, submitted=double, new=Job, extra=Extra
    )
    cdef _hand_over(self, Job job, int event, goes)
    cdef _note_end(self, Job job, Peer worker, str reason)
    cdef _note(self, str event, Job job, Peer worker, str reason)
