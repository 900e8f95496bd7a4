cimport cython

from gearman.server.broker_c.links.remote cimport Remote
from gearman.server.broker_c.model cimport Function, Peer

cdef int GRAB_JOBS
cdef double QUICK


@cython.final
cdef class Stock:
    cdef public Py_ssize_t workers
    cdef public Py_ssize_t asked
    cdef public Py_ssize_t waiting
    cdef public dict by


@cython.final
cdef class Ahead:
    cdef dict _stocks
    cdef dict _workers

    @cython.locals(stock=Stock)
    cpdef waits(self, bytes name, Py_ssize_t change)
    cdef _tidy(self, bytes name, Stock stock)
    @cython.locals(stock=Stock, name=bytes)
    cpdef ended(self, Peer worker, Function function, double seconds)
    cpdef bint counts(self, Peer worker)
    @cython.locals(stock=Stock, name=bytes, remote=Remote)
    cpdef left(self, Peer worker)
    @cython.locals(stock=Stock)
    cpdef bint is_wanted(self, Function function)
    @cython.locals(stock=Stock)
    cpdef Py_ssize_t belong_here(self, Function function)
    @cython.locals(stock=Stock)
    cpdef ask(self, Remote remote, bytes name)
    @cython.locals(stock=Stock)
    cpdef Py_ssize_t asked(self, Remote remote, bytes name)
    @cython.locals(stock=Stock)
    cpdef met(self, Remote remote, bytes name, Py_ssize_t count=*)
    @cython.locals(count=Py_ssize_t)
    cpdef unlink(self, Remote remote)
    cpdef abandon(self)
