cimport cython

from gearman.server.broker_c.links.lenders cimport Lenders
from gearman.server.broker_c.links.remote cimport Remote
from gearman.server.broker_c.model cimport Function, Peer
from gearman.server.broker_c.steering.starts cimport Starts

cdef int GRAB_JOBS
cdef double QUICK, SHORT
cdef Py_ssize_t MOST


@cython.final
cdef class Stock:
    cdef public bytes name
    cdef public Py_ssize_t most
    cdef public Py_ssize_t asked
    cdef public Py_ssize_t waiting
    cdef public dict by


@cython.final
cdef class Regular:
    cdef public Stock stock
    cdef public Py_ssize_t count


@cython.final
cdef class Ahead:
    cdef Lenders _lenders
    cdef Starts _starts
    cdef dict _stocks
    cdef dict _workers
    cdef dict _taken

    @cython.locals(stock=Stock)
    cpdef waits(self, bytes name, Py_ssize_t change)
    @cython.locals(stock=Stock)
    cdef Stock _stock(self, bytes name)
    cdef _tidy(self, Stock stock)
    cpdef started(self, Peer worker, Function function)
    @cython.locals(regular=Regular, name=bytes)
    cpdef ended(
        self, Peer worker, Function function, Remote lender, double seconds
    )
    cdef _set(self, Regular regular, Py_ssize_t count)
    @cython.locals(regular=Regular, stock=Stock, remote=Remote)
    cpdef left(self, Peer worker)
    cpdef end_turn(self)
    @cython.locals(stock=Stock, counts=dict, remote=Remote, count=Py_ssize_t)
    cdef _fill(self, Function function, Remote lender)
    @cython.locals(stock=Stock)
    cpdef Py_ssize_t belong_here(self, Function function)
    @cython.locals(stock=Stock)
    cpdef ask(self, Remote remote, bytes name, Py_ssize_t count)
    @cython.locals(stock=Stock)
    cpdef Py_ssize_t asked(self, Remote remote, bytes name)
    @cython.locals(stock=Stock)
    cpdef met(self, Remote remote, bytes name, Py_ssize_t count=*)
    @cython.locals(count=Py_ssize_t)
    cpdef unlink(self, Remote remote)
    cpdef abandon(self)
