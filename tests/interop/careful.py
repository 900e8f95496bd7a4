"""Random scripts that avoid the deliberate differences."""

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
    """Return a unique that is used for one function and one kind of job only.

    The kinds are foreground and background. A background submission that joins a
    foreground job, and the status of a unique that two functions have, are differences.
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


# Functions are created first, since gearmand forgets the limit of an unknown one. All
# clients ask for exceptions, since the failure that others get is a difference.
PRELUDE = """
    one OPTION_REQ exceptions
    two OPTION_REQ exceptions
    three OPTION_REQ exceptions
    one: create function f
    one: create function g
"""

STEPS = st.lists(_steps(), min_size=5, max_size=40)


class Careful:
    """Plays steps, and leaves out those that would show a difference."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._abilities: dict[str, set[str]] = defaultdict(set)
        self._asleep: set[str] = set()
        self._clients: set[str] = set()
        self.script: list[str] = []

    def step(self, line: str) -> None:
        name, *words = line.split()
        if name.endswith(":"):
            self._run(line)
        elif self._permits(name, words[0], *words[1:2]):
            self._run(line)
            self._note(name, words[0], *words[1:2])

    def _run(self, line: str) -> None:
        self._play.step(line)
        self.script.append(line)

    def _permits(self, name: str, command: str, function: str = "") -> bool:
        if command in ("CAN_DO", "CAN_DO_TIMEOUT"):
            return name not in self._asleep and function not in self._abilities[name]
        if command in ("CANT_DO", "RESET_ABILITIES"):
            return not self._play.connections[name].held
        if command == "PRE_SLEEP":
            return name not in self._asleep
        if command == "close":
            return name not in self._clients
        return True

    def _note(self, name: str, command: str, function: str = "") -> None:
        if command in ("CAN_DO", "CAN_DO_TIMEOUT"):
            self._abilities[name].add(function)
        elif command == "CANT_DO":
            self._abilities[name].discard(function)
        elif command == "RESET_ABILITIES":
            self._abilities[name].clear()
        elif command == "PRE_SLEEP":
            self._asleep.add(name)
        elif command.startswith("GRAB_JOB"):
            self._asleep.discard(name)
        elif command in _FOREGROUND:
            self._clients.add(name)
        elif command == "close":
            self._abilities[name].clear()
            self._asleep.discard(name)
            self._run(f"{name} OPTION_REQ exceptions")
