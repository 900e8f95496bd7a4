"""Run a job server: ``python -m gearman.server``, or ``gearmand``."""

import gc
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial

from ..errors import ConfigurationError, StartupError
from ..queue import Queue, load
from ..streams import open_standard_streams, say
from .check import problems
from .cluster.shards import Map
from .imports import import_all
from .member import Groups, Member
from .net.inherited import Given, open_sockets, take
from .net.listener import Listener
from .net.loop import Selector, run
from .operator import Operator
from .settings import process
from .settings.certificates import Certificates, open_certificates
from .settings.cluster import read_secret
from .settings.config import Config, parse
from .settings.ownership import may_write
from .settings.settings_file import SettingsFile, open_settings
from .watch.logs import NOTICE, configure
from .watch.traces import QueueSpans, open_provider

log = logging.getLogger("gearman.server")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a server until it is stopped, and return its exit status.

    `argv` is the command line without the program's name; None is that of the process.
    0: the server was stopped. 1: it could not start, and a sentence on standard error
    says why. 130: it was interrupted before it was ready. With --check-args nothing is
    started, and each problem is a sentence on standard error.
    """
    open_standard_streams()
    try:
        config = parse(sys.argv[1:] if argv is None else argv, os.environ)
        return _check(config) if config.check_args else _start(config)
    except KeyboardInterrupt:
        return 130


def _check(config: Config) -> int:
    found = list(problems(config, os.environ))
    for problem in found:
        _say(problem)
    return 1 if found else 0


def _start(config: Config) -> int:
    report: Callable[[str], None] = _say
    try:
        # Before the process forks: they are for this process id.
        given = take(os.environ)
        if config.daemon:
            report = process.daemonize()
        run_process(config, given, report)
    except (ConfigurationError, StartupError) as error:
        report(str(error))
        return 1
    return 0


def _say(failure: str) -> None:
    if failure:
        say(f"gearmand: {failure}\n", sys.stderr)


def _spare_the_collector() -> None:
    """Make Python's garbage collector skip objects that live long.

    There may be millions of jobs, and finished jobs are in no reference cycles. To scan
    all of them repeatedly would stop the server for seconds.
    """
    gc.collect()
    gc.freeze()
    # A look at so many new objects takes about half a millisecond. Each third look also
    # takes what the two before have left, and less than two milliseconds. From Python
    # 3.14 on, a smaller second number makes each look at old objects longer.
    looks = 2 if sys.version_info < (3, 14) else 80
    gc.set_threshold(2_500, looks, 1_000_000)


def run_process(
    config: Config, given: Sequence[Given], report: Callable[[str], None]
) -> None:
    """Make this process a server, which is run until a signal or a request ends it.

    `report` is called with an empty text when connections are accepted. Raises
    ConfigurationError or StartupError if the server can't start.
    """
    _spare_the_collector()
    process.limit_descriptors(config.descriptors)
    import_all(config)
    user = process.find_user(config.user) if config.user else None
    log_file = configure(config, user)
    operator = Operator(config, log_file, report)
    operator.hold_reloads()
    pid_file = process.PidFile(config.pid_file, user) if config.pid_file else None
    spans = None
    try:
        # Before the user changes: the new one may not be allowed to read the files.
        certificates = open_certificates(config.tls, config.cluster is not None)
        secret = read_secret(config.cluster_secret_file)
        settings = open_settings(config.settings)
        spans = QueueSpans(open_provider()) if config.traces else None
        groups = open_sockets(config, given)
        if pid_file:
            pid_file.write()
        if config.user:
            process.switch_user(config.user)
            _warn_of_the_log(config)
        if config.coredump:
            process.enable_core_dumps()
        make = partial(_listener, config, certificates, settings, spans)
        if config.cluster is not None:
            again = partial(_open_queue, config)
            cluster = config.cluster
            backlog = config.backlog
            Member(cluster, operator, again, make, groups, backlog, secret).run()
        else:
            selector = Selector()
            listener = make(open_queue(config), selector, groups)
            run(operator.serve(listener), selector)
        log.log(NOTICE, "stopped")
    finally:
        if pid_file:
            pid_file.remove()
        if spans:
            spans.close()
        log_file.close()


def _warn_of_the_log(config: Config) -> None:
    path = config.log_file
    if os.path.isfile(path) and not may_write(path):
        log.warning(
            "the user of the server may not write the log file %s, so that it cannot be"
            " opened again after log rotation: change its owner to %s",
            path,
            config.user,
        )


def open_queue(config: Config) -> Queue | None:
    """Open the store of background jobs; None if there is none.

    Raises ConfigurationError or StartupError.
    """
    if config.queue == "builtin":
        return None
    log.log(NOTICE, "opening the queue %s", config.queue)
    return _open_queue(config)


def _open_queue(config: Config) -> Queue:
    return load(config.queue)(**config.queue_options)


def _listener(
    config: Config,
    certificates: Certificates | None,
    settings: SettingsFile | None,
    spans: QueueSpans | None,
    queue: Queue | None,
    selector: Selector,
    groups: Groups,
    map: Map | None = None,
) -> Listener:
    """Return a listener that has loaded the jobs. Raises StartupError."""
    listener = Listener(
        config,
        groups[0],
        selector,
        groups[1:],
        queue=queue,
        certificates=certificates,
        settings=settings,
        map=map,
    )
    listener.replay(map.mine() if map is not None else None)
    if spans:
        listener.events.add(spans)
    gc.freeze()
    return listener


if __name__ == "__main__":
    sys.exit(main())
