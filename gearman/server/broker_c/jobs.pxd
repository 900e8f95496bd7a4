cimport cython
from libc.stdint cimport int64_t

from gearman.server.broker_c.answers cimport Answers
from gearman.server.broker_c.making cimport make_handle, new_job
from gearman.server.broker_c.memory cimport Memory, job_size
from gearman.server.broker_c.model cimport Function, Job, Peer
from gearman.server.broker_c.places cimport Places

cdef int ABANDONED, GONE, NEW, QUEUED, RUNNING, SCHEDULED, SHELVED
cdef int JOB_CREATED, NORMAL, WORK_EXCEPTION, WORK_FAIL
cdef Py_ssize_t MAX_DIGITS, WAIT_MEMORY


@cython.final
cdef class Uniques:
    cdef public dict _first
    cdef public dict _others

    cpdef Job first(self, bytes unique)
    @cython.locals(job=Job, others=dict)
    cpdef Job find(self, Function function, bytes unique, bytes workload)
    @cython.locals(unique=bytes, first=Job, others=dict)
    cpdef add(self, Job job)
    @cython.locals(unique=bytes, others=dict, function=Function)
    cpdef remove(self, Job job)


@cython.final
cdef class Jobs:
    cdef public dict known
    cdef public Uniques uniques
    cdef public int64_t next_number
    cdef public list changes
    cdef public list congested
    cdef public bint shelving
    cdef public bytes handle_prefix
    cdef Places _places
    cdef Answers _answers
    cdef Memory _memory

    @cython.locals(job=Job)
    cpdef Job make(
        self, Function function, bytes unique, bytes workload, Py_ssize_t size
    )
    cpdef reduce(self, Job job, bytes reducer)
    @cython.locals(job=Job)
    cpdef Job find(self, bytes handle)
    cpdef place(self, Job job, int event)
    @cython.locals(client=Peer, clients=list)
    cpdef retire(self, Job job)
    @cython.locals(idle=bint, awaited=bint)
    cpdef shelve(self, Job job)
    cpdef join(self, Job job, Peer peer)
    @cython.locals(job=Job)
    cpdef leave(self, Peer peer)
    @cython.locals(client=Peer, clients=list)
    cpdef forward(self, Job job, int command, tuple arguments)
    @cython.locals(client=Peer, exception=tuple)
    cpdef forward_exception(self, Job job, bytes data)
    cdef _detach(self, Job job, Peer peer)
    cdef _forget(self, Job job)
