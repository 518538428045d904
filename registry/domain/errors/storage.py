"""What is wrong with us: the disk, the data directory, the catalog."""

from attrs import frozen

from registry.domain.errors.base import RegistryError


@frozen(kw_only=True)
class StorageFull(RegistryError):
    """The disk (or quota) that holds blobs has no room for this file."""

    def __str__(self) -> str:
        return "The registry's disk is full; nothing was stored. Tell whoever runs it, then upload again"


@frozen(kw_only=True)
class Unavailable(RegistryError):
    """A part of the registry that this needs is not there (yet, or any more)."""

    part: str

    def __str__(self) -> str:
        return f"The registry's {self.part} is not available; try again in a moment"


@frozen(kw_only=True)
class Broken(RegistryError):
    """A mistake of ours; the log has it."""

    def __str__(self) -> str:
        return "Internal Server Error"


@frozen(kw_only=True)
class BlobMissing(RegistryError):
    """The catalog names a blob whose bytes are gone; `registry verify` tells which files are affected."""

    sha256: str

    def __str__(self) -> str:
        return "Not Found"


@frozen(kw_only=True)
class DataDirInUse(RegistryError):
    """Another registry process holds the data directory."""

    path: str

    def __str__(self) -> str:
        return f"The data directory {self.path} is in use by another registry process; stop that one, or give this one its own --data-dir"


@frozen(kw_only=True)
class NewerSchema(RegistryError):
    """The catalog was written by a later release than this one."""

    found: str

    def __str__(self) -> str:
        return f"The catalog has schema revision {self.found}, unknown to this release; start the release that wrote it, or a later one"
