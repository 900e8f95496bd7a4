"""Kill a server again and again, and check that no job is lost."""

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gearman import queue
from tests.queues.backend import Arguments, Store
from tests.queues.backends import BACKENDS
from tests.servers import DEADLINE

from . import plans
from .books import Books
from .inspection import Inspection
from .players import Load, Play, drained
from .process import Server, queue_options

# Back ends of plugins that a server finds by name.
NAMES = [name for name in BACKENDS if name.partition("-")[0] in queue.NAMES]

# Options with which a back end does in minutes what otherwise takes days.
HASTE: dict[str, Arguments] = {"flatfile": {"segment_size": 300_000}}

# Log lines that report a fault of the server itself.
COMPLAINTS = (" CRITICAL ", " ERROR ", "Traceback", "is left alone")

# What it may log when its disk is full.
WITHOUT_ROOM = ("jobs cannot be stored for now", "jobs still cannot be stored")

# Seconds between two runs of a schedule: less and more than a start takes.
STEPS = ("0.25", "2")

Ending = Callable[[Server], Awaitable[None]]


@contextmanager
def new_store(name: str, folder: Path) -> Iterator[Store]:
    """Yield an empty store of a back end that is started in an empty folder."""
    with BACKENDS[name](folder) as backend, backend.store() as store:
        yield Store(backend, {**store.arguments, **HASTE.get(name, {})})


class Run:
    """Runs of a server on one store, determined by `seed`.

    Timing differs in each run, so the same seed makes a failure more likely, but not
    certain. A server runs for at most `seconds`, and uses the plugin `queue`, where {}
    stands for the name of the back end. Its disk `may_be_full`. In a `steered` run
    there are policies, options of jobs and schedules.
    """

    def __init__(
        self,
        store: Store,
        seed: int,
        longest_life: float = 1.5,
        queue: str = "{}",
        may_be_full: bool = False,
        steered: bool = True,
    ) -> None:
        self.store = store
        self._steered = steered
        self._folder = Path(tempfile.mkdtemp(prefix="gearman-crash-"))
        self._diary = self._folder / "diary"
        self._diary.touch()
        self.books = Books(self._diary)
        self.random = random.Random(seed)
        self._longest_life = longest_life
        self._queue = queue
        self._expected = WITHOUT_ROOM if may_be_full else ()
        self._replay_takes = 0.05
        self.endings = {
            self.kill_at_start: 3,
            self.kill_at_any_time: 3,
            self.kill_at_work: 6,
            self.kill_when_full: 1,
            self.kill_when_busy: 1,
            self.die_in_a_commit: 6,
            self.stop_under_load: 2,
        }

    def some(self, count: int) -> list[Ending]:
        """Return so many random ways of ending."""
        weights = [*self.endings.values()]
        return self.random.choices([*self.endings], weights, k=count)

    async def play(self, endings: Sequence[Ending]) -> None:
        """Let a server end in each of these ways, and then run all remaining jobs.

        Raises AssertionError if a job was lost, came back, or is left.
        """
        try:
            for ending in endings:
                await self._life(ending)
                if self._steered and self.random.random() < 0.5:
                    self._inspect()
            await self._life(self._drain)
            lost = self.books.lost()
            some = {each: self.books.tickets[each] for each in lost[:3]}
            assert not lost, f"{len(lost)} acknowledged jobs were not run: {some}"
            left = self._inspect()
            assert not left, f"{len(left)} finished jobs are left: {[*left][:10]}"
        finally:
            shutil.rmtree(self._folder)

    def _inspect(self) -> set[bytes]:
        """Check what is in the store, and return the handles of the jobs there."""
        inspection = Inspection(self.books, self.store.content())
        inspection.check()
        return inspection.jobs

    async def _life(self, ending: Ending) -> None:
        self.books.counts[ending.__name__.strip("_").replace("_", " ")] += 1
        plugin, fate = self._queue, {}
        if ending == self.die_in_a_commit:
            plugin, fate = "dying-{}", self._fate()
        options = [*queue_options(self.store, plugin)]
        module = ""
        if self._steered:
            # In the end, there are no more runs.
            schedules = "" if ending == self._drain else plans.SCHEDULES
            settings = self._folder / "settings.toml"
            settings.write_text(plans.SETTINGS + schedules)
            options += ["--settings", str(settings), "--max-dead", "1000000"]
            module = "crash_server"
            step = self.random.choice(STEPS)
            fate |= {"CRASH_DIARY": str(self._diary), "CRASH_STEP": step}
        server = await Server.start(*options, module=module, **fate)
        try:
            async with asyncio.timeout(2 * DEADLINE):
                await ending(server)
        finally:
            await server.end()
        complaints = [
            line
            for line in server.lines
            if any(complaint in line for complaint in COMPLAINTS)
            and not any(expected in line for expected in self._expected)
        ]
        assert not complaints, complaints

    async def kill_at_start(self, server: Server) -> None:
        """Kill it while it opens the store, loads the jobs, or right after that."""
        await server.says("opening the queue")
        await asyncio.sleep(self._replay_takes * self.random.uniform(0, 1.2))
        await server.kill()
        self.books.killed()

    async def kill_at_any_time(self, server: Server) -> None:
        async with Load(await self._begin(server)):
            await self._some_time()
            await server.kill()
        self.books.killed()

    async def kill_at_work(self, server: Server) -> None:
        """Kill it when it has changes to commit, or has just committed some."""
        play = await self._begin(server)
        bursts = answers = self.random.randint(1, 1500)
        if self.random.random() < 0.5:
            bursts = self.random.randint(1, 40)
        async with Load(play):
            with suppress(TimeoutError):
                async with asyncio.timeout(self._longest_life):
                    await play.until(
                        lambda: play.bursts >= bursts or play.answers >= answers
                    )
            # Spread over the time of a commit.
            await asyncio.sleep(max(0.0, self.random.uniform(-0.003, 0.006)))
            await server.kill()
        self.books.killed()

    async def kill_when_full(self, server: Server) -> None:
        """Kill it when it has stored jobs, and no worker runs."""
        async with Load(play := await self._begin(server), workers=0):
            play.backlog += len(self.books.open)
            await play.until(lambda: play.answers > 1000)
            await server.kill()
        self.books.killed()

    async def kill_when_busy(self, server: Server) -> None:
        """Kill it when it has removed jobs, and stored others after that."""
        async with Load(play := await self._begin(server)):
            before = self.books.counts["finished"]
            await play.until(lambda: self.books.counts["finished"] > before + 500)
            answers = play.answers + 1000
            await play.until(lambda: play.answers > answers)
            await server.kill()
        self.books.killed()

    def _fate(self) -> dict[str, str]:
        """Return in which commit to die, and after how many seconds."""
        return {
            "CRASH_COMMIT": f"{self.random.randint(1, 60)}",
            "CRASH_DELAY": f"{10 ** self.random.uniform(-5, -1.5):f}",
        }

    async def die_in_a_commit(self, server: Server) -> None:
        async with Load(await self._begin(server)):
            await server.dies()
        self.books.killed()

    async def stop_under_load(self, server: Server) -> None:
        async with Load(await self._begin(server)):
            await self._some_time()
            await server.stop()
        self.books.stopped()

    async def _drain(self, server: Server) -> None:
        async with Load(await self._begin(server), clients=0):
            await drained(server.port)
            await server.stop()
        self.books.stopped()

    async def _begin(self, server: Server) -> Play:
        await server.says("opening the queue")
        began = time.monotonic()
        await server.ready()
        self._replay_takes = time.monotonic() - began
        largest = min(self.store.backend.largest, 1 << 20)
        large = min(100_000, largest), largest
        return Play(
            self.books, self.random, server.port, large=large, steered=self._steered
        )

    async def _some_time(self) -> None:
        await asyncio.sleep(self.random.uniform(0, self._longest_life))
