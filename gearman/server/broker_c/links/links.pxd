cimport cython
from libc.stdint cimport int64_t

from gearman.server.broker_c.broker cimport Broker
from gearman.server.broker_c.links.away cimport Away
from gearman.server.broker_c.links.borrowing cimport Borrowing
from gearman.server.broker_c.links.lending cimport Lending
from gearman.server.broker_c.links.lookup cimport Lookup
from gearman.server.broker_c.links.questions cimport Questions
from gearman.server.broker_c.links.remote cimport LinkClient, LinkWorker, Remote, Ticket
from gearman.server.broker_c.links.routes cimport Routes
from gearman.server.broker_c.links.settings cimport Settings
from gearman.server.broker_c.links.sharing cimport Sharing
from gearman.server.broker_c.links.taking_over cimport TakingOver
from gearman.server.broker_c.model cimport Function, Job, Peer, Receipt
from gearman.server.broker_c.workers cimport Workers

cdef int ERROR
cdef double LINGER


@cython.final
cdef class Links:
    cdef Broker _broker
    cdef double _lease
    cdef dict _by_peer
    cdef double _first_gone
    cdef public dict remotes
    cdef public Routes routes
    cdef public Away away
    cdef public Workers workers
    cdef public Questions questions
    cdef public Lending lending
    cdef public Borrowing borrowing
    cdef public Lookup lookup
    cdef public TakingOver taking_over
    cdef public Settings settings
    cdef public Sharing sharing

    @cython.locals(remote=Remote)
    cpdef Remote up(self, Peer peer, server, pings)
    @cython.locals(remote=Remote)
    cpdef disconnected(self, Peer peer)
    cpdef own(self, owners)
    @cython.locals(remote=Remote)
    cpdef gone(self, server)
    cpdef tick(self, double now)
    cpdef end_turn(self)
    @cython.locals(remote=Remote)
    cdef _give_up(self, double now)
    cdef _set_first_gone(self)
    @cython.locals(remote=Remote)
    cpdef bint pass_on(
        self, Peer peer, Function function, bytes unique, bytes workload,
        int priority, bint background, int64_t when, bytes reducer, Receipt receipt,
        options,
    )
    @cython.locals(peer=Peer)
    cpdef submitted(
        self, Remote remote, bytes token, bytes name, bytes unique, bytes fields,
        bytes reducer, bytes options, bytes workload,
    )
    cpdef back(self, Remote remote, bytes handle, bytes why)
    cpdef settle(self, Remote remote, bytes handles)
    @cython.locals(job=Job)
    cpdef left(self, Remote remote, bytes handle)
    cpdef abandoned(self, Job job)
    cpdef queued(self, Function function, bint woken)
    cpdef released(self, Function function)
    cpdef needs(self, Function function)
    cpdef offers(self, Peer peer, Function function)
    cpdef ended(self, Job job, Peer worker)
    cpdef slept(self, Peer peer)
    @cython.locals(clients=list)
    cpdef started(self, Job job)
    cpdef returned(self, Job job)
    cpdef lost(self, Job job)
    cpdef overdue(self, Job job)
    cpdef retried(self, Job job, double pause, bytes reason, bint counts)
    cpdef bint adopt(self, Job job)
