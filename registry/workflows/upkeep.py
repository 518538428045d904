"""Looking after what is held: sweeping orphans, checking that bytes and rows agree, telling whether the registry can serve."""

from collections.abc import AsyncIterator, Callable, Iterator

from attrs import frozen

from registry.domain.filenames import METADATA_ENDING
from registry.domain.upstream import KeptFile
from registry.interfaces import IBlobs, IPackages

# `IKeeping.files_by_digest`.
KeptFiles = Callable[[], AsyncIterator[list[KeptFile]]]


@frozen(kw_only=True)
class Trouble:
    """One disagreement between catalog and blob store. `source`: the upstream that a kept file came from; empty: it was published here."""

    sha256: str
    problem: str
    filename: str = ""
    source: str = ""

    def __str__(self) -> str:
        names = " of ".join(part for part in (self.filename, self.source) if part)
        return f"{self.sha256} {f'({names}) ' if names else ''}{self.problem}"


async def sweep(packages: IPackages, blobs: IBlobs) -> int:
    """Remove blobs that no file names (a killed server leaves them); how many were removed."""

    async def named(batch: list[str]) -> set[str]:
        return await packages.named(batch)

    return await blobs.sweep(named)


async def verify(packages: IPackages, blobs: IBlobs, kept: KeptFiles) -> AsyncIterator[Trouble | None]:
    """Re-hash every blob and cross-check both ways: one item a blob, None where all is well.

    Published files come first, then those that are `kept` of upstreams, each with its metadata. Bytes that are kept under several names are
    told under each: each has to be forgotten. Orphans are reported too, though they do no harm: a running server may be between keeping a
    blob and writing its row.
    """
    for part in (_published(packages, blobs), _kept(packages, blobs, kept), _orphans(packages, blobs)):
        async for found in part:
            yield found


async def _published(packages: IPackages, blobs: IBlobs) -> AsyncIterator[Trouble | None]:
    async for batch in packages.blobs():
        for sha256, size, filename in batch:
            problem = await _problem(packages, blobs, sha256, size)
            yield None if problem is None else Trouble(sha256=sha256, filename=filename or "", problem=problem)


async def _kept(packages: IPackages, blobs: IBlobs, kept: KeptFiles) -> AsyncIterator[Trouble | None]:
    checked, problem = "", None
    async for files in kept():
        for file in files:
            for sha256, size, filename in _parts(file):
                if sha256 != checked:
                    checked, problem = sha256, await _problem(packages, blobs, sha256, size)
                if problem is None:
                    yield None
                else:
                    yield Trouble(sha256=sha256, filename=filename, source=file.source, problem=f"{problem}; {_remedy(file)}")


async def _orphans(packages: IPackages, blobs: IBlobs) -> AsyncIterator[Trouble | None]:
    async for names in blobs.listing():
        known = await packages.named(names)
        for sha256 in names:
            if sha256 not in known:
                yield Trouble(sha256=sha256, problem="is on disk, but no file in the catalog names it (the next sweep removes it)")


async def _problem(packages: IPackages, blobs: IBlobs, sha256: str, size: int) -> str | None:
    """What is wrong with a blob that the catalog named a moment ago; None: nothing."""
    found = await blobs.digest(sha256)
    if found == sha256:
        return None
    if found is not None:
        return f"has changed on disk: its bytes now hash to {found}"
    # A running server may have forgotten it in between: rows go before bytes.
    if sha256 not in await packages.named([sha256]):
        return None
    return f"is in the catalog ({size:,} bytes), but its bytes are gone"


def _parts(file: KeptFile) -> Iterator[tuple[str, int, str]]:
    """The digests, sizes and names of what is kept of a file. The row of metadata alone names the same blob twice."""
    yield file.sha256, file.size, file.filename
    if file.metadata is not None and file.metadata[0] != file.sha256:
        yield *file.metadata, file.filename + METADATA_ENDING


def _remedy(file: KeptFile) -> str:
    return f"`registry cache purge {file.name}` forgets it, and who asks for it next has it fetched again"
