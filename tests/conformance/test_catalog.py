"""What every IPackages, IAccounts and IJournal promise together."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from registry.domain.access import Project, User, Visibility
from registry.domain.errors import AlreadyTaken, FileExists, Missing
from registry.domain.model import Actor, Change, Digests, File, NewFile, NewToken, Page, ProjectInfo
from registry.domain.names import Name
from registry.domain.paths import ProjectPath
from registry.domain.tokens import mint
from registry.domain.versions import Version
from registry.interfaces import IAccounts, IJournal, IPackages
from registry.storage.catalog.accounts import SqlAccounts
from registry.storage.catalog.database import Database
from registry.storage.catalog.packages import SqlPackages
from registry.storage.threads import InlineThreads
from registry.testing import NOON, MemoryCatalog, done, gathered

ACTOR = Actor(user_id=1, username="ann", token_id=3, token_name="laptop", address="192.0.2.7")


@define
class Clock:
    """A wall clock that the test moves."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        """The moment."""
        return self.now


@define
class Catalog:
    """One catalog behind its three faces, and what its listeners were told."""

    packages: IPackages
    accounts: IAccounts
    journal: IJournal
    clock: Clock
    told: list[Change] = field(factory=list)

    def project(self, path: str = "ann/demo", visibility: Visibility = Visibility.PRIVATE) -> ProjectInfo:
        """A new project."""
        return done(self.accounts.create_project(ProjectPath.parse(path), visibility, ACTOR))

    def add(self, project_id: int, filename: str, **changes: Any) -> File:
        """A new file, of demo 1.0 unless said otherwise."""
        return done(self.packages.add_file(project_id, new_file(filename, **changes), ACTOR))

    def page(self, project_id: int, name: str = "demo") -> Page | None:
        """A page."""
        return done(self.packages.page(project_id, Name(name)))

    def names(self) -> list[str]:
        """The actions that were told."""
        return [change.action for change in self.told]


def new_file(
    filename: str, *, name: str = "demo", version: str = "1.0", sha256: str = "a" * 64, size: int = 10, requires: str = ""
) -> NewFile:
    return NewFile(
        name=Name(name),
        version=Version(version),
        filename=filename,
        digests=Digests(size=size, sha256=sha256, others={"md5": "0" * 32, "blake2b": "1" * 64}),
        requires_python=requires,
        metadata={"summary": "for tests", "classifiers": ("A :: B",)},
    )


def new_token(name: str = "laptop", scopes: tuple[str, ...] = ("api",), expires_at: datetime | None = None) -> NewToken:
    return NewToken(name=name, digest=mint().digest(), scopes=scopes, expires_at=expires_at)


@pytest.fixture(params=["memory", "sqlite"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    """A catalog that nobody has founded."""
    clock = Clock()
    if request.param == "memory":
        memory = MemoryCatalog(now=clock)
        catalog = Catalog(packages=memory, accounts=memory, journal=memory, clock=clock)
        catalog.journal.subscribe(catalog.told.extend)
        yield catalog
        return
    threads = InlineThreads()
    database = Database(path=tmp_path / "catalog.sqlite", readers=threads, writer=threads, now=clock)
    database.open()
    catalog = Catalog(packages=SqlPackages(database), accounts=SqlAccounts(database), journal=database, clock=clock)
    catalog.journal.subscribe(catalog.told.extend)
    yield catalog
    database.close()


@pytest.fixture
def catalog(empty: Catalog) -> Catalog:
    """A catalog with user ann and her private project ann/demo, number 1."""
    done(empty.accounts.create_user("ann", "ann@example.com", ACTOR))
    assert empty.project().id == 1
    empty.told.clear()
    return empty


# --- founding -------------------------------------------------------------------------------------------------------------------------


def test_an_empty_catalog_is_founded_once(empty: Catalog) -> None:
    """Founding makes an administrator, his token and his private project; a second time changes nothing."""
    token = new_token()
    path = ProjectPath(namespace="root", segment="packages")
    assert done(empty.accounts.found("root", token, path)) is True
    assert done(empty.accounts.found("other", new_token(), path)) is False
    (root,) = done(empty.accounts.users())
    assert (root.username, root.admin, root.blocked) == ("root", True, False)
    project = done(empty.packages.project("root/packages"))
    assert project == Project(id=1, path="root/packages", name="packages", visibility=Visibility.PRIVATE, owner_id=root.id)
    stored = done(empty.accounts.token(token.digest))
    assert stored is not None
    assert (stored.user, stored.info.scopes) == (root, ("api",))
    assert empty.names() == ["user.create", "token.create", "project.create"]


# --- users ----------------------------------------------------------------------------------------------------------------------------


def test_users_come_in_the_order_they_were_made(empty: Catalog) -> None:
    """Users are listed oldest first, with what they were made with."""
    made = [done(empty.accounts.create_user(name, f"{name}@x", ACTOR, admin=name == "bob")) for name in ("zoe", "bob", "Amy")]
    assert done(empty.accounts.users()) == made
    assert [(user.username, user.admin, user.blocked) for user in made] == [
        ("zoe", False, False),
        ("bob", True, False),
        ("Amy", False, False),
    ]
    assert len({user.id for user in made}) == 3


@pytest.mark.parametrize("name", ["ann", "ANN", "Ann"])
def test_a_user_name_is_taken_in_any_case(catalog: Catalog, name: str) -> None:
    """Two users cannot differ in case alone; the attempt changes and tells nothing."""
    with pytest.raises(AlreadyTaken, match="User name"):
        done(catalog.accounts.create_user(name, "", ACTOR))
    assert len(done(catalog.accounts.users())) == 1
    assert catalog.told == []


def test_a_user_can_be_blocked_and_unblocked(catalog: Catalog) -> None:
    """Blocking shows in the user and in his tokens, under any case of his name, and can be undone."""
    token = new_token()
    done(catalog.accounts.create_token("ann", token, ACTOR))
    for blocked in (True, False):
        assert done(catalog.accounts.block_user("ANN", ACTOR, blocked=blocked)).blocked is blocked
        assert [user.blocked for user in done(catalog.accounts.users())] == [blocked]
        stored = done(catalog.accounts.token(token.digest))
        assert stored is not None
        assert stored.user.blocked is blocked
    assert catalog.names() == ["token.create", "user.block", "user.unblock"]


def test_nobody_is_missing(catalog: Catalog) -> None:
    """What names a user, token or project that does not exist says which, and changes nothing."""
    accounts = catalog.accounts
    attempts: list[Callable[[], object]] = [
        lambda: done(accounts.block_user("bob", ACTOR, blocked=True)),
        lambda: done(accounts.create_token("bob", new_token(), ACTOR)),
        lambda: done(accounts.tokens("bob")),
        lambda: done(accounts.revoke_token(99, ACTOR)),
        lambda: done(accounts.create_project(ProjectPath.parse("bob/demo"), Visibility.PUBLIC, ACTOR)),
        lambda: done(accounts.projects("bob/demo")),
        lambda: done(accounts.projects(99)),
    ]
    for attempt in attempts:
        with pytest.raises(Missing):
            attempt()
    assert catalog.told == []
    assert done(accounts.tokens(None)) == []


# --- tokens ---------------------------------------------------------------------------------------------------------------------------


def test_a_token_is_found_by_its_digest(catalog: Catalog) -> None:
    """A token keeps its name, scopes and moments exactly, and is found by its whole digest alone."""
    expires = NOON + timedelta(days=30, microseconds=1)
    new = new_token("ci", ("read_api", "write_package_registry"), expires)
    info = done(catalog.accounts.create_token("Ann", new, ACTOR))
    stored = done(catalog.accounts.token(new.digest))
    assert stored is not None
    assert stored.info == info
    assert stored.user == done(catalog.accounts.users())[0]
    assert (info.name, info.username, info.scopes, info.created_at, info.expires_at, info.revoked_at) == (
        "ci",
        "ann",
        ("read_api", "write_package_registry"),
        NOON,
        expires,
        None,
    )
    for digest in ("", new.digest[:-1], new.digest.upper() + "x", "0" * 64):
        assert done(catalog.accounts.token(digest)) is None


def test_tokens_are_listed_oldest_first(catalog: Catalog) -> None:
    """All tokens, or those of one user in any case of his name, in the order they were made."""
    done(catalog.accounts.create_user("bob", "", ACTOR))
    for user, name in (("ann", "one"), ("bob", "two"), ("ann", "three")):
        done(catalog.accounts.create_token(user, new_token(name), ACTOR))
    assert [token.name for token in done(catalog.accounts.tokens(None))] == ["one", "two", "three"]
    assert [token.name for token in done(catalog.accounts.tokens("ANN"))] == ["one", "three"]


def test_a_token_is_revoked_once_and_for_good(catalog: Catalog) -> None:
    """A revoked token is still found, with the moment it was revoked first; revoking again tells nothing."""
    new = new_token()
    made = done(catalog.accounts.create_token("ann", new, ACTOR))
    revoked = done(catalog.accounts.revoke_token(made.id, ACTOR))
    catalog.clock.now += timedelta(hours=1)
    again = done(catalog.accounts.revoke_token(made.id, ACTOR))
    assert revoked.revoked_at == again.revoked_at == NOON
    stored = done(catalog.accounts.token(new.digest))
    assert stored is not None
    assert stored.info == revoked
    assert catalog.names() == ["token.create", "token.revoke"]


# --- projects -------------------------------------------------------------------------------------------------------------------------


def test_a_project_is_found_by_number_and_path(catalog: Catalog) -> None:
    """A project answers to its number and to its whole path in any case; to nothing else."""
    owner = done(catalog.accounts.users())[0]
    expected = Project(id=1, path="ann/demo", name="demo", visibility=Visibility.PRIVATE, owner_id=owner.id)
    for ref in (1, "ann/demo", "Ann/DEMO"):
        assert done(catalog.packages.project(ref)) == expected
    for ref in (0, 2, -1, 2**63 - 1, "", "demo", "ann", "ann/demo/", "ann/dem_", "1", "ann/%"):
        assert done(catalog.packages.project(ref)) is None


@pytest.mark.parametrize("visibility", Visibility)
def test_a_project_keeps_its_visibility(catalog: Catalog, visibility: Visibility) -> None:
    """What a project was made with is what it has, in both of its shapes."""
    made = catalog.project("ANN/Other", visibility)
    found = done(catalog.packages.project(made.id))
    assert found is not None
    assert (found.visibility, made.visibility, made.created_at, made.packages_enabled) == (visibility, visibility, NOON, True)


@pytest.mark.parametrize("path", ["ann/demo", "ann/DEMO", "Ann/Demo"])
def test_a_path_is_taken_in_any_case(catalog: Catalog, path: str) -> None:
    """Two projects cannot differ in case alone; the attempt changes and tells nothing."""
    with pytest.raises(AlreadyTaken, match="Project path"):
        catalog.project(path)
    assert len(done(catalog.accounts.projects())) == 1
    assert catalog.told == []


def test_projects_are_counted(catalog: Catalog) -> None:
    """A project's packages, files and bytes are those it holds, and no other's."""
    other = catalog.project("ann/other").id
    catalog.add(1, "demo-1.0.tar.gz", size=10)
    catalog.add(1, "demo-1.0-py3-none-any.whl", version="1.0.0", sha256="b" * 64, size=20)
    catalog.add(1, "demo-2.0.tar.gz", version="2.0", sha256="c" * 64, size=40)
    infos = {info.id: (info.packages, info.files, info.bytes) for info in done(catalog.accounts.projects())}
    assert infos == {1: (2, 3, 70), other: (0, 0, 0)}
    assert done(catalog.accounts.projects("ANN/Demo")) == done(catalog.accounts.projects(1))


# --- files ----------------------------------------------------------------------------------------------------------------------------


def test_a_file_comes_back_as_it_was_added(catalog: Catalog) -> None:
    """What is recorded is what is found, by page and by digest and name together."""
    catalog.clock.now += timedelta(microseconds=123_456)
    file = catalog.add(1, "demo-1.0.tar.gz", requires=">=3.8,<4", size=5 << 30)
    assert (file.filename, file.version, file.sha256, file.size, file.requires_python, file.uploaded_at) == (
        "demo-1.0.tar.gz",
        "1.0",
        "a" * 64,
        5 << 30,
        ">=3.8,<4",
        NOON + timedelta(microseconds=123_456),
    )
    page = catalog.page(1)
    assert page is not None
    assert page.files == (file,)
    assert done(catalog.packages.file(1, "a" * 64, "demo-1.0.tar.gz")) == file
    for project_id, sha256, filename in (
        (2, "a" * 64, "demo-1.0.tar.gz"),
        (1, "b" * 64, "demo-1.0.tar.gz"),
        (1, "a" * 64, "DEMO-1.0.tar.gz"),
        (1, "A" * 64, "demo-1.0.tar.gz"),
        (1, "a" * 64, "demo-1.0.tar.g_"),
    ):
        assert done(catalog.packages.file(project_id, sha256, filename)) is None


def test_a_page_is_in_the_order_of_publishing(catalog: Catalog) -> None:
    """All files of a name, under every spelling of it, oldest first, titled with the first spelling."""
    catalog.add(1, "c-2.tar.gz", name="My.Demo", version="2.0")
    catalog.add(1, "a-1.tar.gz", name="my-demo", version="1.0", sha256="b" * 64)
    catalog.add(1, "b-2.tar.gz", name="MY_demo", version="2", sha256="c" * 64)
    catalog.add(1, "d-3.tar.gz", name="MY-DEMO", version="3.0", sha256="e" * 64)
    catalog.add(1, "x-1.tar.gz", name="other", sha256="d" * 64)
    page = catalog.page(1, "my__demo")
    assert page is not None
    assert [file.filename for file in page.files] == ["c-2.tar.gz", "a-1.tar.gz", "b-2.tar.gz", "d-3.tar.gz"]
    assert [file.version for file in page.files] == ["2.0", "1.0", "2.0", "3.0"]
    assert page.display == "My.Demo"
    assert page.name == Name("my-demo")
    assert catalog.page(1, "nothing") is None
    assert catalog.page(2, "my-demo") is None


def test_names_are_sorted_and_normal(catalog: Catalog) -> None:
    """Every name that holds a file comes once, in its normal form, in order, of one project only."""
    other = catalog.project("ann/other").id
    assert done(catalog.packages.names(1)) == ()
    for number, name in enumerate(("Zeta", "alpha", "My.Demo", "my_demo", "B-2")):
        catalog.add(1, f"{number}.tar.gz", name=name, sha256=f"{number:064d}")
    catalog.add(other, "o.tar.gz", name="other")
    assert done(catalog.packages.names(1)) == ("alpha", "b-2", "my-demo", "zeta")


@pytest.mark.parametrize(("sha256", "identical"), [("a" * 64, True), ("b" * 64, False)])
@pytest.mark.parametrize("version", ["1.0", "1", "v1.0.0"])
@pytest.mark.parametrize("name", ["demo", "DEMO"])
def test_a_file_name_is_taken_once_in_a_package(catalog: Catalog, name: str, version: str, sha256: str, *, identical: bool) -> None:
    """The same name again, in any spelling, is refused and told whether it has the same bytes; nothing changes (hardening row 48)."""
    catalog.add(1, "demo-1.0.tar.gz")
    catalog.told.clear()
    with pytest.raises(FileExists) as caught:
        catalog.add(1, "demo-1.0.tar.gz", name=name, version=version, sha256=sha256)
    assert (caught.value.filename, caught.value.identical) == ("demo-1.0.tar.gz", identical)
    page = catalog.page(1)
    assert page is not None
    assert len(page.files) == 1
    assert done(catalog.packages.named(["a" * 64, "b" * 64])) == {"a" * 64}
    assert catalog.told == []


def test_the_same_file_may_be_elsewhere(catalog: Catalog) -> None:
    """One name and one blob may be held by many projects and releases."""
    other = catalog.project("ann/other").id
    files = [catalog.add(1, "x.tar.gz"), catalog.add(other, "x.tar.gz"), catalog.add(1, "x.tar.gz", version="2.0")]
    assert len({file.id for file in files}) == 3
    assert done(catalog.packages.named(["a" * 64])) == {"a" * 64}
    assert gathered(catalog.packages.blobs()) == [[("a" * 64, 10, "x.tar.gz")]]


def test_blobs_are_named_by_files(catalog: Catalog) -> None:
    """Of any number of digests those that a file names are told, and all of those are listed once, with their size."""
    assert gathered(catalog.packages.blobs()) == []
    for number in range(3):
        catalog.add(1, f"demo-{number}.tar.gz", version=str(number), sha256=f"{number:064d}", size=number)
    asked = [f"{number:064d}" for number in range(2500)]
    assert done(catalog.packages.named(asked)) == set(asked[:3])
    assert done(catalog.packages.named([])) == set()
    assert [blob for batch in gathered(catalog.packages.blobs()) for blob in batch] == [
        (f"{number:064d}", number, f"demo-{number}.tar.gz") for number in range(3)
    ]


# --- the journal ----------------------------------------------------------------------------------------------------------------------


def test_every_change_is_told_with_its_actor(catalog: Catalog) -> None:
    """Each change is told once, in order, with rising serials, the moment, who made it, and what it touched."""
    catalog.clock.now += timedelta(seconds=5)
    catalog.add(1, "demo-1.0.tar.gz", name="My.Demo")
    catalog.project("ann/other", Visibility.PUBLIC)
    file, project = catalog.told
    assert file.serial < project.serial
    assert (file.action, file.project_id, file.name, file.actor, file.at) == ("file.publish", 1, "my-demo", ACTOR, catalog.clock.now)
    assert dict(file.detail) == {"version": "1.0", "filename": "demo-1.0.tar.gz", "sha256": "a" * 64, "size": 10}
    assert (project.action, project.project_id, project.name) == ("project.create", 2, "")
    assert dict(project.detail) == {"path": "ann/other", "visibility": "public"}


def test_no_change_tells_a_secret(catalog: Catalog) -> None:
    """What is told of a token is its name, number and scopes; neither secret nor digest (hardening row 30)."""
    secret = mint()
    new = NewToken(name="ci", digest=secret.digest(), scopes=("api",), expires_at=None)
    info = done(catalog.accounts.create_token("ann", new, ACTOR))
    done(catalog.accounts.revoke_token(info.id, ACTOR))
    assert [dict(change.detail) for change in catalog.told] == [
        {"user": "ann", "token": "ci", "token_id": info.id, "scopes": ["api"]},
        {"user": "ann", "token": "ci", "token_id": info.id},
    ]
    assert secret.reveal() not in repr(catalog.told)
    assert secret.digest() not in repr(catalog.told)


def test_a_poll_with_nothing_new_tells_nothing(empty: Catalog) -> None:
    """Without other writers a poll has nothing that was not told already; telling it again is harmless."""
    done(empty.journal.poll())
    assert empty.told == []


def test_users_are_values(catalog: Catalog) -> None:
    """What was read does not change when the catalog does."""
    before = done(catalog.accounts.users())[0]
    done(catalog.accounts.block_user("ann", ACTOR, blocked=True))
    assert before == User(id=before.id, username="ann")
