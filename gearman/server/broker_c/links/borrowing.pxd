cimport cython

from gearman.server.broker_c.assignment.losses cimport Losses
from gearman.server.broker_c.functions cimport Functions
from gearman.server.broker_c.making cimport shard_of
from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.links.ahead cimport Ahead
from gearman.server.broker_c.links.lenders cimport Lenders, Ready
from gearman.server.broker_c.links.remote cimport LinkOwner, LinkWorker, Remote
from gearman.server.broker_c.links.waiting cimport Waiting
from gearman.server.broker_c.memory cimport Memory, extra_size, job_size
from gearman.server.broker_c.model cimport Extra, Function, Job, Peer, Queue
from gearman.server.broker_c.places cimport Places

cdef int CAN_DO, CANT_DO, GRAB_JOBS, LINK_BACK, LINK_RUNS, SLEEPING, WORK_CANCEL
cdef int WORK_RETRY
cdef int CANCELLED, GIVEN_BACK, GONE, QUEUED, SUBMITTED
cdef Py_ssize_t WAIT_MEMORY
cdef double LONG, PATIENCE
cdef int ZERO


@cython.final
cdef class Borrowing:
    cdef public dict jobs
    cdef public double first
    cdef public dict offered
    cdef Functions _functions
    cdef Places _places
    cdef Jobs _jobs
    cdef Losses _losses
    cdef Memory _memory
    cdef Lenders _lenders
    cdef dict _reserved
    cdef public Ahead ahead
    cdef Waiting _waiting
    cdef dict _refused
    cdef object _came_back

    @cython.locals(local=bint, job=Job, remote=Remote)
    cpdef offers(self, Peer peer, Function function, list remotes)
    cpdef introduce(self, Remote remote)
    @cython.locals(function=Function)
    cpdef ready(
        self, Remote remote, bytes name, Py_ssize_t count, Py_ssize_t unmet
    )
    @cython.locals(function=Function)
    cpdef slept(self, Peer peer)
    @cython.locals(remote=Remote, ready=Ready, lenders=dict, free=list)
    cpdef ask(self, Function function)
    @cython.locals(peer=Peer, free=list)
    cdef list _free(self, Function function, Py_ssize_t most)
    @cython.locals(peer=Peer)
    cdef _reserve(self, Remote remote, Function function, Ready ready, list workers)
    @cython.locals(worker=Peer, extra=Extra, function=Function)
    cpdef started(self, Job job)
    @cython.locals(seconds=double, lender=Remote)
    cpdef ended(self, Job job, Peer worker)
    @cython.locals(
        lenders=dict, remote=Remote, ready=Ready, late=bint, now=double
    )
    cdef _take_turns(self, Function function)
    @cython.locals(peer=Peer)
    cdef bint _met(self, Remote remote, bytes name)
    cdef Py_ssize_t _open(self, Remote remote, bytes name)
    @cython.locals(
        function=Function, job=Job, more=Py_ssize_t, jobs=Jobs, extra=Extra,
        queue=Queue, size=Py_ssize_t, open_=Py_ssize_t, ahead=bint, until=double,
        left=bytes, trace=bytes, priority=int,
    )
    cpdef borrow(
        self, Remote remote, bytes handle, bytes name, bytes unique, bytes reducer,
        bytes fields, bytes workload,
    )
    @cython.locals(old=Job)
    cdef bint _is_in_use(self, Remote remote, bytes handle)
    cpdef returned(self, Job job)
    @cython.locals(job=Job, remote=Remote, until=double)
    cpdef give_up(self, double now)
    cdef _give_back(self, Job job)
    cpdef lost(self, Job job)
    cpdef overdue(self, Job job)
    cpdef retried(self, Job job, double pause, bytes reason, bint counts)
    @cython.locals(client=Peer)
    cdef _tell(self, Job job, int command, tuple arguments)
    cdef _end(self, Job job, int event)
    @cython.locals(job=Job, worker=Peer)
    cpdef cancelled(self, bytes handle)
    cdef _drop(self, Job job)
    @cython.locals(job=Job)
    cpdef dict unlink(self, Remote remote)
    @cython.locals(owner=LinkOwner, job=Job)
    cpdef report(self, Remote remote)
    cdef _send_kept(self, Remote remote, list packets)
    cdef list _of(self, Remote remote)
    @cython.locals(remote=Remote)
    cpdef list orphans(self, shards, Remote owner, list former)
    @cython.locals(job=Job, remote=Remote, before=Peer)
    cpdef adopted(self, Remote owner, bytes handle, list former)
    @cython.locals(job=Job)
    cpdef forget(self, Remote remote)
