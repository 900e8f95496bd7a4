cimport cython

from gearman.server.broker_c.assignment.choice cimport Choice
from gearman.server.broker_c.limits cimport Hits, Limits
from gearman.server.broker_c.memory cimport Memory
from gearman.server.broker_c.model cimport Function
from gearman.server.broker_c.stats cimport Stats

cdef Py_ssize_t FUNCTION_MEMORY, MANY_FUNCTIONS, SWEEP


@cython.final
cdef class Functions:
    cdef public dict known
    cdef public Py_ssize_t staffed
    cdef public Limits limits
    cdef public Hits hits
    cdef public Memory memory
    cdef public object policies
    cdef public list newcomers
    cdef public Stats gone
    cdef Choice _choice
    cdef public object _round

    @cython.locals(function=Function)
    cpdef Function of(self, bytes name)
    @cython.locals(limit=Py_ssize_t)
    cpdef bint admits(self, bytes name, bint for_worker=*)
    @cython.locals(function=Function)
    cpdef bint drop(self, bytes name)
    @cython.locals(function=Function)
    cdef bint _forget_one(self)
    cdef bint _has_limits(self, Function function)
    cdef _forget(self, Function function)
