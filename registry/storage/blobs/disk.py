"""The system calls that make bytes durable, behind one seam so that their failures can be rehearsed."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from attrs import frozen

# writev takes at most IOV_MAX (1,024 on Linux) pieces.
_PIECES = 512
# So much of a large file is read before the kernel is told to forget it.
_FORGET = 8 << 20


@frozen
class Disk:
    """A real disk. Every method blocks."""

    def create(self, path: Path) -> int:
        """A descriptor for a new file only we can read."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, descriptor: int, pieces: Sequence[bytes]) -> None:
        """Append all pieces."""
        todo = list(pieces)
        while todo:
            if len(todo) > _PIECES:
                todo = [b"".join(todo)]
            written = os.writev(descriptor, todo)
            while todo and written >= len(todo[0]):
                written -= len(todo.pop(0))
            if written:
                todo[0] = todo[0][written:]

    def flush(self, descriptor: int) -> None:
        """Wait until the file's bytes are on the disk."""
        os.fdatasync(descriptor)

    def flush_all(self, descriptors: Sequence[int]) -> None:
        """Wait until the bytes of all these files are on the disk.

        The kernel is told of all before the first is waited for, so that the file system can take them in one go: two cost little more
        than one.
        """
        for descriptor in descriptors if len(descriptors) > 1 else ():
            # Begins to write back, and would forget what is clean: nothing is.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        for descriptor in descriptors:
            self.flush(descriptor)

    def flush_behind(self, descriptor: int, offset: int, length: int) -> None:
        """Wait until all written so far is on the disk, and let the kernel forget this part of it.

        For what is written and not soon read again: a large upload does not push everything else out of the page cache, and the pages it
        gives back are those the next part is written to, which is several times faster than touching new ones.
        """
        os.fdatasync(descriptor)
        os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)

    def once(self, descriptor: int) -> BinaryIO:
        """A large file, for who reads through it once. It has a descriptor of its own, which is closed with it, but not a place."""
        return io.BufferedReader(_Once(os.dup(descriptor), "rb"))

    def replace(self, old: Path, new: Path) -> None:
        """Rename within the file system, atomically."""
        old.replace(new)

    def flush_folder(self, folder: Path) -> None:
        """Wait until the folder's entries are on the disk: only then does a rename survive a power cut."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def make_folder(self, folder: Path) -> None:
        """Create one folder; it may exist. It is durable once its parent is flushed."""
        folder.mkdir(mode=0o700, exist_ok=True)

    def remove(self, path: Path) -> None:
        """Delete a file; it may be gone already."""
        path.unlink(missing_ok=True)


class _Once(io.FileIO):
    """Has the kernel forget what was read, so that what is read next finds pages that were used a moment ago.

    Touching others is what reading a file that is not in the page cache costs most in a virtual machine: 1.7 of 1.8 s for a GB.
    """

    _begin = _end = 0  # what was read in one go, and not forgotten yet

    def readinto(self, buffer: Any) -> int:
        """RawIOBase."""
        at = self.tell()
        count = super().readinto(buffer) or 0
        self._begin, self._end = (self._begin if at == self._end else at), at + count
        if self._end - self._begin >= _FORGET:
            os.posix_fadvise(self.fileno(), self._begin, self._end - self._begin, os.POSIX_FADV_DONTNEED)
            self._begin = self._end
        return count
