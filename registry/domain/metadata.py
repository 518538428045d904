"""Core metadata out of an open archive, without any check that can be switched but that of its unpacked size."""

from typing import BinaryIO

from registry.domain.archives.checks import Check, Checks
from registry.domain.archives.core_metadata import CoreMetadata, valid_requires_python
from registry.domain.archives.inspection import inspect_archive
from registry.domain.filenames import FileName
from registry.domain.names import Name
from registry.domain.versions import Version

__all__ = ["CoreMetadata", "read_core_metadata", "valid_requires_python"]


def read_core_metadata(archive: BinaryIO, size: int, file: FileName, name: Name, version: Version) -> CoreMetadata:
    """Read and parse the metadata member of a wheel or sdist of `size` bytes.

    Blocking: call it in a thread. Raises `InvalidArchive` if the archive cannot be read, has no such member, or names another project or
    version than it was uploaded as.
    """
    return inspect_archive(archive, size, file, name, version, {}, Checks(on=frozenset({Check.UNPACKED_SIZE}))).metadata
