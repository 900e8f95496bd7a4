cimport cython

from gearman.server.broker_c.broker cimport Broker
from gearman.server.broker_c.links.questions cimport Questions
from gearman.server.broker_c.links.remote cimport Remote
from gearman.server.broker_c.links.routes cimport Routes

cdef int LINK_SETTING


@cython.final
cdef class Settings:
    # Methods with functions in them can't be declared.
    cdef readonly Broker broker
    cdef Routes _routes
    cdef Questions _questions
    cdef Remote _owner
    cdef tuple _all

    cpdef changed(self, bytes kind, bytes name)
    cpdef loaded(self)
    @cython.locals(remote=Remote)
    cpdef asked(self, Remote remote)
    @cython.locals(remote=Remote)
    cdef _tell(self, list remotes, bytes kind, bytes name)
    @cython.locals(owner=Remote)
    cpdef look(self)
    cpdef told(self, Remote remote, bytes kind, bytes record)
    cdef _apply(self, bytes kind, bytes name, dict fields, bytes text)
    cdef _forget_others(self)
