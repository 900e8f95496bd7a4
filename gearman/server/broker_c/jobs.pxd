cimport cython
from libc.stdint cimport int64_t

from gearman.server.broker_c.answers cimport Answers
from gearman.server.broker_c.making cimport make_handle, new_job, number_of
from gearman.server.broker_c.memory cimport Memory, extra_size, job_size
from gearman.server.broker_c.model cimport Extra, Function, Job, Peer, is_wanted, joins_of
from gearman.server.broker_c.places cimport Places
from gearman.server.broker_c.steering.ranges cimport Ranges
from gearman.server.broker_c.uniques cimport Uniques

cdef int ABANDONED, AWAITING, AWAY, DEAD, GONE, NEW, QUEUED, RELEASED, RUNNING, SCHEDULED
cdef int SHELVED
cdef int JOB_CREATED, WORK_CANCEL, WORK_EXCEPTION, WORK_FAIL
cdef Py_ssize_t FOLLOWED_MEMORY, FOLLOW_MEMORY, WAIT_MEMORY
cdef int64_t SHARD_BITS


@cython.final
cdef class Jobs:
    cdef public dict known
    cdef public Ranges ranges
    cdef public Uniques uniques
    cdef public int64_t next_number
    cdef public int64_t spare_number
    cdef public list changes
    cdef public list records
    cdef public list congested
    cdef public bint sharded
    cdef public bint homeless
    cdef public bint keeps_settings
    cdef public bint shelving
    cdef public frozenset leaving
    cdef public bytes handle_prefix
    cdef Places _places
    cdef Answers _answers
    cdef Memory _memory
    cdef public bytes steps
    cdef public dict _followers

    @cython.locals(job=Job, ranges=Ranges)
    cpdef Job make(
        self, Function function, bytes unique, bytes workload, Py_ssize_t size,
        int priority, bint background, int64_t when, int64_t number=*,
    )
    @cython.locals(job=Job)
    cpdef Job make_as(
        self, int64_t number, bytes handle, Function function, bytes unique,
        bytes workload, Py_ssize_t size, int priority,
    )
    cpdef reduce(self, Job job, bytes reducer)
    @cython.locals(number=int64_t)
    cpdef int64_t take_number(self)
    @cython.locals(number=int64_t, home=int64_t)
    cpdef int64_t number_for(self, bytes unique, bytes workload)
    @cython.locals(extra=Extra)
    cpdef Extra extend(self, Job job, options=*)
    cpdef resize(self, Extra extra, Py_ssize_t size)
    @cython.locals(extra=Extra, before=Py_ssize_t)
    cpdef store(self, Job job)
    @cython.locals(job=Job)
    cpdef Job find(self, bytes handle)
    @cython.locals(new=Job, size=Py_ssize_t)
    cpdef Job make_again(self, Job job, Function function, bytes workload)
    @cython.locals(wall=double, extra=Extra)
    cpdef place(self, Job job, int event)
    @cython.locals(client=Peer, clients=list)
    cpdef retire(self, Job job)
    @cython.locals(other=Job, followers=dict)
    cpdef follow(self, Job job, tuple handles)
    @cython.locals(job=Job, followers=dict)
    cdef _release_followers(self, int64_t number)
    @cython.locals(other=Job, followers=dict)
    cdef _stop_following(self, Job job)
    @cython.locals(idle=bint, awaited=bint, waiting=list)
    cpdef shelve(self, Job job)
    cdef bint _may_leave(self, Job job)
    @cython.locals(follower=Job, awaited=bint, waiting=list)
    cdef bint _blocks(self, Job job)
    @cython.locals(extra=Extra)
    cdef list _before(self, Job job)
    cpdef join(self, Job job, Peer peer)
    @cython.locals(job=Job)
    cpdef leave(self, Peer peer)
    @cython.locals(client=Peer, clients=list)
    cpdef forward(self, Job job, int command, tuple arguments)
    @cython.locals(client=Peer, exception=tuple)
    cpdef forward_exception(self, Job job, bytes data)
    cpdef detach(self, Job job, Peer peer)
    cpdef forget(self, Job job)
