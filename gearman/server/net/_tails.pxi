# Large last arguments, which are sent from where they are.

@cython.final
cdef class Tail:
    """A large last argument, and how much of a channel's `_out` goes before it."""

    cdef bytes data
    cdef Py_ssize_t ahead
    # How much memory it counts for: the bytes are counted once if the tail before it
    # has the same ones.
    cdef Py_ssize_t memory


cdef inline int part(
    iovec *parts, const void *at, Py_ssize_t size, Py_ssize_t *skipped
) noexcept:
    """Add what is left of a buffer once some bytes are skipped. Returns 1 if it is."""
    cdef Py_ssize_t skip = min(size, skipped[0])
    skipped[0] -= skip
    parts.iov_base = <char *>at + skip
    parts.iov_len = size - skip
    return 1 if size > skip else 0
