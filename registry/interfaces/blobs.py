"""Bytes at rest, on their way in and on their way out."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import BinaryIO

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from registry.domain.model import Digests
from registry.interfaces.threads import T


class IOpenBlob(Interface):
    """A blob being read. Whoever opened it closes it."""

    size = Attribute("Length in bytes.")
    data = Attribute("All of it, if it was small enough to be read at once; else None.")
    descriptor = Attribute("A file descriptor for `sendfile`, or None where there is none.")

    def read(offset: int, length: int) -> "Deferred[bytes]":
        """Awaitable with `length` bytes from `offset`, fewer only at the end. Never blocks the reactor."""

    def close() -> None:
        """Give back what reading needs. May be called twice."""


class IGrowingBlob(IOpenBlob):
    """A blob that is being read while it comes. Its `descriptor` is None as long as nothing is readable."""

    readable = Attribute("How many bytes can be read, from the beginning; in the end `size`.")

    async def grown(beyond: int) -> None:
        """Return when more than `beyond` bytes, of which there are more, are readable. Raises what keeps the rest from coming."""


# What may be kept beside a staged blob: it is in memory as a whole.
BESIDE_BYTES = 8 << 20


class IStagedBlob(Interface):
    """Bytes on their way in. Nothing of it is visible until `keep`; whoever staged it calls `discard` at the end, whatever happened."""

    descriptor = Attribute("A file descriptor for `sendfile` of what can be `read`, or None where there is none.")

    def expect(algorithms: Sequence[str]) -> None:
        """Compute these hashlib digests too, beside sha256. Only before the first `write`."""

    def write(data: bytes) -> None:
        """Take the next bytes, at once. Calls `on_full` when too much waits for the disk and `on_space` when it has drained."""

    def follow(on_progress: Callable[[int], None]) -> None:
        """Write what comes as soon as the disk is free, and tell `on_progress` how many bytes can be `read`. Before the first `write`."""

    def read(offset: int, length: int) -> "Deferred[bytes]":
        """Awaitable with `length` bytes from `offset`, of those that `follow` told of, until `discard`.

        After `finish` of all, and with `follow` also after `keep` and `admit`.
        """

    async def finish(algorithms: Sequence[str] = ()) -> Digests:
        """Wait until all is written; the `Digests`, with at least `algorithms` among them. Raises `StorageFull`, or OSError."""

    async def inspect(look: Callable[[BinaryIO, int], T]) -> T:
        """The result of `look(open_binary_file, size)`, called in a thread with the whole content. Only after `finish`."""

    async def keep() -> bool:
        """Make it durable (fsync of file and folder) under its sha256; False if these very bytes were there. Only after `finish`.

        Same bytes are stored once; what has that name and other bytes, since a disk has spoilt them, is replaced, and who has it open may
        read on. A large file may replace equal bytes. Until `discard`, a sweep leaves the blob alone, so that the caller can write the
        row that names it. Raises `StorageFull`.
        """

    async def admit(look: Callable[[BinaryIO, int], T], beside: Callable[[T], bytes | None] | None = None) -> T:
        """`inspect` and then `keep`, in one visit to a thread. Without `follow` it is the last that is read of it.

        `beside` is called there with what `look` returned, and may return bytes (at most `BESIDE_BYTES`, else ValueError) that are kept
        with it, as a blob of their own under their own sha256 that a sweep leaves alone for as long. If `look` or `beside` raises, neither
        is kept; no name is given before the bytes of both are durable, and what a failing disk leaves is swept.
        """

    def discard() -> None:
        """Forget it: what was not kept is removed, what was kept is from now on subject to sweeping. May be called twice."""


class IBlobs(Interface):
    """Bytes at rest, named by their SHA-256 in lower-case hex."""

    def stage(on_full: Callable[[], None], on_space: Callable[[], None]) -> IStagedBlob:
        """A new, empty `IStagedBlob` whose writer is paused and resumed by these callables."""

    async def open(sha256: str) -> IOpenBlob:
        """An `IOpenBlob`. Raises `BlobMissing`."""

    async def digest(sha256: str) -> str | None:
        """The SHA-256 of the bytes at rest, read anew; None if there are none."""

    def listing() -> AsyncIterator[list[str]]:
        """The names of all blobs, in batches: an async iterator of lists of sha256."""

    async def sweep(named: Callable[[list[str]], Awaitable[set[str]]]) -> int:
        """Remove blobs that no row names; how many it removed.

        `named` is an async callable: a list of sha256 to the set of those that some row names. Never removes a blob that is kept while the
        sweep runs.
        """

    async def release(digests: Sequence[str], named: Callable[[list[str]], Awaitable[set[str]]]) -> int:
        """As `sweep`, but for exactly these sha256, of which some may be gone already: for rows that were just deleted."""

    async def check() -> None:
        """Return if blobs can be read and written now. Raises `Unavailable`."""
