cimport cython

from gearman.server.broker_c.links.borrowing cimport Borrowing
from gearman.server.broker_c.links.lending cimport Lending
from gearman.server.broker_c.links.remote cimport Remote
from gearman.server.broker_c.links.routes cimport Routes
from gearman.server.broker_c.model cimport Job
from gearman.server.broker_c.places cimport Places

cdef int LINK_ADOPT, LINK_RUNNING, LINK_RUNS
cdef double PATIENCE


@cython.final
cdef class TakingOver:
    cdef public double first
    cdef Places _places
    cdef Routes _routes
    cdef Lending _lending
    cdef Borrowing _borrowing
    cdef dict _running
    cdef dict _asked
    cdef object _when_told

    cpdef running(self, Remote remote, bytes shards)
    cpdef runs(self, Remote remote, bytes handles)
    cpdef told(self, Remote remote)
    cpdef all_told(self)
    @cython.locals(remote=Remote)
    cpdef bint adopt(self, Job job)
    cpdef adopted(self, Remote remote, bytes handle)
