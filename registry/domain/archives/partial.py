"""Archives of which only some parts are here, read by those who read whole ones."""

import io
from errno import EINVAL

from attrs import frozen


@frozen
class Missing(Exception):
    """Bytes that are needed and not here: from `start` to before `stop`.

    Derived from no error that a reader could take for one of the archive's.
    """

    start: int
    stop: int


class PartialFile(io.RawIOBase):
    """A file of `size` bytes, to be read and sought in like any, of which those are here that were added.

    Reading others raises `Missing`, whatever could have been read before them.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self._at = 0
        self._parts: list[tuple[int, bytes]] = []  # where each begins, and its bytes; they may overlap, and then agree

    def add(self, start: int, data: bytes) -> None:
        """Here are the bytes from `start` on."""
        self._parts.append((start, data))

    def read(self, count: int | None = -1) -> bytes:
        """RawIOBase."""
        stop = self.size if count is None or count < 0 else min(self.size, self._at + count)
        at, pieces = self._at, []
        while at < stop:
            found = next((part for part in self._parts if part[0] <= at < part[0] + len(part[1])), None)
            if found is None:
                raise Missing(at, min([stop, *(start for start, data in self._parts if start > at and data)]))
            start, data = found
            pieces.append(data[at - start : stop - start])
            at += len(pieces[-1])
        self._at = max(self._at, stop)
        return b"".join(pieces)

    def readable(self) -> bool:
        """RawIOBase."""
        return True

    def seekable(self) -> bool:
        """RawIOBase."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """RawIOBase. A place before the beginning is refused as by a file on a disk."""
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if at < 0:
            raise OSError(EINVAL, "a place before the beginning of the file")
        self._at = at
        return at

    def tell(self) -> int:
        """RawIOBase."""
        return self._at
