# cython: language_level=3, annotation_typing=False, auto_pickle=False
"""The samples of functions, with the meaning of `samples.PlainSamples`.

The numbers go from the broker's counters into the text, without an object of Python for
each. That is cheaper than to find out which of them have changed, so no lines are kept.
"""

import re

cimport cython

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free
from cpython.tuple cimport PyTuple_Check
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr, memcpy, strlen

from gearman.server.broker_c.stats cimport _BUCKETS, Histogram, Stats

from ..lines import PIECE_SIZE
from .families import COUNTED, GAUGES, SHOWN

cdef extern from "Python.h":
    char *PyOS_double_to_string(
        double value, char code, int precision, int flags, int *kind
    ) except NULL

cdef enum:
    # The most parts of a template, and the most numbers of a function.
    PARTS = 32
    NUMBERS = 32
    # Bytes that a number takes at most: a whole one, and one with decimal places.
    WHOLE_SIZE = 20
    DECIMAL_SIZE = 320
    # The lines of most functions in a family take less than this.
    LINES_SIZE = 8 * 1024
    # Functions that are handled in a step, even if they have no lines.
    STEP = 1000

# What follows a text in a template: nothing, the label, a whole number, or one with so
# many decimal places.
cdef enum:
    END = -1
    LABEL = -2
    WHOLE = 0
    THOUSANDTHS = 3
    MILLIONTHS = 6

# Where the numbers of a family are.
cdef enum:
    COUNTS
    WAITS
    RUNS

cdef Py_ssize_t piece_size = PIECE_SIZE
cdef dict followers = {
    b"": END, b"\0": LABEL, b"%d": WHOLE, b"%.3f": THOUSANDTHS, b"%.6f": MILLIONTHS
}
# The buckets whose sums are shown.
cdef int shown[NUMBERS]
for _place, _bucket in enumerate((*SHOWN, _BUCKETS)):
    shown[_place] = _bucket


cdef struct Part:
    const char *text
    Py_ssize_t size
    int follower


cdef struct Numbers:
    int64_t whole[NUMBERS]
    double decimal


cdef inline char *put_whole(char *at, int64_t number) noexcept:
    """Write a number, and return where it ends."""
    cdef char digits[WHOLE_SIZE]
    cdef int start = WHOLE_SIZE
    cdef uint64_t rest = <uint64_t>number
    if number < 0:
        at[0] = c"-"
        at += 1
        rest = 0 - rest
    while True:
        start -= 1
        digits[start] = c"0" + <char>(rest % 10)
        rest //= 10
        if not rest:
            break
    memcpy(at, digits + start, WHOLE_SIZE - start)
    return at + WHOLE_SIZE - start


cdef inline char *put_decimal(char *at, double number, int places) except NULL:
    """Write a number with decimal places, and return where it ends."""
    cdef char *digits = PyOS_double_to_string(number, c"f", places, 0, NULL)
    cdef size_t size = strlen(digits)
    memcpy(at, digits, size)
    PyMem_Free(digits)
    return at + size


cdef inline int count(Numbers *numbers, tuple row, Stats stats) except -1:
    """Write down what gauges and counters say of a function, in their order."""
    cdef int64_t *whole = numbers.whole
    cdef int64_t running = row[2]
    whole[0] = row[1]
    whole[1] = running
    whole[2] = whole[0] - running
    whole[3] = row[3]
    numbers.decimal = row[4]
    whole[4] = stats.submitted
    whole[5] = stats.joined
    whole[6] = stats.completed
    whole[7] = stats.failed
    whole[8] = stats.exceptions
    whole[9] = stats.retried
    whole[10] = stats.given_up
    whole[11] = stats.expired
    whole[12] = stats.cancelled
    whole[13] = stats.abandoned
    whole[14] = stats.passed_on
    whole[15] = stats.lost
    whole[16] = stats.timeouts
    whole[17] = stats.bytes_in
    whole[18] = stats.bytes_out
    return 0


cdef inline bint count_times(Numbers *numbers, Histogram times) noexcept:
    """Write down what a histogram says; return whether it has any times."""
    cdef int64_t sum = 0
    cdef int bucket
    cdef int place = 0
    for bucket in range(_BUCKETS + 1):
        sum += times._counts[bucket]
        if bucket == shown[place]:
            numbers.whole[place] = sum
            place += 1
    numbers.whole[place] = sum
    numbers.decimal = times.total
    return sum != 0


cdef inline tuple values(row):
    """Return a row as the tuple that it is."""
    if not PyTuple_Check(row):
        raise TypeError(f"{row!r} is no row")
    return <tuple>row


cdef inline bytes unescaped(bytes label):
    """Return a label that was made for a %-template as it is to be shown."""
    if memchr(PyBytes_AS_STRING(label), c"%", PyBytes_GET_SIZE(label)) is NULL:
        return label
    return label.replace(b"%%", b"%")


@cython.final
cdef class _Family:
    """A family; its numbers are those of `source`, from number `first` on."""

    cdef bytes head
    cdef int source
    cdef int first
    # The texts, to which the parts refer.
    cdef list texts
    cdef Part parts[PARTS]
    cdef int count
    # Bytes of the lines of a function at most, without its labels, and how many these
    # are.
    cdef Py_ssize_t size
    cdef int labels

    def __init__(self, bytes head, tuple template, int source, int first):
        cdef bytes text
        self.head, self.source, self.first = head, source, first
        # A text, what follows it, the next text, and so on.
        words = re.split(rb"(\0|%d|%\.[36]f)", b"\0".join(template)) + [b""]
        self.texts = words[::2]
        if len(self.texts) > PARTS or first + words.count(b"%d") > NUMBERS:
            raise ValueError(f"too much in the template {template}")
        for text, follower in zip(self.texts, words[1::2]):
            self._add(text, followers[follower])

    cdef int _add(self, bytes text, int follower) except -1:
        cdef Part *part = &self.parts[self.count]
        part.text = PyBytes_AS_STRING(text)
        part.size = PyBytes_GET_SIZE(text)
        part.follower = follower
        self.count += 1
        self.labels += follower == LABEL
        self.size += part.size + (DECIMAL_SIZE if follower > WHOLE else WHOLE_SIZE)
        return 0

    cdef bint has_samples(self, Numbers *numbers, tuple row) except -1:
        """Write down the numbers of a function, if it has samples."""
        cdef Stats stats = <Stats?>row[5]
        if self.source == COUNTS:
            count(numbers, row, stats)
            return True
        return count_times(numbers, stats.waits if self.source == WAITS else stats.runs)

    cdef Py_ssize_t put(self, char *start, bytes label, Numbers *numbers) except -1:
        """Write the lines of a function, and return their size."""
        cdef char *at = start
        cdef const char *name = PyBytes_AS_STRING(label)
        cdef Py_ssize_t length = PyBytes_GET_SIZE(label)
        cdef int64_t *whole = numbers.whole + self.first
        cdef Part *part
        cdef int index
        for index in range(self.count):
            part = &self.parts[index]
            memcpy(at, part.text, part.size)
            at += part.size
            if part.follower == LABEL:
                memcpy(at, name, length)
                at += length
            elif part.follower == WHOLE:
                at = put_whole(at, whole[0])
                whole += 1
            elif part.follower != END:
                at = put_decimal(at, numbers.decimal, part.follower)
        return at - start


@cython.final
cdef class Samples:
    """Makes the samples of functions."""

    cdef list _families
    # Where lines are written at first.
    cdef bytearray _room

    def __init__(self):
        cdef int first = 0
        self._room = bytearray(piece_size + LINES_SIZE)
        self._families = []
        families = [*GAUGES, *(family[:2] for family in COUNTED)]
        sources = [COUNTS] * (len(families) - 2) + [WAITS, RUNS]
        for (head, template), source in zip(families, sources):
            first = first if source == COUNTS else 0
            self._families.append(_Family(head, template, source, first))
            first += b"".join(template).count(b"%d")

    def pieces(self, list rows not None):
        """Yield the text in steps; some of them yield nothing."""
        cdef _Family family
        cdef Py_ssize_t at
        for family in self._families:
            yield family.head
            at = 0
            while at < len(rows):
                yield self._lines(family, rows, &at)

    cdef bytes _lines(self, _Family family, list rows, Py_ssize_t *at):
        """Return lines of the rows from a place on, and move it behind these rows.

        They have about PIECE_SIZE bytes if there are so many.
        """
        cdef Numbers numbers
        cdef Py_ssize_t end = min(len(rows), at[0] + STEP)
        cdef Py_ssize_t needed
        cdef Py_ssize_t size = 0
        cdef bytes label
        cdef tuple row
        while at[0] < end:
            row = values(rows[at[0]])
            if family.has_samples(&numbers, row):
                label = unescaped(<bytes?>row[0])
                needed = family.size + family.labels * PyBytes_GET_SIZE(label)
                if needed > PyByteArray_GET_SIZE(self._room) - size:
                    if size:
                        break
                    self._room = bytearray(needed)
                size += family.put(
                    PyByteArray_AS_STRING(self._room) + size, label, &numbers
                )
            at[0] += 1
        return PyBytes_FromStringAndSize(PyByteArray_AS_STRING(self._room), size)
