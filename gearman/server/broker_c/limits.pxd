cimport cython

@cython.final
cdef class Limits:
    cdef public Py_ssize_t jobs
    cdef public Py_ssize_t jobs_per_function
    cdef public Py_ssize_t job_memory
    cdef public Py_ssize_t functions
    cdef public Py_ssize_t functions_per_worker
    cdef public Py_ssize_t memory


@cython.final
cdef class Hits:
    cdef public object counts
    cdef public set reached

    cpdef add(self, limit)
