cimport cython

from gearman.server.broker_c.links.remote cimport Remote

cdef int SHARDS, SHARD_BITS


@cython.final
cdef class Routes:
    cdef public dict remotes
    cdef object _owners
    cdef list _homes

    cpdef own(self, owners)
    cpdef look(self)
    @cython.locals(remote=Remote)
    cdef Remote _linked(self, server)
    @cython.locals(shard=int)
    cpdef Remote home(self, bytes unique, bytes workload)
    cpdef Remote owner_of(self, number)
    cpdef list linked(self)
