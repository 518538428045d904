"""What IFounding, IUsers, ITokens, IPlaces, IAccess and IJournal promise together."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from attrs import define, evolve, field

from registry.domain.access import ANYBODY, Project, RegistryAccess, Standing, Token, Visibility
from registry.domain.errors import AlreadyTaken, Missing
from registry.domain.model import Actor, Change, Digests, NewFile, NewToken, ProjectInfo, StoredCredential
from registry.domain.names import Name
from registry.domain.paths import ProjectPath
from registry.domain.tokens import mint
from registry.domain.versions import Version
from registry.interfaces import IAccess, IFounding, IJournal, IPackages, IPlaces, ITokens, IUsers
from registry.storage.catalog.access import SqlAccess
from registry.storage.catalog.database import Database
from registry.storage.catalog.founding import SqlFounding
from registry.storage.catalog.packages import SqlPackages
from registry.storage.catalog.places import SqlPlaces
from registry.storage.catalog.tokens import SqlTokens
from registry.storage.catalog.users import SqlUsers
from registry.storage.threads import InlineThreads
from registry.testing import NOON, done
from tests.conformance.clock import Clock

ACTOR = Actor(user_id=1, username="ann", token_id=3, token_name="laptop", address="192.0.2.7")


@define
class Catalog:
    """One catalog behind its faces, and what its listeners were told."""

    founding: IFounding
    users: IUsers
    tokens: ITokens
    places: IPlaces
    access: IAccess
    packages: IPackages
    journal: IJournal
    clock: Clock
    told: list[Change] = field(factory=list)

    def project(self, path: str = "ann/demo", visibility: Visibility = Visibility.PRIVATE) -> ProjectInfo:
        """A new project."""
        return done(self.places.create_project(ProjectPath.parse(path), visibility, ACTOR))

    def found(self, ref: int | str) -> Project | None:
        """The project, as the gate finds it for anybody."""
        place, standing = done(self.access.enter("project", ref, ANYBODY))
        assert place is None or isinstance(place, Project)
        assert standing == Standing()
        return place

    def stored(self, token: NewToken) -> StoredCredential:
        """The token, as the gate finds it."""
        stored = done(self.access.credential(token.digest))
        assert stored is not None
        return stored

    def names(self) -> list[str]:
        """The actions that were told."""
        return [change.action for change in self.told]


def new_token(name: str = "laptop", scopes: tuple[str, ...] = ("api",), expires_at: datetime | None = None) -> NewToken:
    return NewToken(name=name, digest=mint().digest(), scopes=scopes, expires_at=expires_at)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Catalog]:
    """A catalog that nobody has founded."""
    clock, threads = Clock(), InlineThreads()
    database = Database(path=tmp_path / "catalog.sqlite", readers=threads, writer=threads, now=clock)
    database.open()
    catalog = Catalog(
        founding=SqlFounding(database),
        users=SqlUsers(database),
        tokens=SqlTokens(database),
        places=SqlPlaces(database),
        access=SqlAccess(database),
        packages=SqlPackages(database),
        journal=database,
        clock=clock,
    )
    catalog.journal.subscribe(catalog.told.extend)
    yield catalog
    database.close()


@pytest.fixture
def catalog(empty: Catalog) -> Catalog:
    """A catalog with user ann and her private project ann/demo, number 1."""
    done(empty.users.create_user("ann", "ann@example.com", ACTOR))
    assert empty.project().id == 1
    empty.told.clear()
    return empty


# --- founding -------------------------------------------------------------------------------------------------------------------------


def test_an_empty_catalog_is_founded_once(empty: Catalog) -> None:
    """Founding makes an administrator, his token and his private project; a second time changes nothing."""
    token = new_token()
    path = ProjectPath(namespace="root", segment="packages")
    assert done(empty.founding.empty()) is True
    assert done(empty.founding.found("root", token, path)) is True
    assert done(empty.founding.empty()) is False
    assert done(empty.founding.found("other", new_token(), path)) is False
    (root,) = done(empty.users.users())
    assert (root.username, root.admin, root.blocked) == ("root", True, False)
    project = empty.found("root/packages")
    assert project is not None
    assert (project.id, project.path, project.visibility, project.owner_id) == (1, "root/packages", Visibility.PRIVATE, root.id)
    stored = empty.stored(token)
    assert stored.identity.token is not None
    assert (stored.kind, stored.revoked) == ("personal", False)
    assert (stored.identity.user, stored.identity.token.scopes) == (root, frozenset({"api"}))
    assert empty.names() == ["user.create", "token.create", "project.create"]


# --- users ----------------------------------------------------------------------------------------------------------------------------


def test_users_come_in_the_order_they_were_made(empty: Catalog) -> None:
    """Users are listed oldest first, with what they were made with."""
    made = [done(empty.users.create_user(name, f"{name}@x", ACTOR, admin=name == "bob")) for name in ("zoe", "bob", "Amy")]
    assert done(empty.users.users()) == made
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
        done(catalog.users.create_user(name, "", ACTOR))
    assert len(done(catalog.users.users())) == 1
    assert catalog.told == []


def test_a_user_can_be_blocked_and_unblocked(catalog: Catalog) -> None:
    """Blocking shows in the user and in his tokens, under any case of his name, and can be undone."""
    token = new_token()
    done(catalog.tokens.create_token("ann", token, ACTOR))
    for blocked in (True, False):
        assert done(catalog.users.block_user("ANN", ACTOR, blocked=blocked)).blocked is blocked
        assert [user.blocked for user in done(catalog.users.users())] == [blocked]
        user = catalog.stored(token).identity.user
        assert user is not None
        assert user.blocked is blocked
    assert catalog.names() == ["token.create", "user.block", "user.unblock"]


def test_nobody_is_missing(catalog: Catalog) -> None:
    """What names a user, token or project that does not exist says which, and changes nothing."""
    attempts: list[Callable[[], object]] = [
        lambda: done(catalog.users.block_user("bob", ACTOR, blocked=True)),
        lambda: done(catalog.tokens.create_token("bob", new_token(), ACTOR)),
        lambda: done(catalog.tokens.tokens("bob")),
        lambda: done(catalog.tokens.revoke_token(99, ACTOR)),
        lambda: done(catalog.places.create_project(ProjectPath.parse("bob/demo"), Visibility.PUBLIC, ACTOR)),
        lambda: done(catalog.places.projects("bob/demo")),
        lambda: done(catalog.places.projects(99)),
    ]
    for attempt in attempts:
        with pytest.raises(Missing):
            attempt()
    assert catalog.told == []
    assert done(catalog.tokens.tokens(None)) == []


# --- tokens ---------------------------------------------------------------------------------------------------------------------------


def test_a_token_is_found_by_its_digest(catalog: Catalog) -> None:
    """A token keeps its name, scopes and moments exactly, and is found by its whole digest alone."""
    expires = NOON + timedelta(days=30, microseconds=1)
    new = new_token("ci", ("read_api", "write_package_registry"), expires)
    info = done(catalog.tokens.create_token("Ann", new, ACTOR))
    identity = catalog.stored(new).identity
    assert identity.token == Token(id=info.id, name="ci", scopes=frozenset(new.scopes), expires_at=expires)
    assert (identity.deploy, identity.job) == (None, None)
    assert identity.user == done(catalog.users.users())[0]
    assert (info.name, info.username, info.scopes, info.created_at, info.expires_at, info.revoked_at) == (
        "ci",
        "ann",
        ("read_api", "write_package_registry"),
        NOON,
        expires,
        None,
    )
    for digest in ("", new.digest[:-1], new.digest.upper() + "x", "0" * 64):
        assert done(catalog.access.credential(digest)) is None


def test_tokens_are_listed_oldest_first(catalog: Catalog) -> None:
    """All tokens, or those of one user in any case of his name, in the order they were made."""
    done(catalog.users.create_user("bob", "", ACTOR))
    for user, name in (("ann", "one"), ("bob", "two"), ("ann", "three")):
        done(catalog.tokens.create_token(user, new_token(name), ACTOR))
    assert [token.name for token in done(catalog.tokens.tokens(None))] == ["one", "two", "three"]
    assert [token.name for token in done(catalog.tokens.tokens("ANN"))] == ["one", "three"]


def test_a_token_is_revoked_once_and_for_good(catalog: Catalog) -> None:
    """A revoked token is still found, with the moment it was revoked first; revoking again tells nothing."""
    new = new_token()
    made = done(catalog.tokens.create_token("ann", new, ACTOR))
    revoked = done(catalog.tokens.revoke_token(made.id, ACTOR))
    catalog.clock.now += timedelta(hours=1)
    again = done(catalog.tokens.revoke_token(made.id, ACTOR))
    assert revoked.revoked_at == again.revoked_at == NOON
    assert catalog.stored(new).revoked is True
    assert done(catalog.tokens.tokens("ann")) == [revoked]
    assert catalog.names() == ["token.create", "token.revoke"]


# --- projects -------------------------------------------------------------------------------------------------------------------------


def test_a_project_is_found_by_number_and_path(catalog: Catalog) -> None:
    """A project answers to its number and to its whole path in any case; to nothing else."""
    owner = done(catalog.users.users())[0]
    for ref in (1, "ann/demo", "Ann/DEMO"):
        project = catalog.found(ref)
        assert project is not None
        assert len(project.lineage) == 1
        assert evolve(project, lineage=()) == Project(
            id=1,
            path="ann/demo",
            name="demo",
            visibility=Visibility.PRIVATE,
            registry=RegistryAccess.ENABLED,
            packages_enabled=True,
            owner_id=owner.id,
        )
    for ref in (0, 2, -1, 2**63 - 1, "", "demo", "ann", "ann/demo/", "ann/dem_", "1", "ann/%"):
        assert catalog.found(ref) is None


@pytest.mark.parametrize("visibility", Visibility)
def test_a_project_keeps_its_visibility(catalog: Catalog, visibility: Visibility) -> None:
    """What a project was made with is what it has, in both of its shapes."""
    made = catalog.project("ANN/Other", visibility)
    found = catalog.found(made.id)
    assert found is not None
    assert (found.visibility, made.visibility, made.created_at, made.packages_enabled) == (visibility, visibility, NOON, True)


@pytest.mark.parametrize("path", ["ann/demo", "ann/DEMO", "Ann/Demo"])
def test_a_path_is_taken_in_any_case(catalog: Catalog, path: str) -> None:
    """Two projects cannot differ in case alone; the attempt changes and tells nothing."""
    with pytest.raises(AlreadyTaken, match="Project path"):
        catalog.project(path)
    assert len(done(catalog.places.projects())) == 1
    assert catalog.told == []


def test_projects_are_counted(catalog: Catalog) -> None:
    """A project's packages, files and bytes are those it holds, and no other's."""
    other = catalog.project("ann/other").id
    for filename, version, sha256, size in (
        ("demo-1.0.tar.gz", "1.0", "a", 10),
        ("demo-1.0-py3-none-any.whl", "1.0.0", "b", 20),
        ("demo-2.0.tar.gz", "2.0", "c", 40),
    ):
        digests = Digests(size=size, sha256=sha256 * 64, others={})
        new = NewFile(name=Name("demo"), version=Version(version), filename=filename, digests=digests, requires_python="", metadata={})
        done(catalog.packages.add_file(1, new, ACTOR))
    infos = {info.id: (info.packages, info.files, info.bytes) for info in done(catalog.places.projects())}
    assert infos == {1: (2, 3, 70), other: (0, 0, 0)}
    assert done(catalog.places.projects("ANN/Demo")) == done(catalog.places.projects(1))


# --- the journal ----------------------------------------------------------------------------------------------------------------------


def test_every_change_is_told_with_its_actor(catalog: Catalog) -> None:
    """Each change is told once, in order, with rising serials, the moment, who made it, and what it touched."""
    catalog.clock.now += timedelta(seconds=5)
    done(catalog.users.create_user("bob", "", ACTOR, admin=True))
    catalog.project("ann/other", Visibility.PUBLIC)
    user, project = catalog.told
    assert user.serial < project.serial
    assert (user.action, user.project_id, user.name, user.actor, user.at) == ("user.create", None, "", ACTOR, catalog.clock.now)
    assert dict(user.detail) == {"user": "bob", "admin": True, "bot": False}
    assert (project.action, project.project_id, project.name) == ("project.create", 2, "")
    assert dict(project.detail) == {"path": "ann/other", "visibility": "public"}


def test_no_change_tells_a_secret(catalog: Catalog) -> None:
    """What is told of a token is its name, number and scopes; neither secret nor digest (hardening row 30)."""
    secret = mint()
    new = NewToken(name="ci", digest=secret.digest(), scopes=("api",), expires_at=None)
    info = done(catalog.tokens.create_token("ann", new, ACTOR))
    done(catalog.tokens.revoke_token(info.id, ACTOR))
    assert [dict(change.detail) for change in catalog.told] == [
        {"user": "ann", "token": "ci", "token_id": info.id, "scopes": ["api"]},
        {"user": "ann", "token": "ci", "token_id": info.id},
    ]
    assert secret.reveal() not in repr(catalog.told)
    assert secret.digest() not in repr(catalog.told)


def test_users_are_values(catalog: Catalog) -> None:
    """What was read does not change when the catalog does."""
    before = done(catalog.users.users())[0]
    done(catalog.users.block_user("ann", ACTOR, blocked=True))
    assert (before.username, before.blocked) == ("ann", False)
    assert done(catalog.users.users()) == [evolve(before, blocked=True)]
