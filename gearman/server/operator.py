"""What the operator of a server process wants, and is told: by signals, by systemd."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from typing import Final

from ..framing import BUILD
from .net.listener import Listener
from .settings.config import Config
from .watch.logs import NOTICE, Log
from .watch.systemd import Systemd

# Those that stop the server, twice; that lets it drain; that makes it read files again.
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)

log = logging.getLogger("gearman.server")


class Operator:
    """Who sends signals to this process, and wants to know what it does.

    `report` is called with an empty text as soon as the process works; from then on it
    is `told`. It is `ending` when a signal has told it to stop or to drain.
    """

    def __init__(
        self, config: Config, log_file: Log, report: Callable[[str], None]
    ) -> None:
        self._config = config
        self._log_file = log_file
        self._report = report
        self._manager = Systemd(os.environ)
        self.told = self.ending = False
        # The numbers of signals that came without an event loop.
        self._held: list[int] = []

    async def serve(self, listener: Listener) -> None:
        """Let a listener serve until it ends."""
        self.attach(listener.stop, listener.drain, listener.reload)
        await listener.serve(self.ready)
        self.detach()

    def attach(
        self,
        stop: Callable[[], None],
        drain: Callable[[], None],
        reload: Callable[[], None],
    ) -> None:
        """Have functions called by signals, while the current event loop runs."""
        manager, loop = self._manager, asyncio.get_running_loop()

        def reload_all() -> None:
            manager.reloading()
            self._log_file.reopen()
            reload()
            manager.ready()

        def stop_all() -> None:
            self.ending = True
            manager.stopping("stopping")
            stop()

        def drain_all() -> None:
            self.ending = True
            manager.stopping("stopping when no job is left")
            drain()

        verbs = (stop_all, stop_all, drain_all, reload_all)
        actions = dict(zip(SIGNALS, verbs, strict=True))
        for number, action in actions.items():
            loop.add_signal_handler(number, action)
        held, self._held = self._held, []
        for each in held:
            loop.call_soon(actions[signal.Signals(each)])
        if self.told:
            self._be_alive()

    def detach(self) -> None:
        """Remember signals from now on, as the current event loop is about to end.

        At its end they would get their default actions: then one more signal would
        kill a process that closes its store.
        """
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)
        self.hold()

    def hold(self) -> None:
        """Remember signals until `attach` is called in the next event loop."""
        for number in SIGNALS:
            signal.signal(number, lambda number, _: self._held.append(number))

    def hold_reloads(self) -> None:
        """Remember the signal to read files again; until now it ends the process.

        It may come while jobs are loaded, as logs are rotated then as well.
        """
        signal.signal(signal.SIGHUP, lambda *_: self.put_off())

    def put_off(self) -> None:
        """Have the files read again by the next event loop."""
        self._held.append(signal.SIGHUP)

    def ready(self) -> None:
        """Tell that the server accepts connections."""
        if not self.told:
            for sentence in self._config.ignored:
                log.log(NOTICE, "%s", sentence)
        log.log(NOTICE, "ready (process %d, %s build)", os.getpid(), BUILD)
        self.works()

    def works(self) -> None:
        """Tell, once, that the process works: it serves, or stands by."""
        if self.told:
            return
        self.told = True
        self._report("")
        self._manager.ready()
        self._be_alive()

    def _be_alive(self) -> None:
        if self._manager.interval:
            self._manager.alive()
            loop = asyncio.get_running_loop()
            loop.call_later(self._manager.interval, self._be_alive)
