"""Access: the whole decision, written out."""

from itertools import product

import pytest

from registry.domain.access import ANYBODY, Identity, Permission, Project, Role, Token, User, Visibility, demand, demand_scope, role_in
from registry.domain.errors import Forbidden, InsufficientScope, InvalidSetting, Unauthenticated, UnknownProject
from registry.domain.tokens import Scope

OWNER, STRANGER, ADMIN = User(id=1, username="owner"), User(id=2, username="stranger"), User(id=3, username="root", admin=True)
READ, CREATE = Permission.READ_PACKAGE, Permission.CREATE_PACKAGE

# Who, with the package registry switched on or off -> what reading and publishing give, in a public, an internal and a private project.
# (GitLab's matrices for reading and for uploading; an anonymous caller is asked to identify himself whatever is wrong.)
TABLE = """
who       packages  permission      public           internal         private
anybody   on        read_package    passes           Unauthenticated  Unauthenticated
anybody   on        create_package  Unauthenticated  Unauthenticated  Unauthenticated
anybody   off       read_package    Unauthenticated  Unauthenticated  Unauthenticated
anybody   off       create_package  Unauthenticated  Unauthenticated  Unauthenticated
stranger  on        read_package    passes           passes           UnknownProject
stranger  on        create_package  Forbidden        Forbidden        UnknownProject
stranger  off       read_package    Forbidden        Forbidden        UnknownProject
stranger  off       create_package  Forbidden        Forbidden        UnknownProject
owner     on        read_package    passes           passes           passes
owner     on        create_package  passes           passes           passes
owner     off       read_package    Forbidden        Forbidden        Forbidden
owner     off       create_package  Forbidden        Forbidden        Forbidden
admin     on        read_package    passes           passes           passes
admin     on        create_package  passes           passes           passes
admin     off       read_package    Forbidden        Forbidden        Forbidden
admin     off       create_package  Forbidden        Forbidden        Forbidden
"""
# Which token may be used for what at all; it is asked first, even where anybody may read.
SCOPES = """
scopes                                         read_package  create_package
api                                            yes           yes
read_api                                       yes           no
read_package_registry                          yes           no
write_package_registry                         yes           yes
read_api,read_package_registry                 yes           no
read_package_registry,write_package_registry   yes           yes
read_user                                      no            no
API                                            no            no
-                                              no            no
"""

IDENTITIES = {"anybody": ANYBODY, "stranger": Identity(user=STRANGER), "owner": Identity(user=OWNER), "admin": Identity(user=ADMIN)}
OUTCOMES = {"passes": None, "Unauthenticated": Unauthenticated, "Forbidden": Forbidden, "UnknownProject": UnknownProject}


def rows(table: str) -> list[list[str]]:
    """The lines of a table without its heading."""
    return [line.split() for line in table.strip().splitlines()[1:]]


def project(visibility: str, *, enabled: bool = True) -> Project:
    """A project in the owner's namespace."""
    return Project(id=7, path="owner/p", name="p", visibility=Visibility(visibility), packages_enabled=enabled, owner_id=OWNER.id)


def with_scopes(identity: Identity, text: str) -> Identity:
    """The same caller, using a token with these scopes."""
    return Identity(user=identity.user, token=Token(id=1, name="t", scopes=frozenset(filter(None, text.strip("-").split(",")))))


def cases() -> list[tuple[str, str, str, str, str]]:
    """The table cell by cell: who, packages, permission, visibility, outcome."""
    return [
        (who, packages, permission, visibility, outcome)
        for who, packages, permission, *cells in rows(TABLE)
        for visibility, outcome in zip(("public", "internal", "private"), cells, strict=True)
    ]


@pytest.mark.parametrize(("who", "packages", "permission", "visibility", "outcome"), cases())
def test_the_matrix(who: str, packages: str, permission: str, visibility: str, outcome: str) -> None:
    """Every caller gets in every project exactly what GitLab's matrices say."""
    asked, place = Permission(permission), project(visibility, enabled=packages == "on")
    identities = [IDENTITIES[who]]
    if who != "anybody":
        identities.append(with_scopes(IDENTITIES[who], "api"))
    for identity in identities:
        error = OUTCOMES[outcome]
        if error is None:
            assert demand(asked, identity, place) is place
        else:
            with pytest.raises(error):
                demand(asked, identity, place)


def test_the_matrix_is_whole() -> None:
    """No combination of caller, switch and permission is left out of the table."""
    assert {tuple(row[:3]) for row in rows(TABLE)} == set(product(IDENTITIES, ("on", "off"), (READ.value, CREATE.value)))


@pytest.mark.parametrize("row", rows(SCOPES), ids=lambda row: row[0])
@pytest.mark.parametrize("visibility", list(Visibility))
@pytest.mark.parametrize("who", ["stranger", "owner", "admin"])
def test_scopes_are_asked_first(who: str, visibility: Visibility, row: list[str]) -> None:
    """A token without the scope is refused for every caller and project, even a public or unknown one (hardening row 26)."""
    identity, place = with_scopes(IDENTITIES[who], row[0]), project(visibility.value)
    for permission, opens in zip((READ, CREATE), row[1:], strict=True):
        for target in (place, None):
            if opens == "yes":
                demand_scope(permission, identity)
                assert outcome_of(permission, identity, target) == outcome_of(permission, Identity(user=identity.user), target)
            else:
                with pytest.raises(InsufficientScope):
                    demand_scope(permission, identity)
                with pytest.raises(InsufficientScope):
                    demand(permission, identity, target)


def outcome_of(permission: Permission, identity: Identity, target: Project | None) -> type[Exception] | None:
    """How a demand ends: None when it passes."""
    try:
        demand(permission, identity, target)
    except (Unauthenticated, UnknownProject, Forbidden, InsufficientScope) as error:
        return type(error)
    return None


def test_a_refused_token_is_told_what_would_do() -> None:
    """The refusal lists the scopes that open the door, in GitLab's order (hardening row 26)."""
    identity = with_scopes(IDENTITIES["owner"], "read_user")
    with pytest.raises(InsufficientScope) as reading:
        demand(READ, identity, project("private"))
    with pytest.raises(InsufficientScope) as creating:
        demand(CREATE, identity, project("private"))
    assert reading.value.wanted == ("api", "read_api", "read_package_registry", "write_package_registry")
    assert creating.value.wanted == ("api", "write_package_registry")


def test_every_scope_is_in_the_table() -> None:
    """A scope that a token can have cannot be forgotten in the table of what it opens."""
    assert {scope.value for scope in Scope} <= {row[0] for row in rows(SCOPES)}


@pytest.mark.parametrize("permission", [READ, CREATE])
def test_absent_and_hidden_are_the_same(permission: Permission) -> None:
    """A project that does not exist is answered like one the caller may not know of (hardening row 31)."""
    for who, error in (("anybody", Unauthenticated), ("stranger", UnknownProject)):
        with pytest.raises(error) as absent:
            demand(permission, IDENTITIES[who], None)
        with pytest.raises(error) as hidden:
            demand(permission, IDENTITIES[who], project("private"))
        assert str(absent.value) == str(hidden.value)
    for who in ("owner", "admin"):
        with pytest.raises(UnknownProject):
            demand(permission, IDENTITIES[who], None)


def test_roles_come_from_ownership_and_administration() -> None:
    """The namespace's owner and an administrator are Owners; nobody else has a role, and a project without an owner gives none."""
    place = project("public")
    assert [role_in(IDENTITIES[who], place) for who in IDENTITIES] == [Role.NONE, Role.NONE, Role.OWNER, Role.OWNER]
    ownerless = Project(id=8, path="g/p", name="p", visibility=Visibility.PUBLIC, owner_id=None)
    assert [role_in(IDENTITIES[who], ownerless) for who in IDENTITIES] == [Role.NONE, Role.NONE, Role.NONE, Role.OWNER]


def test_anybody_is_anonymous() -> None:
    """A caller is anonymous exactly when there is no user."""
    assert ANYBODY.anonymous
    assert not Identity(user=STRANGER).anonymous


@pytest.mark.parametrize("text", ["", "Public", "secret", "public "])
def test_an_unknown_visibility_is_refused_with_the_known_ones(text: str) -> None:
    """The message lists what would be right."""
    with pytest.raises(InvalidSetting, match="use private, internal or public"):
        Visibility.parse(text)
    assert [Visibility.parse(known.value) for known in Visibility] == list(Visibility)
