"""Bytes on their way in: hashed and written in a thread, one batch at a time, with back-pressure on whoever sends them."""

import errno
import hashlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar

from attrs import Factory, define
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from registry.domain.digests import new_hash
from registry.domain.errors import RegistryError, StorageFull
from registry.domain.model import Digests
from registry.interfaces import BESIDE_BYTES, IStagedBlob, IThreads
from registry.storage.blobs.digests import digests_of
from registry.storage.blobs.disk import Disk

if TYPE_CHECKING:
    from registry.domain.digests import Hash

T = TypeVar("T")

# A hop to a thread costs some 50 microseconds, so bytes travel by the batch; a file smaller than one batch makes a single hop.
_BATCH = 1 << 19
# A file up to this size stays in memory until it is kept: hashing it takes less than a visit to a thread, and if it is refused no disk
# is touched.
SMALL_BYTES = 1 << 16
# What may wait for the disk before the sender is paused, and when it may go on.
_HIGH, _LOW = 8 << 20, 2 << 20
# A large file is flushed this often while it arrives, so that the final fsync finds little left to do.
_FLUSH_EVERY = 64 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT}


class Shelf(Protocol):
    """Where a finished blob goes."""

    def pin(self, sha256: str) -> None:
        """Protect from sweeping."""

    def unpin(self, sha256: str) -> None:
        """Undo one `pin`."""

    def holds(self, sha256: str, size: int, read: Callable[[int, int], bytes]) -> bool:
        """Whether these very bytes, of which `read` gives so many from an offset, are in place, though perhaps not durably yet; blocking.

        True until it is unpinned, if it is pinned. False for bytes that the disk has spoilt.
        """

    def place(self, staged: Mapping[str, Path | None]) -> None:
        """Move each, by its sha256, into place, durably, instead of what is there; blocking. None: it is in place."""


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
    _hashes: "dict[str, Hash]" = Factory(lambda: {"sha256": hashlib.sha256()})  # fed in the thread
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
    _visits: int = 0  # threads that look at it, or keep it
    _small: bytes | None = None  # all of it, once it has ended and was small
    _left: set[Path] = Factory(set)  # files that may lie in the staging folder
    _pinned: list[str] = Factory(list)
    _digests: Digests | None = None
    _on_progress: Callable[[int], None] | None = None  # somebody reads while it is written
    _written_bytes: int = 0  # that can be read
    _batch_bytes: int = 0  # of the batch that a thread has

    def follow(self, on_progress: Callable[[int], None]) -> None:
        """IStagedBlob."""
        self._on_progress = on_progress

    @property
    def descriptor(self) -> int | None:
        """IStagedBlob."""
        return self._descriptor if self._descriptor >= 0 else None

    def read(self, offset: int, length: int) -> "Deferred[bytes]":
        """IStagedBlob."""
        if self._small is not None:
            return succeed(self._small[offset : offset + length])
        return self._visit(os.pread, self._descriptor, length, offset)

    def expect(self, algorithms: Sequence[str]) -> None:
        """IStagedBlob."""
        for algorithm in algorithms:
            self._hashes.setdefault(algorithm, new_hash(algorithm))

    def write(self, data: bytes) -> None:
        """IStagedBlob."""
        if self._failure is not None or self._discarded:
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._size += len(data)
        if (self._waiting_bytes >= _BATCH or self._on_progress is not None) and not self._busy:
            self._pump()
        elif self._waiting_bytes > _HIGH and not self._full:
            self._full = True
            self._on_full()

    async def finish(self, algorithms: Sequence[str] = ()) -> Digests:
        """IStagedBlob."""
        if self._descriptor < 0 and not self._busy and self._size <= SMALL_BYTES and self._small is None:
            self._small = b"".join(self._waiting)
            self._waiting.clear()
            for made in self._hashes.values():
                made.update(self._small)
        elif self._small is None:
            await self._drained()
        others = {name: made.hexdigest() for name, made in self._hashes.items()}
        late = [name for name in algorithms if name not in others]
        if late and self._small is not None:
            others.update(digests_of(io.BytesIO(self._small), late))
        elif late:
            others.update(await self.inspect(lambda file, _: digests_of(file, late)))
        self._digests = Digests(size=self._size, sha256=others.pop("sha256"), others=others)
        return self._digests

    async def inspect(self, look: Callable[[BinaryIO, int], T]) -> T:
        """IStagedBlob."""
        return await self._visit(self._do_inspect, look)

    async def keep(self) -> bool:
        """IStagedBlob."""
        digests = await self._ready()
        try:
            return await self._visit(self._do_keep, digests.sha256, None)
        except OSError as error:
            raise _named(error) from error

    async def admit(self, look: Callable[[BinaryIO, int], T], beside: Callable[[T], bytes | None] | None = None) -> T:
        """IStagedBlob."""
        digests = await self._ready()
        try:
            return await self._visit(self._do_admit, look, beside, digests.sha256)
        except OSError as error:
            raise _named(error) from error

    def discard(self) -> None:
        """IStagedBlob."""
        if self._discarded:
            return
        self._discarded = True
        self._waiting.clear()
        self._waiting_bytes = 0
        self._clean_up_when_idle()

    async def _ready(self) -> Digests:
        """Nothing is under way, and what will be kept is pinned."""
        assert self._digests is not None, "finish() comes before keep()"
        if self._flushing is not None:
            await self._flushing
        self._check()
        if not self._pinned:
            self._pin(self._digests.sha256)
        return self._digests

    def _pin(self, sha256: str) -> None:
        self._shelf.pin(sha256)
        self._pinned.append(sha256)

    def _visit(self, work: Callable[..., T], *args: object) -> "Deferred[T]":
        """The result of work in a thread. Its end is noticed though nobody waits for it any more: only then may its file be closed."""
        outcome: Deferred[T] = Deferred()
        self._visits += 1

        def ended(result: Any) -> None:
            self._visits -= 1
            self._clean_up_when_idle()
            if not outcome.called:
                outcome.callback(result)

        self._threads.run(work, *args).addBoth(ended)
        return outcome

    # --- the pump ---

    def _pump(self) -> None:
        batch, self._waiting = self._waiting, []
        size, self._waiting_bytes = self._waiting_bytes, 0
        self._busy = True
        self._batch_bytes = size
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
        if self._on_progress is not None and self._failure is None and not self._discarded:
            self._written_bytes += self._batch_bytes
            self._on_progress(self._written_bytes)
        if self._full and self._waiting_bytes < _LOW:
            self._full = False
            self._on_space()
        if self._unflushed >= _FLUSH_EVERY and self._flushing is None and not self._discarded and self._failure is None:
            self._start_flush()
        eager = self._idle is not None or self._on_progress is not None
        if self._waiting_bytes >= _BATCH or (self._waiting and eager):
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
        if not self._discarded or self._busy or self._visits or self._flushing is not None:
            return
        pinned, self._pinned = self._pinned, []
        for sha256 in pinned:
            self._shelf.unpin(sha256)
        if self._descriptor >= 0 or self._left:
            descriptor, self._descriptor = self._descriptor, -1
            left, self._left = self._left, set()
            self._threads.run(self._do_clean_up, descriptor, left)

    # --- in a thread ---

    def _do_write(self, batch: list[bytes]) -> None:
        if self._descriptor < 0:
            self._descriptor = self._do_create(self._path)
        self._disk.write(self._descriptor, batch)
        for made in self._hashes.values():
            for piece in batch:
                made.update(piece)

    def _do_create(self, path: Path) -> int:
        self._left.add(path)
        return self._disk.create(path)

    def _do_inspect(self, look: Callable[[BinaryIO, int], T]) -> T:
        if self._small is not None:
            return look(io.BytesIO(self._small), self._size)
        with self._disk.once(self._descriptor) if self._size > _FLUSH_EVERY else os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            return look(file, self._size)

    def _do_keep(self, sha256: str, beside: bytes | None) -> bool:
        staged: dict[str, Path | None] = {}
        with ExitStack() as stack:
            written = []
            if self._small is None and self._path in self._left and self._held(sha256):
                self._disk.remove(self._path)
                self._left.discard(self._path)
                staged[sha256] = None
            elif self._small is None:
                # Fails for one that was discarded meanwhile, whose file is closed.
                written.append(self._descriptor)
                staged[sha256] = self._path if self._path in self._left else None
            parts = [] if self._small is None else [(sha256, self._small, self._path)]
            if beside is not None:
                other = hashlib.sha256(beside).hexdigest()
                self._pin(other)
                parts.append((other, beside, self._path.with_suffix(".beside")))
            for name, data, path in parts:
                staged[name] = None
                if not self._shelf.holds(name, len(data), _reads(data)):
                    descriptor = self._do_create(path)
                    stack.callback(os.close, descriptor)
                    self._disk.write(descriptor, [data])
                    staged[name] = path
                    written.append(descriptor)
            self._disk.flush_all(written)
        # Names only now: what has one has all its bytes.
        self._shelf.place(staged)
        self._left.clear()
        return staged[sha256] is not None

    def _held(self, sha256: str) -> bool:
        """Whether the bytes of the file are in place. Comparing takes less than a flush, and the disk is written to once."""
        # What was flushed as it came would have to be read back, both times; there is little left to flush.
        return not self._flushed and self._shelf.holds(
            sha256, self._size, lambda length, offset: os.pread(self._descriptor, length, offset)
        )

    def _do_admit(self, look: Callable[[BinaryIO, int], T], beside: Callable[[T], bytes | None] | None, sha256: str) -> T:
        result = self._do_inspect(look)
        small = None if beside is None else beside(result)
        if small is not None and len(small) > BESIDE_BYTES:
            raise ValueError(f"{len(small)} bytes are too many to be kept beside a file; at most {BESIDE_BYTES} are")
        self._do_keep(sha256, small)
        if self._descriptor >= 0 and self._on_progress is None:
            # Here, so that it does not take a visit of its own.
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)
        return result

    def _do_clean_up(self, descriptor: int, left: set[Path]) -> None:
        if descriptor >= 0:
            os.close(descriptor)
        for path in left:
            self._disk.remove(path)


def _reads(data: bytes) -> Callable[[int, int], bytes]:
    return lambda length, offset: data[offset : offset + length]


def _named(error: OSError) -> OSError | RegistryError:
    return StorageFull() if error.errno in _FULL else error
