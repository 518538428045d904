"""Inspection: one look at a distribution file before anybody else sees it."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from typing import BinaryIO

from attrs import frozen

from registry.domain.archives import sdists, wheels
from registry.domain.archives.advice import advice
from registry.domain.archives.checks import Check, Checks
from registry.domain.archives.claim import Claim
from registry.domain.archives.core_metadata import CoreMetadata, demand_same_project, demand_same_requires_python
from registry.domain.archives.refusals import refusal
from registry.domain.errors import InvalidArchive
from registry.domain.filenames import FileName, Kind
from registry.domain.names import Name
from registry.domain.versions import Version

# What the libraries raise for an archive that is none.
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    KeyError,
    TypeError,
)
_READABLE = {
    Kind.WHEEL: "wheel: it must be a zip archive",
    Kind.SDIST: "source distribution: it must be a gzipped tar (or zip) archive",
}


@frozen(kw_only=True)
class Inspected:
    """A distribution file that passed, and what its uploader should know nevertheless."""

    metadata: CoreMetadata
    warnings: tuple[str, ...]


def inspect_archive(  # noqa: PLR0917 - what, as what, and how strictly
    archive: BinaryIO, size: int, file: FileName, name: Name, version: Version, declared: Mapping[str, str], checks: Checks
) -> Inspected:
    """Read a distribution file of `size` bytes, hold it to `checks`, and return its metadata.

    `declared` holds the form's metadata fields. Blocking: call it in a thread. Time grows with what is unpacked, which is bounded by the
    file's size; memory stays flat but for a listing of the members and the metadata itself. Raises `InvalidArchive`, whose sentence says
    what is wrong, where, and what to do; `OSError` only if the disk fails.
    """
    try:
        if Check.LOCAL_VERSIONS in checks and version.order.local:
            raise refusal("is of a local version, which this registry does not take: release it without what follows the '+'")
        claim = Claim(file=file, name=name, version=version)
        if file.kind is Kind.SDIST:
            odd: tuple[str, ...] = ()
            metadata = _agreed(sdists.pkg_info(archive, size, claim, checks), claim, declared, checks)
        else:
            wheel = wheels.open_wheel(archive, size, claim, checks)
            # What a wheel is of comes first, before the long look at whether it is whole.
            metadata = _agreed(wheel.metadata(), claim, declared, checks)
            odd = wheel.demand_honest()
        return Inspected(metadata=metadata, warnings=(*odd, *advice(metadata.raw)))
    except InvalidArchive as error:
        raise InvalidArchive(filename=file.text, problem=error.problem) from None
    except MemoryError:
        raise InvalidArchive(filename=file.text, problem="needs more memory to unpack than any distribution should") from None
    except _BROKEN as error:
        raise InvalidArchive(filename=file.text, problem=f"is no readable {_READABLE[file.kind]} ({error})") from None


def _agreed(raw: bytes, claim: Claim, declared: Mapping[str, str], checks: Checks) -> CoreMetadata:
    metadata = CoreMetadata.of(raw, claim.file.kind)
    demand_same_project(metadata, claim.name, claim.version)
    if Check.REQUIRES_PYTHON in checks:
        demand_same_requires_python(metadata, declared)
    return metadata
