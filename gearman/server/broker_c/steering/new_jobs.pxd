cimport cython

from gearman.server.broker_c.jobs cimport Jobs
from gearman.server.broker_c.model cimport Extra, Job
from gearman.server.broker_c.steering.values cimport value

cdef int NORMAL


cpdef bint needs_worker(policy, options)
cpdef int priority_of(policy, options)
@cython.locals(extra=Extra)
cpdef extend(Job job, options, Jobs jobs, double wall, bint stored)
