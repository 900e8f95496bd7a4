cimport cython

cdef Py_ssize_t EXTRA_MEMORY, HANDLE_MEMORY, JOB_MEMORY, OPTIONS_MEMORY, TEXT_MEMORY
cdef Py_ssize_t UNIQUE_MEMORY


@cython.final
cdef class Memory:
    cdef public Py_ssize_t jobs
    cdef public Py_ssize_t peers
    cdef public Py_ssize_t buffers


@cython.locals(size=Py_ssize_t)
cpdef Py_ssize_t job_size(bytes workload, bytes unique)
@cython.locals(size=Py_ssize_t)
cpdef Py_ssize_t extra_size(options)
