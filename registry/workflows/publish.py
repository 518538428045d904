"""Publishing: from a complete form and staged bytes to a file that everybody sees at once, or to nothing at all."""

import hmac
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import BinaryIO

from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from registry.domain.archives.checks import Check, Checks
from registry.domain.archives.core_metadata import CoreMetadata, valid_requires_python
from registry.domain.archives.inspection import Inspected, inspect_archive
from registry.domain.attestations import NOT_KEPT
from registry.domain.errors import ConfusableName, DigestMismatch, EmptyFile, FileExists, RegistryError
from registry.domain.inventory import origin_of
from registry.domain.model import Actor, Digests, File, NewFile
from registry.domain.names import Name
from registry.domain.protection import demand_push, level_of
from registry.domain.releases import Prospect, demand_open, demand_takes_uploads
from registry.domain.upload import Upload, read_upload
from registry.interfaces import IAttestations, IBlobs, IPackages, IStagedBlob
from registry.workflows.gate import Admission


@frozen(kw_only=True)
class Published:
    """A file that everybody sees, and what its publisher should know about it."""

    file: File
    warnings: tuple[str, ...] = ()


@define(kw_only=True)
class Publisher:
    """Publishes files.

    `accept_identical`: the same bytes under the same name again are a success instead of `FileExists`; `close_after`: how old a version may
    be that still takes files (None: any age). `on_restored` hears the sha256 of bytes that were put back by such a success.
    """

    packages: IPackages
    blobs: IBlobs
    now: Callable[[], datetime]
    accept_identical: bool = False
    close_after: timedelta | None = None
    checks: Checks = field(factory=partial(Checks.of, "strict"))
    on_restored: Callable[[str], object] = lambda _: None
    attestations: IAttestations | None = None  # None: those that are sent are not kept
    _underway: int = 0  # publishes that have begun and not ended
    _settled: "Deferred[None] | None" = None  # somebody waits for them

    async def settled(self) -> None:
        """Wait until every publish that has begun has ended. For stopping: their clients may be gone already."""
        if self._underway:
            self._settled = Deferred()
            await self._settled

    async def publish(
        self, admission: Admission, actor: Actor, fields: Mapping[str, str], filename: str | None, staged: IStagedBlob | None
    ) -> Published:
        """Publish one staged file.

        Whatever it raises, nothing was published and nothing stays behind; once it returns, the file is durable and on its page. `staged`
        is None when the form held no file. Checks in the order a person would want to hear of them: form, protection, status, digests,
        duplicate, closing, attestations, archive.
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
            if self.accept_identical and prospect.taken == digests.sha256 and await staged.keep():
                # What was there had been damaged, or was gone.
                self.on_restored(digests.sha256)
            # Both only so that they are told before the archive is read; the catalog decides between two at once.
            _not_published(prospect, upload, digests)
            demand_open(prospect.release, upload.version, self.close_after, self.now())

            await self._not_confusable(project.id, upload.name, prospect)
            provenance, warnings = await self._proved(fields, upload, digests)

            def look(archive: BinaryIO, size: int) -> Inspected:
                return inspect_archive(archive, size, upload.file, upload.name, upload.version, upload.metadata, self.checks)

            # First the bytes, then the row: a crash in between leaves an orphan for the sweep, never a row without bytes.
            inspected = await staged.admit(look, _sidecar)
            new = _new_file(upload, digests, inspected.metadata, origin_of(admission.identity), provenance)
            try:
                file = await self.packages.add_file(project.id, new, actor, close_after=self.close_after)
            except RegistryError:
                staged.discard()
                await self._release([digests.sha256, *([new.metadata_blob[0]] if new.metadata_blob else [])])
                raise
            return Published(file=file, warnings=(*warnings, *inspected.warnings))
        except FileExists as error:
            if error.identical and self.accept_identical:
                found = await self.packages.file((project.id,), digests.sha256, upload.file.text)
                if found is not None:
                    return Published(file=found)
            raise
        finally:
            if staged is not None:
                staged.discard()
            self._underway -= 1
            if self._settled is not None and not self._underway:
                settled, self._settled = self._settled, None
                settled.callback(None)

    async def _not_confusable(self, project_id: int, name: Name, prospect: Prospect) -> None:
        """Raises `InvalidName` for a new name that people would take for one that is there, where that is checked."""
        if Check.SIMILAR_NAMES not in self.checks or prospect.release is not None:
            return
        names = await self.packages.names((project_id,))
        if name.normalized in names:
            return
        key = name.look_alike
        for known in names:
            if Name(known).look_alike == key:
                raise ConfusableName(name=name.display, known=known)

    async def _proved(
        self, fields: Mapping[str, str], upload: Upload, digests: Digests
    ) -> tuple[Mapping[str, object] | None, tuple[str, ...]]:
        """The provenance object that the form's attestations make, and what to tell where they make none."""
        text = fields.get("attestations")
        if not text:
            return None, ()
        if self.attestations is None:
            return None, (NOT_KEPT,)
        return await self.attestations.verify(upload.file.text, digests.sha256, text), ()

    async def _release(self, digests: Sequence[str]) -> None:
        # Another was faster, or the catalog failed. Where it cannot even be asked, the sweep will find what no row names.
        with suppress(RegistryError):
            await self.blobs.release(digests, self.packages.named)


def _sidecar(inspected: Inspected) -> bytes | None:
    """What is kept beside a file, to be served as its metadata (PEP 658)."""
    return inspected.metadata.raw if inspected.metadata.sidecar else None


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


def _new_file(
    upload: Upload,
    digests: Digests,
    metadata: CoreMetadata,
    pipeline: Mapping[str, object] | None,
    provenance: Mapping[str, object] | None,
) -> NewFile:
    return NewFile(
        name=upload.name,
        version=upload.version,
        filename=upload.file.text,
        digests=digests,
        # What the archive says is what an installer will believe; the form speaks only where the archive is silent.
        requires_python=valid_requires_python(metadata.requires_python or upload.metadata.get("requires_python", "")),
        metadata={**upload.metadata, **metadata.fields},
        pipeline=pipeline,
        metadata_blob=(metadata.sha256, len(metadata.raw)) if metadata.sidecar else None,
        provenance=provenance,
    )
