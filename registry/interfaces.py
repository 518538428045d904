"""The seams. A docstring here is the contract that every implementation, real or fake, is tested against."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, BinaryIO, TypeVar

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from registry.domain.access import Group, Identity, Place, Project, Role, Standing, User, Visibility
from registry.domain.audit import Entry, Search
from registry.domain.credentials import (
    DeployTokenInfo,
    JobClaim,
    JobTokenInfo,
    ListedProject,
    NewDeployToken,
    NewJobToken,
    PlaceToken,
    TokenFilter,
)
from registry.domain.curation.refused import Refusal
from registry.domain.errors import RegistryError
from registry.domain.fetched import Fetched
from registry.domain.former_places import FormerGroup
from registry.domain.forwarding import Forwarding, Turn
from registry.domain.inventory import FileInfo, FileOrder, Origin, PackageInfo, Removed, Wanted
from registry.domain.members import Grant, Member, Seats
from registry.domain.model import (
    Actor,
    Change,
    Digests,
    File,
    Memberships,
    NewFile,
    NewToken,
    Page,
    ProjectInfo,
    ProjectStatus,
    StoredCredential,
    TokenInfo,
)
from registry.domain.names import Name
from registry.domain.paths import ProjectPath
from registry.domain.people import NewUser, UserChange, UserListing
from registry.domain.places import Listing, NamespaceInfo, ProjectDetails, Wishes
from registry.domain.project_json import Releases
from registry.domain.protection import ProtectionRule
from registry.domain.releases import NameStatus, Prospect
from registry.domain.tokens import Secret
from registry.domain.upstream import Claim, Forgotten, Holding, KeptFile, Said
from registry.domain.versions import Version

T = TypeVar("T")


class IThreads(Interface):
    """Where blocking work goes, so that the reactor never waits."""

    def run(work: Callable[..., T], *args: object) -> "Deferred[T]":
        """Call `work(*args)` off the reactor thread; awaitable with its result or exception.

        Cancelling the wait does not stop the work.
        """


class IOpenBlob(Interface):
    """A blob being read. Whoever opened it closes it."""

    size = Attribute("Length in bytes.")
    data = Attribute("All of it, if it was small enough to be read at once; else None.")
    descriptor = Attribute("A file descriptor for `sendfile`, or None where there is none.")

    def read(offset: int, length: int) -> "Deferred[bytes]":
        """Awaitable with `length` bytes from `offset`, fewer only at the end. Never blocks the reactor."""

    def close() -> None:
        """Give back what reading needs. May be called twice."""


class IGrowingBlob(IOpenBlob):
    """A blob that is being read while it comes. Its `descriptor` is None as long as nothing is readable."""

    readable = Attribute("How many bytes can be read, from the beginning; in the end `size`.")

    async def grown(beyond: int) -> None:
        """Return when more than `beyond` bytes, of which there are more, are readable. Raises what keeps the rest from coming."""


# What may be kept beside a staged blob: it is in memory as a whole.
BESIDE_BYTES = 8 << 20


class IStagedBlob(Interface):
    """Bytes on their way in. Nothing of it is visible until `keep`; whoever staged it calls `discard` at the end, whatever happened."""

    descriptor = Attribute("A file descriptor for `sendfile` of what can be `read`, or None where there is none.")

    def expect(algorithms: Sequence[str]) -> None:
        """Compute these hashlib digests too, beside sha256. Only before the first `write`."""

    def write(data: bytes) -> None:
        """Take the next bytes, at once. Calls `on_full` when too much waits for the disk and `on_space` when it has drained."""

    def follow(on_progress: Callable[[int], None]) -> None:
        """Write what comes as soon as the disk is free, and tell `on_progress` how many bytes can be `read`. Before the first `write`."""

    def read(offset: int, length: int) -> "Deferred[bytes]":
        """Awaitable with `length` bytes from `offset`, of those that `follow` told of, until `discard`.

        After `finish` of all, and with `follow` also after `keep` and `admit`.
        """

    async def finish(algorithms: Sequence[str] = ()) -> Digests:
        """Wait until all is written; the `Digests`, with at least `algorithms` among them. Raises `StorageFull`, or OSError."""

    async def inspect(look: Callable[[BinaryIO, int], T]) -> T:
        """The result of `look(open_binary_file, size)`, called in a thread with the whole content. Only after `finish`."""

    async def keep() -> None:
        """Make it durable (fsync of file and folder) under its sha256. Only after `finish`. Same bytes are stored once.

        Until `discard`, a sweep leaves the blob alone, so that the caller can write the row that names it. Raises `StorageFull`.
        """

    async def admit(look: Callable[[BinaryIO, int], T], beside: Callable[[T], bytes | None] | None = None) -> T:
        """`inspect` and then `keep`, in one visit to a thread. Without `follow` it is the last that is read of it.

        `beside` is called there with what `look` returned, and may return bytes (at most `BESIDE_BYTES`, else ValueError) that are kept
        with it, as a blob of their own under their own sha256 that a sweep leaves alone for as long. If `look` or `beside` raises, neither
        is kept; no name is given before the bytes of both are durable, and what a failing disk leaves is swept.
        """

    def discard() -> None:
        """Forget it: what was not kept is removed, what was kept is from now on subject to sweeping. May be called twice."""


class IBlobs(Interface):
    """Bytes at rest, named by their SHA-256 in lower-case hex."""

    def stage(on_full: Callable[[], None], on_space: Callable[[], None]) -> IStagedBlob:
        """A new, empty `IStagedBlob` whose writer is paused and resumed by these callables."""

    async def open(sha256: str) -> IOpenBlob:
        """An `IOpenBlob`. Raises `BlobMissing`."""

    async def digest(sha256: str) -> str | None:
        """The SHA-256 of the bytes at rest, read anew; None if there are none."""

    def listing() -> AsyncIterator[list[str]]:
        """The names of all blobs, in batches: an async iterator of lists of sha256."""

    async def sweep(named: Callable[[list[str]], Awaitable[set[str]]]) -> int:
        """Remove blobs that no row names; how many it removed.

        `named` is an async callable: a list of sha256 to the set of those that some row names. Never removes a blob that is kept while the
        sweep runs.
        """

    async def release(digests: Sequence[str], named: Callable[[list[str]], Awaitable[set[str]]]) -> int:
        """As `sweep`, but for exactly these sha256, of which some may be gone already: for rows that were just deleted."""

    async def check() -> None:
        """Return if blobs can be read and written now. Raises `Unavailable`."""


class IAccess(Interface):
    """What the gate asks: credentials, places, and how a caller stands in them."""

    async def credential(digest: str) -> StoredCredential | None:
        """The credential whose secret has this digest, expired or revoked ones included; None if there is none."""

    async def enter(kind: str, ref: int | str, identity: Identity) -> tuple[Place | None, Standing]:
        """The project or group (`kind`) with this id (int) or full path (any case), None if there is none; the caller's standing."""

    async def memberships(user_id: int) -> Memberships:
        """All direct memberships of a user that have not expired."""

    async def below(group: Group) -> Sequence[Project]:
        """The projects of a group and of all groups below it, by id."""

    async def admitting(source_project_id: int) -> frozenset[int]:
        """The ids of the projects whose job-token allowlist admits jobs of this one; itself among them."""


class IPackages(Interface):
    """What projects hold."""

    async def page(project_ids: Sequence[int], name: Name) -> Page | None:
        """The `Page` of `name` in these projects together; None if they hold no file of that name.

        Of files with the same name, the first published stands for all.
        """

    async def releases(project_ids: Sequence[int], name: Name, version: Version | None = None) -> Releases | None:
        """The `Releases` of `name`: the same page, read at one moment with what it leaves out; None where there is no page.

        Described is the version wanted, or the one that `project_json.described` chooses.
        """

    async def names(project_ids: Sequence[int]) -> tuple[str, ...]:
        """Normalised names that hold at least one file, sorted."""

    async def file(project_ids: Sequence[int], sha256: str, filename: str) -> File | None:
        """The first published `File` with this digest and name, both exact; None if there is none.

        Raises `Quarantined` where all that there is belongs to quarantined names.
        """

    async def provenance(file_id: int) -> Mapping[str, object] | None:
        """The provenance object (PEP 740) of the file with this number; None if it has none."""

    async def add_file(project_id: int, new: NewFile, actor: Actor, *, close_after: timedelta | None = None) -> File:
        """Record a `NewFile` whose blobs are kept, creating its package if need be, in one transaction with its journal row.

        A file of a yanked version is yanked with it. `close_after`: how old a version may be that still takes files. Raises `FileExists`
        when the package already has a file of that name (of two callers at once, exactly one succeeds), `VersionClosed`, `NotAccepting`.
        """

    async def rules(project_id: int) -> tuple[ProtectionRule, ...]:
        """The project's protection rules, for who publishes there."""

    async def prospect(project_id: int, name: Name, version: Version, filename: str) -> Prospect:
        """What publishing this file will meet, in one read."""

    async def named(digests: list[str]) -> set[str]:
        """Those of a list of sha256 that some file names, as its own or as that of its core metadata."""

    def blobs() -> AsyncIterator[list[tuple[str, int, str]]]:
        """All blobs that the catalog names: an async iterator of lists of (sha256, size, one file name)."""


class IFounding(Interface):
    """The first start."""

    async def empty() -> bool:
        """Whether the catalog has no users yet."""

    async def found(username: str, token: NewToken, project: ProjectPath) -> bool:
        """On an empty catalog: create the administrator, his token and his first (private) project; tell whether it was empty."""


class IUsers(Interface):
    """People and bots."""

    async def create_user(username: str, email: str, actor: Actor, *, admin: bool = False, name: str = "") -> User:
        """A new `User` with a personal namespace. Raises `AlreadyTaken`."""

    async def users() -> list[User]:
        """All `User`s, oldest first."""

    async def block_user(username: str, actor: Actor, *, blocked: bool) -> User:
        """Block or unblock; the changed `User`. Raises `Missing`."""


class ITokens(Interface):
    """Tokens of users: of people, and of the bots behind project and group access tokens."""

    async def create_token(user: int | str, new: NewToken, actor: Actor) -> TokenInfo:
        """Keep a `NewToken` for the user with this number or name; its `TokenInfo`. Raises `Missing`, or `Refused` if he is blocked."""

    async def tokens(username: str | None) -> list[TokenInfo]:
        """The `TokenInfo`s of one user, or of all (None), oldest first. Raises `Missing`."""

    async def find_tokens(wanted: TokenFilter, limit: int, offset: int) -> tuple[list[TokenInfo], int]:
        """A part of the `TokenInfo`s that a filter lets through, and how many there are in all."""

    async def token(token_id: int) -> TokenInfo | None:
        """The `TokenInfo` with this number; None if there is none."""

    async def revoke_token(token_id: int, actor: Actor) -> TokenInfo:
        """Revoke at once and for good; the `TokenInfo`. Raises `Missing`."""

    async def rotate_token(token_id: int, digest: str, expires_at: datetime, actor: Actor) -> TokenInfo:
        """Replace a token by one with this digest, of the same user, name and scopes, in one transaction; the new `TokenInfo`.

        A token that is revoked already takes its whole family of rotations with it. Raises `NotFound`, `TokenRevoked`, `TokenExpired`.
        """

    async def revoke_family(digest: str, actor: Actor) -> None:
        """Revoke all rotations of the revoked token whose secret has this digest; nothing if it is not revoked, or unknown."""

    async def used(moments: Mapping[int, datetime]) -> None:
        """Keep when tokens (by number) were last used. No journal row."""


class IPlaceTokens(Interface):
    """Project and group access tokens: each a bot user with a role in the place, and its token."""

    async def find_place_tokens(place: Place, wanted: TokenFilter, limit: int, offset: int) -> tuple[list[PlaceToken], int]:
        """A part of the `PlaceToken`s of a place that a filter lets through, and how many there are in all."""

    async def place_token(place: Place, token_id: int) -> PlaceToken | None:
        """The `PlaceToken` of this place with this number; None if there is none."""

    async def create_place_token(place: Place, new: NewToken, username: str, role: Role, actor: Actor) -> TokenInfo:
        """A new bot of that name, its membership and its token, in one transaction."""

    async def rotate_place_token(
        place: Place, token_id: int, digest: str, expires_at: datetime, actor: Actor, *, check: Callable[[PlaceToken], object]
    ) -> TokenInfo:
        """As `ITokens.rotate_token`, of this place only; `check` may raise what is wrong with it, in the transaction."""

    async def revoke_place_token(place: Place, token_id: int, actor: Actor) -> None:
        """Revoke; when it was the bot's last token, the bot leaves the place and is blocked. Raises `NotFound`."""


class IDeployTokens(Interface):
    """Deploy tokens of projects and groups."""

    async def find_deploy_tokens(
        place: Place | None, limit: int, offset: int, *, active: bool | None = None
    ) -> tuple[list[DeployTokenInfo], int]:
        """A part of the `DeployTokenInfo`s of a place, or of all (None), oldest first, and how many there are in all.

        `active`: only those that work, or only those that do not.
        """

    async def deploy_token(place: Place, token_id: int) -> DeployTokenInfo | None:
        """The `DeployTokenInfo` of this place with this number; None if there is none."""

    async def create_deploy_token(place: Place, new: NewDeployToken, actor: Actor) -> DeployTokenInfo:
        """Keep a `NewDeployToken`; its `DeployTokenInfo`."""

    async def delete_deploy_token(place: Place, token_id: int, actor: Actor) -> None:
        """Remove it altogether. Raises `NotFound`."""

    async def revoke_deploy_token(token_id: int, actor: Actor) -> DeployTokenInfo:
        """Make it useless, and keep it listed; the `DeployTokenInfo`. Raises `Missing`."""


class IJobs(Interface):
    """CI jobs: their tokens, and whose jobs a project admits."""

    async def create_job_token(
        project: Project, user: int | str, new: NewJobToken, actor: Actor, *, ceiling: Role, admins: bool
    ) -> JobTokenInfo:
        """Keep a `NewJobToken` for a job of `project` that the user with this number or name triggered; its `JobTokenInfo`.

        Raises `Forbidden` for a user above `ceiling` in the project, or for an administrator unless `admins`, as he stands when it is
        kept; `NotFound` for an unknown one, `Refused` for a blocked one.
        """

    async def revoke_job_token(project: Project, token_id: int, actor: Actor) -> None:
        """End it. Raises `NotFound` when the project has no such token, or it has been ended."""

    async def job_of(username: str, project_path: str) -> tuple[User, Project] | None:
        """The user and the project of these names (any case); None if either does not exist."""

    async def limited(project: Project) -> bool:
        """Whether the project's allowlist is enforced; if not, jobs of all projects are admitted."""

    async def set_limited(project: Project, actor: Actor, *, limited: bool) -> None:
        """Enforce the project's allowlist, or not."""

    async def admitted(project: Project, limit: int, offset: int) -> tuple[list[tuple[Project, ListedProject]], int]:
        """A part of the projects on this one's allowlist, by id, and how many there are in all. Itself is not listed."""

    async def admit_jobs_of(project: Project, source: Project, actor: Actor) -> None:
        """Put `source` on the allowlist of `project`. Raises `Refused` if it is there, `Conflict` if one of them is gone."""

    async def admit_no_more(project: Project, source_id: int, actor: Actor) -> None:
        """Take a project off the allowlist. Raises `NotFound` if it is not there."""


class IJobVerifier(Interface):
    """A GitLab instance that knows running jobs by their tokens."""

    async def verify(secret: Secret) -> JobClaim | None:
        """What the instance says of the running job with this token; None if it knows none or cannot be asked (which is logged).

        An answer, either way, is remembered for at most a minute.
        """


class IPlaces(Interface):
    """Groups and projects."""

    async def create_project(path: ProjectPath, visibility: Visibility, actor: Actor) -> ProjectInfo:
        """A new project in an existing namespace; its `ProjectInfo`. Raises `Missing`, `AlreadyTaken`."""

    async def projects(ref: int | str | None = None) -> list[ProjectInfo]:
        """The `ProjectInfo`s of all projects (None), or of the one with this id or path. Raises `Missing`."""


class IJournal(Interface):
    """What was changed, as it is committed."""

    def subscribe(listener: Callable[[tuple[Change, ...]], None]) -> None:
        """Call `listener(changes)` in the reactor thread after each commit, here or in another process.

        A change may be told twice (when it is made, when it is read back); listeners must not mind.
        """

    async def poll() -> None:
        """Read what other processes have committed since the last poll, and tell the listeners."""


class IInventory(Interface):
    """Packages and files as they are listed, told about and deleted one by one."""

    async def packages(project_ids: Sequence[int], wanted: Wanted, *, limit: int, offset: int) -> tuple[list[PackageInfo], int]:
        """A page of the `PackageInfo`s of these projects, and how many there are in all."""

    async def package(package_id: int, project_id: int | None = None) -> PackageInfo:
        """The `PackageInfo` with this number, in this project if one is named. Raises `UnknownPackage`."""

    async def versions(package: PackageInfo) -> list[PackageInfo]:
        """The other `PackageInfo`s of the same name in the same project, oldest first."""

    async def files(
        package_id: int, project_id: int, order: FileOrder, *, descending: bool, limit: int, offset: int
    ) -> tuple[list[FileInfo], int]:
        """A page of the package's `FileInfo`s, and how many there are in all. Raises `UnknownPackage`."""

    async def origins(package_id: int, project_id: int) -> list[Origin]:
        """The `Origin`s of the package's files that a CI job uploaded, oldest first. Raises `UnknownPackage`."""

    async def delete_package(
        project_id: int, package_id: int, actor: Actor, *, level: int, unmodified_since: datetime | None = None
    ) -> Removed:
        """Delete a package with its files; what was `Removed`.

        Raises `UnknownPackage`, `Forbidden` where a protection rule asks for more than `level`, `PreconditionFailed` when the package or a
        file of it is newer than `unmodified_since`.
        """

    async def delete_file(
        project_id: int, package_id: int, file_id: int, actor: Actor, *, level: int, unmodified_since: datetime | None = None
    ) -> Removed:
        """Delete one file, and with the last one its package. Raises what `delete_package` raises, and `NotFound`."""

    async def downloaded(moments: Mapping[int, datetime]) -> None:
        """Note when files (by number) were downloaded last, on their packages. Files that are gone are passed over; no journal row."""


class IProtection(Interface):
    """Protection rules."""

    async def rules(project_id: int, *, limit: int | None = None, offset: int = 0) -> tuple[list[ProtectionRule], int]:
        """A page of the project's `ProtectionRule`s, oldest first, and how many there are in all."""

    async def create_rule(project_id: int, pattern: str, push: int | None, delete: int | None, actor: Actor) -> ProtectionRule:
        """A new `ProtectionRule`. Raises `Unprocessable`."""

    async def change_rule(project_id: int, rule_id: int, changes: dict[str, Any], actor: Actor) -> ProtectionRule:
        """Change `pattern`, `least_for_push` or `least_for_delete`; the changed rule. Raises `NotFound`, `Unprocessable`."""

    async def delete_rule(project_id: int, rule_id: int, actor: Actor) -> ProtectionRule:
        """Delete; the rule that was. Raises `NotFound`."""


class ISettings(Interface):
    """What an administrator changes while the registry runs."""

    async def settings() -> tuple[Mapping[str, object], int]:
        """Every setting that was ever changed, by name, and the serial of the last change of anything."""

    async def change_settings(changes: Mapping[str, object], actor: Actor) -> Mapping[str, object]:
        """Keep these values; every setting that was ever changed. The journal row's detail has the changed ones under `settings`."""


class IAudit(Interface):
    """The journal, for reading."""

    async def entries(search: Search, limit: int) -> list[Entry]:
        """The newest `limit` entries that match, oldest first."""


class IPeople(Interface):
    """Users by number, as administrators find and change them."""

    async def people(listing: UserListing, limit: int, offset: int) -> tuple[list[User], int]:
        """A part of the `User`s that a listing wants, and how many there are in all."""

    async def person(user_id: int) -> User:
        """The `User`. Raises `NotFound`."""

    async def register(new: NewUser, actor: Actor) -> User:
        """A new `User` with a personal namespace. Raises `Conflict` when user name or email is taken (any case)."""

    async def change_person(user_id: int, change: UserChange, actor: Actor) -> User:
        """The changed `User`. Raises `NotFound`, `Refused` for an email that is taken, `Forbidden` to who would take his own rights."""

    async def set_blocked(user_id: int, actor: Actor, *, blocked: bool) -> None:
        """Block or unblock. Raises `NotFound`, and `Forbidden` when it is so already, or the actor's own."""

    async def remove_person(user_id: int, actor: Actor) -> None:
        """Remove a user with his tokens and memberships; one who has published stays, blocked, as the author of his files.

        Raises `NotFound`, `Forbidden` to himself, and `Refused` while he has projects of his own or is the only owner of a group.
        """


class INamespaces(Interface):
    """Groups and users' own namespaces, as one caller sees them."""

    async def groups(listing: Listing, identity: Identity | None, limit: int, offset: int) -> tuple[list[NamespaceInfo], int]:
        """A part of the groups that a listing wants and the caller (None: the operator) may see, and how many there are in all."""

    async def group(group_id: int) -> NamespaceInfo:
        """The group. Raises `UnknownGroup`."""

    async def namespaces(listing: Listing, identity: Identity, limit: int, offset: int) -> tuple[list[NamespaceInfo], int]:
        """As `groups`: those where the caller has a role, and his own; all of them to administrators."""

    async def namespace(ref: int | str, identity: Identity) -> NamespaceInfo:
        """The namespace with this number or full path. Raises `NotFound` for what the caller may not see, too."""


class IGroups(Interface):
    """Groups made, changed and removed.

    Whether the caller may is decided in the same transaction, where it depends on more than the gate knows; None for a caller is the
    operator, who may do everything and becomes nobody's member.
    """

    async def create_group(wishes: Wishes, parent: int | str | None, actor: Actor, by: Identity | None) -> NamespaceInfo:
        """A new group, in the group `parent` or at the top (None), of which its maker is the first Owner.

        Raises `Refused` for a path that is taken or a group more visible than its parent; `UnknownGroup`, `Forbidden`.
        """

    async def change_group(group_id: int, wishes: Wishes, actor: Actor) -> NamespaceInfo:
        """The changed group. Another path changes those of all below it. Raises `UnknownGroup`, and `Refused` as above and below."""

    async def remove_group(group_id: int, actor: Actor) -> None:
        """Remove a group with all below it, and what gives access there, in one transaction. Raises `UnknownGroup`."""


class IProjects(Interface):
    """Projects, as one caller sees and changes them; as for `IGroups`."""

    async def projects(listing: Listing, identity: Identity, limit: int, offset: int) -> tuple[list[ProjectDetails], int]:
        """A part of the projects that a listing wants and the caller may see, and how many there are in all."""

    async def project(project_id: int, identity: Identity) -> ProjectDetails:
        """The project, with the caller's roles. Raises `UnknownProject`."""

    async def create(wishes: Wishes, namespace: int | str | None, actor: Actor, by: Identity) -> ProjectDetails:
        """A new project in a namespace where the caller is at least Maintainer, or his own (None).

        Raises `Refused` for a namespace that is none for him, a path that is taken, or a project more visible than its group.
        """

    async def create_for(user_id: int, wishes: Wishes, actor: Actor, by: Identity) -> ProjectDetails:
        """As `create`, in another user's own namespace. Raises `NotFound`."""

    async def change(project_id: int, wishes: Wishes, actor: Actor, by: Identity) -> ProjectDetails:
        """The changed project. Raises `UnknownProject`, and `Refused` as `create`."""

    async def transfer(project_id: int, namespace: int | str, actor: Actor, by: Identity) -> ProjectDetails:
        """Move a project to a namespace where the caller could create one; it becomes no more visible than its new group."""

    async def remove(project_id: int, actor: Actor) -> None:
        """Remove a project with all it holds, and what gives access to it, in one transaction. Raises `UnknownProject`."""


class IMembers(Interface):
    """Who belongs to a project or group. As for `IGroups`, the caller's right is decided in the transaction; None is the operator."""

    async def members(place: Place, seats: Seats, limit: int, offset: int) -> tuple[list[Member], int]:
        """A part of the `Member`s of a place, by number of user, and how many there are in all. Expired memberships are none."""

    async def member(place: Place, user_id: int, *, inherited: bool) -> Member:
        """One `Member`; `inherited`: with the highest role from there or above. Raises `NotFound`."""

    async def add(place: Place, grants: Sequence[Grant], actor: Actor, by: Identity | None) -> list[Member]:
        """Give roles, all or none. Raises `NotFound` for a user, `Conflict` for a member, `Forbidden` for a role above the caller's.

        `Refused` for a role below the one the user has from a group above.
        """

    async def change(place: Place, grant: Grant, actor: Actor, by: Identity | None, *, keep_expiry: bool) -> Member:
        """Change a direct membership. Raises as `add`, and `Forbidden` when a group would be left without an owner."""

    async def remove(place: Place, user_id: int | str, actor: Actor, by: Identity | None) -> None:
        """End a direct membership; of a group, those below it too. Members may leave. Raises `NotFound`, `Forbidden`."""


class IAttestations(Interface):
    """What proves who built a file (PEP 740)."""

    async def verify(filename: str, sha256: str, text: str) -> Mapping[str, object]:
        """Verify the upload form's `attestations` field (`text`) for a file of this name and digest; the provenance object to serve for it.

        Every attestation must verify, offline and off the reactor thread. Raises `InvalidAttestations` if one does not, `Unavailable` where
        that cannot be found out.
        """


class IReleases(Interface):
    """What becomes of versions and names that are held: yanked (PEP 592), closed, given a status (PEP 792).

    A change that changes nothing leaves no journal row. All raise `Forbidden` where a protection rule asks for more than `level` to publish
    under the name: who may not say what it offers may not say what it offers no more. What a rule asks for deleting is not asked for here:
    everything here can be taken back. Reasons are as `check_reason` takes them, empty for none; `InvalidSetting` for any other.
    """

    async def set_yanked(project_id: int, package_id: int, reason: str | None, actor: Actor, *, level: int) -> PackageInfo:
        """Yank a version with all its files, and those that are published into it later; None takes the mark off them all.

        Raises `UnknownPackage`.
        """

    async def set_file_yanked(project_id: int, package_id: int, file_id: int, reason: str | None, actor: Actor, *, level: int) -> FileInfo:
        """Yank one file, or (None) take its mark off, whatever its version's is. Raises `UnknownPackage`, `NotFound`."""

    async def set_closed(project_id: int, package_id: int, actor: Actor, *, closed: bool, level: int) -> PackageInfo:
        """Close a version to new files, or keep it open, from now on whatever its age. Raises `UnknownPackage`."""

    async def status(project_id: int, name: Name) -> NameStatus:
        """The status of a name, held or not."""

    async def statuses(project_id: int) -> list[NameStatus]:
        """The statuses of all names that are not simply active, by name."""

    async def set_status(project_id: int, name: Name, status: ProjectStatus, reason: str, actor: Actor, *, level: int) -> NameStatus:
        """Give a name, held or not yet, a status; the reason of an active one stands in the journal only.

        Raises `InvalidSetting` for a name too long to be held, too.
        """


class IHistory(Interface):
    """What was so at an instant, read off the journal.

    Of each name, and of all places together, what counts are the changes up to the last that is not after the instant, in the order of
    their serials. An instant to come is now.
    """

    async def page(project_ids: Sequence[int], name: Name, at: datetime) -> Page | None:
        """What `IPackages.page` told then."""

    async def names(project_ids: Sequence[int], at: datetime) -> tuple[str, ...]:
        """What `IPackages.names` told then."""

    async def deleted(project_ids: Sequence[int], sha256: str, filename: str) -> datetime | None:
        """When the last file of this digest and name in these projects was deleted; None if there never was one, or one is held.

        `filename` may be that of its core metadata (PEP 658).
        """

    async def project_title(project_id: int, at: datetime) -> str | None:
        """The display name that a project had; None if it did not exist."""

    async def group(group_id: int, at: datetime) -> FormerGroup | None:
        """The `FormerGroup` of a group that is there now; None if it did not exist. Projects removed since are left out."""


class IUpstreamCatalog(Interface):
    """What is ours and nobody else's, what upstreams said, and what of theirs is kept. Only sharing is told in the journal."""

    async def claim(name: Name, project_ids: Sequence[int]) -> Claim:
        """Whose `name` is: the `Claim` as far as these projects are concerned. True to the last commit of anybody.

        It is shared among several if one of them shares it, and so do all of them that hold something under it.
        """

    async def share(project_id: int, name: Name, actor: Actor, *, shared: bool) -> None:
        """Let a project fetch a name of ours from upstream beside its own, or no longer. What changes nothing leaves no journal row.

        Raises `UnknownProject`, and `InvalidSetting` for a name that no file could have.
        """

    async def shared(project_id: int) -> tuple[str, ...]:
        """The normalised names that are shared in a project, sorted."""

    async def said(source: str, name: Name) -> Said | None:
        """What this upstream `Said` last about `name`; None if it was never asked, or the answer was forgotten."""

    async def keep_page(said: Said, *, confirmed: bool = False) -> None:
        """Keep what an upstream said; `confirmed`: it is what it had said before, at a later moment."""

    async def forget_pages(name: Name | None = None) -> int:
        """Forget what was said about one name, or about all; how many pages that were."""

    async def pages(*, limit: int, offset: int) -> list[tuple[str, str, datetime]]:
        """A part of what was said, by name: upstream, name, moment."""

    async def kept(name: Name) -> list[KeptFile]:
        """The `KeptFile`s of a name, oldest first."""

    async def keep_file(file: KeptFile) -> None:
        """Note that a file's blobs are kept. What is known of the same file already is kept with it."""

    async def used(moments: Mapping[int, datetime]) -> None:
        """Note when kept files (by number) were used last."""

    async def size() -> int:
        """How many bytes the kept files have, with their metadata; bytes that several share count for each of them."""

    async def least_used(limit: int) -> list[KeptFile]:
        """The kept files that were used longest ago."""

    async def files(*, limit: int, offset: int) -> list[KeptFile]:
        """A part of the kept files, by name and file name."""

    async def forget_files(ids: Sequence[int]) -> list[str]:
        """Forget kept files by number; the sha256 of their blobs, some of which others may still name."""


class IKeeping(Interface):
    """What is kept of upstreams, for whoever makes room. Each of these is told in the journal, so that no memory offers what is gone."""

    async def holdings() -> list[Holding]:
        """How much is kept of each upstream: a `Holding` each, by name of the upstream."""

    async def evict(ids: Sequence[int], actor: Actor) -> Forgotten:
        """Forget kept files by number, to make room (`upstream.evict`). Their bytes are the caller's to release."""

    async def purge(names: Sequence[Name] | None, actor: Actor) -> Forgotten:
        """Forget what was said of these names, and their kept files; None: of all (`upstream.purge`, for each name)."""

    async def take_in(pages: Sequence[Said], files: Sequence[KeptFile], actor: Actor) -> int:
        """Keep pages that are newer than what is known, and note that files are kept, all or nothing (`upstream.import`); how many pages.

        The blobs of the files are kept already.
        """


class IFetcher(Interface):
    """Other servers, asked over HTTP: the only way this process reaches addresses that strangers may have written.

    Every address is checked when it is connected to, and after every redirect again. Credentials are sent to the origin they are configured
    for and nowhere else. Answers 2xx, 304, 404, 410 and 416 are given as they are, others are errors, whose sentences name the upstream as
    it is configured, or the host. All raise `UpstreamRefused`, `UpstreamBroken` or `UpstreamUnavailable`. Cancelling a wait aborts the
    connection.
    """

    async def fetch(url: str, headers: Mapping[str, str], *, limit: int, timeout: float) -> Fetched:  # noqa: ASYNC109 - there is no asyncio here
        """GET a small answer: all of it, decoded. Over `limit` bytes, decoded or not, is `UpstreamBroken`.

        `timeout`: seconds from now to the first byte of the last answer, redirects and the wait for a free connection included.
        """

    async def head(url: str, headers: Mapping[str, str], *, timeout: float) -> Fetched:  # noqa: ASYNC109 - there is no asyncio here
        """HEAD: an answer without its body. `timeout` as for `fetch`."""

    async def stream(url: str, headers: Mapping[str, str], *, timeout: float = 30.0) -> "IStream":  # noqa: ASYNC109 - there is no asyncio here
        """GET an answer whose body is read as it comes, never encoded: an `IStream`. `timeout` as for `fetch`.

        Whoever gets it calls `deliver` or `abort`.
        """


class IStream(Interface):
    """An answer whose body is to come. Nothing of it is read before `deliver`, nor while it is paused."""

    status: int = Attribute("The status code")
    headers: Mapping[str, str] = Attribute("By lower-case name")
    length: int | None = Attribute("How many bytes the body has; None where the server does not say")
    url: str = Attribute("Where it came from, after redirects; without credentials")

    def deliver(reader: "IStreamReader") -> None:
        """Give the body to `reader`, from now on. Once."""

    def pause() -> None:
        """Give nothing more until `resume`; what is on its way through this process may still come."""

    def resume() -> None:
        """Go on."""

    def abort() -> None:
        """Break the connection off; the reader hears nothing more. May be called at any time and twice."""


class IStreamReader(Interface):
    """Who takes a body as it comes. After `ended` or `failed` nothing more is called."""

    def received(data: bytes) -> None:
        """Take the next bytes; may `pause`, `resume` and `abort` the stream."""

    def ended() -> None:
        """All of the body has come: as many bytes as were announced."""

    def failed(error: RegistryError) -> None:
        """The body has broken off, or nothing has come for too long; an `UpstreamBroken` or `UpstreamUnavailable`."""


class IForwarding(Interface):
    """Whether names not held here may be asked upstream: the instance's switch, those of groups, those of projects.

    The innermost that says something wins, but a locked one above decides (`domain/forwarding.py`). The instance's own is one of ISettings;
    until it is set, the configuration says.
    """

    async def enabled(place: Place) -> bool:
        """Whether upstreams may be asked in a group or project. True to the last commit of anybody."""

    async def forwarding(place: Place | None) -> Forwarding:
        """The same, with what the place itself says and who has locked it. None is the instance."""

    async def switch(kind: str, place_id: int, turn: Turn, actor: Actor) -> Forwarding:
        """Turn the switch, or the lock, of the group or project (`kind`) with this number. What changes nothing leaves no journal row.

        Raises `Refused` below a lock, `InvalidSetting` for a lock on a project, `UnknownGroup`, `UnknownProject`.
        """


class IRefusals(Interface):
    """What the policy refused, for the journal."""

    async def record(refusals: Sequence[Refusal]) -> None:
        """Write a journal row `policy.refuse` for each, all in one transaction; for none of them nothing."""
