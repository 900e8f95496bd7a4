cimport cython


@cython.final
cdef class StartGroup:
    cdef public double first
    cdef public double last
    cdef public Py_ssize_t count


@cython.final
cdef class StartLimits:
    cdef public Py_ssize_t most
    cdef public Py_ssize_t count
    cdef public double seconds
    cdef public object log
    cdef public Py_ssize_t started
    cdef public double until
    cdef public Py_ssize_t may_run
    cdef public Py_ssize_t may_start
    cdef public Py_ssize_t recent
    cdef public double over
