"""The policies of functions: of the settings file, and those set while running."""

from collections.abc import Set as AbstractSet

from ....options import Policies, Policy, format_options, merged, parse_policy
from ..assignment.choice import Choice
from ..constants import NORMAL
from ..functions import Functions
from ..jobs import Jobs
from ..model import Function, Record
from ..places import Places
from .records import POLICY, SETTING, Fields, join

NO_POLICY = Policy()

# For so many functions something may be set while the server runs.
MOST_SET = 10_000


class PolicyTable:
    """Which policy a function has.

    What was set while the server runs comes before the settings file. With `persistent`
    the store keeps it.
    """

    def __init__(
        self,
        functions: Functions,
        places: Places,
        choice: Choice,
        jobs: Jobs,
        persistent: bool,
    ) -> None:
        self._functions = functions
        self._places = places
        self._choice = choice
        self._jobs = jobs
        self._persistent = persistent
        self._file = Policies()
        self._set: dict[bytes, Policy] = {}
        # The numbers of the records in the store, by function.
        self._numbers: dict[bytes, int] = {}

    def of(self, name: bytes) -> Policy | None:
        """Return the policy of a function, None if it has none."""
        policy = self._file.of(name)
        own = self._set.get(name)
        return policy if own is None else merged(policy, own)

    def load(self, policies: Policies) -> None:
        """Replace the policies of the settings file."""
        self._file = policies
        self._apply_to_all()

    def set(self, name: bytes, policy: Policy) -> None:
        """Set some values of a function's policy; other values stay as they are."""
        self._put(name, merged(self._set.get(name), policy))
        self._store(name)

    def unset(self, name: bytes) -> bool:
        """Forget what was set for a function. Returns False if there was nothing."""
        if name not in self._set:
            return False
        del self._set[name]
        self._apply_to(name)
        if name in self._numbers:
            self._jobs.records.append(Record(self._numbers.pop(name), b""))
        self._tell(name)
        return True

    def admits(self, name: bytes) -> bool:
        """Whether something may be set for a function of this name."""
        return name in self._set or len(self._set) < MOST_SET

    def names(self) -> list[bytes]:
        """Return the names of the functions that are known or were set."""
        return list(dict.fromkeys((*self._functions.known, *self._set)))

    def store_again(self, numbers: AbstractSet[int]) -> None:
        """Store what was set and has one of these numbers, if it is still set."""
        for name, number in self._numbers.items():
            if number in numbers:
                self._store(name)

    def restore(self, number: int, name: bytes, text: bytes) -> None:
        """Set what an earlier run of the server has stored. Raises ValueError."""
        self._numbers[name] = number
        self._put(name, parse_policy(text))

    def forget_numbers(self) -> None:
        """Leave the records in the store to another server."""
        self._numbers.clear()

    # -- the settings of a cluster

    def texts(self) -> dict[bytes, bytes]:
        """Return what was set, by function."""
        return {name: format_options(policy) for name, policy in self._set.items()}

    def text_of(self, name: bytes) -> bytes:
        """Return what was set for a function, b"" if that is nothing."""
        policy = self._set.get(name)
        return b"" if policy is None else format_options(policy)

    def told(self, name: bytes, text: bytes) -> None:
        """Set what the server says that keeps the settings. Raises ValueError."""
        if text:
            self._put(name, parse_policy(text))
        elif self._set.pop(name, None) is not None:
            self._apply_to(name)

    def forget_told(self) -> None:
        """Forget what the store does not have; it was told by another server."""
        for name in list(self._set) if self._persistent else ():
            if name not in self._numbers:
                self.told(name, b"")

    def _tell(self, name: bytes) -> None:
        if self._places.links is not None:
            self._places.links.settings.changed(POLICY, name)

    # -- functions

    def apply(self, function: Function) -> None:
        """Give a function the policy that it has by its name."""
        policy = self.of(function.name)
        before, function.policy = function.policy, policy
        if policy is not None:
            self._places.steered = True
        watch, paused = self._places.watch, bool(policy and policy.paused)
        if watch is not None and paused != bool(before and before.paused):
            watch.paused(function, on=paused)
        if policy is not None and policy.max_queue is not None:
            function.limits = [policy.max_queue] * 3
        elif before is not None and before.max_queue is not None:
            function.limits = [self._functions.limits.jobs_per_function] * 3
        _set_often_needed(function, policy or NO_POLICY)
        self._choice.weigh(function, (policy.weight if policy else None) or 1)
        self._places.expiry.apply(function)
        self._places.starts.apply(function, policy)

    def _put(self, name: bytes, policy: Policy) -> None:
        self._set[name] = policy
        self._apply_to(name)

    def _apply_to(self, name: bytes) -> None:
        function = self._functions.known.get(name)
        if function is not None:
            self.apply(function)

    def _apply_to_all(self) -> None:
        for function in self._functions.known.values():
            self.apply(function)

    def _store(self, name: bytes) -> None:
        self._tell(name)
        if self._persistent and self._jobs.keeps_settings:
            if name not in self._numbers:
                self._numbers[name] = self._jobs.take_number()
            fields: Fields = {b"kind": SETTING, b"what": POLICY}
            text = format_options(self._set[name])
            record = Record(self._numbers[name], join(fields), b"", name, text)
            self._jobs.records.append(record)


def _set_often_needed(function: Function, policy: Policy) -> None:
    """Set those values of a policy that a function has itself."""
    function.ttl = policy.ttl or 0.0
    function.timeout = policy.timeout or 0.0
    function.keep = policy.keep or 0.0
    function.priority = NORMAL if policy.priority is None else policy.priority
    function.exacting = bool(policy.need_worker)
    function.mortal = policy.dead is not None and policy.dead.kind != "none"
