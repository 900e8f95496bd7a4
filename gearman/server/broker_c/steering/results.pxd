cimport cython
from libc.stdint cimport int64_t

from gearman.server.broker_c.making cimport number_of
from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.memory cimport Memory
from gearman.server.broker_c.model cimport Job, Peer
from gearman.server.broker_c.places cimport Places
from gearman.server.broker_c.steering.dead cimport DeadJobs
from gearman.server.broker_c.steering.values cimport keep_of

cdef bytes UNKNOWN
cdef double EXACTNESS
cdef int PENDING, RESULT_RES, RUNNING, WORK_COMPLETE, WORK_EXCEPTION, WORK_FAIL
cdef int64_t SHARD_BITS
cdef Py_ssize_t ENDS_MEMORY, GROUP_SIZE, MANY_RESULTS, RESULT_MEMORY, SWEEP


@cython.final
cdef class Result:
    cdef public int64_t number
    cdef public bytes handle
    cdef public bytes name
    cdef public bytes state
    cdef public bytes data
    cdef public double expires
    cdef public bint stored
    cdef public bint durable


@cython.locals(result=Result)
cpdef Result make_result(
    int64_t number, bytes handle, bytes name, bytes state, bytes data, double expires,
    bint stored,
)


@cython.final
cdef class Results:
    cdef public Py_ssize_t most
    cdef public double first
    cdef public dict known
    cdef public Py_ssize_t total
    cdef Places _places
    cdef Jobs _jobs
    cdef DeadJobs _dead
    cdef Memory _memory
    cdef public object _groups
    cdef Py_ssize_t _passed
    cdef public list _ends
    cdef public Py_ssize_t _running
    cdef list _latest
    cdef double _when

    @cython.locals(seconds=double, expires=double, result=Result)
    cpdef keep(self, Job job, bytes state, bytes data)
    @cython.locals(size=Py_ssize_t, group=list)
    cpdef bint add(self, Result result)
    @cython.locals(group=list)
    cdef list _add_group(self, Result result)
    @cython.locals(ends=list)
    cdef _sweep(self)
    cpdef keep_at_most(self, Py_ssize_t most)
    @cython.locals(group=list, result=Result)
    cdef _drop_some(self)
    cpdef store(self, Result result)
    @cython.locals(size=Py_ssize_t)
    cdef _forget(self, Result result)
    @cython.locals(group=list, result=Result)
    cpdef drop_old(self, double now)
    @cython.locals(result=Result)
    cpdef Result find(self, bytes handle)
    @cython.locals(job=Job, dead=Job, result=Result)
    cpdef tuple of(self, bytes handle)
    cpdef get(self, Peer peer, bytes handle)
    @cython.locals(job=Job, result=Result)
    cpdef watch(self, Peer peer, bytes handle)
    @cython.locals(result=Result, each=Result, group=list, results=list)
    cpdef leave(self, shards)


cdef Py_ssize_t _size(Result result)
