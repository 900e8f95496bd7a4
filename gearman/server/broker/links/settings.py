"""The settings of a cluster: they belong to shard 0, and its owner keeps them.

The others pass commands on to it that change settings. It tells them each change, and
everything if they ask. They ask when they see another owner, and when there is a link
to it again. What they were told they have in memory only: if one of them becomes the
owner, it loads the settings from the store, and tells them all.
"""

from collections.abc import Callable

from ....errors import OptionError
from ..broker import Broker
from ..constants import LINK_SETTING
from ..steering.records import POLICY, SCHEDULE, Fields, join, split
from .questions import COMMAND, Questions
from .remote import Remote
from .routes import Routes

# Asks for all settings; and the settings that are told are all of them.
ALL, BEGIN, END = b"all", b"begin", b"end"

# What an answer is given to; None if the owner has not answered.
Told = Callable[[bytes | None], None]


class Settings:
    """What this server tells of the settings, and what it is told."""

    def __init__(self, broker: Broker, routes: Routes, questions: Questions) -> None:
        self.broker = broker
        self._routes = routes
        self._questions = questions
        # The owner of shard 0, if that is another server, and there is a link.
        self._owner: Remote | None = None
        # Policies and schedules that were told since the owner began to tell all.
        self._all: tuple[dict[bytes, None], dict[bytes, None]] = {}, {}

    # -- commands

    def is_linked(self) -> bool:
        """Whether there is a link to the server that keeps the settings."""
        return self._owner is not None

    def pass_on(self, line: bytes, told: Told) -> None:
        """Have the server that keeps the settings carry out a command."""
        broker = self.broker

        def answered(remote: Remote | None, data: bytes) -> None:
            told(None if remote is None else data)

        self._questions.ask(COMMAND, line, self._owner, [], answered, broker.now)
        broker.answers.pay()

    # -- telling others

    def changed(self, kind: bytes, name: bytes) -> None:
        """Tell the others what was set, if this server keeps the settings."""
        if self.broker.jobs.keeps_settings:
            self._tell(self._routes.linked(), kind, name)

    def loaded(self) -> None:
        """Tell the others everything, if this server keeps the settings."""
        for remote in self._routes.linked():
            self.asked(remote)

    def asked(self, remote: Remote) -> None:
        """Tell a server everything, if this server keeps the settings."""
        if not self.broker.jobs.keeps_settings:
            return
        remote.request(LINK_SETTING, (BEGIN, b""))
        for name in self.broker.policies.texts():
            self._tell([remote], POLICY, name)
        for schedule in self.broker.schedules.known:
            self._tell([remote], SCHEDULE, schedule.encode())
        remote.request(LINK_SETTING, (END, b""))

    def _tell(self, remotes: list[Remote], kind: bytes, name: bytes) -> None:
        fields: Fields = {b"name": name}
        if kind == POLICY:
            text = self.broker.policies.text_of(name)
        else:
            more, text = self.broker.schedules.record_of(name.decode())
            fields.update(more)
        fields[b"text"] = text
        record = join(fields)
        for remote in remotes:
            remote.request(LINK_SETTING, (kind, record))

    # -- being told

    def look(self) -> None:
        """Ask the owner of shard 0 for the settings, if it is another one."""
        owner = self._routes.owner_of(0)
        if owner is not self._owner:
            self._owner = owner
            if owner is not None:
                owner.request(LINK_SETTING, (ALL, b""))

    def told(self, remote: Remote, kind: bytes, record: bytes) -> None:
        """Take up what another server says of the settings. Raises ValueError."""
        if kind == ALL:
            self.asked(remote)
        elif remote is not self._owner or self.broker.jobs.keeps_settings:
            # It may be the next owner: then it will be asked.
            return
        elif kind == BEGIN:
            self._all = {}, {}
        elif kind == END:
            self._forget_others()
        else:
            fields = split(record)
            known = kind in (POLICY, SCHEDULE)
            if not known or b"name" not in fields or b"text" not in fields:
                raise ValueError("a setting has no name or text")
            name, text = fields.pop(b"name"), fields.pop(b"text")
            self._all[kind == SCHEDULE][name] = None
            self._apply(kind, name, fields, text)

    def _apply(self, kind: bytes, name: bytes, fields: Fields, text: bytes) -> None:
        broker = self.broker
        if kind == SCHEDULE:
            return broker.schedules.told(name.decode(), fields, text)
        try:
            broker.policies.told(name, text)
        except OptionError as error:
            broker.schedules.notices.append(f"a policy was told: {error}")
        return None

    def _forget_others(self) -> None:
        """Forget what the owner has not told."""
        policies, schedules = self._all
        for name in self.broker.policies.texts().keys() - policies.keys():
            self.broker.policies.told(name, b"")
        for known in list(self.broker.schedules.known):
            if known.encode() not in schedules:
                self.broker.schedules.told(known, {}, b"")
