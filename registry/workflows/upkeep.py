"""Looking after what is held: sweeping orphans, checking that bytes and rows agree, telling whether the registry can serve."""

from collections.abc import AsyncIterator

from attrs import frozen

from registry.interfaces import IBlobs, IPackages


@frozen(kw_only=True)
class Trouble:
    """One disagreement between catalog and blob store."""

    sha256: str
    problem: str
    filename: str = ""

    def __str__(self) -> str:
        return f"{self.sha256} {f'({self.filename}) ' if self.filename else ''}{self.problem}"


async def sweep(packages: IPackages, blobs: IBlobs) -> int:
    """Remove blobs that no file names (a killed server leaves them); how many were removed."""

    async def named(batch: list[str]) -> set[str]:
        return await packages.named(batch)

    return await blobs.sweep(named)


async def verify(packages: IPackages, blobs: IBlobs) -> AsyncIterator[Trouble | None]:
    """Re-hash every blob and cross-check both ways: one item a blob, None where all is well.

    Orphans are reported too, though they do no harm: a running server may be between keeping a blob and writing its row.
    """
    async for batch in packages.blobs():
        for sha256, size, filename in batch:
            found = await blobs.digest(sha256)
            if found is None:
                yield Trouble(sha256=sha256, filename=filename or "", problem=f"is in the catalog ({size:,} bytes), but its bytes are gone")
            elif found != sha256:
                yield Trouble(sha256=sha256, filename=filename or "", problem=f"has changed on disk: its bytes now hash to {found}")
            else:
                yield None
    async for names in blobs.listing():
        known = await packages.named(names)
        for sha256 in names:
            if sha256 not in known:
                yield Trouble(sha256=sha256, problem="is on disk, but no file in the catalog names it (the next sweep removes it)")
