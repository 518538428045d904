"""IBlobs in memory."""

import hashlib
import io
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import BinaryIO, TypeVar

from attrs import Factory, define
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from registry.domain.errors import BlobMissing, StorageFull, Unavailable
from registry.domain.model import Digests
from registry.interfaces import BESIDE_BYTES, IBlobs, IStagedBlob
from registry.workflows.in_hand import Contents

T = TypeVar("T")


@implementer(IStagedBlob)
@define(eq=False)
class MemoryStagedBlob:
    """IStagedBlob in memory; its disk is never slow."""

    _blobs: "MemoryBlobs"
    _data: bytearray = Factory(bytearray)
    _algorithms: set[str] = Factory(set)
    _sha256: str = ""  # once finished
    _pinned: list[str] = Factory(list)
    _discarded: bool = False
    _on_progress: Callable[[int], None] | None = None
    descriptor: None = None

    def follow(self, on_progress: Callable[[int], None]) -> None:
        """IStagedBlob."""
        self._on_progress = on_progress

    def read(self, offset: int, length: int) -> "Deferred[bytes]":
        """IStagedBlob."""
        return succeed(bytes(self._data[offset : offset + length]))

    def expect(self, algorithms: Sequence[str]) -> None:
        """IStagedBlob."""
        self._algorithms.update(algorithms)

    def write(self, data: bytes) -> None:
        """IStagedBlob."""
        if not self._discarded:
            self._data += data
            if self._on_progress is not None:
                self._on_progress(len(self._data))

    async def finish(self, algorithms: Sequence[str] = ()) -> Digests:
        """IStagedBlob."""
        self._blobs.demand_room()
        self._sha256 = hashlib.sha256(self._data).hexdigest()
        others = {algorithm: _hexdigest(algorithm, bytes(self._data)) for algorithm in {*self._algorithms, *algorithms} - {"sha256"}}
        return Digests(size=len(self._data), sha256=self._sha256, others=others)

    async def inspect(self, look: Callable[[BinaryIO, int], T]) -> T:
        """IStagedBlob."""
        return look(io.BytesIO(self._data), len(self._data))

    async def keep(self) -> bool:
        """IStagedBlob."""
        assert self._sha256, "finish() comes before keep()"
        self._blobs.demand_room()
        if not self._pinned:
            self._pin(self._sha256)
        return self._blobs.place(self._sha256, bytes(self._data))

    async def admit(self, look: Callable[[BinaryIO, int], T], beside: Callable[[T], bytes | None] | None = None) -> T:
        """IStagedBlob."""
        result = await self.inspect(look)
        small = None if beside is None else beside(result)
        if small is not None and len(small) > BESIDE_BYTES:
            raise ValueError(f"{len(small)} bytes are too many to be kept beside a file")
        await self.keep()
        if small is not None:
            sha256 = hashlib.sha256(small).hexdigest()
            self._pin(sha256)
            self._blobs.place(sha256, small)
        return result

    def discard(self) -> None:
        """IStagedBlob."""
        if self._discarded:
            return
        self._discarded = True
        self._blobs.staged -= 1
        for sha256 in self._pinned:
            self._blobs.unpin(sha256)

    def _pin(self, sha256: str) -> None:
        self._blobs.pin(sha256)
        self._pinned.append(sha256)


@implementer(IBlobs)
@define(eq=False)
class MemoryBlobs:
    """IBlobs that forget when the process ends. `full` and `gone` rehearse a full disk and a lost one."""

    full: bool = False
    gone: bool = False
    staged: int = 0  # staged and not discarded
    _kept: dict[str, bytes] = Factory(dict)
    _pins: Counter[str] = Factory(Counter)
    _watches: list[set[str]] = Factory(list)  # for each sweep under way: what was pinned when it asked, or since

    def stage(self, on_full: Callable[[], None], on_space: Callable[[], None]) -> MemoryStagedBlob:
        """IBlobs."""
        self.staged += 1
        return MemoryStagedBlob(self)

    async def open(self, sha256: str) -> Contents:
        """IBlobs."""
        if sha256 not in self._kept:
            raise BlobMissing(sha256=sha256)
        return Contents(data=self._kept[sha256])

    async def digest(self, sha256: str) -> str | None:
        """IBlobs."""
        data = self._kept.get(sha256)
        return None if data is None else hashlib.sha256(data).hexdigest()

    async def listing(self) -> AsyncIterator[list[str]]:
        """IBlobs."""
        if self._kept:
            yield sorted(self._kept)

    async def sweep(self, named: Callable[[list[str]], Awaitable[set[str]]]) -> int:
        """IBlobs."""
        return await self.release(sorted(self._kept), named)

    async def release(self, digests: Sequence[str], named: Callable[[list[str]], Awaitable[set[str]]]) -> int:
        """IBlobs."""
        touched = set(self._pins)
        self._watches.append(touched)
        try:
            orphans = (set(digests) & set(self._kept)) - await named(list(digests)) - set(self._pins) - touched
        finally:
            self._watches[:] = [watch for watch in self._watches if watch is not touched]
        for sha256 in orphans:
            del self._kept[sha256]
        return len(orphans)

    async def check(self) -> None:
        """IBlobs."""
        if self.gone:
            raise Unavailable(part="blob store")

    def spoil(self, sha256: str, data: bytes | None) -> None:
        """Change, or lose, what is kept: what a failing disk does."""
        if data is None:
            del self._kept[sha256]
        else:
            self._kept[sha256] = data

    # --- called by MemoryStagedBlob ---

    def demand_room(self) -> None:
        """Raise `StorageFull` when the test says so."""
        if self.full:
            raise StorageFull

    def pin(self, sha256: str) -> None:
        """Protect from sweeping."""
        self._pins[sha256] += 1
        for touched in self._watches:
            touched.add(sha256)

    def unpin(self, sha256: str) -> None:
        """Undo one `pin`."""
        self._pins[sha256] -= 1
        if not self._pins[sha256]:
            del self._pins[sha256]

    def place(self, sha256: str, data: bytes) -> bool:
        """Keep it; False if it was there."""
        there = self._kept.get(sha256) == data
        self._kept[sha256] = data
        return not there


def _hexdigest(algorithm: str, data: bytes) -> str:
    if algorithm == "blake2b":
        return hashlib.blake2b(data, digest_size=32).hexdigest()
    return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
