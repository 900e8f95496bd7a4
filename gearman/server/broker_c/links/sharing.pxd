cimport cython

from gearman.server.broker_c.broker cimport Broker
from gearman.server.broker_c.links.remote cimport Remote
from gearman.server.broker_c.links.routes cimport Routes
from gearman.server.broker_c.model cimport Function, Queue
from gearman.server.broker_c.steering.start_limits cimport StartLimits

cdef int LINK_GRANT, LINK_TOKENS
cdef double PAUSE, SPAN, TERM


@cython.final
cdef class Part:
    cdef public double asked
    cdef public double due
    cdef public Remote home
    cdef public bint waits
    cdef public bint idle


@cython.final
cdef class Sharing:
    cdef public double first
    cdef Broker _broker
    cdef Routes _routes
    cdef dict _parts
    cdef dict _books
    cdef dict _since
    cdef frozenset _own

    @cython.locals(part=Part)
    cpdef needs(self, Function function)
    @cython.locals(function=Function, part=Part)
    cpdef tick(self, double now)
    @cython.locals(limits=StartLimits, home=Remote)
    cdef _report(self, Function function, Part part, double now)
    cdef _ask(self, Function function, Part part, StartLimits limits, double now)
    @cython.locals(function=Function, part=Part, limits=StartLimits)
    cpdef granted(self, Remote remote, bytes name, Py_ssize_t running, Py_ssize_t starts)
    @cython.locals(part=Part)
    cpdef lost(self, Remote remote)
    cdef bint _is_home(self, shard)
    cpdef look(self)
    cdef tuple _grant(self, server, bytes name, tuple running, tuple starts, double seconds)


cdef _take(Part part, StartLimits limits, Py_ssize_t running, Py_ssize_t starts)


@cython.locals(high=Queue, normal=Queue, low=Queue)
cdef Py_ssize_t _queued(Function function)
