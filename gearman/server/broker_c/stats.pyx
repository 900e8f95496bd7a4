# cython: language_level=3
"""What has happened to the jobs of a function, with the meaning of `broker.stats`."""

cimport cython
from libc.stdint cimport int64_t

BUCKETS = _BUCKETS
BOUNDS = tuple(2**number / 1000 for number in range(BUCKETS))

COUNTERS = (
    "submitted", "joined", "completed", "failed", "exceptions", "retried",
    "given_up", "expired", "cancelled", "abandoned", "passed_on",
    "lost", "timeouts",
    "bytes_in", "bytes_out",
)


@cython.final
cdef class Histogram:
    """How often something took how long."""

    # The counts are 0 at first, like all of a new object.

    cpdef list counts(self):
        """Return a number for each bucket."""
        return [self._counts[bucket] for bucket in range(_BUCKETS + 1)]

    cpdef list sums(self):
        """Return a number for each bucket: of all times up to that of the bucket."""
        cdef list sums = []
        cdef int64_t sum = 0
        cdef int bucket
        for bucket in range(_BUCKETS + 1):
            sum += self._counts[bucket]
            sums.append(sum)
        return sums

    cpdef add(self, double seconds):
        """Count something that took so long."""
        cdef double bound = 0.001
        cdef int bucket = 0
        self.total += seconds
        while bucket < _BUCKETS and seconds > bound:
            bound *= 2
            bucket += 1
        self._counts[bucket] += 1

    cpdef int64_t count(self):
        """Return how many times were added."""
        cdef int64_t count = 0
        cdef int bucket
        for bucket in range(_BUCKETS + 1):
            count += self._counts[bucket]
        return count

    cpdef merge(self, Histogram other):
        """Add all times of another histogram."""
        cdef int bucket
        self.total += other.total
        for bucket in range(_BUCKETS + 1):
            self._counts[bucket] += other._counts[bucket]


@cython.final
cdef class Stats:
    """What has happened to the jobs of a function since it became known."""

    def __cinit__(self):
        self.waits = Histogram()
        self.runs = Histogram()

    cpdef merge(self, Stats other):
        """Add all that has happened to the jobs of another function."""
        for name in COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.waits.merge(other.waits)
        self.runs.merge(other.runs)
