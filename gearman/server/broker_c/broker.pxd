cimport cython
from libc.stdint cimport int64_t

from gearman.server.broker_c.answers cimport Answers
from gearman.server.broker_c.assignment.choice cimport Choice
from gearman.server.broker_c.functions cimport Functions
from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.limits cimport Hits, Limits
from gearman.server.broker_c.memory cimport Memory, job_size
from gearman.server.broker_c.assignment.losses cimport Losses
from gearman.server.broker_c.model cimport Function, Job, Peer, Receipt, joins_of
from gearman.server.broker_c.places cimport Places
from gearman.server.broker_c.assignment.sleepers cimport Sleepers
from gearman.server.broker_c.stats cimport Stats
from gearman.server.broker_c.steering.attempts cimport Attempts
from gearman.server.broker_c.steering.dead cimport DeadJobs
from gearman.server.broker_c.steering.new_jobs cimport extend, needs_worker, priority_of
from gearman.server.broker_c.steering.policies cimport PolicyTable
from gearman.server.broker_c.steering.results cimport Results
from gearman.server.broker_c.steering.schedules cimport Schedules
from gearman.server.broker_c.steering.starts cimport Starts
from gearman.server.broker_c.stored cimport StoredJobs
from gearman.server.broker_c.workers cimport Workers

cdef int ERROR, JOB_CREATED, NORMAL, STATUS_RES, STATUS_RES_UNIQUE, WORK_FAIL
cdef int AWAY, CANCELLED, GONE, PENDING, RUNNING, SUBMITTED
cdef Py_ssize_t MAX_FUNCTION, MAX_HANDLE, MAX_UNIQUE
cdef Py_ssize_t ABILITY_MEMORY, PEER_MEMORY, RUN_MEMORY, WAIT_MEMORY
cdef dict FULL
cdef bytes NO_WORKER


@cython.final
cdef class Broker:
    cdef public dict peers
    cdef public list touched
    cdef public bint exceptions
    cdef public bint persistent
    cdef public bytes outage
    cdef public double now
    cdef public double wall
    cdef public double owned_until
    cdef public Limits limits
    cdef public Hits hits
    cdef public Memory memory
    cdef public Choice choice
    cdef public Sleepers sleepers
    cdef public Functions functions
    cdef public Places places
    cdef public Answers answers
    cdef public Jobs jobs
    cdef public PolicyTable policies
    cdef public DeadJobs dead
    cdef public Results results
    cdef public Attempts attempts
    cdef public Schedules schedules
    cdef public object links
    cdef list _notices
    cdef public Losses losses
    cdef public Workers workers
    cdef public StoredJobs stored

    @cython.locals(places=Places, sleepers=Sleepers)
    cpdef tick(self, double now, double wall)
    cpdef own(self, double until)
    @cython.locals(starts=Starts)
    cdef _doubt(self, bint on)
    @cython.locals(function=Function)
    cpdef abandon(self)
    @cython.locals(places=Places)
    cdef _steer(self, double now, double wall)
    @cython.locals(places=Places, first=double, wall=double)
    cpdef double delay(self)
    cpdef connect(self, Peer peer)
    cpdef disconnect(self, Peer peer)

    @cython.locals(
        function=Function, job=Job, jobs=Jobs, size=Py_ssize_t, longest=Py_ssize_t
    )
    cpdef submit(
        self, Peer peer, bytes name, bytes unique, bytes workload,
        int priority=*, bint background=*, int64_t when=*, bytes reducer=*,
        Receipt receipt=*, options=*,
    )
    @cython.locals(jobs=Jobs, stats=Stats, stored=bint)
    cdef _begin(self, Job job, bytes reducer, options)
    @cython.locals(priority=int, background=bint)
    cpdef submit_with(
        self, Peer peer, bytes name, bytes unique, bytes workload, options
    )
    @cython.locals(
        name=bytes, unique=bytes, workload=bytes, priority=int, background=bint,
        when=int64_t, reducer=bytes,
    )
    cpdef resume(self, Receipt receipt, tuple request)
    cpdef refuse(self, Peer peer, bytes code, bytes text)
    cdef _joined(self, Job job, bint background)
    cdef Function _new_function(self, bytes name)
    cdef _too_large(self, Receipt receipt, Peer peer, bytes unique)
    cdef _exceeded(self, Receipt receipt, Peer peer, str limit)
    cdef _full(self, Receipt receipt, Peer peer, str limit)
    cdef _refuse(self, Receipt receipt, Peer peer, bytes code, bytes text)
    cpdef get_status(self, Peer peer, bytes handle)
    @cython.locals(job=Job, client=Peer, joins=Py_ssize_t)
    cpdef get_status_unique(self, Peer peer, bytes unique)

    @cython.locals(job=Job)
    cpdef bint cancel(self, bytes handle)
    cpdef drop(self, Job job)
    @cython.locals(size=Py_ssize_t)
    cpdef Py_ssize_t memory_of(self, Peer peer)
    @cython.locals(memory=Memory, held=Py_ssize_t)
    cpdef bint over_budget(self)


cpdef tuple status_of(Job job)
