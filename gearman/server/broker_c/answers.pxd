cimport cython

from gearman.server.broker_c.memory cimport Memory, extra_size
from gearman.server.broker_c.model cimport Job, Peer, Receipt

cdef int RAW
cdef Py_ssize_t RECEIPT_MEMORY, REQUEST_MEMORY


@cython.final
cdef class Answers:
    cdef public list deferring
    cdef public bint links
    cdef public list caught_up
    cdef Memory _memory
    cdef object _carry_out
    cdef list _payable

    cpdef answer(self, Receipt receipt, Peer peer, int command, tuple arguments)
    cpdef write(self, Peer peer, bytes data)
    cpdef Receipt promise(self, Peer peer)
    cpdef fulfil(self, Receipt receipt, int command, tuple arguments)
    cpdef owe(self, Receipt receipt, Peer peer, Job job)
    @cython.locals(receipt=Receipt)
    cpdef defer(self, Peer peer, tuple request)
    @cython.locals(receipts=list, receipt=Receipt)
    cpdef settle(self, Job job, int command, tuple arguments)
    cpdef forget(self, Peer peer)
    @cython.locals(receipt=Receipt, size=Py_ssize_t)
    cpdef Py_ssize_t size(self, Peer peer)
    @cython.locals(peer=Peer)
    cpdef pay(self)
    @cython.locals(receipt=Receipt, request=tuple)
    cdef _pay_to(self, Peer peer)
    cdef _keep(self, Peer peer, Receipt receipt)


@cython.locals(
    name=bytes, unique=bytes, workload=bytes, reducer=bytes, size=Py_ssize_t
)
cdef Py_ssize_t _request_size(tuple request)
