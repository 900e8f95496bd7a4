from libc.stdint cimport int64_t

from gearman.server.broker_c.model cimport Job


cpdef Job new_job()
cpdef bytes make_handle(bytes prefix, int64_t number)
cpdef int64_t number_of(bytes handle)
cpdef int shard_of(bytes handle)
