"""Archives of which only some parts are here, read by those who read whole ones."""

from errno import EINVAL

from attrs import define, field, frozen

# From where a place is counted, as for every file: the beginning, here, the end.
_BEGINNING, _HERE, _END = range(3)


@frozen
class Missing(Exception):
    """Bytes that are needed and not here: from `start` to before `stop`.

    Derived from no error that a reader could take for one of the archive's.
    """

    start: int
    stop: int


@define(eq=False)
class PartialFile:
    """A file of `size` bytes, to be read and sought in like any, of which those are here that were added.

    Reading others raises `Missing`, whatever could have been read before them.
    """

    size: int
    _at: int = field(init=False, default=0)
    _parts: list[tuple[int, bytes]] = field(init=False, factory=list)  # where each begins, and its bytes; they may overlap, and then agree

    def add(self, start: int, data: bytes) -> None:
        """Here are the bytes from `start` on."""
        self._parts.append((start, data))

    def read(self, count: int | None = -1) -> bytes:
        """BinaryIO."""
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

    def seek(self, offset: int, whence: int = _BEGINNING) -> int:
        """BinaryIO. A place before the beginning is refused as by a file on a disk."""
        at = offset + {_BEGINNING: 0, _HERE: self._at, _END: self.size}[whence]
        if at < 0:
            raise OSError(EINVAL, "a place before the beginning of the file")
        self._at = at
        return at

    def tell(self) -> int:
        """BinaryIO."""
        return self._at
