"""Files of upstreams: those that are kept here, and those on their way."""

import hashlib
import sys
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from attrs import Factory, define, evolve, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from registry.domain.archives.core_metadata import CoreMetadata
from registry.domain.curation.licences import licence_of
from registry.domain.errors import BlobMissing, InvalidArchive, UnknownFile, UpstreamBroken
from registry.domain.facts import CORE_METADATA, SIZE, told
from registry.domain.filenames import METADATA_ENDING, Kind
from registry.domain.model import Digests, File
from registry.domain.names import Name
from registry.domain.upstream import KeptFile, Mode, Upstream, replaced, standing_for
from registry.interfaces import BESIDE_BYTES, IBlobs, IFetcher, IOpenBlob, IUpstreamCatalog
from registry.workflows.errands import Errands
from registry.workflows.flights import Flight, Flights
from registry.workflows.in_hand import Contents, Unread
from registry.workflows.transfer import HELD_BACK, NEARLY, Transfer

_log = Logger()
_TIMEOUT = 10.0
_METADATA_BYTES = 8 << 20
_HEADERS = 1 << 17  # of core metadata: more than any has


@frozen(kw_only=True)
class Elsewhere(Exception):
    """The client is to ask the upstream itself, at `url` (Mode.REDIRECT)."""

    url: str


@frozen(kw_only=True)
class Arrival:
    """A file of an upstream and its bytes (whoever takes them closes them), here already ("hit") or on their way ("miss").

    `since`: when they came; None: they come now. Who gives a function to `when_kept` has it called with the file as soon as it is kept, and
    with its bytes if they are few, or at once.
    """

    name: Name
    file: File
    blob: IOpenBlob
    state: str
    since: datetime | None = None
    licence: str | None = None  # of core metadata: what it says of it
    when_kept: Callable[[Callable[[File, IOpenBlob | None], object]], object] = lambda _: None


@define(kw_only=True, eq=False)
class Arrivals:
    """Gives files of upstreams, and keeps them. However many ask for one, it is fetched once."""

    catalog: IUpstreamCatalog
    fetcher: IFetcher
    blobs: IBlobs
    core_metadata: Callable[[Any, int, File], CoreMetadata | None]  # out of an open distribution, in a thread; None if it cannot be read
    on_used: Callable[[int], object] = lambda _: None  # hears the number of every kept file that is used
    on_kept: Callable[[int], object] = lambda _: None  # hears that another file is kept, and of its size
    on_replaced: Callable[[Sequence[int]], object] = lambda _: None  # hears the numbers of kept files in whose place another was kept
    largest: int = sys.maxsize  # what has more bytes is given, and not kept
    # Reads the core metadata of a wheel whose index tells of none out of the wheel, where that was done before.
    read_metadata: Callable[[Upstream, File], Awaitable[bytes]] | None = None
    _errands: Errands = Factory(Errands)
    _unkept: dict[Hashable, tuple[bytes, str | None]] = Factory(dict)  # core metadata that is being written, and its licence
    _starting: Flights = Factory(Flights)  # files that are asked for and have not begun to come
    _transfers: dict[Hashable, Transfer] = Factory(dict)  # files on their way

    async def metadata(self, upstream: Upstream, name: Name, file: File, files: Sequence[KeptFile]) -> Arrival:
        """The core metadata of `file`, with the very digest that the upstream tells; `files`: what is kept of its name.

        Raises `UnknownFile`, `UpstreamBroken`.
        """
        if not file.metadata_sha256:
            raise UnknownFile(filename=file.filename + METADATA_ENDING)
        beside = evolve(file, filename=file.filename + METADATA_ENDING, sha256=file.metadata_sha256, size=None)
        for kept in files:
            if kept.metadata is not None and kept.metadata[0] == file.metadata_sha256:
                with suppress(BlobMissing):
                    blob = await self.blobs.open(file.metadata_sha256)
                    self.on_used(kept.id)
                    return Arrival(name=name, file=beside, blob=blob, state="hit", since=kept.kept_at, licence=kept.licence)
        if upstream.mode is Mode.OFFLINE:
            raise UnknownFile(filename=beside.filename)
        key = (METADATA_ENDING, upstream.name, file.url, file.metadata_sha256)
        found = self._unkept.get(key)
        if found is None:
            fetch = partial(self._read_metadata, file) if self.read_metadata and not told(file, CORE_METADATA) else self._fetch_metadata
            found = await self._starting.once(key, partial(self._proven_metadata, fetch, upstream, name, beside, key))
        contents, licence = Contents(data=found[0]), found[1]
        when_kept = (lambda hear: hear(beside, contents)) if upstream.mode is Mode.CACHE else (lambda _: None)
        return Arrival(name=name, file=beside, blob=contents, state="miss", licence=licence, when_kept=when_kept)

    async def _read_metadata(self, file: File, upstream: Upstream, _: File) -> bytes:
        assert self.read_metadata is not None, "who calls this has looked"
        return await self.read_metadata(upstream, file)

    async def _fetch_metadata(self, upstream: Upstream, beside: File) -> bytes:
        fetched = await self.fetcher.fetch(beside.url + METADATA_ENDING, {}, limit=_METADATA_BYTES, timeout=_TIMEOUT)
        if fetched.status != HTTPStatus.OK:
            raise UpstreamBroken(source=upstream.name, problem=f"it answers {fetched.status} for metadata that its index advertises")
        return fetched.body

    async def _proven_metadata(
        self,
        fetch: Callable[[Upstream, File], Awaitable[bytes]],
        upstream: Upstream,
        name: Name,
        beside: File,
        key: Hashable,
        _: Flight,
    ) -> tuple[bytes, str | None]:
        data = await fetch(upstream, beside)
        if hashlib.sha256(data).hexdigest() != beside.sha256:
            _log.error("{source}: {filename} has another digest than its index tells", source=upstream.name, filename=beside.filename)
            raise UpstreamBroken(source=upstream.name, problem=f"the sha256 of {beside.filename} is not the one that its index tells")
        licence = _licence(data)
        if upstream.mode is Mode.CACHE:
            self._unkept[key] = data, licence
            # It is proven, so nobody waits for the disk.
            self._errands.begin(f"keeping {beside.filename}", self._keep_proven(data, _kept_metadata(upstream, name, beside, data), key))
        return data, licence

    async def _keep_proven(self, data: bytes, kept: KeptFile, key: Hashable) -> None:
        try:
            await self._keep_metadata(data, kept)
        finally:
            del self._unkept[key]

    async def keep_metadata(self, upstream: Upstream, name: Name, file: File, data: bytes) -> None:
        """Keep core metadata that was read out of `file` where its upstream has it, as is done with what an index tells of."""
        beside = evolve(file, filename=file.filename + METADATA_ENDING, sha256=hashlib.sha256(data).hexdigest())
        await self._keep_metadata(data, _kept_metadata(upstream, name, beside, data))

    async def _keep_metadata(self, data: bytes, kept: KeptFile) -> None:
        staged = self.blobs.stage(lambda: None, lambda: None)
        try:
            staged.write(data)
            await staged.finish()
            await staged.keep()
            await self.catalog.keep_file(kept)
            self.on_kept(kept.size)
        finally:
            staged.discard()

    async def settled(self) -> None:
        """Return when all that was proven is kept."""
        await self._errands.settled()

    async def bytes(self, upstream: Upstream, name: Name, file: File, files: Sequence[KeptFile], *, unread: bool = False) -> Arrival:
        """The bytes of `file`; `files`: what is kept of its name. `unread`: nobody will read them, and they need not come.

        Raises `Elsewhere`, and what fetching raises before there are any.
        """
        for kept in standing_for(file, files):
            with suppress(BlobMissing):
                blob = await self.blobs.open(kept.sha256)
                self.on_used(kept.id)
                found = evolve(file, sha256=kept.sha256, size=kept.size)
                return Arrival(name=name, file=found, blob=blob, state="hit", since=kept.kept_at)
        if upstream.mode is Mode.OFFLINE:
            raise UnknownFile(filename=file.filename)
        if upstream.mode is Mode.REDIRECT:
            raise Elsewhere(url=file.url)
        if unread and (size := await self._size(upstream, file)) is not None:
            return Arrival(name=name, file=evolve(file, size=size), blob=Unread(size=size), state="miss")
        # Its digests are part of what it is: who wants other bytes of this address must not be given these.
        key = (upstream.name, file.url, file.sha256, file.digests)
        transfer = self._transfers.get(key)
        if transfer is None or not transfer.joinable:
            # It may have come since `files` was read. What comes from now on is seen to be on its way.
            by_now = await self.catalog.kept(name)
            if {kept.id for kept in standing_for(file, by_now)} - {kept.id for kept in files}:
                return await self.bytes(upstream, name, file, by_now, unread=unread)
            transfer = self._transfers.get(key)
        if transfer is None or not transfer.joinable:
            transfer = await self._starting.once(key, partial(self._start, upstream, name, file, key, files))
        following: IOpenBlob = transfer.reader()
        transfer.begin()
        if transfer.size <= HELD_BACK:
            # Nothing of it is given before it is proven, so there is time to say what is wrong; and an empty body cannot be broken off.
            try:
                await transfer.proven()
                data = await following.read(0, transfer.size)
            finally:
                following.close()
            following = Contents(data=data)
        few = following if isinstance(following, Contents) else None

        def when_kept(hear: Callable[[File, IOpenBlob | None], object]) -> None:
            transfer.kept.append(lambda sha256: hear(evolve(file, sha256=sha256, size=transfer.size), few))

        return Arrival(name=name, file=evolve(file, size=transfer.size), blob=following, state="miss", when_kept=when_kept)

    async def _size(self, upstream: Upstream, file: File) -> int | None:
        """How long it is, by the word of its index or its server; None if nobody says."""
        if told(file, SIZE):
            return file.size
        said = await self.fetcher.head(file.url, {}, timeout=_TIMEOUT)
        if said.status != HTTPStatus.OK:
            raise UpstreamBroken(source=upstream.name, problem=f"it answers {said.status} for {file.filename}, which its index lists")
        return said.length

    async def _start(  # noqa: PLR0917 - what is wanted, and what is there
        self, upstream: Upstream, name: Name, file: File, key: Hashable, files: Sequence[KeptFile], flight: Flight
    ) -> Transfer:
        stream = await self.fetcher.stream(file.url, {})
        size = stream.length if stream.length is not None else file.size
        problem = ""
        if stream.status != HTTPStatus.OK:
            problem = f"it answers {stream.status} for {file.filename}, which its index lists"
        elif size is None or (told(file, SIZE) and file.size != size):
            problem = f"it does not say how long {file.filename} is, or not what its index says"
        elif flight.abandoned and size > NEARLY:
            problem = f"nobody waits for {file.filename} any more"
        if problem or size is None:
            stream.abort()
            raise UpstreamBroken(source=upstream.name, problem=problem)
        staged = self.blobs.stage(stream.pause, stream.resume)
        staged.expect([algorithm for algorithm, _ in file.digests])
        # What is larger than all that may be kept would put everything else out, and then itself.
        keeps = upstream.mode is Mode.CACHE and size <= self.largest
        end = partial(self._end, upstream, name, [one.id for one in replaced(file, files)]) if keeps else _no_end
        transfer = Transfer(file=file, size=size, staged=staged, end=end, abort=stream.abort, deliver=stream.deliver)
        if size > HELD_BACK:
            staged.follow(transfer.progress)
        self._transfers[key] = transfer
        transfer.over.addCallback(lambda _: self._gone(key, transfer))
        if flight.abandoned:
            transfer.begin()  # there will be no reader to do it
        return transfer

    def _gone(self, key: Hashable, transfer: Transfer) -> None:
        if self._transfers.get(key) is transfer:
            del self._transfers[key]

    def _end(self, upstream: Upstream, name: Name, old: Sequence[int], transfer: Transfer, digests: Digests) -> "Deferred[None]":
        return self._errands.watch(self._keep(upstream, name, old, transfer, digests))

    async def _keep(self, upstream: Upstream, name: Name, old: Sequence[int], transfer: Transfer, digests: Digests) -> None:
        file = transfer.file
        metadata = await transfer.staged.admit(
            lambda archive, size: self.core_metadata(archive, size, file),
            # Its index does not tell of any: from now on ours does.
            lambda found: found.raw if found is not None and _untold(file, found) else None,
        )
        kept = KeptFile(
            source=upstream.name,
            name=name.normalized,
            filename=file.filename,
            sha256=digests.sha256,
            size=digests.size,
            told=file.digests,  # it is proven that they are its own
        )
        if metadata is not None:
            kept = evolve(kept, licence=licence_of(metadata.fields))
            if _untold(file, metadata):
                kept = evolve(kept, metadata=(metadata.sha256, len(metadata.raw)))
        await self.catalog.keep_file(kept)
        self.on_kept(kept.bytes)
        if old:
            self.on_replaced(old)
        for hear in transfer.kept:
            hear(digests.sha256)


def _untold(file: File, metadata: CoreMetadata) -> bool:
    """Whether `metadata` is to be offered beside `file`, whose index does not tell of any."""
    return metadata.sidecar and not told(file, CORE_METADATA) and len(metadata.raw) <= BESIDE_BYTES


def _kept_metadata(upstream: Upstream, name: Name, beside: File, data: bytes) -> KeptFile:
    """The row of core metadata that is kept without its file."""
    return KeptFile(
        source=upstream.name,
        name=name.normalized,
        filename=beside.filename,
        sha256=beside.sha256,
        size=len(data),
        metadata=(beside.sha256, 0),
        licence=_licence(data),
    )


def _licence(raw: bytes) -> str | None:
    """What core metadata, as it is served beside a file, says of the licence: in its headers, which come first."""
    try:
        return licence_of(CoreMetadata.of(raw[:_HEADERS], Kind.WHEEL).fields)
    except InvalidArchive:
        return None


async def _no_end(_: Transfer, __: Digests) -> None:
    """Nothing is kept (Mode.STREAM)."""
