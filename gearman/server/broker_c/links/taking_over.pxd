cimport cython

from gearman.server.broker_c.assignment.losses cimport Losses
from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.links.away cimport Away
from gearman.server.broker_c.links.borrowing cimport Borrowing
from gearman.server.broker_c.links.lending cimport Lending
from gearman.server.broker_c.links.remote cimport LinkOwner, Remote
from gearman.server.broker_c.links.routes cimport Routes
from gearman.server.broker_c.model cimport Job, Peer, joins_of
from gearman.server.broker_c.places cimport Places
from gearman.server.broker_c.workers cimport Workers

cdef int LINK_ADOPT, LINK_RUNNING, LINK_RUNS
cdef int WORK_COMPLETE, WORK_EXCEPTION, WORK_FAIL
cdef int ADOPTED, GIVEN_BACK, GONE, RUNNING
cdef double PATIENCE


@cython.final
cdef class Ask:
    cdef public dict open
    cdef public double deadline
    cdef public object then


@cython.final
cdef class TakingOver:
    cdef public double first
    cdef Places _places
    cdef Jobs _jobs
    cdef Losses _losses
    cdef Workers _workers
    cdef Routes _routes
    cdef Lending _lending
    cdef Borrowing _borrowing
    cdef Away _away
    cdef dict _running
    cdef list _asks

    @cython.locals(each=Ask)
    cdef _go_on(self, Ask ask)
    cpdef running(self, Remote remote, bytes shards)
    cpdef runs(self, Remote remote, bytes handles)
    @cython.locals(ask=Ask)
    cpdef told(self, Remote remote)
    @cython.locals(ask=Ask)
    cpdef lost(self, Remote remote)
    @cython.locals(ask=Ask)
    cpdef expire(self, double now)
    @cython.locals(remote=Remote, former=Remote, old=Job, handle=bytes)
    cpdef bint adopt(self, Job job)
    @cython.locals(worker=Peer, client=Peer)
    cdef bint _replace(self, Job old, Job job)
    @cython.locals(worker=Peer)
    cdef bint _end(self, Remote former, Job job)
    cpdef adopted(self, Remote remote, bytes handle)
