"""The seams. A docstring here is the contract that every implementation, real or fake, is tested against."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import BinaryIO, TypeVar

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from registry.domain.access import Group, Identity, Place, Project, Standing, User, Visibility
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
    StoredCredential,
    TokenInfo,
)
from registry.domain.names import Name
from registry.domain.paths import ProjectPath

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


class IStagedBlob(Interface):
    """Bytes on their way in. Nothing of it is visible until `keep`; whoever staged it calls `discard` at the end, whatever happened."""

    def expect(algorithms: Sequence[str]) -> None:
        """Compute these hashlib digests too, beside sha256. Only before the first `write`."""

    def write(data: bytes) -> None:
        """Take the next bytes, at once. Calls `on_full` when too much waits for the disk and `on_space` when it has drained."""

    async def finish(algorithms: Sequence[str] = ()) -> Digests:
        """Wait until all is written; the `Digests`, with at least `algorithms` among them. Raises `StorageFull`, or OSError."""

    async def inspect(look: Callable[[BinaryIO, int], T]) -> T:
        """The result of `look(open_binary_file, size)`, called in a thread with the whole content. Only after `finish`."""

    async def keep() -> None:
        """Make it durable (fsync of file and folder) under its sha256. Only after `finish`. Same bytes are stored once.

        Until `discard`, a sweep leaves the blob alone, so that the caller can write the row that names it. Raises `StorageFull`.
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

    async def names(project_ids: Sequence[int]) -> tuple[str, ...]:
        """Normalised names that hold at least one file, sorted."""

    async def file(project_ids: Sequence[int], sha256: str, filename: str) -> File | None:
        """The first published `File` with this digest and name, both exact; None if there is none."""

    async def add_file(project_id: int, new: NewFile, actor: Actor) -> File:
        """Record a `NewFile` whose blob is kept, creating its package if need be, in one transaction with its journal row.

        Raises `FileExists` when the package already has a file of that name: of two callers at once, exactly one succeeds.
        """

    async def named(digests: list[str]) -> set[str]:
        """Those of a list of sha256 that some file names."""

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
    """Credentials of every kind."""

    async def create_token(username: str, new: NewToken, actor: Actor) -> TokenInfo:
        """Keep a `NewToken` for the user; its `TokenInfo`. Raises `Missing`."""

    async def tokens(username: str | None) -> list[TokenInfo]:
        """The `TokenInfo`s of one user, or of all (None), oldest first. Raises `Missing`."""

    async def revoke_token(token_id: int, actor: Actor) -> TokenInfo:
        """Revoke at once and for good; the `TokenInfo`. Raises `Missing`."""


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
