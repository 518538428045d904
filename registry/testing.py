"""Fakes that ship: they keep the same promises as the real things, and are held to the same suites."""

import errno
import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from attrs import Factory, define, field, frozen
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.web.client import Agent
from twisted.web.http import HTTPChannel
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.server import Site
from zope.interface import implementer

from registry.assembly import Store
from registry.domain.access import Project, User, Visibility
from registry.domain.errors import AlreadyTaken, BlobMissing, FileExists, Missing, StorageFull, Unavailable
from registry.domain.model import (
    Actor,
    Change,
    Digests,
    File,
    NewFile,
    NewToken,
    Page,
    ProjectInfo,
    StoredToken,
    TokenInfo,
)
from registry.domain.names import Name
from registry.domain.paths import ProjectPath
from registry.domain.tokens import Secret, mint
from registry.interfaces import IAccounts, IBlobs, IJournal, IOpenBlob, IPackages, IStagedBlob, IThreads
from registry.storage.blobs.directory import DirectoryBlobs
from registry.storage.blobs.disk import Disk
from registry.storage.catalog.accounts import SqlAccounts
from registry.storage.catalog.database import Database
from registry.storage.catalog.packages import SqlPackages
from registry.storage.data_dir import DataDir
from registry.storage.threads import InlineThreads
from registry.web.access_log import AccessLog
from registry.web.channel import Deadlines
from registry.web.front import Front
from registry.web.ops import Ops
from registry.web.pypi import ProjectPyPI
from registry.web.routes import Route, Routes
from registry.web.site import RegistrySite
from registry.web.upload import Uploads
from registry.workflows.founding import found
from registry.workflows.gate import Gate
from registry.workflows.library import Library
from registry.workflows.publish import Publisher

T = TypeVar("T")

# Where the clock of every fake begins.
NOON = datetime(2030, 6, 15, 12, tzinfo=UTC)
OPERATOR = Actor(user_id=None, username="operator")
EXTERNAL_URL = "https://packages.example.com"


def done(awaitable: "Awaitable[T] | Deferred[T]") -> T:
    """The result of something that must already have happened: waits for nothing. Raises what it failed with."""
    deferred = awaitable if isinstance(awaitable, Deferred) else Deferred.fromCoroutine(cast("Coroutine[Deferred[Any], Any, T]", awaitable))
    results: list[T] = []
    failures: list[Failure] = []

    def keep(result: T) -> T:
        results.append(result)
        return result

    deferred.addCallbacks(keep, failures.append)
    if failures:
        failures[0].raiseException()
    assert results, "it has not happened yet"
    return results[0]


def gathered(batches: AsyncIterator[T]) -> list[T]:
    """All items of an asynchronous iterator that never has to wait."""

    async def collect() -> list[T]:
        return [item async for item in batches]

    return done(collect())


# --- threads --------------------------------------------------------------------------------------------------------------------------


@implementer(IThreads)
@define(eq=False)
class HeldThreads:
    """Threads whose work runs only when the test says so: every order of events can be arranged."""

    _work: "list[tuple[Deferred[Any], Callable[..., Any], tuple[object, ...]]]" = Factory(list)  # oldest first

    @property
    def waiting(self) -> int:
        """How many pieces of work wait."""
        return len(self._work)

    def run(self, work: Callable[..., T], *args: object) -> "Deferred[T]":
        """IThreads."""
        outcome: Deferred[T] = Deferred()
        self._work.append((outcome, work, args))
        return outcome

    def let(self, count: int = 1) -> None:
        """Run the oldest `count` pieces of work."""
        for _ in range(count):
            outcome, work, args = self._work.pop(0)
            execute(work, *args).chainDeferred(outcome)

    def fail(self, error: Exception) -> None:
        """Let the oldest piece of work fail with `error` instead of running it."""
        outcome, _, _ = self._work.pop(0)
        outcome.errback(error)

    def let_all(self) -> None:
        """Run until nothing waits, what comes meanwhile included."""
        while self._work:
            self.let()


# --- blobs ----------------------------------------------------------------------------------------------------------------------------


@implementer(IOpenBlob)
@frozen
class MemoryOpenBlob:
    """IOpenBlob over bytes."""

    data: bytes
    descriptor: int | None = None

    @property
    def size(self) -> int:
        """IOpenBlob."""
        return len(self.data)

    def read(self, offset: int, length: int) -> "Deferred[bytes]":
        """IOpenBlob."""
        return succeed(self.data[offset : offset + length])

    def close(self) -> None:
        """IOpenBlob."""


@implementer(IStagedBlob)
@define(eq=False)
class MemoryStagedBlob:
    """IStagedBlob in memory; its disk is never slow."""

    _blobs: "MemoryBlobs"
    _data: bytearray = Factory(bytearray)
    _algorithms: set[str] = Factory(set)
    _sha256: str = ""  # once finished
    _pinned: bool = False
    _discarded: bool = False

    def expect(self, algorithms: Sequence[str]) -> None:
        """IStagedBlob."""
        self._algorithms.update(algorithms)

    def write(self, data: bytes) -> None:
        """IStagedBlob."""
        if not self._discarded:
            self._data += data

    async def finish(self, algorithms: Sequence[str] = ()) -> Digests:
        """IStagedBlob."""
        self._blobs.demand_room()
        self._sha256 = hashlib.sha256(self._data).hexdigest()
        others = {algorithm: _hexdigest(algorithm, bytes(self._data)) for algorithm in {*self._algorithms, *algorithms} - {"sha256"}}
        return Digests(size=len(self._data), sha256=self._sha256, others=others)

    async def inspect(self, look: Callable[[BinaryIO, int], T]) -> T:
        """IStagedBlob."""
        return look(io.BytesIO(self._data), len(self._data))

    async def keep(self) -> None:
        """IStagedBlob."""
        assert self._sha256, "finish() comes before keep()"
        self._blobs.demand_room()
        if not self._pinned:
            self._pinned = True
            self._blobs.pin(self._sha256)
        self._blobs.place(self._sha256, bytes(self._data))

    def discard(self) -> None:
        """IStagedBlob."""
        if self._discarded:
            return
        self._discarded = True
        self._blobs.staged -= 1
        if self._pinned:
            self._blobs.unpin(self._sha256)


@implementer(IBlobs)
@define(eq=False)
class MemoryBlobs:
    """IBlobs that forget when the process ends. `full` and `gone` rehearse a full disk and a lost one."""

    full: bool = False
    gone: bool = False
    staged: int = 0  # staged and not discarded
    _kept: dict[str, bytes] = Factory(dict)
    _pins: Counter[str] = Factory(Counter)
    _touched: set[str] = Factory(set)  # pinned when the running sweep asked, or since

    def stage(self, on_full: Callable[[], None], on_space: Callable[[], None]) -> MemoryStagedBlob:
        """IBlobs."""
        self.staged += 1
        return MemoryStagedBlob(self)

    async def open(self, sha256: str) -> MemoryOpenBlob:
        """IBlobs."""
        if sha256 not in self._kept:
            raise BlobMissing(sha256=sha256)
        return MemoryOpenBlob(self._kept[sha256])

    async def digest(self, sha256: str) -> str | None:
        """IBlobs."""
        data = self._kept.get(sha256)
        return None if data is None else hashlib.sha256(data).hexdigest()

    async def listing(self) -> AsyncIterator[list[str]]:
        """IBlobs."""
        if self._kept:
            yield sorted(self._kept)

    async def sweep(self, named: Callable[[list[str]], Awaitable[set[str]]]) -> int:
        """IBlobs."""
        self._touched.clear()
        self._touched.update(self._pins)
        names = sorted(self._kept)
        orphans = set(names) - await named(names) - set(self._pins) - self._touched
        for sha256 in orphans:
            del self._kept[sha256]
        return len(orphans)

    async def check(self) -> None:
        """IBlobs."""
        if self.gone:
            raise Unavailable(part="blob store")

    def spoil(self, sha256: str, data: bytes | None) -> None:
        """Change, or lose, what is kept: what a failing disk does."""
        if data is None:
            del self._kept[sha256]
        else:
            self._kept[sha256] = data

    # --- called by MemoryStagedBlob ---

    def demand_room(self) -> None:
        """Raise `StorageFull` when the test says so."""
        if self.full:
            raise StorageFull

    def pin(self, sha256: str) -> None:
        """Protect from sweeping."""
        self._pins[sha256] += 1
        self._touched.add(sha256)

    def unpin(self, sha256: str) -> None:
        """Undo one `pin`."""
        self._pins[sha256] -= 1
        if not self._pins[sha256]:
            del self._pins[sha256]

    def place(self, sha256: str, data: bytes) -> None:
        """Keep it."""
        self._kept.setdefault(sha256, data)


def _hexdigest(algorithm: str, data: bytes) -> str:
    if algorithm == "blake2b":
        return hashlib.blake2b(data, digest_size=32).hexdigest()
    return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()


def _nothing(step: str) -> None:
    pass


@frozen(kw_only=True)
class FailingDisk(Disk):
    """A real disk that tells of each step, so that its failures, and those of the process, can be rehearsed.

    `before` and `after` are called with the step's name: create, write, flush, flush_behind, replace, flush_folder, make_folder or remove.
    What they raise is what the step raises; a hook that never returns (it kills the process) is a crash at that very point. `steps`
    remembers them all.
    """

    before: Callable[[str], object] = _nothing
    after: Callable[[str], object] = _nothing
    steps: list[str] = Factory(list)

    @classmethod
    def full_at(cls, step: str, nth: int = 1) -> "FailingDisk":
        """A disk that has no room left when `step` is reached for the `nth` time."""
        return cls.broken_at(step, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), nth)

    @classmethod
    def broken_at(cls, step: str, error: Exception, nth: int = 1) -> "FailingDisk":
        """A disk on which `step` fails with `error` when it is reached for the `nth` time, and ever after."""
        reached: Counter[str] = Counter()

        def before(name: str) -> None:
            reached[name] += 1
            if name == step and reached[name] >= nth:
                raise error

        return cls(before=before)

    def create(self, path: Path) -> int:
        """Disk."""
        self._begin("create")
        descriptor = Disk.create(self, path)
        self.after("create")
        return descriptor

    def write(self, descriptor: int, pieces: Sequence[bytes]) -> None:
        """Disk."""
        self._begin("write")
        Disk.write(self, descriptor, pieces)
        self.after("write")

    def flush(self, descriptor: int) -> None:
        """Disk."""
        self._begin("flush")
        Disk.flush(self, descriptor)
        self.after("flush")

    def flush_behind(self, descriptor: int, offset: int, length: int) -> None:
        """Disk."""
        self._begin("flush_behind")
        Disk.flush_behind(self, descriptor, offset, length)
        self.after("flush_behind")

    def replace(self, old: Path, new: Path) -> None:
        """Disk."""
        self._begin("replace")
        Disk.replace(self, old, new)
        self.after("replace")

    def flush_folder(self, folder: Path) -> None:
        """Disk."""
        self._begin("flush_folder")
        Disk.flush_folder(self, folder)
        self.after("flush_folder")

    def make_folder(self, folder: Path) -> None:
        """Disk."""
        self._begin("make_folder")
        Disk.make_folder(self, folder)
        self.after("make_folder")

    def remove(self, path: Path) -> None:
        """Disk."""
        self._begin("remove")
        Disk.remove(self, path)
        self.after("remove")

    def _begin(self, step: str) -> None:
        self.steps.append(step)
        self.before(step)


# --- the catalog ----------------------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class _Row:
    project_id: int
    name: Name  # its display is that of the package
    version_key: str
    file: File


@implementer(IPackages, IAccounts, IJournal)
@define(eq=False)
class MemoryCatalog:
    """IPackages, IAccounts and IJournal that forget when the process ends. What raises has changed nothing."""

    now: Callable[[], datetime] = lambda: NOON
    changes: list[Change] = Factory(list)  # the journal
    _users: dict[str, User] = Factory(dict)  # by lower-case name
    _tokens: dict[int, tuple[TokenInfo, str]] = Factory(dict)  # with the digest of its secret
    _projects: dict[str, tuple[Project, datetime]] = Factory(dict)  # by lower-case path
    _rows: list[_Row] = Factory(list)
    _listeners: list[Callable[[tuple[Change, ...]], None]] = Factory(list)

    # --- IJournal ---

    def subscribe(self, listener: Callable[[tuple[Change, ...]], None]) -> None:
        """IJournal."""
        self._listeners.append(listener)

    async def poll(self) -> None:
        """IJournal: there is no other process."""

    # --- IPackages ---

    async def project(self, ref: int | str) -> Project | None:
        """IPackages."""
        for key, (project, _) in self._projects.items():
            if ref == project.id or (isinstance(ref, str) and ref.lower() == key):
                return project
        return None

    async def page(self, project_id: int, name: Name) -> Page | None:
        """IPackages."""
        rows = [row for row in self._rows if (row.project_id, row.name) == (project_id, name)]
        return Page(name=name, display=rows[0].name.display, files=tuple(row.file for row in rows)) if rows else None

    async def names(self, project_id: int) -> tuple[str, ...]:
        """IPackages."""
        return tuple(sorted({row.name.normalized for row in self._rows if row.project_id == project_id}))

    async def file(self, project_id: int, sha256: str, filename: str) -> File | None:
        """IPackages."""
        for row in self._rows:
            if (row.project_id, row.file.sha256, row.file.filename) == (project_id, sha256, filename):
                return row.file
        return None

    async def add_file(self, project_id: int, new: NewFile, actor: Actor) -> File:
        """IPackages."""
        package = [row for row in self._rows if (row.project_id, row.name, row.version_key) == (project_id, new.name, new.version.key)]
        for row in package:
            if row.file.filename == new.filename:
                raise FileExists(filename=new.filename, identical=row.file.sha256 == new.digests.sha256)
        file = File(
            id=len(self._rows) + 1,
            filename=new.filename,
            version=package[0].file.version if package else new.version.display,
            sha256=new.digests.sha256,
            size=new.digests.size,
            requires_python=new.requires_python,
            uploaded_at=self.now(),
        )
        name = package[0].name if package else new.name
        self._rows.append(_Row(project_id=project_id, name=name, version_key=new.version.key, file=file))
        detail = {"version": file.version, "filename": file.filename, "sha256": file.sha256, "size": file.size}
        self._tell(self._record("file.publish", actor, project_id=project_id, name=name.normalized, **detail))
        return file

    async def named(self, digests: list[str]) -> set[str]:
        """IPackages."""
        return {row.file.sha256 for row in self._rows} & set(digests)

    async def blobs(self) -> AsyncIterator[list[tuple[str, int, str]]]:
        """IPackages."""
        found: dict[str, tuple[str, int, str]] = {}
        for row in self._rows:
            found.setdefault(row.file.sha256, (row.file.sha256, row.file.size, row.file.filename))
        if found:
            yield sorted(found.values())

    # --- IAccounts ---

    async def found(self, username: str, token: NewToken, project: ProjectPath) -> bool:
        """IAccounts."""
        if self._users:
            return False
        system = Actor(user_id=None, username="")
        user, first = self._new_user(username, system, admin=True)
        _, second = self._new_token(user, token, system)
        _, third = self._new_project(project, Visibility.PRIVATE, system)
        self._tell(first, second, third)
        return True

    async def token(self, digest: str) -> StoredToken | None:
        """IAccounts."""
        for info, known in self._tokens.values():
            if known == digest:
                return StoredToken(info=info, user=self._users[info.username.lower()])
        return None

    async def create_user(self, username: str, email: str, actor: Actor, *, admin: bool = False) -> User:
        """IAccounts."""
        user, change = self._new_user(username, actor, admin=admin)
        self._tell(change)
        return user

    async def users(self) -> list[User]:
        """IAccounts."""
        return list(self._users.values())

    async def block_user(self, username: str, actor: Actor, *, blocked: bool) -> User:
        """IAccounts."""
        found = self._user(username)
        changed = User(id=found.id, username=found.username, admin=found.admin, blocked=blocked)
        self._users[username.lower()] = changed
        self._tell(self._record("user.block" if blocked else "user.unblock", actor, user=found.username))
        return changed

    async def create_token(self, username: str, new: NewToken, actor: Actor) -> TokenInfo:
        """IAccounts."""
        info, change = self._new_token(self._user(username), new, actor)
        self._tell(change)
        return info

    async def tokens(self, username: str | None) -> list[TokenInfo]:
        """IAccounts."""
        wanted = None if username is None else self._user(username).username
        return [info for info, _ in self._tokens.values() if wanted in {None, info.username}]

    async def revoke_token(self, token_id: int, actor: Actor) -> TokenInfo:
        """IAccounts."""
        if token_id not in self._tokens:
            raise Missing(what="token", value=str(token_id))
        info, digest = self._tokens[token_id]
        if info.revoked_at is None:
            info = TokenInfo(
                id=info.id,
                name=info.name,
                username=info.username,
                scopes=info.scopes,
                created_at=info.created_at,
                expires_at=info.expires_at,
                revoked_at=self.now(),
            )
            self._tokens[token_id] = (info, digest)
            self._tell(self._record("token.revoke", actor, user=info.username, token=info.name, token_id=token_id))
        return info

    async def create_project(self, path: ProjectPath, visibility: Visibility, actor: Actor) -> ProjectInfo:
        """IAccounts."""
        project, change = self._new_project(path, visibility, actor)
        self._tell(change)
        return (await self.projects(project.id))[0]

    async def projects(self, ref: int | str | None = None) -> list[ProjectInfo]:
        """IAccounts."""
        found = [
            self._info(project, at)
            for key, (project, at) in self._projects.items()
            if ref is None or ref == project.id or (isinstance(ref, str) and ref.lower() == key)
        ]
        if ref is not None and not found:
            raise Missing(what="project", value=str(ref))
        return found

    # --- for tests ---

    def disable_packages(self, project_id: int) -> None:
        """Switch the package registry of a project off."""
        for key, (project, at) in self._projects.items():
            if project.id == project_id:
                self._projects[key] = (_without_packages(project), at)

    # --- inside ---

    def _user(self, username: str) -> User:
        user = self._users.get(username.lower())
        if user is None:
            raise Missing(what="user", value=username)
        return user

    def _new_user(self, username: str, actor: Actor, *, admin: bool) -> tuple[User, Change]:
        if username.lower() in self._users:
            raise AlreadyTaken(what="User name", value=username)
        user = User(id=len(self._users) + 1, username=username, admin=admin)
        self._users[username.lower()] = user
        return user, self._record("user.create", actor, user=username, admin=admin)

    def _new_token(self, user: User, new: NewToken, actor: Actor) -> tuple[TokenInfo, Change]:
        info = TokenInfo(
            id=len(self._tokens) + 1,
            name=new.name,
            username=user.username,
            scopes=new.scopes,
            created_at=self.now(),
            expires_at=new.expires_at,
            revoked_at=None,
        )
        self._tokens[info.id] = (info, new.digest)
        return info, self._record("token.create", actor, user=user.username, token=new.name, token_id=info.id, scopes=list(new.scopes))

    def _new_project(self, path: ProjectPath, visibility: Visibility, actor: Actor) -> tuple[Project, Change]:
        owner = self._users.get(path.namespace.lower())
        if owner is None:
            raise Missing(what="user or group called", value=path.namespace)
        if str(path).lower() in self._projects:
            raise AlreadyTaken(what="Project path", value=str(path))
        project = Project(id=len(self._projects) + 1, path=str(path), name=path.segment, visibility=visibility, owner_id=owner.id)
        self._projects[str(path).lower()] = (project, self.now())
        return project, self._record("project.create", actor, project_id=project.id, path=str(path), visibility=visibility.value)

    def _info(self, project: Project, at: datetime) -> ProjectInfo:
        rows = [row for row in self._rows if row.project_id == project.id]
        return ProjectInfo(
            id=project.id,
            path=project.path,
            name=project.name,
            visibility=project.visibility,
            packages_enabled=project.packages_enabled,
            created_at=at,
            packages=len({(row.name, row.version_key) for row in rows}),
            files=len(rows),
            bytes=sum(row.file.size for row in rows),
        )

    def _record(self, action: str, actor: Actor, *, project_id: int | None = None, name: str = "", **detail: object) -> Change:
        change = Change(
            serial=len(self.changes) + 1, at=self.now(), action=action, actor=actor, project_id=project_id, name=name, detail=detail
        )
        self.changes.append(change)
        return change

    def _tell(self, *changes: Change) -> None:
        for listener in self._listeners:
            listener(changes)


def _without_packages(project: Project) -> Project:
    return Project(
        id=project.id,
        path=project.path,
        name=project.name,
        visibility=project.visibility,
        packages_enabled=False,
        owner_id=project.owner_id,
    )


# --- distributions --------------------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Built:
    """A distribution file as a build tool leaves it."""

    name: str
    version: str
    filename: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Its digest in hex."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def fields(self) -> dict[str, str]:
        """The least a client sends with it, but for `content`."""
        return {":action": "file_upload", "protocol_version": "1", "name": self.name, "version": self.version}


def wheel(name: str = "demo", version: str = "1.0", *, requires_python: str = "", payload: bytes = b"", tag: str = "py3-none-any") -> Built:
    """A small valid wheel; `payload` makes its bytes differ."""
    stem = f"{name.replace('-', '_')}-{version}"
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr(f"{stem}.dist-info/METADATA", _metadata(name, version, requires_python))
        archive.writestr(f"{stem}.dist-info/WHEEL", f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{name.replace('-', '_')}/payload.bin", payload)
        archive.writestr(f"{stem}.dist-info/RECORD", "")
    return Built(name=name, version=version, filename=f"{stem}-{tag}.whl", content=written.getvalue())


def sdist(name: str = "demo", version: str = "1.0", *, requires_python: str = "", payload: bytes = b"") -> Built:
    """A small valid source distribution."""
    stem = f"{name.replace('-', '_')}-{version}"
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for path, data in ((f"{stem}/PKG-INFO", _metadata(name, version, requires_python).encode()), (f"{stem}/payload.bin", payload)):
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return Built(name=name, version=version, filename=f"{stem}.tar.gz", content=written.getvalue())


def _metadata(name: str, version: str, requires_python: str) -> str:
    requires = f"Requires-Python: {requires_python}\n" if requires_python else ""
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: for tests\n{requires}\nA description.\n"


BOUNDARY = "0123456789abcdef"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def form(fields: Mapping[str, str], *files: tuple[str, str, bytes], last: Mapping[str, str] | None = None) -> bytes:
    """An upload form's body: `fields`, then `files` (field, file name, content), then the fields of `last`."""
    parts = [_field(key, value) for key, value in fields.items()]
    for key, filename, content in files:
        head = f'Content-Disposition: form-data; name="{key}"; filename="{filename}"\r\nContent-Type: application/octet-stream'
        parts.append(head.encode() + b"\r\n\r\n" + content)
    parts += [_field(key, value) for key, value in (last or {}).items()]
    mark = f"--{BOUNDARY}".encode()
    return b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


def _field(key: str, value: str) -> bytes:
    return f'Content-Disposition: form-data; name="{key}"\r\n\r\n{value}'.encode()


# --- HTTP in memory -------------------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Answer:
    """One HTTP answer, read off the wire. `headers` has lower-case names; `complete`: all of the promised body came."""

    code: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


def answers_in(raw: bytes, methods: Sequence[str] = ()) -> list[Answer]:
    """The answers that `raw` holds, to requests with these `methods` (GET where there are too few)."""
    found: list[Answer] = []
    asked = list(methods)
    while raw:
        head, blank, raw = raw.partition(b"\r\n\r\n")
        assert blank, f"half a head: {head!r}"
        line, *rest = head.split(b"\r\n")
        protocol, code_text, *reason = line.decode("latin-1").split(" ", 2)
        assert protocol in {"HTTP/1.1", "HTTP/1.0"}, f"not an answer: {line!r}"
        code = int(code_text)
        headers: dict[str, str] = {}
        for name, _, value in (one.decode("latin-1").partition(":") for one in rest):
            assert name.lower() not in headers or name.lower() == "set-cookie", f"{name} comes twice"
            headers[name.lower()] = value.strip()
        method = "GET" if code == 100 or not asked else asked.pop(0)  # noqa: PLR2004 - 100 Continue answers nothing yet
        body, complete = b"", True
        if method != "HEAD" and code not in {100, 204, 304}:
            body, raw, complete = _body_in(headers, raw)
        found.append(Answer(code=code, reason=(reason or [""])[0], headers=headers, body=body, complete=complete))
    return found


def _body_in(headers: Mapping[str, str], raw: bytes) -> tuple[bytes, bytes, bool]:
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while raw:
            size_text, _, raw = raw.partition(b"\r\n")
            size = int(size_text, 16)
            body, raw = body + raw[:size], raw[size + 2 :]
            if not size:
                return body, raw, True
        return body, b"", False
    size = int(headers.get("content-length", len(raw)))
    return raw[:size], raw[size:], len(raw) >= size


class _Transport(StringTransport):
    """A transport as TCP's: after it was told to close it ignores what would raise, and it closes a turn later."""

    disconnecting: bool
    disconnected: bool  # twisted.internet.testing means "was aborted"
    producerState: str

    def __init__(self, peer: str) -> None:
        if peer:
            super().__init__(IPv4Address("TCP", "127.0.0.1", 8080), IPv4Address("TCP", peer, 40000), lenient=True)
        else:
            super().__init__(UNIXAddress("/run/registry.sock"), UNIXAddress(None), lenient=True)

    def write(self, data: bytes) -> None:
        """ITransport."""
        if not self.disconnecting:
            super().write(data)

    def writeSequence(self, data: Sequence[bytes]) -> None:
        """ITransport."""
        self.write(b"".join(data))

    def unregisterProducer(self) -> None:
        """IConsumer: TCP does not mind a second time."""
        if self.producer is not None:
            super().unregisterProducer()


_PIECE = 1 << 16


@define(eq=False)
class Wire:
    """One connection to a `Site`, byte by byte. Like TCP, it delivers nothing while the server does not read."""

    channel: HTTPChannel
    transport: _Transport
    closed: bool = False
    delivered: int = 0  # bytes that the server has taken
    _outgoing: bytearray = Factory(bytearray)

    @classmethod
    def to(cls, site: Site, peer: str = "192.0.2.7") -> "Wire":
        """Connect, from the address `peer`, or through a unix socket if that is empty."""
        channel = cast("HTTPChannel", site.buildProtocol(None))
        transport = _Transport(peer)
        channel.makeConnection(cast("Any", transport))
        return cls(channel, transport)

    def send(self, data: bytes) -> None:
        """Send bytes; what the server does not take now, it gets when it reads again (`settle`)."""
        self._outgoing += data
        self.settle()

    def settle(self) -> None:
        """Deliver what can be delivered, and the end of the connection if the server closed it."""
        while not self.closed:
            if self.transport.disconnecting:
                self._close(ConnectionAborted() if self.aborted else ConnectionDone())
            elif self._outgoing and self.reading:
                piece = bytes(self._outgoing[:_PIECE])
                del self._outgoing[:_PIECE]
                self.delivered += len(piece)
                self.channel.dataReceived(piece)
            else:
                return

    def hang_up(self) -> None:
        """Break the connection from the client's side."""
        if not self.closed:
            self._close(ConnectionLost())

    def stop_reading(self) -> None:
        """Read no more answers: the server's transport fills up."""
        self.channel.pauseProducing()

    def read_on(self) -> None:
        """Read answers again."""
        self.channel.resumeProducing()
        self.settle()

    @property
    def undelivered(self) -> int:
        """How many bytes the server has not taken yet."""
        return len(self._outgoing)

    @property
    def reading(self) -> bool:
        """Whether the server reads."""
        return self.transport.producerState == "producing"

    @property
    def aborted(self) -> bool:
        """Whether the server broke the connection off instead of closing it."""
        return self.transport.disconnected

    @property
    def received(self) -> bytes:
        """Everything the server has sent."""
        return bytes(self.transport.value())

    def answers(self, *methods: str) -> list[Answer]:
        """The answers so far, to requests with these methods."""
        return answers_in(self.received, methods)

    def _close(self, reason: Exception) -> None:
        self.closed = True
        self.channel.connectionLost(Failure(reason))


def request(method: str, path: str | bytes, headers: Mapping[str, str] | Sequence[tuple[str, str]] = (), body: bytes = b"") -> bytes:
    """A request's bytes, exactly as given; Host and Content-Length are added unless given."""
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    given = {name.lower() for name, _ in pairs}
    if "host" not in given:
        pairs.insert(0, ("Host", "registry.test"))
    if body and not given & {"content-length", "transfer-encoding"}:
        pairs.append(("Content-Length", str(len(body))))
    raw_path = path if isinstance(path, bytes) else path.encode()
    lines = [method.encode() + b" " + raw_path + b" HTTP/1.1", *(f"{name}: {value}".encode() for name, value in pairs)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class SiteAgent(RequestTraversalAgent):
    """treq's in-memory agent, over our own Site instead of a stock one."""

    def __init__(self, site: RegistrySite, reactor: MemoryReactorClock) -> None:
        super().__init__(None)
        self._endpoints = _Endpoints(self._realAgent)
        self._memoryReactor = self._endpoints.reactor = reactor
        self._realAgent = Agent.usingEndpointFactory(reactor=cast("Any", reactor), endpointFactory=self._endpoints)
        self._serverFactory = site


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """The agent's own way to make endpoints, on another reactor."""

    reactor: MemoryReactorClock

    def __init__(self, agent: Any) -> None:
        self._factory = agent._endpointFactory  # noqa: SLF001 - treq makes it for itself and offers no other way

    def endpointForURI(self, uri: object) -> Any:
        """IAgentEndpointFactory."""
        self._factory.reactor = self.reactor
        return self._factory.endpointForURI(uri)


# --- a whole registry -----------------------------------------------------------------------------------------------------------------


@define(eq=False, kw_only=True)
class MemoryRegistry:
    """A whole registry of the same classes that `assembly` uses, on a folder, without threads, ports or a clock of its own."""

    clock: MemoryReactorClock
    store: Store
    gate: Gate
    library: Library
    publisher: Publisher
    routes: Routes
    site: RegistrySite
    log_lines: list[str]  # of the access log, once flushed
    root_token: str
    _log: AccessLog

    def now(self) -> datetime:
        """The registry's wall clock."""
        return NOON + timedelta(seconds=self.clock.seconds())

    def connect(self, peer: str = "192.0.2.7") -> Wire:
        """A new connection."""
        return Wire.to(self.site, peer)

    def ask(
        self,
        method: str,
        path: str | bytes,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        token: str | None = None,
    ) -> Answer:
        """The one answer to one request on a connection of its own."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        if token is not None:
            pairs.append(("PRIVATE-TOKEN", token))
        wire = self.connect()
        wire.send(request(method, path, pairs, body))
        answers = [answer for answer in wire.answers(method) if answer.code != 100]  # noqa: PLR2004 - an interim one
        assert len(answers) == 1, f"{len(answers)} answers to {method} {path!r}"
        wire.hang_up()
        return answers[0]

    def upload(self, project: int | str, built: Built, *, token: str | None = None, fields: Mapping[str, str] | None = None) -> Answer:
        """Upload `built`, with `fields` instead of, or beside, those it needs; by root unless there is a `token`."""
        body = form({**built.fields, **(fields or {})}, ("content", built.filename, built.content))
        path = f"/api/v4/projects/{project}/packages/pypi"
        return self.ask("POST", path, {"Content-Type": FORM_TYPE}, body, token=self.root_token if token is None else token)

    def token(self, user: str, *scopes: str, expires_at: datetime | None = None) -> str:
        """A new personal access token of `user` (scope `api` unless said otherwise)."""
        secret = mint()
        new = NewToken(name="test", digest=secret.digest(), scopes=scopes or ("api",), expires_at=expires_at)
        done(self.store.accounts.create_token(user, new, OPERATOR))
        return secret.reveal()

    def user(self, username: str, *, admin: bool = False) -> User:
        """A new user."""
        return done(self.store.accounts.create_user(username, "", OPERATOR, admin=admin))

    def project(self, path: str, visibility: Visibility = Visibility.PRIVATE) -> ProjectInfo:
        """A new project."""
        return done(self.store.accounts.create_project(ProjectPath.parse(path), visibility, OPERATOR))

    def staged_files(self) -> list[str]:
        """What lies in the staging folder."""
        return sorted(path.name for path in (self.store.data_dir.blobs / "staging").iterdir())

    def kept_files(self) -> list[str]:
        """The names of all blobs."""
        return [name for batch in gathered(self.store.blobs.listing()) for name in batch]

    def pass_time(self, seconds: int, *wires: Wire) -> None:
        """Let the clock run, second by second, and `wires` see what it brings."""
        for _ in range(seconds):
            self.clock.advance(1)
            for wire in wires:
                wire.settle()

    def http(self) -> HTTPClient:
        """A treq client whose requests go through the registry's own Site."""
        return HTTPClient(SiteAgent(self.site, self.clock))

    def access_log(self) -> str:
        """Every line of the access log."""
        done(self._log.flush())
        return "".join(self.log_lines)

    def close(self) -> None:
        """Give back what the catalog holds."""
        self.site.stopFactory()
        self.store.database.close()


def registry_in_memory(
    folder: Path,
    *,
    disk: Disk | None = None,
    files: IThreads | None = None,
    readers: IThreads | None = None,
    writer: IThreads | None = None,
    limit: int = 1 << 20,
    accept_identical: bool = False,
    external_url: str = EXTERNAL_URL,
    deadlines: Deadlines | None = None,
    budget: int = 1 << 20,
    more: Sequence[Route] = (),
) -> MemoryRegistry:
    """Put a registry together on `folder`, founded, ready to be asked.

    `files`, `readers` and `writer` are the threads of blobs and of the catalog: with `HeldThreads` every race can be arranged (the founding
    is done without them). `limit` bounds an uploaded file, in bytes. `more` routes are served beside the real ones.
    """
    clock = MemoryReactorClock()
    inline = InlineThreads()

    def now() -> datetime:
        return NOON + timedelta(seconds=clock.seconds())

    data_dir = DataDir(folder)
    data_dir.create()
    reading, writing = _Switch(inline), _Switch(inline)
    database = Database(path=data_dir.catalog, readers=reading, writer=writing, now=now)
    blobs = DirectoryBlobs(folder=data_dir.blobs, threads=files or inline, disk=disk or Disk())
    store = Store(data_dir=data_dir, database=database, packages=SqlPackages(database), accounts=SqlAccounts(database), blobs=blobs)
    blobs.prepare()
    database.open()
    handed: list[Secret] = []

    async def hand_over(secret: Secret) -> None:
        handed.append(secret)

    done(found(store.accounts, hand_over))
    reading.threads, writing.threads = readers or inline, writer or inline
    gate = Gate(accounts=store.accounts, packages=store.packages, now=now)
    library = Library(packages=store.packages, blobs=blobs, budget=budget, small_budget=budget)
    publisher = Publisher(packages=store.packages, blobs=blobs, accept_identical=accept_identical)
    for listener in (gate.forget, library.forget):
        database.subscribe(listener)
    uploads = Uploads(blobs=blobs, limit=limit, threads=inline)
    pypi = ProjectPyPI(library=library, publisher=publisher, uploads=uploads, external_url=lambda: external_url)
    ops = Ops(checks={"catalog": database.check, "blobs": blobs.check})
    front = Front(external_url=lambda: external_url)
    routes = Routes(gate=gate, routes=(*front.routes(), *ops.routes(), *pypi.routes(), *more))
    lines: list[str] = []
    log = AccessLog(threads=inline, write=lines.append, now=lambda: now().timestamp())
    site = RegistrySite(routes, uploads, reactor=cast("Any", clock), deadlines=deadlines, log=log)
    site.startFactory()
    return MemoryRegistry(
        clock=clock,
        store=store,
        gate=gate,
        library=library,
        publisher=publisher,
        routes=routes,
        site=site,
        log_lines=lines,
        root_token=handed[0].reveal() if handed else "",
        log=log,
    )


@implementer(IThreads)
@define(eq=False)
class _Switch:
    """Threads that can be exchanged while the registry runs."""

    threads: IThreads = field()

    def run(self, work: Callable[..., T], *args: object) -> "Deferred[T]":
        """IThreads."""
        running: Deferred[T] = self.threads.run(work, *args)
        return running
