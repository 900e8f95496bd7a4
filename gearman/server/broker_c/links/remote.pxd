cimport cython

from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.memory cimport Memory
from gearman.server.broker_c.model cimport Job, Peer

cdef int ERROR, JOB_CREATED, LINK_CREATED, LINK_REFUSED, LINK_STARTED, WORK_CANCEL
cdef int RUNNING, WORK_COMPLETE
cdef Py_ssize_t KEPT_MEMORY, MOST_KEPT


@cython.locals(size=Py_ssize_t, argument=bytes)
cdef Py_ssize_t size_of(tuple arguments)


@cython.final
cdef class Remote:
    cdef public object id
    cdef public Peer peer
    cdef public object pings
    cdef public double since
    cdef public LinkClient client
    cdef public LinkWorker worker
    cdef public LinkOwner owner
    cdef public dict tokens
    cdef public dict away
    cdef public dict told
    cdef public dict asked

    cpdef connect(self, Peer peer, pings=*)
    cpdef request(self, int command, tuple arguments)
    cpdef respond(self, int command, tuple arguments)


cdef class LinkClient(Peer):
    cdef public Remote remote
    cdef public object tokens
    cdef Jobs _jobs

    @cython.locals(remote=Remote)
    cpdef send(self, int command, tuple arguments)
    cpdef repeat(self, Py_ssize_t times, int command, tuple arguments)
    @cython.locals(job=Job)
    cdef _tell_if_started(self, bytes handle)
    cpdef tell_started(self, bytes handle)


cdef class Ticket(Peer):
    cdef public Remote remote
    cdef public bytes token

    @cython.locals(answer=int)
    cpdef send(self, int command, tuple arguments)


cdef class LinkWorker(Peer):
    cdef public Remote remote

    cpdef send(self, int command, tuple arguments)


cdef class LinkOwner(Peer):
    cdef public Remote remote
    cdef public dict kept
    cdef public Py_ssize_t kept_size
    cdef public dict spoiled
    cdef Memory _memory
    cdef object _under_way
    cdef Py_ssize_t _under_way_size

    @cython.locals(remote=Remote)
    cpdef send(self, int command, tuple arguments)
    cpdef repeat(self, Py_ssize_t times, int command, tuple arguments)
    cdef _note(self, pings, tuple result)
    cpdef unlink(self)
    @cython.locals(handle=bytes, size=Py_ssize_t)
    cpdef keep(self, int command, tuple arguments)
    cpdef list take(self, bytes handle)
    cpdef forget(self)
    cdef _count(self, Py_ssize_t size)
