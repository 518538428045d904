"""Bytes on their way in: hashed and written in a thread, one batch at a time, with back-pressure on whoever sends them."""

import errno
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar

from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from registry.domain.errors import RegistryError, StorageFull
from registry.domain.model import Digests
from registry.interfaces import IStagedBlob, IThreads
from registry.storage.blobs.disk import Disk

if TYPE_CHECKING:
    from hashlib import _Hash

T = TypeVar("T")

# A hop to a thread costs some 50 microseconds, so bytes travel by the batch; a file smaller than one batch makes a single hop.
_BATCH = 1 << 19
# What may wait for the disk before the sender is paused, and when it may go on.
_HIGH, _LOW = 8 << 20, 2 << 20
# A large file is flushed this often while it arrives, so that the final fsync finds little left to do.
_FLUSH_EVERY = 64 << 20
_READ = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT}


class Shelf(Protocol):
    """Where a finished blob goes."""

    def pin(self, sha256: str) -> None:
        """Protect from sweeping."""

    def unpin(self, sha256: str) -> None:
        """Undo one `pin`."""

    def place(self, staged: Path, sha256: str) -> None:
        """Move into place, durably; blocking."""


@implementer(IStagedBlob)
@define(eq=False)
class StagedBlob:
    """IStagedBlob over a file in the staging folder. Reactor-thread state; the `_do_` methods run in threads, one at a time."""

    _threads: IThreads
    _disk: Disk
    _shelf: Shelf
    _path: Path
    _on_full: Callable[[], None]
    _on_space: Callable[[], None]
    _descriptor: int = -1  # opened with the first batch
    _hashes: "dict[str, _Hash | hashlib.blake2b]" = Factory(lambda: {"sha256": hashlib.sha256()})  # fed in the thread
    _waiting: list[bytes] = Factory(list)  # taken, not yet handed to a thread
    _waiting_bytes: int = 0
    _size: int = 0
    _busy: bool = False  # a thread has a batch
    _flushing: "Deferred[None] | None" = None  # a thread asks the kernel to write back
    _flushed: int = 0  # how much of the file has been
    _unflushed: int = 0  # and how much has been written since
    _full: bool = False  # the sender is paused
    _idle: "Deferred[None] | None" = None  # somebody waits for the last batch
    _failure: Failure | None = None
    _discarded: bool = False
    _pinned: str = ""
    _digests: Digests | None = None

    def expect(self, algorithms: Sequence[str]) -> None:
        """IStagedBlob."""
        for algorithm in algorithms:
            self._hashes.setdefault(algorithm, _new_hash(algorithm))

    def write(self, data: bytes) -> None:
        """IStagedBlob."""
        if self._failure is not None or self._discarded:
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._size += len(data)
        if self._waiting_bytes >= _BATCH and not self._busy:
            self._pump()
        elif self._waiting_bytes > _HIGH and not self._full:
            self._full = True
            self._on_full()

    async def finish(self, algorithms: Sequence[str] = ()) -> Digests:
        """IStagedBlob."""
        await self._drained()
        others = {name: made.hexdigest() for name, made in self._hashes.items()}
        late = [name for name in algorithms if name not in others]
        if late:
            others.update(await self.inspect(lambda file, _: _digest_of(file, late)))
        self._digests = Digests(size=self._size, sha256=others.pop("sha256"), others=others)
        return self._digests

    async def inspect(self, look: Callable[[BinaryIO, int], T]) -> T:
        """IStagedBlob."""
        return await self._threads.run(self._do_inspect, look)

    async def keep(self) -> None:
        """IStagedBlob."""
        digests = await self._ready()
        try:
            await self._threads.run(self._do_keep, digests.sha256)
        except OSError as error:
            raise _named(error) from error

    async def admit(self, look: Callable[[BinaryIO, int], T]) -> T:
        """IStagedBlob."""
        digests = await self._ready()
        try:
            return await self._threads.run(self._do_admit, look, digests.sha256)
        except OSError as error:
            raise _named(error) from error

    def discard(self) -> None:
        """IStagedBlob."""
        if self._discarded:
            return
        self._discarded = True
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._pinned:
            self._shelf.unpin(self._pinned)
        self._clean_up_when_idle()

    async def _ready(self) -> Digests:
        """Nothing is under way, and what will be kept is pinned."""
        assert self._digests is not None, "finish() comes before keep()"
        if self._flushing is not None:
            await self._flushing
        self._check()
        if not self._pinned:
            self._pinned = self._digests.sha256
            self._shelf.pin(self._pinned)
        return self._digests

    # --- the pump ---

    def _pump(self) -> None:
        batch, self._waiting = self._waiting, []
        size, self._waiting_bytes = self._waiting_bytes, 0
        self._busy = True
        self._unflushed += size
        running: Deferred[None] = self._threads.run(self._do_write, batch)
        running.addErrback(self._failed)
        running.addCallback(self._written)

    def _failed(self, failure: Failure) -> None:
        self._failure = failure
        self._waiting.clear()
        self._waiting_bytes = 0

    def _written(self, _: None) -> None:
        self._busy = False
        if self._full and self._waiting_bytes < _LOW:
            self._full = False
            self._on_space()
        if self._unflushed >= _FLUSH_EVERY and self._flushing is None and not self._discarded and self._failure is None:
            self._start_flush()
        if self._waiting_bytes >= _BATCH or (self._waiting and self._idle is not None):
            self._pump()
        elif self._idle is not None and not self._waiting:
            idle, self._idle = self._idle, None
            idle.callback(None)
        self._clean_up_when_idle()

    def _start_flush(self) -> None:
        start, length = self._flushed, self._unflushed
        self._flushed, self._unflushed = start + length, 0
        flushing: Deferred[None] = Deferred()
        self._flushing = flushing

        def flushed(result: object) -> None:
            # The kernel reports a failed write-back once: the fsync in `keep` would not hear of it again.
            if isinstance(result, Failure):
                self._failed(result)
            self._flushing = None
            flushing.callback(None)
            self._clean_up_when_idle()

        self._threads.run(self._disk.flush_behind, self._descriptor, start, length).addBoth(flushed)

    async def _drained(self) -> None:
        # An empty blob has had no batch, and so has no file yet.
        if (self._waiting or self._descriptor < 0) and not self._busy and self._failure is None:
            self._pump()
        if self._busy:
            self._idle = Deferred()
            await self._idle
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            if isinstance(self._failure.value, OSError):
                raise _named(self._failure.value)
            self._failure.raiseException()

    def _clean_up_when_idle(self) -> None:
        if self._discarded and not self._busy and self._flushing is None and self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            self._threads.run(self._do_clean_up, descriptor)

    # --- in a thread ---

    def _do_write(self, batch: list[bytes]) -> None:
        if self._descriptor < 0:
            self._descriptor = self._disk.create(self._path)
        self._disk.write(self._descriptor, batch)
        for made in self._hashes.values():
            for piece in batch:
                made.update(piece)

    def _do_inspect(self, look: Callable[[BinaryIO, int], T]) -> T:
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            return look(file, self._size)

    def _do_keep(self, sha256: str) -> None:
        self._disk.flush(self._descriptor)
        self._shelf.place(self._path, sha256)

    def _do_admit(self, look: Callable[[BinaryIO, int], T], sha256: str) -> T:
        result = self._do_inspect(look)
        self._do_keep(sha256)
        # Here, so that it does not take a visit of its own.
        descriptor, self._descriptor = self._descriptor, -1
        self._do_clean_up(descriptor)
        return result

    def _do_clean_up(self, descriptor: int) -> None:
        os.close(descriptor)
        self._disk.remove(self._path)


def _new_hash(algorithm: str) -> "_Hash | hashlib.blake2b":
    # PyPI's blake2_256_digest is BLAKE2b cut to 256 bits; md5 is here to be compared with what a client declared, never trusted.
    return hashlib.blake2b(digest_size=32) if algorithm == "blake2b" else hashlib.new(algorithm, usedforsecurity=False)


def _digest_of(file: BinaryIO, algorithms: Sequence[str]) -> dict[str, str]:
    made = {algorithm: _new_hash(algorithm) for algorithm in algorithms}
    while data := file.read(_READ):
        for digest in made.values():
            digest.update(data)
    return {algorithm: digest.hexdigest() for algorithm, digest in made.items()}


def _named(error: OSError) -> OSError | RegistryError:
    return StorageFull() if error.errno in _FULL else error
