"""One upstream file on its way here: written and hashed as it comes, read by clients meanwhile, the last of it only once it is proven."""

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import Factory, define
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from registry.domain.errors import RegistryError, UpstreamBroken
from registry.domain.model import Digests, File
from registry.interfaces import IGrowingBlob, IStagedBlob, IStreamReader

_log = Logger()

# What is not given to anybody before the digest is known: without it no client takes the file for complete.
HELD_BACK = 1 << 16
# A transfer that nobody waits for any more is brought to its end if no more than this is missing, or half of it is here.
NEARLY = 16 << 20


@implementer(IStreamReader)
@define(eq=False, kw_only=True)
class Transfer:
    """A file of `size` bytes that comes from an upstream. `end` is called once with its digests when they are proven; it keeps the file.

    Nothing comes before `begin`. `deliver` and `abort` are the stream's; its `pause` and `resume` are called by the staged blob.
    """

    file: File
    size: int
    staged: IStagedBlob
    end: Callable[["Transfer", Digests], Awaitable[None]]
    abort: Callable[[], object] = lambda: None
    deliver: Callable[["Transfer"], object] = lambda _: None
    kept: "list[Callable[[str], object]]" = Factory(list)  # hear its sha256 when it is kept
    over: "Deferred[None]" = Factory(Deferred)  # fires, without a result, when it has ended either way and nobody reads
    _begun: bool = False
    _coming: int = 0  # bytes received
    _written: int = 0  # bytes that can be read
    _proven: bool = False
    _settled: bool = False  # it is kept, or will not be
    _ended: bool = False
    _failure: RegistryError | None = None
    _readers: int = 0
    _waiting: "list[Deferred[None]]" = Factory(list)  # readers that wait for more

    def begin(self) -> None:
        """Let the bytes come. Not before somebody reads: what is over and has no reader is put away."""
        if not self._begun:
            self._begun = True
            self.deliver(self)

    # --- from the stream ---

    def received(self, data: bytes) -> None:
        """IStreamReader."""
        if self._ended:
            return
        self._coming += len(data)
        if self._coming > self.size:
            self.failed(self._broken(f"it sends more than the {self.size:,} bytes it announced"))
            self.abort()
        else:
            self.staged.write(data)

    def ended(self) -> None:
        """IStreamReader."""
        if self._ended:
            return
        if self._coming < self.size:
            self.failed(self._broken(f"it ended after {self._coming:,} of {self.size:,} bytes"))
        else:
            self._ended = True
            Deferred.fromCoroutine(self._prove()).addErrback(self._unproven)

    def failed(self, error: RegistryError) -> None:
        """IStreamReader. Also for those who stop it here."""
        if not self._ended:
            self._ended = True
            self._fail(error)

    def progress(self, written: int) -> None:
        """So many bytes can be read (IStagedBlob.follow)."""
        self._written = written
        self._wake()

    # --- for readers ---

    @property
    def joinable(self) -> bool:
        """Whether another reader may come."""
        return self._failure is None and not self.over.called

    async def proven(self) -> None:
        """Return when all of it is here, and is what its index tells. Raises what the transfer failed with."""
        while not self._proven:
            if self._failure is not None:
                raise self._failure
            await self._more()

    def reader(self) -> "Following":
        """One more reader, from the beginning."""
        self._readers += 1
        return Following(transfer=self)

    @property
    def readable(self) -> int:
        """How many bytes, from the beginning, are given to anybody."""
        return self.size if self._proven else min(self._written, max(0, self.size - HELD_BACK))

    async def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`, as soon as there are any. Raises what the transfer failed with."""
        if offset < self.size:
            await self.grown(offset)
        return await self.staged.read(offset, min(length, self.readable - offset))

    async def grown(self, beyond: int) -> None:
        """Return when more than `beyond` bytes are readable. Raises what the transfer failed with."""
        while beyond >= self.readable:
            if self._failure is not None:
                raise self._failure
            await self._more()

    def _more(self) -> "Deferred[None]":
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def leave(self) -> None:
        """A reader has gone."""
        self._readers -= 1
        if self._readers:
            return
        missing = self.size - self._coming
        if not self._ended and missing > NEARLY and self._coming * 2 < self.size:
            self.failed(self._broken("nobody waits for it any more"))
            self.abort()
        self._finish_if_over()

    # --- the end ---

    async def _prove(self) -> None:
        digests = await self.staged.finish([algorithm for algorithm, _ in self.file.digests])
        computed = {**digests.others, "sha256": digests.sha256}
        declared = dict(self.file.digests) | ({"sha256": self.file.sha256} if self.file.sha256 else {})
        for algorithm, digest in declared.items():
            if computed.get(algorithm) != digest:
                _log.error(
                    "{source} sent {filename} with {algorithm} {got}, its index says {wanted}: nothing of it was kept",
                    source=self.file.source,
                    filename=self.file.filename,
                    algorithm=algorithm,
                    got=computed.get(algorithm),
                    wanted=digest,
                )
                raise self._broken(f"the {algorithm} of its bytes is not the one that its index tells")
        self._proven = True
        # It is what it is, kept or not, so nobody waits for the disk.
        self._wake()
        await self.end(self, digests)
        self._settled = True
        self._finish_if_over()

    def _unproven(self, failure: Failure) -> None:
        if self._proven or not isinstance(failure.value, RegistryError):
            _log.failure("keeping {filename} failed", failure, filename=self.file.filename)
        if self._proven:
            self._settled = True
            self._finish_if_over()
            return
        self._fail(failure.value if isinstance(failure.value, RegistryError) else self._broken("it could not be kept"))

    def _broken(self, problem: str) -> UpstreamBroken:
        return UpstreamBroken(source=self.file.source, problem=f"{self.file.filename}: {problem}")

    def _fail(self, error: RegistryError) -> None:
        self._failure = error
        self._wake()
        self._finish_if_over()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.called:
                one.callback(None)

    def _finish_if_over(self) -> None:
        if not self._readers and (self._settled or self._failure is not None) and not self.over.called:
            self.staged.discard()
            self.over.callback(None)


@implementer(IGrowingBlob)
@define(eq=False, kw_only=True)
class Following:
    """IGrowingBlob over a file that is still on its way."""

    transfer: Transfer
    data: Any = None
    _closed: bool = False

    @property
    def size(self) -> int:
        """IOpenBlob."""
        return self.transfer.size

    @property
    def descriptor(self) -> int | None:
        """IOpenBlob."""
        descriptor: int | None = self.transfer.staged.descriptor
        return descriptor

    @property
    def readable(self) -> int:
        """IGrowingBlob."""
        return self.transfer.readable

    async def grown(self, beyond: int) -> None:
        """IGrowingBlob."""
        await self.transfer.grown(beyond)

    def read(self, offset: int, length: int) -> "Deferred[bytes]":
        """IOpenBlob."""
        if length <= 0:
            return succeed(b"")
        return Deferred.fromCoroutine(self.transfer.read(offset, length))

    def close(self) -> None:
        """IOpenBlob."""
        if not self._closed:
            self._closed = True
            self.transfer.leave()
