"""Publishing: from a complete form and staged bytes to a file that everybody sees at once, or to nothing at all."""

import hmac
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import BinaryIO

from attrs import define
from twisted.internet.defer import Deferred

from registry.domain.errors import DigestMismatch, EmptyFile, FileExists, RegistryError
from registry.domain.inventory import origin_of
from registry.domain.metadata import CoreMetadata, read_core_metadata, valid_requires_python
from registry.domain.model import Actor, Digests, File, NewFile
from registry.domain.protection import demand_push, level_of
from registry.domain.releases import Prospect, demand_open, demand_takes_uploads
from registry.domain.upload import Upload, read_upload
from registry.interfaces import IBlobs, IPackages, IStagedBlob
from registry.workflows.gate import Admission


@define(kw_only=True)
class Publisher:
    """Publishes files.

    `accept_identical`: the same bytes under the same name again are a success instead of `FileExists`; `close_after`: how old a version may
    be that still takes files (None: any age).
    """

    packages: IPackages
    blobs: IBlobs
    now: Callable[[], datetime]
    accept_identical: bool = False
    close_after: timedelta | None = None
    _underway: int = 0  # publishes that have begun and not ended
    _settled: "Deferred[None] | None" = None  # somebody waits for them

    async def settled(self) -> None:
        """Wait until every publish that has begun has ended. For stopping: their clients may be gone already."""
        if self._underway:
            self._settled = Deferred()
            await self._settled

    async def publish(
        self, admission: Admission, actor: Actor, fields: Mapping[str, str], filename: str | None, staged: IStagedBlob | None
    ) -> File:
        """Publish one staged file.

        Whatever it raises, nothing was published and nothing stays behind; once it returns, the file is durable and on its page. `staged`
        is None when the form held no file. Checks in the order a person would want to hear of them: form, protection, digests, duplicate,
        archive.
        """
        self._underway += 1
        project = admission.project
        try:
            upload = read_upload(fields, filename)
            level = level_of(admission.identity, project, admission.standing)
            prospect = await self.packages.prospect(project.id, upload.name, upload.version, upload.file.text)
            demand_push(prospect.rules, upload.name, level)
            demand_takes_uploads(upload.name.normalized, prospect.status, prospect.status_reason)
            assert staged is not None, "a form with a file name has a file"
            digests = await staged.finish(tuple(upload.digests))
            _compare(upload, digests)
            # Both only so that they are told before the archive is read; the catalog decides between two at once.
            _not_published(prospect, upload, digests)
            demand_open(prospect.release, upload.version, self.close_after, self.now())

            def look(archive: BinaryIO, size: int) -> CoreMetadata:
                return read_core_metadata(archive, size, upload.file, upload.name, upload.version)

            # First the bytes, then the row: a crash in between leaves an orphan for the sweep, never a row without bytes.
            metadata = await staged.admit(look)
            new = _new_file(upload, digests, metadata, origin_of(admission.identity))
            try:
                return await self.packages.add_file(project.id, new, actor, close_after=self.close_after)
            except RegistryError:
                staged.discard()
                await self._release(digests.sha256)
                raise
        except FileExists as error:
            if error.identical and self.accept_identical:
                found = await self.packages.file((project.id,), digests.sha256, upload.file.text)
                if found is not None:
                    return found
            raise
        finally:
            if staged is not None:
                staged.discard()
            self._underway -= 1
            if self._settled is not None and not self._underway:
                settled, self._settled = self._settled, None
                settled.callback(None)

    async def _release(self, sha256: str) -> None:
        # Another was faster, or the catalog failed. Where it cannot even be asked, the sweep will find what no row names.
        with suppress(RegistryError):
            await self.blobs.release([sha256], self.packages.named)


def _not_published(prospect: Prospect, upload: Upload, digests: Digests) -> None:
    if prospect.taken is not None:
        raise FileExists(filename=upload.file.text, identical=hmac.compare_digest(prospect.taken, digests.sha256))


def _compare(upload: Upload, digests: Digests) -> None:
    if digests.size == 0:
        raise EmptyFile(filename=upload.file.text)
    computed = {**digests.others, "sha256": digests.sha256}
    for algorithm, declared in upload.digests.items():
        if not hmac.compare_digest(declared.encode("utf-8", "surrogatepass"), computed[algorithm].encode()):
            raise DigestMismatch(algorithm=algorithm, declared=declared, computed=computed[algorithm])


def _new_file(upload: Upload, digests: Digests, metadata: CoreMetadata, pipeline: Mapping[str, object] | None) -> NewFile:
    return NewFile(
        name=upload.name,
        version=upload.version,
        filename=upload.file.text,
        digests=digests,
        # What the archive says is what an installer will believe; the form speaks only where the archive is silent.
        requires_python=valid_requires_python(metadata.requires_python or upload.metadata.get("requires_python", "")),
        metadata={**upload.metadata, **metadata.fields},
        pipeline=pipeline,
    )
