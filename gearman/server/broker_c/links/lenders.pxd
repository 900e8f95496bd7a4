cimport cython

from gearman.server.broker_c.functions cimport Functions
from gearman.server.broker_c.links.remote cimport Remote
from gearman.server.broker_c.model cimport Function


@cython.final
cdef class Ready:
    cdef public Py_ssize_t count
    cdef public double since


@cython.final
cdef class Lenders:
    cdef public Py_ssize_t count
    cdef Functions _functions

    @cython.locals(ready=Ready)
    cpdef note(self, Remote remote, Function function, Py_ssize_t count, double now)
    @cython.locals(lenders=dict, remote=Remote, ready=Ready)
    cpdef Remote take(self, Function function)
    cpdef forget(self, Remote remote, Function function)
    cpdef forget_all(self, Function function)
    @cython.locals(function=Function)
    cpdef unlink(self, Remote remote)
