cimport cython

from gearman.server.broker_c.model cimport Function


@cython.final
cdef class Limits:
    cdef public Py_ssize_t jobs
    cdef public Py_ssize_t jobs_per_function
    cdef public Py_ssize_t job_memory
    cdef public Py_ssize_t functions
    cdef public Py_ssize_t functions_per_worker
    cdef public Py_ssize_t memory

    @cython.locals(most=Py_ssize_t)
    cpdef exceeded_by_job(
        self, Function function, int priority, Py_ssize_t jobs, Py_ssize_t memory
    )
    cpdef exceeded_by_worker(self, Py_ssize_t functions)


@cython.final
cdef class Hits:
    cdef public object counts
    cdef public set reached

    cpdef add(self, limit)
