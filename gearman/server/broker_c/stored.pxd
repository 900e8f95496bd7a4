cimport cython
from libc.stdint cimport int64_t

from gearman.server.broker_c.answers cimport Answers
from gearman.server.broker_c.functions cimport Functions
from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.memory cimport job_size
from gearman.server.broker_c.model cimport Job
from gearman.server.broker_c.places cimport Places

cdef int ERROR, JOB_CREATED
cdef int GONE, PENDING, RESTORED, RUNNING, STORED, UNSTORED


@cython.final
cdef class StoredJobs:
    cdef Functions _functions
    cdef Places _places
    cdef Answers _answers
    cdef Jobs _jobs

    cpdef add(self, Job job)
    @cython.locals(job=Job)
    cpdef durable(self, list jobs)
    @cython.locals(job=Job)
    cpdef failed(self, list jobs, bytes reason)
    @cython.locals(job=Job)
    cpdef store_again(self, numbers)
    @cython.locals(job=Job, jobs=Jobs, size=Py_ssize_t, following=int64_t)
    cpdef restore(
        self, int64_t number, bytes handle, bytes name, bytes unique, bytes workload,
        int priority, int64_t when, int retries, bytes reducer, bytes extra=*,
    )
    @cython.locals(job=Job)
    cpdef Py_ssize_t shelve(self)
