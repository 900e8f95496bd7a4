"""The hooks of a server: those of its settings file, running."""

from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

from ...broker import Broker, Peer
from ...broker.constants import JOB_CREATED
from ...protocols.events import Event, Events
from ...settings.tables.hooks import Hook
from .backlog import MOST_EVENTS, Backlog
from .courier import Courier, Target

# Seconds that hooks have at the end of the server to deliver what waits.
LAST_SECONDS: Final = 3.0

# So many jobs of hooks are submitted in a turn.
_MANY: Final = 200


class _Carried:
    """A hook whose events a thread carries to a URL or a program."""

    def __init__(self, hook: Hook) -> None:
        self.hook = hook
        self.names = hook.wish.names
        self.own: frozenset[bytes] = frozenset()
        self._backlog = Backlog()
        self._courier = Courier(hook.name, self._backlog, _target(hook))
        self._courier.start()

    def wants(self, name: str, function: bytes | None) -> bool:
        return self.hook.wish.has(name, function) and self._backlog.has_room()

    def take(self, event: Event) -> None:
        self._backlog.put(event.line())

    def left(self, peer: Peer) -> None:
        """Peers don't matter."""

    def end(self, until: float) -> None:
        self._courier.end(until)

    def facts(self) -> dict[str, object]:
        courier = self._courier
        return {
            "waiting": self._backlog.waiting,
            "delivered": courier.delivered,
            "dropped": self._backlog.dropped + courier.refused,
            "failures": courier.failures,
            "error": courier.error or None,
        }


def _target(hook: Hook) -> Target:
    # Only servers that have such a hook import the modules that these need.
    if hook.url:
        from .url import Url

        return Url(hook.url, hook.secret)
    from .command import Command

    return Command(hook.command)


class _Client(Peer):
    """The client that submits the jobs of a hook; `refusal` is the last ERROR."""

    def __init__(self) -> None:
        super().__init__("hook")
        self.refusals = 0
        self.refusal = ""

    def send(self, command: int, arguments: tuple[bytes, ...]) -> None:
        if command != JOB_CREATED:
            self.refusals += 1
            self.refusal = arguments[-1].decode(errors="replace")


class _Submitted:
    """A hook whose events are background jobs of a function.

    Events of the functions in `own`, to which hooks submit, are not for it: each of
    them would make another one.
    """

    def __init__(
        self, hook: Hook, own: frozenset[bytes], wake: Callable[[], None]
    ) -> None:
        self.hook = hook
        self.names = hook.wish.names
        self.own = own
        self._wake = wake
        self._lines: deque[bytes] = deque()
        self._client = _Client()
        self._submitted = self._dropped = 0

    def wants(self, name: str, function: bytes | None) -> bool:
        if function in self.own or not self.hook.wish.has(name, function):
            return False
        if len(self._lines) >= MOST_EVENTS:
            self._dropped += 1
            return False
        return True

    def take(self, event: Event) -> None:
        self._lines.append(event.line())
        if len(self._lines) == 1:
            self._wake()

    def left(self, peer: Peer) -> None:
        """Peers don't matter."""

    def submit(self, broker: Broker) -> None:
        """Submit jobs for events that wait, some at a time."""
        for _ in range(min(_MANY, len(self._lines))):
            line = self._lines.popleft().rstrip()
            self._submitted += 1
            broker.submit(self._client, self.hook.function, b"", line, background=True)
        if self._lines:
            self._wake()

    def end(self, until: float) -> None:
        self._dropped += len(self._lines)
        self._lines.clear()

    def facts(self) -> dict[str, object]:
        refused = self._client.refusals
        return {
            "waiting": len(self._lines),
            "delivered": self._submitted - refused,
            "dropped": self._dropped,
            "failures": refused,
            "error": self._client.refusal or None,
        }


class Hooks:
    """Runs the hooks of the settings. `wake` has `submit` called in a turn soon."""

    def __init__(self, events: Events, wake: Callable[[], None]) -> None:
        self._events = events
        self._wake = wake
        self._running: list[_Carried | _Submitted] = []

    def apply(self, hooks: Iterable[Hook]) -> None:
        """Run these hooks; those that run already go on, others end."""
        wanted = tuple(hooks)
        own = frozenset(hook.function for hook in wanted if hook.function)
        kept = [each for each in self._running if each.hook in wanted]
        ended = [each for each in self._running if each not in kept]
        self._running = kept
        for each in ended:
            self._events.remove(each)
            # It goes on with what waits, but nobody waits for it.
            each.end(0.0)
        for each in kept:
            each.own = own
        known = [each.hook for each in kept]
        for hook in wanted:
            if hook not in known:
                self._start(hook, own)

    def _start(self, hook: Hook, own: frozenset[bytes]) -> None:
        running = _Submitted(hook, own, self._wake) if hook.function else _Carried(hook)
        self._running.append(running)
        self._events.add(running)

    def submit(self, broker: Broker) -> None:
        """Submit the jobs of hooks, in a turn."""
        for each in self._running:
            if isinstance(each, _Submitted):
                each.submit(broker)

    def facts(self) -> list[dict[str, object]]:
        """Return how each hook does, as objects for JSON."""
        return [
            {"name": each.hook.name, "kind": each.hook.kind, **each.facts()}
            for each in self._running
        ]

    def close(self) -> None:
        """End all hooks. Takes up to LAST_SECONDS, as long as something waits."""
        until = monotonic() + LAST_SECONDS
        for each in self._running:
            self._events.remove(each)
            each.end(until)
