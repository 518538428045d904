"""Keeping what upstreams sent: within its budget, the least recently used out first, and never a byte that something else names."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from attrs import Factory, define
from twisted.logger import Logger

from registry.domain.model import Actor, Change
from registry.domain.retention import ABSENT_FOR, Retention
from registry.domain.upstream import Forgotten
from registry.interfaces import IBlobs, IKeeping, IPackages, IUpstreamCatalog
from registry.workflows.errands import Errands
from registry.workflows.flights import Flight, Flights
from registry.workflows.upkeep import sweep

_log = Logger()
_NOBODY = Actor(user_id=None, username="")
_BATCH = 200
# What is freed beyond what is needed: each time something is, pages in memory are made anew.
_SPARE = 20  # as a part of the budget: a twentieth
# How many answers of upstreams are kept, pages and that there is no such name; and how many are forgotten in one transaction.
_MOST_ANSWERS = 200_000
_ANSWERS_AT_ONCE = 1000


@define(kw_only=True, eq=False)
class Keeping:
    """Keeps kept files within `budget` bytes, and remembers when each was used; forgets what upstreams said once it is given to nobody.

    `note` and `kept` are called as files are used and kept; they never wait. Rows go first and bytes after them: a crash in between leaves
    bytes that nothing names, which the next sweep removes.
    """

    catalog: IUpstreamCatalog
    keeping: IKeeping
    packages: IPackages
    blobs: IBlobs
    budget: int
    now: Callable[[], datetime]
    retention: Retention = Factory(Retention)
    most_answers: int = _MOST_ANSWERS
    _moments: dict[int, datetime] = Factory(dict)  # by number of the file
    _flights: Flights = Factory(Flights)
    _more: bool = False  # a file was kept since the last round began
    _unswept: bool = False  # something was purged since the last sweep began
    _errands: Errands = Factory(Errands)
    _room: int | None = None  # how many more bytes may be kept before what is kept has to be counted again; None: nobody knows

    def note(self, file_id: int) -> None:
        """A kept file is being used."""
        self._moments[file_id] = self.now()

    async def flush(self) -> None:
        """Write what was noted, in one transaction. What cannot be written is kept for the next time."""
        moments, self._moments = self._moments, {}
        if not moments:
            return
        try:
            await self.catalog.used(moments)
        except BaseException:
            self._moments = {**moments, **self._moments}
            raise

    def kept(self, size: int | None = None) -> None:
        """A file of `size` bytes (None: nobody knows) was kept a moment ago: make room again, in the background."""
        if self._room is not None:
            self._room = None if size is None or size > self._room else self._room - size
            if self._room is not None:
                return
        self._more = True
        self._errands.begin("making room for upstreams' files", self.tidy())

    def replaced(self, ids: Sequence[int]) -> None:
        """Another file was kept in the place of these, which nobody is given any more: forget them, in the background."""
        self._errands.begin("forgetting what an upstream has replaced", self._evict(ids))

    def hear(self, changes: tuple[Change, ...]) -> None:
        """Hear of changes (IJournal listener): what another process has forgotten (the command line) leaves the disk, too."""
        if any(change.action == "upstream.purge" for change in changes):
            self._unswept = True
            self._errands.begin("removing what was purged", self._flights.once("sweep", self._sweep))

    async def tidy(self) -> int:
        """Forget the least recently used files until the rest fits, and some more; how many bytes were forgotten. One round at a time."""
        return await self._flights.once("tidy", self._tidy)

    async def prune(self) -> int:
        """Forget that there are no such names, which nobody believes any more, and answers over `most_answers`; how many were.

        Whoever asks for a name leaves an answer, so this is for every minute: where there is nothing to do it takes two short reads.
        """
        return await self._errands.watch(self._flights.once("prune", self._prune))

    async def retire(self) -> int:
        """Forget pages that are too old to be given to anybody; how many were."""
        return await self._errands.watch(self._flights.once("retire", self._retire))

    async def settled(self) -> None:
        """Return when nothing is under way any more."""
        await self._errands.settled()

    async def _tidy(self, _: Flight) -> int:
        forgotten = 0
        while True:
            # What is kept meanwhile may be counted or not, so it is counted again.
            self._more, self._room = False, None
            size = await self.catalog.size()
            if size <= self.budget:
                self._room = None if self._more else self.budget - size
            else:
                await self.flush()
                forgotten += await self._forget(size)
            if not self._more:
                return forgotten

    async def _forget(self, size: int) -> int:
        """Forget files of `size` bytes in all until the rest fits; how many bytes were."""
        # One that alone is larger than the room would drive out all the others, and have to go in the end.
        gone = await self._evict(await self.keeping.larger_than(self.budget))
        if gone.files:
            _log.info(
                "{files} files ({size:,} bytes) were forgotten, each of which is larger than [upstream] cache_size",
                files=gone.files,
                size=gone.bytes,
            )
        forgotten = alone = gone.bytes
        files, needed = 0, size - self.budget
        wanted = needed + self.budget // _SPARE
        while forgotten < needed:
            ids, promised = [], forgotten
            for file in await self.catalog.least_used(_BATCH):
                # For what is freed beyond the need, a file goes only if that is what it takes, and the next one only after it.
                if promised >= needed and promised + file.bytes > wanted:
                    break
                ids.append(file.id)
                promised += file.bytes
            gone = await self._evict(ids)
            if not gone.files:
                break
            forgotten, files = forgotten + gone.bytes, files + gone.files
        if files:
            _log.info(
                "[upstream] cache_size is reached: {files} files ({size:,} bytes) that nobody has used for the longest were forgotten",
                files=files,
                size=forgotten - alone,
            )
        return forgotten

    async def _evict(self, ids: Sequence[int]) -> Forgotten:
        gone = await self.keeping.evict(ids, _NOBODY) if ids else Forgotten()
        if gone.digests:
            await self.blobs.release(sorted(gone.digests), self.packages.named)
        return gone

    async def _prune(self, _: Flight) -> int:
        before, spare = self.now() - ABSENT_FOR, self.retention.forever
        absent = await _repeated(lambda: self.keeping.forget_absent(before, spare, _ANSWERS_AT_ONCE))
        surplus = await _repeated(lambda: self.keeping.forget_surplus(self.most_answers, spare, _ANSWERS_AT_ONCE))
        if surplus:
            _log.warn(
                "More than {most:,} answers of upstreams were kept: {surplus:,} of them were forgotten, first that there are no such names",
                most=self.most_answers,
                surplus=surplus,
            )
        return absent + surplus

    async def _retire(self, _: Flight) -> int:
        now, retention = self.now(), self.retention
        before = {source: now - span for source, span in retention.spans.items()}
        return await _repeated(
            lambda: self.keeping.forget_unused(before, now - retention.otherwise, retention.forever, _ANSWERS_AT_ONCE),
        )

    async def _sweep(self, _: Flight) -> None:
        while self._unswept:
            self._unswept = False
            await sweep(self.packages, self.blobs)


async def _repeated(forget: Callable[[], Awaitable[int]]) -> int:
    """Do it until nothing is left to forget; how much was. Others write in between."""
    forgotten = 0
    while gone := await forget():
        forgotten += gone
    return forgotten
