"""What the registry holds, independent of any table, page or protocol."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum

from attrs import frozen

from registry.domain.access import Identity, Place, Project, Role, Visibility
from registry.domain.names import Name
from registry.domain.versions import Version


class ProjectStatus(Enum):
    """What became of a name (PEP 792): the status marker of its page."""

    ACTIVE = "active"
    ARCHIVED = "archived"  # "MUST NOT allow uploads"; its files stay
    DEPRECATED = "deprecated"  # as active; people are told
    QUARANTINED = "quarantined"  # "MUST NOT allow uploads", and its files are not offered

    @property
    def takes_uploads(self) -> bool:
        """Whether files may be published under the name."""
        return self in {ProjectStatus.ACTIVE, ProjectStatus.DEPRECATED}

    @property
    def offers_files(self) -> bool:
        """Whether what was published may be fetched."""
        return self is not ProjectStatus.QUARANTINED


@frozen(kw_only=True)
class File:
    """One distribution file, held here or by an upstream. `size` in bytes, `requires_python` empty when unknown.

    `sha256` in lower-case hex. Of what is held here every fact is known; of an upstream's file `id` is 0 and those may be missing that its
    index does not tell: `sha256` is then empty, `size` and `uploaded_at` None.
    """

    id: int
    filename: str
    version: str
    sha256: str
    size: int | None
    requires_python: str
    uploaded_at: datetime | None
    yanked: str | None = None  # PEP 592: the reason, empty where none was given; None: not yanked
    metadata_sha256: str = ""  # PEP 658: of the core metadata that is served beside it; empty: none is
    provenance: bool = False  # PEP 740: attestations are held for it
    gpg_sig: bool | None = None  # PEP 503: whether a signature lies beside it; None: nobody knows
    # Of an upstream's file:
    source: str = ""  # the upstream's name here
    url: str = ""  # where the upstream has it; never told to a client
    provenance_url: str = ""  # likewise
    digests: tuple[tuple[str, str], ...] = ()  # further ones, by hashlib name
    # The facts that the upstream's index does not tell and that were found out otherwise, by their keys in a page: "hashes", "size",
    # "upload-time", "core-metadata" (PEP 691, 700, 714).
    filled: tuple[str, ...] = ()

    @property
    def by_name(self) -> bool:
        """Whether it is addressed by its name alone: no index tells its sha256. It stays so when that is known, for lock files keep it."""
        return not self.sha256 or "hashes" in self.filled


@frozen(kw_only=True)
class Page:
    """All files of one name in one project, in the order they were published; `display` is the first spelling that was uploaded."""

    name: Name
    display: str
    files: tuple[File, ...]
    status: ProjectStatus = ProjectStatus.ACTIVE
    status_reason: str = ""


@frozen(kw_only=True)
class Index:
    """The names that hold at least one file in one project, normalised and sorted."""

    title: str
    names: tuple[str, ...]


@frozen(kw_only=True)
class Digests:
    """What the bytes of a staged file turned out to be; `others` maps further hashlib names to hex."""

    size: int
    sha256: str
    others: Mapping[str, str]


@frozen(kw_only=True)
class NewFile:
    """A file whose bytes are already kept, about to become a row."""

    name: Name
    version: Version
    filename: str
    digests: Digests
    requires_python: str
    metadata: Mapping[str, str | tuple[str, ...]]
    pipeline: Mapping[str, object] | None = None  # of an upload by a CI job: `inventory.origin_of`
    metadata_blob: tuple[str, int] | None = None  # sha256 and size of the core metadata kept beside the file
    provenance: Mapping[str, object] | None = None  # the provenance object (PEP 740)


@frozen(kw_only=True)
class TokenInfo:
    """A token as its owner may see it: everything but the secret."""

    id: int
    name: str
    username: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    user_id: int = 0
    description: str = ""
    last_used_at: datetime | None = None


@frozen(kw_only=True)
class NewToken:
    """A token about to be kept; only the digest of its secret goes into the catalog."""

    name: str
    digest: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    description: str = ""


@frozen(kw_only=True)
class StoredCredential:
    """A credential found by the digest of its secret. `kind` is "personal", "deploy" or "job"."""

    kind: str
    identity: Identity
    revoked: bool


@frozen(kw_only=True)
class Memberships:
    """A user's direct roles, by id of project and of group."""

    projects: Mapping[int, Role]
    groups: Mapping[int, Role]
    until: datetime | None = None  # when the first of them ends

    def in_(self, place: Place) -> Role:
        """The highest role in `place`, from there or above."""
        roles = [self.groups.get(group, Role.NONE) for group in place.lineage]
        if isinstance(place, Project):
            roles.append(self.projects.get(place.id, Role.NONE))
        return max(roles, default=Role.NONE)


@frozen(kw_only=True)
class ProjectInfo:
    """A project as an operator sees it."""

    id: int
    path: str
    name: str
    visibility: Visibility
    packages_enabled: bool
    created_at: datetime
    packages: int
    files: int
    bytes: int


@frozen(kw_only=True)
class Actor:
    """Who makes a change, for the journal: never more than names and numbers."""

    user_id: int | None
    username: str
    token_id: int | None = None
    token_name: str = ""
    address: str = ""

    @classmethod
    def of(cls, identity: Identity, address: str) -> "Actor":
        """The actor behind a request: a user through a token, a deploy token for nobody, a job for who triggered it."""
        user, deploy, job = identity.user, identity.deploy, identity.job
        token = identity.token or deploy
        return cls(
            user_id=user.id if user else None,
            username=user.username if user else deploy.username if deploy else "",
            token_id=job.id if job else token.id if token else None,
            token_name=f"CI job of project {job.project_id}" if job else token.name if token else "",
            address=address,
        )


@frozen(kw_only=True)
class Change:
    """One journal row: what was changed, by whom, when. `name` is a normalised project name or empty."""

    serial: int
    at: datetime
    action: str
    actor: Actor
    project_id: int | None = None
    name: str = ""
    detail: Mapping[str, object]
