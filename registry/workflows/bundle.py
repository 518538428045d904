"""Bundles: what is kept of upstreams in one file, to be carried to a site that can ask nobody. Files are read and written where this runs.

For the command line, which has no reactor that would wait.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

from attrs import evolve, field, frozen

from registry.domain.bundles.contents import MOST_BYTES, BundledPage, Contents, InvalidBundle, Member
from registry.domain.bundles.documents import JSON_TYPE, NOWHERE, page_document
from registry.domain.bundles.framing import padded, read_body, read_head, read_tail, write_end, write_head, write_tail
from registry.domain.digests import new_hash
from registry.domain.errors import BlobMissing, RegistryError
from registry.domain.model import Actor
from registry.domain.names import Name
from registry.domain.upstream import KeptFile, Said
from registry.interfaces import IBlobs, IKeeping, IUpstreamCatalog

_FOLDER = "index/"  # of the list, which is named by its digest, too
_BATCH, _PAGES_AT_ONCE = 1000, 20
_PIECE = 1 << 20
_Told = Mapping[str, frozenset[str]]  # digests, by algorithm


def _nothing(_: int) -> None:
    pass


@frozen(kw_only=True)
class Bundles:
    """Writes and reads bundles. `reader` reads a page as it is read from an upstream: body, type, address, name, upstream."""

    catalog: IUpstreamCatalog
    keeping: IKeeping
    blobs: IBlobs
    reader: Callable[[bytes, str, str, Name, str], Any]
    progress: Callable[[int], object] = field(default=_nothing)  # hears of bytes of the bundle that are done

    async def write(self, out: BinaryIO, spool: BinaryIO, names: Sequence[Name] | None) -> Contents:
        """Write a bundle of what is kept of these names (None: of all) to `out`, and tell what is in it.

        The same contents make the same bytes. `spool` is an empty file for the pages meanwhile. Raises `InvalidBundle` if what is kept
        changes while it is written.
        """
        wanted = None if names is None else {name.normalized for name in names}
        places: dict[str, int] = {}  # of pages in the spool, by digest
        pages = await self._spool_pages(spool, places, wanted)
        contents = Contents(pages=tuple(pages), files=tuple(await self._files(wanted)))
        listed = contents.render()
        write_head(out, _list_path(listed), len(listed))
        out.write(listed)
        write_end(out, len(listed))
        for member in contents.members:
            write_head(out, member.path, member.size)
            if member.kind == "pages":
                spool.seek(places[member.sha256])
                self._put(out, spool.read(member.size))
            else:
                await self._write_blob(out, member)
            write_end(out, member.size)
        write_tail(out, padded(len(listed)) + sum(padded(member.size) for member in contents.members))
        return contents

    async def look(self, file: BinaryIO) -> Contents:
        """What a bundle says it holds; reads its list only. Raises `InvalidBundle`."""
        path, size = read_head(file, _FOLDER)
        if size > MOST_BYTES:
            raise InvalidBundle(f"The list of the bundle is too long: at most {MOST_BYTES:,} bytes are read")
        pieces: list[bytes] = []
        read_body(file, path, size, pieces.append)
        data = b"".join(pieces)
        if path != _list_path(data):
            raise InvalidBundle("The list of the bundle is damaged: its digest is another than its name says")
        return Contents.parse(data)

    async def verify(self, file: BinaryIO) -> Contents:
        """Read a bundle to its end, digest by digest, page by page, and keep nothing. Raises `InvalidBundle`."""
        contents = await self.look(file)
        pages, told = _by_digest(contents), contents.told
        for member in contents.members:
            body = self._read(file, member, told.get(member.sha256, {}))
            for page in pages.get(member.sha256, ()) if member.kind == "pages" else ():
                self._page(page, body)
        read_tail(file)
        return contents

    async def take_in(self, file: BinaryIO, actor: Actor) -> int:
        """Keep all that a bundle holds; how many pages were newer than what was known.

        It is verified again as it is read. Blobs come before the rows that name them: a crash leaves what was complete, and taking the
        bundle in again goes on. Raises `InvalidBundle`, `StorageFull`.
        """
        contents = await self.look(file)
        pages, waiting, newer, told = _by_digest(contents), list[Said](), 0, contents.told
        for member in contents.members:
            if member.kind == "blobs":
                await self._take_blob(file, member, told.get(member.sha256, {}))
                continue
            body = self._read(file, member, {})
            waiting += [self._page(page, body) for page in pages.get(member.sha256, ())]
            if len(waiting) >= _PAGES_AT_ONCE:
                newer += await self.keeping.take_in(waiting, [], actor)
                waiting.clear()
        newer += await self.keeping.take_in(waiting, [], actor)
        read_tail(file)
        for start in range(0, len(contents.files), _BATCH):
            await self.keeping.take_in([], contents.files[start : start + _BATCH], actor)
        return newer

    # --- writing ---

    async def _spool_pages(self, spool: BinaryIO, places: dict[str, int], wanted: set[str] | None) -> list[BundledPage]:
        found: list[BundledPage] = []
        offset = 0
        while listed := await self.catalog.pages(limit=_BATCH, offset=offset):
            offset += len(listed)
            for source, name, _ in listed:
                said = await self.catalog.said(source, Name(name)) if wanted is None or name in wanted else None
                # That there is no such name is known for a minute; nobody wants it carried about.
                if said is None or said.page is None:
                    continue
                body = page_document(said.page)
                sha256 = hashlib.sha256(body).hexdigest()
                if sha256 not in places:
                    places[sha256] = spool.seek(0, 2)
                    spool.write(body)
                found.append(
                    BundledPage(source=source, name=said.name, etag=said.etag, fetched_at=said.fetched_at, sha256=sha256, size=len(body))
                )
        return found

    async def _files(self, wanted: set[str] | None) -> list[KeptFile]:
        found: list[KeptFile] = []
        offset = 0
        while listed := await self.catalog.files(limit=_BATCH, offset=offset):
            offset += len(listed)
            for file in listed:
                if wanted is not None and file.name not in wanted:
                    continue
                # Metadata that is kept without its file is a row of its own, whose blob it is; sizes of blobs are told once.
                alone = file.metadata is not None and file.metadata[0] == file.sha256
                found.append(evolve(file, metadata=(file.sha256, 0)) if alone else file)
        return [file for file in found if await self._is_there(file.sha256)]

    async def _is_there(self, sha256: str) -> bool:
        try:
            (await self.blobs.open(sha256)).close()
        except BlobMissing:
            return False
        return True

    async def _write_blob(self, out: BinaryIO, member: Member) -> None:
        try:
            blob = await self.blobs.open(member.sha256)
        except BlobMissing:
            raise InvalidBundle(f"{member.sha256} was forgotten while the bundle was written; begin again") from None
        try:
            if blob.size != member.size:
                raise InvalidBundle(f"{member.sha256} has {blob.size:,} bytes instead of {member.size:,}; see `registry verify`")
            digest = hashlib.sha256()
            for offset in range(0, member.size, _PIECE):
                piece = blob.data[offset : offset + _PIECE] if blob.data is not None else await blob.read(offset, _PIECE)
                digest.update(piece)
                self._put(out, piece)
        finally:
            blob.close()
        if digest.hexdigest() != member.sha256:
            raise InvalidBundle(f"{member.sha256} has changed on disk; see `registry verify`")

    def _put(self, out: BinaryIO, data: bytes) -> None:
        out.write(data)
        self.progress(len(data))

    # --- reading ---

    def _read(self, file: BinaryIO, member: Member, told: _Told) -> bytes:
        """The body of a page; of a blob nothing, but its digests are compared."""
        pieces: list[bytes] = []
        self._verified(file, member, told, pieces.append if member.kind == "pages" else lambda _: None)
        return b"".join(pieces)

    def _verified(self, file: BinaryIO, member: Member, told: _Told, take: Callable[[bytes], Any]) -> None:
        if read_head(file, member.path)[1] != member.size:
            raise InvalidBundle(f"The bundle has another size for {member.path} than its list")
        digest, others = hashlib.sha256(), {algorithm: new_hash(algorithm) for algorithm in told}

        def took(piece: bytes) -> None:
            for one in (digest, *others.values()):
                one.update(piece)
            take(piece)
            self.progress(len(piece))

        read_body(file, member.path, member.size, took)
        if digest.hexdigest() != member.sha256:
            raise InvalidBundle(f"The bytes of {member.path} are not those that the bundle was made of: they hash to {digest.hexdigest()}")
        for algorithm, wanted in told.items():
            if wanted != {others[algorithm].hexdigest()}:
                raise InvalidBundle(f"The list of the bundle tells another {algorithm} of {member.path} than its bytes have")

    def _page(self, page: BundledPage, body: bytes) -> Said:
        """A page, read as if its upstream had sent it: what would not be believed of that is not believed of a bundle."""
        try:
            read = self.reader(body, JSON_TYPE, NOWHERE, page.name, page.source)
        except RegistryError as error:
            raise InvalidBundle(f"The page of {page.name.normalized} in the bundle cannot be read: {error}") from None
        return Said(source=page.source, name=page.name, page=read.page, etag=page.etag, fetched_at=page.fetched_at)

    async def _take_blob(self, file: BinaryIO, member: Member, told: _Told) -> None:
        staged = self.blobs.stage(lambda: None, lambda: None)
        try:
            self._verified(file, member, told, staged.write)
            await staged.finish()
            await staged.keep()
        finally:
            staged.discard()


def _list_path(data: bytes) -> str:
    return f"{_FOLDER}{hashlib.sha256(data).hexdigest()}.json"


def _by_digest(contents: Contents) -> dict[str, list[BundledPage]]:
    found: dict[str, list[BundledPage]] = {}
    for page in contents.pages:
        found.setdefault(page.sha256, []).append(page)
    return found
