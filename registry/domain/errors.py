"""What can go wrong, in the registry's own words. Nothing here knows HTTP; `web.errors` has the one table that does."""

from collections.abc import Mapping
from datetime import datetime

from attrs import frozen


class RegistryError(Exception):
    """Base of every error a caller may be told about; `str()` is a sentence for that caller."""


# --- what the caller sent -------------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class InvalidName(RegistryError):
    """The text is not a project name in the sense of PEP 508."""

    text: str

    def __str__(self) -> str:
        return (
            f"Name is invalid: {shown(self.text)} is not a Python project name. Use ASCII letters, digits, '.', '_' and '-', "
            "beginning and ending with a letter or digit (PEP 508)"
        )


@frozen(kw_only=True)
class ConfusableName(RegistryError):
    """The name is too much like one that is there."""

    name: str
    known: str

    def __str__(self) -> str:
        return f"Name is invalid: {shown(self.name)} looks like {shown(self.known)}, which is here. Use a name that nobody takes for it"


@frozen(kw_only=True)
class InvalidVersion(RegistryError):
    """The text is not a version in the sense of PEP 440."""

    text: str

    def __str__(self) -> str:
        return f"Version is invalid: {shown(self.text)} is not a PEP 440 version such as 1.0, 2.1rc1 or 1.0.post2"


@frozen(kw_only=True)
class InvalidFileName(RegistryError):
    """The file name is not that of a wheel or sdist of the name and version it was sent with."""

    filename: str
    problem: str

    def __str__(self) -> str:
        return f"File name is invalid: {shown(self.filename)} {self.problem}"


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
class BodyTooLarge(RegistryError):
    """A request body that is not an upload is over the limit; `limit` in bytes."""

    limit: int

    def __str__(self) -> str:
        return f"The request body is over {self.limit:,} bytes"


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
class Quarantined(RegistryError):
    """The name is quarantined: its files are not offered to anybody (PEP 792)."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.name)} is quarantined: its files cannot be downloaded" + (f" ({self.reason})" if self.reason else "")


@frozen(kw_only=True)
class Deleted(RegistryError):
    """The file was here and has been deleted."""

    filename: str
    at: datetime

    def __str__(self) -> str:
        return f"{shown(self.filename)} was deleted on {self.at:%Y-%m-%d}; its bytes are gone"


@frozen(kw_only=True)
class NotAcceptable(RegistryError):
    """The client's `Accept` rules out the one type there is."""

    offered: str

    def __str__(self) -> str:
        return f"This is {self.offered} and nothing else; send that in Accept, or no Accept at all"


@frozen(kw_only=True)
class InvalidMoment(RegistryError):
    """The text is no date and no instant."""

    text: str

    def __str__(self) -> str:
        return f"{shown(self.text)} is neither a date such as 2026-11-21 nor an instant such as 2026-11-21T09:30:00Z (RFC 3339)"


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


@frozen(kw_only=True)
class InvalidSetting(RegistryError):
    """A value given on the command line or in the API is not one of those allowed."""

    what: str
    value: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.what} {shown(self.value)} is invalid: {self.allowed}"


@frozen(kw_only=True)
class InvalidParameters(RegistryError):
    """Parameters of a REST request are missing or of the wrong kind; `problem` in Grape's words."""

    problem: str

    def __str__(self) -> str:
        return self.problem


@frozen(kw_only=True)
class Refused(RegistryError):
    """A change that the rules do not allow; `problems` maps the fields at fault to GitLab's words."""

    problems: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        return "; ".join(f"{name} {' and '.join(words)}" for name, words in self.problems.items())


@frozen(kw_only=True)
class BadRequest(RegistryError):
    """A change that is well-formed and not allowed, in GitLab's words."""

    text: str

    def __str__(self) -> str:
        return self.text


@frozen(kw_only=True)
class Conflict(RegistryError):
    """What is to be made exists already."""

    text: str

    def __str__(self) -> str:
        return self.text


@frozen(kw_only=True)
class Unprocessable(RegistryError):
    """A change that is well-formed and cannot be made, such as a pattern that is taken."""

    text: str

    def __str__(self) -> str:
        return self.text


@frozen(kw_only=True)
class PreconditionFailed(RegistryError):
    """What is to be changed is newer than the caller believes."""

    def __str__(self) -> str:
        return "Precondition Failed"


@frozen(kw_only=True)
class TooManyFailures(RegistryError):
    """Too many failed sign-ins from this address or for this user name; `retry_after` in seconds."""

    retry_after: int

    def __str__(self) -> str:
        return "Too many failed sign-ins; check the token, then try again in a minute"


@frozen(kw_only=True)
class AlreadyTaken(RegistryError):
    """The name or path of something new belongs to something that exists."""

    what: str
    value: str

    def __str__(self) -> str:
        return f"{self.what} {shown(self.value)} has already been taken"


# --- what is not there, or not for this caller ----------------------------------------------------------------------------------------


@frozen(kw_only=True)
class UnknownProject(RegistryError):
    """No project that this caller may see. Deliberately the same for "absent" and "hidden"."""

    def __str__(self) -> str:
        return "Project Not Found"


@frozen(kw_only=True)
class UnknownGroup(RegistryError):
    """No group that this caller may see."""

    def __str__(self) -> str:
        return "Group Not Found"


@frozen(kw_only=True)
class NotFound(RegistryError):
    """Nothing of this kind and number that this caller may see; `what` is GitLab's word for it, empty for GitLab's plain form."""

    what: str = ""

    def __str__(self) -> str:
        return f"{self.what} Not Found" if self.what else "Not Found"


@frozen(kw_only=True)
class UnknownPackage(RegistryError):
    """No package of this number in this project."""

    def __str__(self) -> str:
        return "Package not found"


@frozen(kw_only=True)
class UnknownName(RegistryError):
    """No file of this name may be shown to this caller."""

    name: str

    def __str__(self) -> str:
        return "Package Not Found"


@frozen(kw_only=True)
class UnknownFile(RegistryError):
    """No file of this name and digest may be shown to this caller."""

    filename: str

    def __str__(self) -> str:
        return "Package Not Found"


@frozen(kw_only=True)
class Missing(RegistryError):
    """Something an operator named does not exist."""

    what: str
    value: str

    def __str__(self) -> str:
        return f"There is no {self.what} {shown(self.value)}"


@frozen(kw_only=True)
class Unauthenticated(RegistryError):
    """The caller gave no credential, or one that means nothing here."""

    def __str__(self) -> str:
        return "Unauthorized"


@frozen(kw_only=True)
class TokenExpired(RegistryError):
    """The token was valid once; its expiry has passed."""

    def __str__(self) -> str:
        return "Token is expired. You can either do re-authorization or token refresh."


@frozen(kw_only=True)
class TokenRevoked(RegistryError):
    """The token was valid once; somebody revoked it."""

    def __str__(self) -> str:
        return "Token was revoked. You have to re-authorize from the user."


@frozen(kw_only=True)
class InsufficientScope(RegistryError):
    """The token is valid but carries none of the scopes that would do (`wanted`)."""

    wanted: tuple[str, ...]

    def __str__(self) -> str:
        return "The request requires higher privileges than provided by the access token."


@frozen(kw_only=True)
class Forbidden(RegistryError):
    """The caller is known and may not do this; `reason` may be empty."""

    reason: str = ""

    def __str__(self) -> str:
        return f"Forbidden - {self.reason}" if self.reason else "Forbidden"


# --- what is wrong with others --------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class PolicyRefused(RegistryError):
    """The policy does not let this file of an upstream in. `rule` is its name, `reason` the sentence that explains it."""

    filename: str
    rule: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.filename)} is not let in. {self.reason}"


@frozen(kw_only=True)
class UpstreamRefused(RegistryError):
    """This registry does not go where it was sent, by an address, a page or a redirect. `source` is an upstream's name, or a host."""

    source: str
    problem: str

    def __str__(self) -> str:
        return f"This registry does not fetch from the upstream {self.source}: {self.problem}"


@frozen(kw_only=True)
class UpstreamBroken(RegistryError):
    """An upstream gave an answer that cannot be used. `source` is an upstream's name, or a host."""

    source: str
    problem: str

    def __str__(self) -> str:
        return f"The upstream {self.source} gave no usable answer: {self.problem}"


@frozen(kw_only=True)
class UpstreamUnavailable(RegistryError):
    """An upstream does not answer now, or does not want to. `source` is an upstream's name, or a host; `retry_after` in seconds."""

    source: str
    problem: str
    retry_after: int = 30

    def __str__(self) -> str:
        return f"The upstream {self.source} is not available: {self.problem}; try again in {self.retry_after} seconds"


# --- what is wrong with us ------------------------------------------------------------------------------------------------------------


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


def shown(text: str, limit: int = 120) -> str:
    """Quote `text` so that it can stand in a message, a header or a log line: printable ASCII, at most about `limit` characters."""
    quoted = ascii(text)
    return quoted if len(quoted) <= limit else f"{quoted[: limit - 4]}...{quoted[0]}"


def expiry_passed(expires_at: datetime | None, now: datetime) -> bool:
    """Tell whether an expiry lies at or before `now`; None never expires. GitLab: a date means 00:00 UTC of that day."""
    return expires_at is not None and expires_at <= now
