"""What a name's releases say of themselves, ours and those that upstreams offer under the policy: what the project JSON tells."""

from collections.abc import Mapping
from contextlib import suppress

from attrs import frozen

from registry.domain.archives.core_metadata import CoreMetadata
from registry.domain.errors import BlobMissing, InvalidArchive
from registry.domain.filenames import Kind
from registry.domain.model import File
from registry.domain.names import Name
from registry.domain.project_json import Releases, described
from registry.domain.versions import Version
from registry.interfaces import IBlobs, IPackages, IThreads
from registry.workflows.arrivals import Elsewhere
from registry.workflows.fallback import Fallback, Offer
from registry.workflows.views import View


@frozen(kw_only=True)
class Describing:
    """Reads releases. `beyond` is asked for what is not held here, if there is one; `threads` parse."""

    packages: IPackages
    beyond: Fallback | None
    blobs: IBlobs
    threads: IThreads

    async def releases(self, view: View, name: Name, wanted: Version | None) -> tuple[Releases | None, Offer | None]:
        """The releases of a name with the metadata of one of them, if there are any; and the offer they are of, if it is not all ours.

        Of an upstream's release that is told which is known without asking more: its core metadata if that is kept, else what pages say.
        Raises what `Fallback.page` raises but `Elsewhere`: an upstream's clients are sent to its pages, and this is none.
        """
        ours = await self.packages.releases(view.projects, name, wanted)
        if self.beyond is None:
            return ours, None
        try:
            offer = await self.beyond.page(view.place, view.projects, name, None if ours is None else ours.page)
        except Elsewhere:
            return ours, None
        if offer is None:
            return ours, None
        chosen = described(offer.page, wanted)
        digests = {} if ours is None else ours.digests
        serial = 0 if ours is None else ours.serial
        metadata = {} if chosen is None else await self._metadata(view, name, chosen, ours)
        return Releases(page=offer.page, digests=digests, described=chosen, metadata=metadata, serial=serial), offer

    async def _metadata(self, view: View, name: Name, chosen: File, ours: Releases | None) -> Mapping[str, object]:
        if not chosen.source:
            if ours is not None and ours.described is not None and ours.described.id == chosen.id:
                return ours.metadata
            found = await self.packages.releases(view.projects, name, Version(chosen.version))
            return {} if found is None else found.metadata
        told: dict[str, object] = {"requires_python": chosen.requires_python} if chosen.requires_python else {}
        return {**told, **await self._kept(name, chosen)}

    async def _kept(self, name: Name, chosen: File) -> Mapping[str, object]:
        assert self.beyond is not None, "it has offered the file"
        if not chosen.metadata_sha256:
            return {}
        for kept in await self.beyond.catalog.kept(name):
            if kept.metadata is not None and kept.metadata[0] == chosen.metadata_sha256:
                with suppress(BlobMissing, InvalidArchive):
                    blob = await self.blobs.open(chosen.metadata_sha256)
                    try:
                        raw = await blob.read(0, blob.size) if blob.data is None else blob.data
                    finally:
                        blob.close()
                    # What may stand beside a file is its metadata as wheels have it, whatever the file is.
                    return (await self.threads.run(CoreMetadata.of, raw, Kind.WHEEL)).fields
        return {}
