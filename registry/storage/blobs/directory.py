"""Blobs in a directory: `blobs/ab/abcd...`, staged beside it on the same file system."""

import hashlib
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock

from attrs import Factory, define, field, frozen
from twisted.internet.defer import Deferred
from zope.interface import implementer

from registry.domain.errors import BlobMissing, Unavailable
from registry.interfaces import IBlobs, IOpenBlob, IThreads
from registry.storage.blobs.disk import Disk
from registry.storage.blobs.staging import StagedBlob

# Files up to this size are read whole when they are opened: one hop to a thread instead of two, one write instead of many.
INLINE_BYTES = 1 << 16
# How far ahead the kernel is asked to read while a large file is sent.
READ_AHEAD = 8 << 20
# How much is compared at a time.
_PIECE = 1 << 20
_HEX = frozenset("0123456789abcdef")
_SHA256_LENGTH = 64


@implementer(IOpenBlob)
@define
class OpenBlob:
    """IOpenBlob over a descriptor, or over bytes already read."""

    size: int
    data: bytes | None
    _threads: IThreads
    _descriptor: int = -1  # closed by `close`

    @property
    def descriptor(self) -> int | None:
        """IOpenBlob."""
        return self._descriptor if self._descriptor >= 0 else None

    def read(self, offset: int, length: int) -> "Deferred[bytes]":
        """IOpenBlob."""
        return self._threads.run(os.pread, self._descriptor, length, offset)

    def close(self) -> None:
        """IOpenBlob. Closing a descriptor opened for reading does not wait for the disk."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@implementer(IBlobs)
@frozen(kw_only=True)
class DirectoryBlobs:
    """IBlobs in `folder`, which only one process may use at a time (the data directory's lock sees to that)."""

    folder: Path
    threads: IThreads
    disk: Disk = field(factory=Disk)
    _lock: Lock = Factory(Lock)  # guards the two below: pins are taken in one thread, sweeps run in another
    _pins: Counter[str] = Factory(Counter)
    # One for each sweep or release under way: what was pinned when it asked the catalog, or since.
    _watches: list[set[str]] = Factory(list)
    _durable: set[Path] = Factory(set)  # folders known to survive a power cut

    def prepare(self) -> None:
        """Create the folders and remove what a killed process left half-written. Blocking; before anything else."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._staging.mkdir(mode=0o700, exist_ok=True)
        self.clear_staging()
        known = [path for number in range(256) if (path := self.folder / f"{number:02x}").is_dir()]
        if known:
            # The process that made them may have been killed before it flushed them.
            self.disk.flush_folder(self.folder)
            self._durable.update(known)

    def clear_staging(self) -> None:
        """Remove what is half-written. Blocking; only while nothing is being staged."""
        for left in self._staging.iterdir() if self._staging.is_dir() else ():
            self.disk.remove(left)

    def stage(self, on_full: Callable[[], None], on_space: Callable[[], None]) -> StagedBlob:
        """IBlobs."""
        return StagedBlob(self.threads, self.disk, self, self._staging / secrets.token_hex(16), on_full, on_space)

    async def open(self, sha256: str) -> OpenBlob:
        """IBlobs."""
        return await self.threads.run(self._do_open, sha256)

    async def digest(self, sha256: str) -> str | None:
        """IBlobs."""
        return await self.threads.run(self._do_digest, sha256)

    async def listing(self) -> AsyncIterator[list[str]]:
        """IBlobs."""
        for number in range(256):
            batch = await self.threads.run(self._do_list, f"{number:02x}")
            if batch:
                yield batch

    async def sweep(self, named: Callable[[list[str]], Awaitable[set[str]]]) -> int:
        """IBlobs."""
        removed = 0
        async for batch in self.listing():
            removed += await self.release(batch, named)
        return removed

    async def release(self, digests: Sequence[str], named: Callable[[list[str]], Awaitable[set[str]]]) -> int:
        """IBlobs."""
        with self._lock:
            # What is pinned now may be unpinned, its row written, between the catalog's answer and the removal.
            touched = set(self._pins)
            self._watches.append(touched)
        try:
            orphans = set(digests) - await named(list(digests))
            return await self.threads.run(self._do_remove, orphans, touched) if orphans else 0
        finally:
            with self._lock:
                # By identity: two watches may hold the same.
                self._watches[:] = [watch for watch in self._watches if watch is not touched]

    async def check(self) -> None:
        """IBlobs."""
        try:
            await self.threads.run(self._do_check)
        except OSError as error:
            raise Unavailable(part="blob store") from error

    # --- Shelf, called by StagedBlob ---

    def pin(self, sha256: str) -> None:
        """Shelf."""
        with self._lock:
            self._pins[sha256] += 1
            for touched in self._watches:
                touched.add(sha256)

    def unpin(self, sha256: str) -> None:
        """Shelf."""
        with self._lock:
            self._pins[sha256] -= 1
            if self._pins[sha256] <= 0:
                del self._pins[sha256]

    def holds(self, sha256: str, size: int, read: Callable[[int, int], bytes]) -> bool:
        """Shelf."""
        try:
            with self._path(sha256).open("rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size != size:
                    return False
                return all(os.pread(file.fileno(), _PIECE, start) == read(_PIECE, start) for start in range(0, size, _PIECE))
        except OSError:
            # It is not there; or it cannot be read, and so is as good as gone.
            return False

    def place(self, staged: Mapping[str, Path | None]) -> None:
        """Shelf."""
        targets = {self._path(sha256): path for sha256, path in staged.items()}
        folders = dict.fromkeys(target.parent for target in targets)
        new = [folder for folder in folders if folder not in self._durable or not folder.is_dir()]
        for folder in new:
            self.disk.make_folder(folder)
        for target, path in targets.items():
            # Bytes that are there are as good as these or worse; who is reading them reads on.
            if path is not None:
                self.disk.replace(path, target)
        # Also where another upload has made a folder, or put a file, a moment ago: its own flush may still be under way.
        for folder in [*([self.folder] if new else []), *folders]:
            self.disk.flush_folder(folder)
        self._durable.update(new)

    # --- in a thread ---

    @property
    def _staging(self) -> Path:
        return self.folder / "staging"

    def _path(self, sha256: str) -> Path:
        # The only place where a path is made, and only ever from a digest.
        if len(sha256) != _SHA256_LENGTH or not _HEX.issuperset(sha256):
            raise BlobMissing(sha256=sha256)
        return self.folder / sha256[:2] / sha256

    def _do_open(self, sha256: str) -> OpenBlob:
        try:
            descriptor = os.open(self._path(sha256), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise BlobMissing(sha256=sha256) from None
        size = os.fstat(descriptor).st_size
        if size > INLINE_BYTES:
            os.posix_fadvise(descriptor, 0, READ_AHEAD, os.POSIX_FADV_WILLNEED)
            return OpenBlob(size, None, self.threads, descriptor)
        try:
            return OpenBlob(size, os.pread(descriptor, size, 0), self.threads)
        finally:
            os.close(descriptor)

    def _do_digest(self, sha256: str) -> str | None:
        try:
            with self._path(sha256).open("rb", buffering=0) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except (FileNotFoundError, BlobMissing):
            return None

    def _do_list(self, prefix: str) -> list[str]:
        try:
            return sorted(entry.name for entry in os.scandir(self.folder / prefix))
        except FileNotFoundError:
            return []

    def _do_remove(self, orphans: set[str], touched: set[str]) -> int:
        removed = 0
        for sha256 in orphans:
            with self._lock:
                if sha256 in self._pins or sha256 in touched:
                    continue
                try:
                    path = self._path(sha256)
                except BlobMissing:
                    continue  # not one of ours: somebody put a file there, and it stays
                self.disk.remove(path)
                removed += 1
        return removed

    def _do_check(self) -> None:
        probe = self._staging / f"check-{secrets.token_hex(8)}"
        os.close(self.disk.create(probe))
        self.disk.remove(probe)
