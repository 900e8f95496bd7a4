"""The jobs of the memcached queue, and the index of their items.

memcached can't list its items (`lru_crawler metadump` may be disabled, and reads the
whole cache). So the plugin has an index, which is written before a job counts as
stored:

    PREFIXowner         the job server that uses the jobs; on every memcached server.
                        Each commit reads it: if it is missing, other items may be too
    PREFIXroot          the number of servers, the version of the format, and the
                        numbers of the pages
    PREFIXpage-P        the blocks of a page, with a bit for each job: live or not
    PREFIXjobs-B-PART   the jobs of a block: those that one commit added

A commit stores a block, then the page that names it, and then, if the page is new, the
root; each of them after the one before is confirmed. If the job server is killed in
between, at worst a block is left that no page names. The next commit deletes it, or
memcached drops it in the end. A job is removed by clearing its bit. A block is deleted
after its page was written without it. So the pages name only existing blocks, unless
memcached has dropped one, which the next start detects. Blocks with few live jobs are
written again, one in each commit.
"""

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from struct import Struct
from typing import Final

from gearman.errors import JobRefused, JobsLost, QueueError, StartupError
from gearman.queue import StoredJob, Unreadable

from .._shared.locations import Index
from .._shared.owner import is_alive, new_token, release
from .._shared.records import decode_job, encode_body, encode_job, job_number
from .blocks import Blocks, Content, Reader, Record, groups, numbers
from .pages import Block, Pages
from .servers import Server, parse

_log = logging.getLogger(__name__)

# Bytes that memcached adds to an item, and the least size of items for pages and keys.
_ITEM_OVERHEAD: Final = 1024
_LEAST_ITEM: Final = 64 * 1024
# A block is written again when less than one part in so many is live.
_SPARSE: Final = 4
# Seconds between two checks of memcached's count of evicted items.
_CHECK: Final = 60

# Servers and version. Earlier versions read both as one number of servers. They do not
# start, since it is not the number of --memcached-servers.
_ROOT: Final = Struct("<HH")
_VERSION: Final = 1
_PAGE: Final = Struct("<Q")


class Store:
    def __init__(self, servers: str, prefix: str) -> None:
        self._servers = [Server(address) for address in parse(servers)]
        self._prefix = prefix
        self._pages = Pages()
        self._index = Index()
        self._garbage: dict[int, int] = {}
        self._sparse: dict[int, None] = {}
        # The pages that the root names.
        self._listed: set[int] = set()
        self._token = new_token()
        try:
            self._start()
        except QueueError as error:
            self.close()
            raise StartupError(f"{error}: check --memcached-servers") from error
        except BaseException:
            self.close()
            raise

    # Start

    def _start(self) -> None:
        part = min(self._item_size(server) for server in self._servers)
        memory = min(int(one.stats()[b"limit_maxbytes"]) for one in self._servers)
        self._largest = memory // 2
        self._blocks = Blocks(self._servers, self._prefix, part)
        self._evictions = [self._evicted(server) for server in self._servers]
        self._checked = time.monotonic()
        self._own()
        self._load()
        self._next = self._pages.last() + 1

    def _item_size(self, server: Server) -> int:
        settings = server.stats("settings")
        size = int(settings[b"item_size_max"]) - _ITEM_OVERHEAD
        if size < _LEAST_ITEM:
            raise StartupError(
                f"memcached at {server.name} takes items of {size} bytes only: start"
                " it with a larger -I"
            )
        if settings.get(b"evictions") not in (b"off", False):
            _log.warning(
                "memcached at %s drops jobs when its memory is full: start it with -M",
                server.name,
            )
        return size

    def _own(self) -> None:
        current = self._servers[0].get([self._owner]).get(self._owner, b"")
        if is_alive(current):
            raise StartupError(
                f"the jobs in memcached at {self._servers[0].name} are in use by"
                " another server: give each a --memcached-prefix of its own"
            )
        for server in self._servers:
            server.set({self._owner: self._token})

    @property
    def _owner(self) -> str:
        return f"{self._prefix}owner"

    def _page_key(self, page: int) -> str:
        return f"{self._prefix}page-{page}"

    def _load(self) -> None:
        """Read the index."""
        key = f"{self._prefix}root"
        root = self._servers[0].get([key]).get(key, b"")
        self._missing: list[Unreadable] = []
        if not root:
            return
        servers, version = _ROOT.unpack_from(root)
        if version > _VERSION:
            raise StartupError(
                f"the jobs in memcached at {self._servers[0].name} were stored by a"
                " later version of gearman-py: start that one, or choose another"
                " --memcached-prefix"
            )
        if servers != len(self._servers):
            raise StartupError(
                f"the jobs were stored on {servers} servers: name the same ones by"
                " --memcached-servers, in the same order"
            )
        listed = [page for (page,) in _PAGE.iter_unpack(root[_ROOT.size :])]
        self._listed = set(listed)
        keys = {page: self._page_key(page) for page in listed}
        items = self._servers[0].get(list(keys.values()))
        for page, name in keys.items():
            if name in items:
                self._pages.load(page, items[name])
            else:
                self._miss(name, "memcached has dropped this list of jobs")
        if version < _VERSION:
            self._write_root(self._listed)

    def _miss(self, key: str, reason: str) -> None:
        self._missing.append(Unreadable(key, reason))

    # Replay

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        self._find()
        yield from self._missing
        reader = Reader(self._blocks, self._sizes())
        for number in sorted(self._index.numbers()):
            where = self._index.where(number)
            bodies = reader.bodies(where.segment)
            if where.offset < len(bodies):
                yield decode_job(bodies[where.offset])
            else:
                key = self._blocks.key(where.segment)
                yield Unreadable(key, f"memcached has dropped the job {number}")

    def _sizes(self) -> list[tuple[int, int]]:
        return [(number, block.size) for number, block in self._pages.blocks()]

    def _find(self) -> None:
        """Find the numbers of all live jobs, and the items that memcached dropped."""
        for group in groups(self._sizes()):
            found = self._blocks.read(group)
            for number, _ in group:
                self._enter_found(number, found.get(number))

    def _enter_found(self, number: int, content: Content | None) -> None:
        block = self._pages.get(number)
        assert block is not None
        if content is None:
            jobs = block.live.bit_count()
            self._miss(
                self._blocks.key(number), f"memcached has dropped {jobs} jobs stored"
            )
            self._pages.drop(number)
            return
        if len(content.bodies) != block.count:
            # Which bit belongs to which job is unknown: rather run some jobs twice.
            block = Block.full(block.size, len(content.bodies))
            self._pages.put(number, block)
        if not content.whole:
            self._miss(self._blocks.key(number), "memcached has dropped a part of it")
        for place, (job, body) in enumerate(
            zip(numbers(content), content.bodies, strict=True)
        ):
            if block.live >> place & 1:
                if job in self._index:
                    self._forget(job)
                self._index.put(job, number, place, len(body))

    # Commit

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        self._check_owners()
        records = self._encode(added)
        without = {*done, *(job.number for job in added)}
        records += self._moves(without)
        blocks = list(self._write(records))
        for number, group in blocks:
            self._enter(number, group)
        for job in done:
            if job in self._index:
                self._forget(job)
        self._write_index()
        self._sweep()
        self._check_evictions()

    def _check_owners(self) -> None:
        for position, server in enumerate(self._servers):
            current = server.get([self._owner]).get(self._owner)
            if current is None:
                self._recover(position)
            elif current != self._token:
                raise QueueError(
                    "another server has taken over the jobs in memcached at"
                    f" {server.name}: stop one of the two"
                )

    def _recover(self, position: int) -> None:
        """Find the blocks that are left on a server that was restarted or flushed."""
        server = self._servers[position]
        here = [
            block
            for block in self._sizes()
            if self._blocks.server(block[0]) == position
        ]
        lost = set()
        for group in groups(here):
            found = self._blocks.read(group)
            lost |= {
                number
                for number, _ in group
                if number not in found or not found[number].whole
            }
        server.set({self._owner: self._token})
        jobs = [
            job
            for job in self._index.numbers()
            if self._index.where(job).segment in lost
        ]
        for job in jobs:
            self._forget(job)
        self._listed = set()
        self._pages.changed.update(self._pages.numbers())
        if jobs:
            raise JobsLost(
                f"memcached at {server.name} was restarted or flushed: {len(jobs)}"
                " jobs are no longer stored",
                jobs,
            )

    def _encode(self, added: Sequence[StoredJob]) -> list[Record]:
        seal = self._blocks.seal
        records = [
            Record(job.number, encode_job(job, seal) + job.workload) for job in added
        ]
        refused = {
            number: f"a job of {len(data)} bytes is too large for memcached, whose"
            f" memory is {2 * self._largest} bytes: start it with a larger -m"
            for number, data in records
            if len(data) > self._largest
        }
        if refused:
            raise JobRefused(refused)
        return records

    def _moves(self, without: Collection[int]) -> list[Record]:
        """Return the live jobs of a block that has few of them."""
        while self._sparse:
            number = next(iter(self._sparse))
            block = self._pages.get(number)
            if block is not None:
                content = self._blocks.read([(number, block.size)]).get(number)
                del self._sparse[number]
                return self._live(number, content, without) if content else []
            del self._sparse[number]
        return []

    def _live(
        self, block: int, content: Content, without: Collection[int]
    ) -> list[Record]:
        return [
            Record(job_number(body), encode_body(body, self._blocks.seal))
            for place, body in enumerate(content.bodies)
            if self._index.holds(job_number(body), block, place)
            and job_number(body) not in without
        ]

    def _write(self, records: list[Record]) -> Iterator[tuple[int, list[Record]]]:
        blocks = []
        for group in self._blocks.divide(records):
            blocks.append((self._next, group, b"".join(data for _, data in group)))
            self._next += 1
        try:
            self._blocks.write((number, data) for number, _, data in blocks)
        except QueueError:
            self._garbage.update((number, len(data)) for number, _, data in blocks)
            raise
        for number, group, data in blocks:
            self._pages.put(number, Block.full(len(data), len(group)))
            yield number, group

    def _enter(self, block: int, group: list[Record]) -> None:
        for place, (number, data) in enumerate(group):
            if number in self._index:
                self._forget(number)
            self._index.put(number, block, place, len(data))

    def _forget(self, job: int) -> None:
        """Clear a job's bit; after the last one, the block is to be deleted."""
        number, place, _ = self._index.where(job)
        block = self._pages.get(number)
        self._index.drop(job)
        if block is None:
            return
        if self._pages.kill(number, place):
            self._garbage[number] = block.size
            self._index.forget(number)
        elif self._index.live_in(number) * _SPARSE < block.size:
            self._sparse[number] = None

    def _write_index(self) -> None:
        """Write the pages that have changed, and the root if pages came or went.

        A job that is stored again moves to a new block, on the last page. The root must
        name that page before the job is removed from its old page.
        """
        changed = sorted(self._pages.changed, reverse=True)
        items = {page: self._pages.encode(page) for page in changed}
        empty = {page for page, data in items.items() if not data}
        fresh = items.keys() - empty - self._listed
        # Only if needed, since the root is large when there are many pages.
        if fresh:
            self._write_pages({page: items.pop(page) for page in fresh})
            self._write_root(self._listed | fresh)
        self._write_pages({page: data for page, data in items.items() if data})
        if empty & self._listed:
            self._write_root(self._listed - empty)
        self._servers[0].delete(map(self._page_key, empty))
        self._pages.written()

    def _write_pages(self, items: Mapping[int, bytes]) -> None:
        self._servers[0].set({self._page_key(n): data for n, data in items.items()})

    def _write_root(self, listed: set[int]) -> None:
        pages = sorted(listed)
        root = _ROOT.pack(len(self._servers), _VERSION)
        root += b"".join(map(_PAGE.pack, pages))
        self._servers[0].set({f"{self._prefix}root": root})
        self._listed = listed

    def _sweep(self) -> None:
        """Delete blocks that no page names. The commit does not depend on it."""
        try:
            self._blocks.delete(self._garbage.items())
            self._garbage.clear()
        except QueueError as error:
            _log.warning("cannot delete what is done: %s", error)

    def _check_evictions(self) -> None:
        if time.monotonic() - self._checked < _CHECK:
            return
        self._checked = time.monotonic()
        for position, server in enumerate(self._servers):
            before, self._evictions[position] = (
                self._evictions[position],
                self._evicted(server),
            )
            if self._evictions[position] > before:
                _log.error(
                    "memcached at %s has no memory left and drops items, which may"
                    " have been jobs: start it with a larger -m, and with -M",
                    server.name,
                )

    @staticmethod
    def _evicted(server: Server) -> int:
        return int(server.stats().get(b"evictions", 0))

    def close(self) -> None:
        """Release the jobs for another job server, unless one has taken them over."""
        for server in self._servers:
            try:
                if server.get([self._owner]).get(self._owner) == self._token:
                    server.delete([self._owner])
            except QueueError:
                _log.debug("memcached at %s can't be reached", server.name)
            server.close()
        release(self._token)
