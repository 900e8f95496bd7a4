# Large last arguments, which are sent without a copy.

@cython.final
cdef class Tail:
    """A large last argument, and how many bytes of the channel's `_out` precede it."""

    cdef bytes data
    cdef Py_ssize_t ahead
    # The memory that it counts as, in bytes. If the tail before it is the same object,
    # the object is counted there.
    cdef Py_ssize_t memory


cdef inline int part(
    iovec *parts, const void *at, Py_ssize_t size, Py_ssize_t *skipped
) noexcept:
    """Add the rest of a buffer after the skipped bytes; return 0 if it is empty."""
    cdef Py_ssize_t skip = min(size, skipped[0])
    skipped[0] -= skip
    parts.iov_base = <char *>at + skip
    parts.iov_len = size - skip
    return 1 if size > skip else 0
