cimport cython

from gearman.server.broker_c.assignment.choice cimport Choice
from gearman.server.broker_c.functions cimport Functions
from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.model cimport Function
from gearman.server.broker_c.places cimport Places


@cython.final
cdef class PolicyTable:
    cdef Functions _functions
    cdef Places _places
    cdef Choice _choice
    cdef Jobs _jobs
    cdef bint _persistent
    cdef object _file
    cdef dict _set
    cdef dict _numbers

    cpdef forget_numbers(self)
    cpdef apply(self, Function function)
