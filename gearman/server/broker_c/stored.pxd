cimport cython
from libc.stdint cimport int64_t

from gearman.server.broker_c.answers cimport Answers
from gearman.server.broker_c.functions cimport Functions
from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.making cimport make_handle
from gearman.server.broker_c.memory cimport extra_size, job_size
from gearman.server.broker_c.model cimport Extra, Function, Job, is_wanted
from gearman.server.broker_c.places cimport Places
from gearman.server.broker_c.steering.dead cimport DeadJobs
from gearman.server.broker_c.steering.policies cimport PolicyTable
from gearman.server.broker_c.steering.results cimport Result, Results, make_result
from gearman.server.broker_c.steering.schedules cimport Schedules

cdef int ERROR, JOB_CREATED
cdef int64_t RANGE, SHARD_BITS
cdef int DEAD, GONE, PENDING, RESTORED, RUNNING, STORED, UNSTORED


@cython.final
cdef class StoredJobs:
    cdef Functions _functions
    cdef Places _places
    cdef Answers _answers
    cdef Jobs _jobs
    cdef PolicyTable _policies
    cdef DeadJobs _dead
    cdef Results _results
    cdef Schedules _schedules
    cdef public frozenset shards
    cdef dict _unsaved
    cdef list _needed

    cpdef add(self, Job job)
    @cython.locals(job=Job)
    cpdef durable(self, list jobs)
    @cython.locals(job=Job)
    cpdef failed(self, list jobs, bytes reason)
    @cython.locals(job=Job)
    cpdef postpone(self, list jobs, bytes reason)
    @cython.locals(job=Job)
    cpdef store_again(self, numbers)
    @cython.locals(
        job=Job, jobs=Jobs, size=Py_ssize_t, function=Function, more=Extra,
    )
    cpdef restore(
        self, int64_t number, bytes handle, bytes name, bytes unique, bytes workload,
        int priority, int64_t when, int retries, bytes reducer, bytes extra=*,
    )
    @cython.locals(job=Job)
    cpdef keep_unsaved(self, list jobs, numbers)
    cpdef store_unsaved(self)
    @cython.locals(jobs=Jobs, found=Job)
    cdef let_join(self, Job job)
    cpdef restored(self)
    cdef _restore_setting(
        self, int64_t number, bytes name, bytes text, dict fields, bytes extra
    )
    cdef _restore_dead(self, Job job)
    @cython.locals(result=Result)
    cdef _restore_result(
        self, int64_t number, bytes handle, bytes name, bytes data, dict fields
    )
    @cython.locals(result=Result)
    cpdef recorded(self, numbers)
    @cython.locals(result=Result)
    cpdef record_again(self, numbers)
    @cython.locals(job=Job)
    cpdef Py_ssize_t shelve(self)
    cpdef own(self, frozenset shards)
    cpdef leave(self, frozenset shards)
    @cython.locals(jobs=Jobs, numbers=list, number=int64_t)
    cpdef int64_t leave_some(self, int64_t after)
    cdef _leave(self, Job job)
    cpdef needed(self)
    @cython.locals(job=Job, result=Result)
    cpdef left(self, frozenset shards)
