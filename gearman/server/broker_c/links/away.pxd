cimport cython
from libc.stdint cimport int64_t

from gearman.server.broker_c.answers cimport Answers
from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.limits cimport Hits, Limits
from gearman.server.broker_c.links.remote cimport Remote
from gearman.server.broker_c.memory cimport Memory, job_size
from gearman.server.broker_c.model cimport Extra, Function, Job, Peer, Receipt, joins_of
from gearman.server.broker_c.places cimport Places
from gearman.server.broker_c.steering.new_jobs cimport extend
from gearman.server.broker_c.stored cimport StoredJobs

cdef int ERROR, JOB_CREATED, LINK_LEAVE, LINK_SUBMIT, WORK_EXCEPTION, WORK_FAIL
cdef int ABANDONED, AWAY, CAME_BACK, ENDED_AWAY, GONE, SENT_HOME, PENDING
cdef dict FULL


@cython.final
cdef class Stay:
    cdef public Remote remote
    cdef public object token
    cdef public bytes handle
    cdef public bint started


@cython.final
cdef class Away:
    cdef object _home
    cdef object _outage
    cdef Places _places
    cdef Jobs _jobs
    cdef Answers _answers
    cdef StoredJobs _stored
    cdef Limits _limits
    cdef Hits _hits
    cdef Memory _memory
    cdef bint _persistent
    cdef dict _stays
    cdef dict _back
    cdef object _last

    @cython.locals(answers=Answers, jobs=Jobs, job=Job, size=Py_ssize_t)
    cpdef pass_on(
        self, Remote remote, Peer peer, Function function, bytes unique,
        bytes workload, int priority, bint background, int64_t when, bytes reducer,
        Receipt receipt, options,
    )
    cdef _submit(self, Job job, Remote remote)
    @cython.locals(job=Job, other=Job, stay=Stay)
    cpdef created(self, Remote remote, token, bytes handle)
    @cython.locals(client=Peer)
    cdef _merge(self, Job job, Job other)
    @cython.locals(job=Job)
    cpdef refused(self, Remote remote, token, bytes code, bytes text)
    @cython.locals(job=Job, stay=Stay)
    cpdef expect(self, Remote remote, Peer peer, Function function, bytes handle)
    @cython.locals(job=Job, stay=Stay)
    cpdef started(self, Remote remote, bytes handle)
    @cython.locals(job=Job, client=Peer, peer=Peer)
    cpdef update(self, Remote remote, int command, tuple arguments)
    @cython.locals(job=Job)
    cpdef ended(self, Remote remote, int command, bytes handle, tuple data)
    cdef _end(self, Job job, int event)
    @cython.locals(stay=Stay)
    cdef _retire(self, Job job, int event)
    cdef _forget(self, Job job)
    @cython.locals(stay=Stay)
    cpdef abandoned(self, Job job)
    @cython.locals(job=Job, stay=Stay, other=Remote)
    cpdef lost(self, Remote remote, dict borrowed, dict dropped)
    @cython.locals(job=Job)
    cpdef bint came_back(self, bytes handle)
    cpdef Job back(self, bytes handle)
    @cython.locals(jobs=Jobs, extra=Extra, stored=bint, each=Job)
    cdef _come_back(self, Job job)
