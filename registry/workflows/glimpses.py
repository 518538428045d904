"""Glimpses: what servers tell of files without giving all of them. A wheel's core metadata by a few Ranges, size and time by the way."""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from attrs import Factory, define, evolve, frozen

from registry.domain.archives.core_metadata import CoreMetadata
from registry.domain.archives.partial import Missing, PartialFile
from registry.domain.errors import UpstreamBroken
from registry.domain.facts import SIZE, told
from registry.domain.fetched import Fetched
from registry.domain.model import File
from registry.domain.upstream import Upstream
from registry.interfaces import IFetcher, IThreads

# A zip is read from its end: all that may be an end record, its comment included, and in most wheels the central directory and the
# .dist-info, which comes last (PEP 427).
TAIL = 66 << 10
# The parts of one file beside its end: how many, how large one, and all of them. A central directory has 4 MB at the very most, METADATA 8.
_PARTS, _PART, _ALL = 6, 4 << 20, 12 << 20
# More than is needed is asked for, as what is needed next mostly lies behind it.
_AHEAD = 64 << 10
_TIMEOUT = 10.0
# How long a server that does not do Ranges is believed not to, and how many of those are remembered.
_RANGELESS_FOR, _MOST = timedelta(hours=1), 1000


@frozen(kw_only=True)
class Glimpse:
    """What was seen of a file; None: its server does not tell. `metadata`: the bytes of a wheel's METADATA."""

    size: int | None
    modified: datetime | None
    metadata: bytes | None = None


class _NoRanges(Exception):
    """Its server gives all of a file, whatever it is asked for."""


@define(kw_only=True, eq=False)
class Glimpses:
    """Asks servers about files of upstreams."""

    fetcher: IFetcher
    threads: IThreads
    core_metadata: Callable[[Any, int, File], CoreMetadata | None]  # out of an open distribution, in a thread; lets `Missing` through
    now: Callable[[], datetime]
    _rangeless: dict[str, datetime] = Factory(dict)  # origins that do not do Ranges, and until when that is believed

    async def of(self, upstream: Upstream, file: File, *, metadata: bool) -> Glimpse:
        """What the server of `file` tells of it, core metadata included if that is wanted and can be had.

        Raises what `IFetcher` does, and `UpstreamBroken` if what it tells is not true of one file, or not of this one.
        """
        if metadata and not self._is_rangeless(file):
            try:
                return await self._by_ranges(upstream, file)
            except _NoRanges:
                found = await self._by_head(upstream, file)
                self._note_rangeless(file)
                return found
        return await self._by_head(upstream, file)

    async def metadata(self, upstream: Upstream, file: File) -> bytes:
        """The core metadata of a wheel, read anew, of the digest that was told of it. Raises as `of` does."""
        try:
            found = (await self._by_ranges(upstream, file)).metadata
        except _NoRanges:
            found = None
        if found is None or hashlib.sha256(found).hexdigest() != file.metadata_sha256:
            raise UpstreamBroken(source=upstream.name, problem=f"the core metadata of {file.filename} cannot be read from it any more")
        return found

    async def _by_head(self, upstream: Upstream, file: File) -> Glimpse:
        said = await self.fetcher.head(file.url, {}, timeout=_TIMEOUT)
        if said.status != HTTPStatus.OK:
            raise UpstreamBroken(source=upstream.name, problem=f"it answers {said.status} for {file.filename}, which its index lists")
        if said.length is not None:
            _demand_size(upstream, file, said.length)
        return Glimpse(size=said.length, modified=said.modified(self.now()))

    async def _by_ranges(self, upstream: Upstream, file: File) -> Glimpse:
        first, archive = await self._end(upstream, file)
        found = Glimpse(size=archive.size, modified=first.modified(self.now()))
        left = _ALL
        for _ in range(_PARTS):
            read = await self.threads.run(self._read, archive, file)
            if not isinstance(read, Missing):
                return evolve(found, metadata=read)
            start, stop = read.start, min(archive.size, max(read.stop, read.start + _AHEAD))
            left -= stop - start
            if stop - start > _PART or left < 0:
                break
            more = await self._range(file, f"{start}-{stop - 1}", stop - start)
            if more.part != (start, archive.size) or len(more.body) != stop - start or more.state != first.state:
                raise UpstreamBroken(source=upstream.name, problem=f"{file.filename} changed while it was read, or it gave other bytes")
            archive.add(start, more.body)
        return found

    async def _end(self, upstream: Upstream, file: File) -> tuple[Fetched, PartialFile]:
        """The last bytes of a file, and the file as far as they are of it. Raises `_NoRanges`."""
        size = file.size if file.size and told(file, SIZE) else None
        # Not every server knows what the last bytes are, but each that does Ranges what those from here on are.
        asked = f"-{TAIL}" if size is None else f"{max(0, size - TAIL)}-{size - 1}"
        try:
            first = await self._range(file, asked, TAIL)
        except UpstreamBroken:
            # All of it was coming, most likely.
            raise _NoRanges from None
        start, whole = (0, len(first.body)) if first.status == HTTPStatus.OK else first.part or (-1, 0)
        if start + len(first.body) != whole:
            problem = f"what it gives (with status {first.status}) as the end of {file.filename} is not that"
            raise UpstreamBroken(source=upstream.name, problem=problem)
        _demand_size(upstream, file, whole)
        if start == 0 and file.sha256 and hashlib.sha256(first.body).hexdigest() != file.sha256:
            raise UpstreamBroken(source=upstream.name, problem=f"the sha256 of {file.filename} is not the one that its index tells")
        archive = PartialFile(whole)
        archive.add(start, first.body)
        return first, archive

    async def _range(self, file: File, asked: str, most: int) -> Fetched:
        return await self.fetcher.fetch(file.url, {"Range": f"bytes={asked}"}, limit=most, timeout=_TIMEOUT)

    def _read(self, archive: PartialFile, file: File) -> bytes | Missing | None:
        """The wheel's core metadata, None where it offers none that can be read, or what else must be here to tell. For a thread."""
        try:
            found = self.core_metadata(archive, archive.size, file)
        except Missing as missing:
            return missing
        return found.raw if found is not None and found.sidecar else None

    def _is_rangeless(self, file: File) -> bool:
        until = self._rangeless.get(_origin(file))
        return until is not None and self.now() < until

    def _note_rangeless(self, file: File) -> None:
        if len(self._rangeless) >= _MOST:
            del self._rangeless[next(iter(self._rangeless))]
        self._rangeless[_origin(file)] = self.now() + _RANGELESS_FOR


def _origin(file: File) -> str:
    """Scheme and host, whatever else is in the address."""
    return "/".join(file.url.split("/", 3)[:3])


def _demand_size(upstream: Upstream, file: File, size: int) -> None:
    if file.size is not None and told(file, SIZE) and file.size != size:
        problem = f"it has {size:,} bytes of {file.filename}, whose size is {file.size:,} by its index"
        raise UpstreamBroken(source=upstream.name, problem=problem)
