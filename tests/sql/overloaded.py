"""An address whose connections are neither accepted nor refused."""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.servers import HOST


@contextmanager
def overloaded() -> Iterator[str]:
    """Listen, and have all places of the queue of connections taken."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((HOST, 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            assert waiting.connect_ex(address) in (0, errno.EINPROGRESS)
        yield "{}:{}".format(*address)
