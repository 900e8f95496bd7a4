cimport cython

from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.model cimport Extra, Function, Job
from gearman.server.broker_c.steering.values cimport value

cdef int NORMAL


cpdef bint needs_worker(Function function, options)
cpdef int priority_of(Function function, options)
@cython.locals(extra=Extra, function=Function)
cpdef extend(Job job, options, Jobs jobs, double wall, bint stored)
