"""Random scripts that stay clear of the deliberate differences."""

from collections import defaultdict

from hypothesis import strategies as st

from tests.interop.play import Play

_SUBMISSIONS = {
    "SUBMIT_JOB": "foreground",
    "SUBMIT_JOB_HIGH": "foreground",
    "SUBMIT_JOB_LOW": "foreground",
    "SUBMIT_JOB_BG": "background",
    "SUBMIT_JOB_HIGH_BG": "background",
    "SUBMIT_JOB_LOW_BG": "background",
}
_REDUCES = {
    "SUBMIT_REDUCE_JOB": "foreground",
    "SUBMIT_REDUCE_JOB_BACKGROUND": "background",
}
_FOREGROUND = {
    command
    for command, ground in (_SUBMISSIONS | _REDUCES).items()
    if ground == "foreground"
}

_FUNCTIONS = ("f", "g")
_UNIQUES = ("''", "-", "1", "2")
_WORKER_STEPS = (
    "GRAB_JOB",
    "GRAB_JOB_UNIQ",
    "GRAB_JOB_ALL",
    "PRE_SLEEP",
    "RESET_ABILITIES",
    "SET_CLIENT_ID me",
    "WORK_COMPLETE <held> result",
    "WORK_FAIL <held>",
    "WORK_EXCEPTION <held> boom",
    "WORK_DATA <held> part",
    "WORK_WARNING <held> careful",
    "WORK_STATUS <held> 1 2",
)
_ADMIN_STEPS = ("status", "prioritystatus", "workers", "show jobs", "show unique jobs")


def _unique(function: str, ground: str, unique: str) -> str:
    """Return a unique that only one function and only fore- or background jobs have.

    A background submission that joins a foreground job, and the status of a unique
    that two functions have, are differences.
    """
    return f"{ground}-{function}-{unique}" if unique.isdigit() else unique


def _submissions() -> list[str]:
    steps = []
    for function in _FUNCTIONS:
        for unique in _UNIQUES:
            for command, ground in _SUBMISSIONS.items():
                key = _unique(function, ground, unique)
                steps.append(f"{command} {function} {key} {ground}")
            for command, ground in _REDUCES.items():
                key = _unique(function, ground, unique)
                steps.append(f"{command} {function} {key} reducer '' {ground}")
            key = _unique(function, "background", unique)
            steps.append(f"SUBMIT_JOB_EPOCH {function} {key} 1 background")
    return steps


def _steps() -> st.SearchStrategy[str]:
    naming = [
        f"{command} {function}{timeout}"
        for function in _FUNCTIONS
        for command, timeout in (
            ("CAN_DO", ""),
            ("CANT_DO", ""),
            ("CAN_DO_TIMEOUT", " 1000000"),
        )
    ]
    asking = [f"GET_STATUS <job-{number}>" for number in range(1, 6)]
    asking += [
        f"GET_STATUS_UNIQUE {_unique(function, ground, '1')}"
        for function in _FUNCTIONS
        for ground in ("foreground", "background")
    ]
    limits = [f"maxqueue {function} {n}" for function in _FUNCTIONS for n in (0, 1, 3)]
    names = st.sampled_from(("one", "two", "three"))
    binary = st.one_of(
        st.sampled_from(_submissions()),
        st.sampled_from(naming),
        st.sampled_from(_WORKER_STEPS),
        st.sampled_from(_WORKER_STEPS),
        st.sampled_from(asking),
        st.just("close"),
    )
    administrative = st.sampled_from([*_ADMIN_STEPS, *limits])
    return st.one_of(
        st.builds("{} {}".format, names, binary),
        st.builds("{} {}".format, names, binary),
        st.builds("{}: {}".format, names, administrative),
    )


# Functions are made known first, as gearmand forgets the limit of an unknown one, and
# everybody gets exceptions, as the failure that others get is a difference.
PRELUDE = """
    one OPTION_REQ exceptions
    two OPTION_REQ exceptions
    three OPTION_REQ exceptions
    one: create function f
    one: create function g
"""

STEPS = st.lists(_steps(), min_size=5, max_size=40)


class Careful:
    """Plays steps, and leaves out those that show a difference."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._abilities: dict[str, set[str]] = defaultdict(set)
        self._asleep: set[str] = set()
        self._waiting: set[str] = set()
        self.script: list[str] = []

    def step(self, line: str) -> None:
        name, *words = line.split()
        if name.endswith(":") or self._permits(name, *words):
            self._play.step(line)
            self.script.append(line)

    def _permits(self, name: str, command: str, *words: str) -> bool:
        """Whether both servers answer the same; takes note of the step if so."""
        abilities = self._abilities[name]
        if command in ("CAN_DO", "CAN_DO_TIMEOUT"):
            if name in self._asleep or words[0] in abilities:
                return False
            abilities.add(words[0])
        elif command in ("CANT_DO", "RESET_ABILITIES"):
            if self._play.connections[name].held:
                return False
            abilities.difference_update(words or set(abilities))
        elif command == "PRE_SLEEP":
            if name in self._asleep:
                return False
            self._asleep.add(name)
        elif command.startswith("GRAB_JOB"):
            self._asleep.discard(name)
        elif command == "close":
            if name in self._waiting:
                return False
            abilities.clear()
            self._asleep.discard(name)
        elif command in _FOREGROUND:
            self._waiting.add(name)
        return True
