"""The tool `gearman`: ``python -m gearman.cli.gearman``."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Final, TypeVar

from ...admin_client import GearmanAdminClient
from ...connection_manager import GearmanConnectionManager
from ...errors import GearmanError
from ...streams import say
from .. import program, servers
from ..options import Options, parse
from ..progress import Progress
from . import background, result
from .client import Client
from .output import Output
from .patience import until_connected
from .worker import Worker
from .workloads import Lines, Workloads

# Seconds that a health check may take.
_PING: Final = 2.0

Tool = TypeVar("Tool", Client, Worker)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    return program.run("gearman", partial(_run, arguments))


def _run(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    if options.text:
        say(options.text, sys.stdout)
        return 0
    addresses = servers.addresses(
        options.host, options.port, os.environ, given=options.server_given
    )
    settings = {"ssl_context": servers.tls(os.environ)} if options.tls else {}
    if options.ping:
        return _ping(addresses, options, settings)
    if options.worker:
        with _connected(Worker(addresses, options, **settings), options) as worker:
            worker.run()
        return 0
    return _submit(addresses, options, settings)


def _submit(
    addresses: Sequence[servers.Address], options: Options, settings: dict[str, Any]
) -> int:
    workloads = Workloads([]) if options.result else _workloads(options)
    total = workloads.size if options.lines else None
    output = Output(Progress(total), prefix=options.prefix, verbose=options.verbose)
    client = Client(addresses, options, workloads, output, **settings)
    with _connected(client, options):
        if options.result:
            return result.show(client, options)
        client.run()
    return program.FAILURE if output.failures else 0


def _workloads(options: Options) -> Workloads:
    if options.operands:
        return Workloads(options.operands)
    if options.no_input:
        return Workloads([b""])
    if options.lines:
        return Lines(sys.stdin.fileno(), strip=options.strip)
    return Workloads([sys.stdin.buffer.read()])


@contextmanager
def _connected(connections: Tool, options: Options) -> Iterator[Tool]:
    """A context with a connected client or worker, in the background with -d.

    Without --wait, it connects before the process goes to the background, so that a
    missing server is an error of the command.
    """
    if not options.wait:
        connections.connect()
    with _process(options, connections), connections:
        if options.wait:
            until_connected(connections.connect)
        yield connections


def _process(
    options: Options, connections: GearmanConnectionManager
) -> AbstractContextManager[None]:
    """Become a daemon with -d, and return a context that has the pid file."""
    if options.daemon:
        # They were a test, and belong to the parent process.
        connections.close()
        background.detach()
    return background.pid_file(options.pid_file)


def _ping(
    addresses: Sequence[servers.Address], options: Options, settings: dict[str, Any]
) -> int:
    timeout = options.timeout or _PING
    settings = {**settings, "connect_timeout": timeout}
    failed = 0
    for address in addresses:
        name = servers.name(address)
        try:
            with GearmanAdminClient([address], timeout, **settings) as admin:
                admin.ping_server()
        except GearmanError as error:
            failed = program.FAILURE
            cause = error.__cause__ or error
            why = servers.reason(cause.__cause__ or cause)
            program.complain("gearman", f"{name} does not answer: {why}")
        else:
            if options.verbose:
                say("ping OK\n", sys.stdout)
    return failed


if __name__ == "__main__":
    sys.exit(main())
