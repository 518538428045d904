"""Why a file is not taken: its form, its bytes, its archive, or what its package says."""

from datetime import datetime

from attrs import frozen

from registry.domain.errors.base import RegistryError, shown


@frozen(kw_only=True)
class MalformedForm(RegistryError):
    """The request body is not a complete multipart/form-data form."""

    problem: str

    def __str__(self) -> str:
        return f"The upload form cannot be read: {self.problem}"


@frozen(kw_only=True)
class MissingFields(RegistryError):
    """The upload form lacks fields it must have."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(f"{name} is missing" for name in self.names)


@frozen(kw_only=True)
class InvalidField(RegistryError):
    """A field of the form has the wrong kind of value."""

    name: str

    def __str__(self) -> str:
        return f"{self.name} is invalid"


@frozen(kw_only=True)
class EmptyFile(RegistryError):
    """The uploaded file has no bytes."""

    filename: str

    def __str__(self) -> str:
        return f"File is empty: {shown(self.filename)} has no bytes. Build it again and upload that"


@frozen(kw_only=True)
class FileTooLarge(RegistryError):
    """The file, or the body that declares to carry it, is over the configured limit; `limit` in bytes."""

    limit: int

    def __str__(self) -> str:
        return f"File is too large: this registry takes files of up to {self.limit:,} bytes ([uploads] max_file_size)"


@frozen(kw_only=True)
class DigestMismatch(RegistryError):
    """A digest the client sent is not that of the bytes that arrived."""

    algorithm: str
    declared: str
    computed: str

    def __str__(self) -> str:
        return (
            f"The {self.algorithm} digest does not match the file: the form says {shown(self.declared)}, the bytes that arrived have "
            f"{self.computed}. The upload was damaged on its way, or the file changed while it was sent; upload it again"
        )


@frozen(kw_only=True)
class InvalidArchive(RegistryError):
    """The file is not an archive that holds readable core metadata for what it claims to be."""

    filename: str
    problem: str

    def __str__(self) -> str:
        return f"Invalid distribution file: {shown(self.filename)} {self.problem}"


@frozen(kw_only=True)
class NotAccepting(RegistryError):
    """The name takes no uploads any more (PEP 792)."""

    name: str
    status: str
    reason: str

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"{shown(self.name)} is {self.status} and takes no uploads{why}. A Maintainer can set its status back to active"


@frozen(kw_only=True)
class VersionClosed(RegistryError):
    """The version takes no further files. `since`: when its first file came, where its age has closed it."""

    version: str
    since: datetime | None

    def __str__(self) -> str:
        how = "was closed" if self.since is None else f"has been open since {self.since:%Y-%m-%d} and is closed by its age"
        return f"Version {shown(self.version)} is closed: it {how}. Publish a new version, or let a Maintainer reopen this one"


@frozen(kw_only=True)
class InvalidAttestations(RegistryError):
    """Attestations that came with a file are malformed, prove nothing about it, or are signed by nobody the operator accepts (PEP 740)."""

    problem: str

    def __str__(self) -> str:
        return (
            f"Invalid attestations supplied during upload: {self.problem}. Nothing was stored; sign the file again with an accepted "
            "identity, or upload it without attestations"
        )


@frozen(kw_only=True)
class FileExists(RegistryError):
    """A file of this name is already published in this package; `identical` tells whether it has the same bytes."""

    filename: str
    identical: bool

    def __str__(self) -> str:
        # GitLab's sentence first; twine looks for "already exist", poetry and maturin for "already been taken".
        return "Validation failed: File name has already been taken (file already exists)"
