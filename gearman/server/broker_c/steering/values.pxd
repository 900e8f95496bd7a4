cimport cython

from gearman.server.broker_c.model cimport Extra, Job

cdef int MAX_DOUBLINGS


cpdef bint steered(Job job)
@cython.locals(extra=Extra)
cpdef value(Job job, str name)
cpdef int retries_of(Job job)
cpdef double longest_pause(Job job, int attempts)
cpdef double timeout_of(Job job)
cpdef double keep_of(Job job)
cpdef dead_of(Job job)
cpdef double shorter(double first, double second)
