"""Access: the whole decision, written out cell by cell."""

from collections.abc import Iterator

import pytest

from registry.domain.access import (
    ANYBODY,
    RULES,
    DeployToken,
    Group,
    Identity,
    Job,
    Permission,
    Place,
    Project,
    RegistryAccess,
    Role,
    Standing,
    Token,
    User,
    Visibility,
    demand,
    demand_credential,
    demand_signed_in,
    may,
)
from registry.domain.errors import (
    Forbidden,
    InsufficientScope,
    InvalidSetting,
    RegistryError,
    Unauthenticated,
    UnknownGroup,
    UnknownProject,
)
from registry.domain.tokens import Scope

ANN = User(id=7, username="ann")
ADMIN = User(id=8, username="root", admin=True)


def _user(role: Role, user: User = ANN) -> tuple[Identity, Standing]:
    return Identity(user=user, token=Token(id=1, name="t", scopes=frozenset({"api"}))), Standing(role=role)


def _deploy(*scopes: str, project_id: int | None = None, group_id: int | None = None) -> tuple[Identity, Standing]:
    token = DeployToken(id=1, name="d", username="d", scopes=frozenset(scopes), project_id=project_id, group_id=group_id)
    return Identity(deploy=token), Standing()


def _job(role: Role, *, admitted: bool = True) -> tuple[Identity, Standing]:
    return Identity(user=ANN, job=Job(id=1, project_id=5)), Standing(role=role, admits_job=admitted)


# Project 5 lies in group 2, which lies in group 1.
CALLERS: dict[str, tuple[Identity, Standing]] = {
    "anonymous": (ANYBODY, Standing()),
    "stranger": _user(Role.NONE),
    "guest": _user(Role.GUEST),
    "planner": _user(Role.PLANNER),
    "reporter": _user(Role.REPORTER),
    "developer": _user(Role.DEVELOPER),
    "maintainer": _user(Role.MAINTAINER),
    "owner": _user(Role.OWNER),
    "admin": _user(Role.NONE, ADMIN),
    "deploy read": _deploy("read_package_registry", project_id=5),
    "deploy write": _deploy("write_package_registry", project_id=5),
    "deploy group": _deploy("write_package_registry", group_id=2),
    "deploy other": _deploy("write_package_registry", project_id=6),
    "deploy none": _deploy("read_repository", project_id=5),
    "job guest": _job(Role.GUEST),
    "job developer": _job(Role.DEVELOPER),
    "job shut out": _job(Role.OWNER, admitted=False),
}

# For each permission: callers down; across private, internal and public projects, each with its package registry disabled, private, enabled
# and public. 401: asked to sign in; 404: as if there were nothing; 403: seen and refused.
PROJECTS = {
    Permission.READ_PACKAGE: """
anonymous      401 401 401  ok   | 401 401 401  ok   | 401 401  ok  ok
stranger       404 404 404  ok   | 403 403  ok  ok   | 403 403  ok  ok
guest          403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
planner        403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
reporter       403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
developer      403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
maintainer     403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
owner          403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
admin          403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
deploy read    403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
deploy write   403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
deploy group   403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
deploy other   404 404 404  ok   | 404 404 404  ok   | 403 403  ok  ok
deploy none    404 404 404  ok   | 404 404 404  ok   | 403 403  ok  ok
job guest      403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
job developer  403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
job shut out   404 404 404  ok   | 403 403  ok  ok   | 403 403  ok  ok
""",
    Permission.CREATE_PACKAGE: """
anonymous      401 401 401 401   | 401 401 401 401   | 401 401 401 401
stranger       404 404 404 404   | 403 403 403 403   | 403 403 403 403
guest          403 403 403 403   | 403 403 403 403   | 403 403 403 403
planner        403 403 403 403   | 403 403 403 403   | 403 403 403 403
reporter       403 403 403 403   | 403 403 403 403   | 403 403 403 403
developer      403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
maintainer     403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
owner          403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
admin          403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
deploy read    403 403 403 403   | 403 403 403 403   | 403 403 403 403
deploy write   403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
deploy group   403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
deploy other   404 404 404 404   | 404 404 404 404   | 403 403 403 403
deploy none    404 404 404 404   | 404 404 404 404   | 403 403 403 403
job guest      403 403 403 403   | 403 403 403 403   | 403 403 403 403
job developer  403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
job shut out   404 404 404 404   | 403 403 403 403   | 403 403 403 403
""",
    Permission.LIST_PACKAGES: """
anonymous      404 404 404  ok   | 404 404 404  ok   | 401 401  ok  ok
stranger       404 404 404  ok   | 403 403  ok  ok   | 403 403  ok  ok
guest          403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
planner        403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
reporter       403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
developer      403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
maintainer     403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
owner          403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
admin          403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
deploy read    401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy write   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy group   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy other   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy none    401 401 401 401   | 401 401 401 401   | 401 401 401 401
job guest      403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
job developer  403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
job shut out   404 404 404  ok   | 403 403  ok  ok   | 403 403  ok  ok
""",
    Permission.DESTROY_PACKAGE: """
anonymous      401 401 401 401   | 401 401 401 401   | 401 401 401 401
stranger       404 404 404 404   | 403 403 403 403   | 403 403 403 403
guest          403 403 403 403   | 403 403 403 403   | 403 403 403 403
planner        403 403 403 403   | 403 403 403 403   | 403 403 403 403
reporter       403 403 403 403   | 403 403 403 403   | 403 403 403 403
developer      403 403 403 403   | 403 403 403 403   | 403 403 403 403
maintainer     403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
owner          403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
admin          403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
deploy read    401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy write   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy group   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy other   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy none    401 401 401 401   | 401 401 401 401   | 401 401 401 401
job guest      403 403 403 403   | 403 403 403 403   | 403 403 403 403
job developer  403 403 403 403   | 403 403 403 403   | 403 403 403 403
job shut out   404 404 404 404   | 403 403 403 403   | 403 403 403 403
""",
    Permission.CURATE_PACKAGE: """
anonymous      401 401 401 401   | 401 401 401 401   | 401 401 401 401
stranger       404 404 404 404   | 403 403 403 403   | 403 403 403 403
guest          403 403 403 403   | 403 403 403 403   | 403 403 403 403
planner        403 403 403 403   | 403 403 403 403   | 403 403 403 403
reporter       403 403 403 403   | 403 403 403 403   | 403 403 403 403
developer      403 403 403 403   | 403 403 403 403   | 403 403 403 403
maintainer     403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
owner          403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
admin          403  ok  ok  ok   | 403  ok  ok  ok   | 403  ok  ok  ok
deploy read    401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy write   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy group   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy other   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy none    401 401 401 401   | 401 401 401 401   | 401 401 401 401
job guest      401 401 401 401   | 401 401 401 401   | 401 401 401 401
job developer  401 401 401 401   | 401 401 401 401   | 401 401 401 401
job shut out   401 401 401 401   | 401 401 401 401   | 401 401 401 401
""",
    Permission.READ_PROJECT: """
anonymous      404 404 404 404   | 404 404 404 404   |  ok  ok  ok  ok
stranger       404 404 404 404   |  ok  ok  ok  ok   |  ok  ok  ok  ok
guest           ok  ok  ok  ok   |  ok  ok  ok  ok   |  ok  ok  ok  ok
planner         ok  ok  ok  ok   |  ok  ok  ok  ok   |  ok  ok  ok  ok
reporter        ok  ok  ok  ok   |  ok  ok  ok  ok   |  ok  ok  ok  ok
developer       ok  ok  ok  ok   |  ok  ok  ok  ok   |  ok  ok  ok  ok
maintainer      ok  ok  ok  ok   |  ok  ok  ok  ok   |  ok  ok  ok  ok
owner           ok  ok  ok  ok   |  ok  ok  ok  ok   |  ok  ok  ok  ok
admin           ok  ok  ok  ok   |  ok  ok  ok  ok   |  ok  ok  ok  ok
deploy read    401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy write   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy group   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy other   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy none    401 401 401 401   | 401 401 401 401   | 401 401 401 401
job guest      401 401 401 401   | 401 401 401 401   | 401 401 401 401
job developer  401 401 401 401   | 401 401 401 401   | 401 401 401 401
job shut out   401 401 401 401   | 401 401 401 401   | 401 401 401 401
""",
    Permission.ADMIN_PROJECT: """
anonymous      401 401 401 401   | 401 401 401 401   | 401 401 401 401
stranger       404 404 404 404   | 403 403 403 403   | 403 403 403 403
guest          403 403 403 403   | 403 403 403 403   | 403 403 403 403
planner        403 403 403 403   | 403 403 403 403   | 403 403 403 403
reporter       403 403 403 403   | 403 403 403 403   | 403 403 403 403
developer      403 403 403 403   | 403 403 403 403   | 403 403 403 403
maintainer      ok  ok  ok  ok   |  ok  ok  ok  ok   |  ok  ok  ok  ok
owner           ok  ok  ok  ok   |  ok  ok  ok  ok   |  ok  ok  ok  ok
admin           ok  ok  ok  ok   |  ok  ok  ok  ok   |  ok  ok  ok  ok
deploy read    401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy write   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy group   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy other   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy none    401 401 401 401   | 401 401 401 401   | 401 401 401 401
job guest      401 401 401 401   | 401 401 401 401   | 401 401 401 401
job developer  401 401 401 401   | 401 401 401 401   | 401 401 401 401
job shut out   401 401 401 401   | 401 401 401 401   | 401 401 401 401
""",
    Permission.READ_UPSTREAM: """
anonymous      401 401 401 401   | 401 401 401 401   | 401 401 401 401
stranger       404 404 404 404   | 403 403 403 403   | 403 403 403 403
guest          403 403 403 403   | 403 403 403 403   | 403 403 403 403
planner        403 403 403 403   | 403 403 403 403   | 403 403 403 403
reporter       403 403 403 403   | 403 403 403 403   | 403 403 403 403
developer      403 403 403 403   | 403 403 403 403   | 403 403 403 403
maintainer      ok  ok  ok  ok   |  ok  ok  ok  ok   |  ok  ok  ok  ok
owner           ok  ok  ok  ok   |  ok  ok  ok  ok   |  ok  ok  ok  ok
admin           ok  ok  ok  ok   |  ok  ok  ok  ok   |  ok  ok  ok  ok
deploy read    401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy write   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy group   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy other   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy none    401 401 401 401   | 401 401 401 401   | 401 401 401 401
job guest      401 401 401 401   | 401 401 401 401   | 401 401 401 401
job developer  401 401 401 401   | 401 401 401 401   | 401 401 401 401
job shut out   401 401 401 401   | 401 401 401 401   | 401 401 401 401
""",
    Permission.ADMIN_UPSTREAM: """
anonymous      401 401 401 401   | 401 401 401 401   | 401 401 401 401
stranger       404 404 404 404   | 403 403 403 403   | 403 403 403 403
guest          403 403 403 403   | 403 403 403 403   | 403 403 403 403
planner        403 403 403 403   | 403 403 403 403   | 403 403 403 403
reporter       403 403 403 403   | 403 403 403 403   | 403 403 403 403
developer      403 403 403 403   | 403 403 403 403   | 403 403 403 403
maintainer     403 403 403 403   | 403 403 403 403   | 403 403 403 403
owner          403 403 403 403   | 403 403 403 403   | 403 403 403 403
admin           ok  ok  ok  ok   |  ok  ok  ok  ok   |  ok  ok  ok  ok
deploy read    401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy write   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy group   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy other   401 401 401 401   | 401 401 401 401   | 401 401 401 401
deploy none    401 401 401 401   | 401 401 401 401   | 401 401 401 401
job guest      401 401 401 401   | 401 401 401 401   | 401 401 401 401
job developer  401 401 401 401   | 401 401 401 401   | 401 401 401 401
job shut out   401 401 401 401   | 401 401 401 401   | 401 401 401 401
""",
}

# The same for private, internal and public groups.
GROUPS = {
    Permission.READ_GROUP_PACKAGE: """
anonymous      401 401  ok
stranger       404 403  ok
guest           ok  ok  ok
planner         ok  ok  ok
reporter        ok  ok  ok
developer       ok  ok  ok
maintainer      ok  ok  ok
owner           ok  ok  ok
admin           ok  ok  ok
deploy read    404 404  ok
deploy write   404 404  ok
deploy group    ok  ok  ok
deploy other   404 404  ok
deploy none    404 404  ok
job guest       ok  ok  ok
job developer   ok  ok  ok
job shut out   404 403  ok
""",
    Permission.READ_GROUP: """
anonymous      404 404  ok
stranger       404  ok  ok
guest           ok  ok  ok
planner         ok  ok  ok
reporter        ok  ok  ok
developer       ok  ok  ok
maintainer      ok  ok  ok
owner           ok  ok  ok
admin           ok  ok  ok
deploy read    401 401 401
deploy write   401 401 401
deploy group   401 401 401
deploy other   401 401 401
deploy none    401 401 401
job guest      401 401 401
job developer  401 401 401
job shut out   401 401 401
""",
    Permission.ADMIN_GROUP: """
anonymous      401 401 401
stranger       404 403 403
guest          403 403 403
planner        403 403 403
reporter       403 403 403
developer      403 403 403
maintainer     403 403 403
owner           ok  ok  ok
admin           ok  ok  ok
deploy read    401 401 401
deploy write   401 401 401
deploy group   401 401 401
deploy other   401 401 401
deploy none    401 401 401
job guest      401 401 401
job developer  401 401 401
job shut out   401 401 401
""",
    Permission.ADMIN_MEMBERS: """
anonymous      401 401 401
stranger       404 403 403
guest          403 403 403
planner        403 403 403
reporter       403 403 403
developer      403 403 403
maintainer     403 403 403
owner           ok  ok  ok
admin           ok  ok  ok
deploy read    401 401 401
deploy write   401 401 401
deploy group   401 401 401
deploy other   401 401 401
deploy none    401 401 401
job guest      401 401 401
job developer  401 401 401
job shut out   401 401 401
""",
}
# PyPI routes ask an anonymous caller to sign in; REST routes tell him that there is nothing.
CHALLENGE = {Permission.READ_PACKAGE, Permission.CREATE_PACKAGE, Permission.READ_GROUP_PACKAGE}


def _cells(tables: dict[Permission, str]) -> Iterator[tuple[Permission, str, list[str]]]:
    for permission, table in tables.items():
        for line in table.strip("\n").splitlines():
            yield permission, line[:14].strip(), line[14:].replace("|", " ").split()


def _outcome(permission: Permission, caller: str, place: Place) -> str:
    identity, standing = CALLERS[caller]
    try:
        demand(permission, identity, place, standing, challenge=permission in CHALLENGE)
    except Unauthenticated:
        return "401"
    except (UnknownProject, UnknownGroup):
        return "404"
    except Forbidden:
        return "403"
    return "ok"


@pytest.mark.parametrize(("permission", "caller", "cells"), list(_cells(PROJECTS)))
def test_the_matrix_of_projects(permission: Permission, caller: str, cells: list[str]) -> None:
    """Every caller gets exactly what the table says in a project of every visibility and registry setting (hardening rows 25, 26)."""
    places = [
        Project(id=5, path="g/h/p", name="p", visibility=visibility, registry=registry, lineage=(1, 2))
        for visibility in Visibility
        for registry in RegistryAccess
    ]
    assert [_outcome(permission, caller, place) for place in places] == cells
    # The switch that GitLab had before the setting turns everything about packages off, too.
    off = [Project(id=5, path="g/h/p", name="p", visibility=place.visibility, packages_enabled=False, lineage=(1, 2)) for place in places]
    if RULES[permission].packages:
        assert "ok" not in [_outcome(permission, caller, place) for place in off]


@pytest.mark.parametrize(("permission", "caller", "cells"), list(_cells(GROUPS)))
def test_the_matrix_of_groups(permission: Permission, caller: str, cells: list[str]) -> None:
    """Every caller gets exactly what the table says in a group of every visibility (hardening row 25)."""
    places = [Group(id=2, path="g/h", name="h", visibility=visibility, lineage=(1, 2)) for visibility in Visibility]
    assert [_outcome(permission, caller, place) for place in places] == cells


def test_the_matrices_name_every_caller() -> None:
    """No table leaves a kind of caller out."""
    for tables in (PROJECTS, GROUPS):
        for permission in tables:
            assert [caller for found, caller, _ in _cells(tables) if found is permission] == list(CALLERS)


@pytest.mark.parametrize("permission", [permission for permission in Permission if permission is not Permission.OPEN])
def test_every_permission_has_a_rule(permission: Permission) -> None:
    """A permission that a route may ask for says who has it."""
    assert permission in RULES


# Which scope of a user's token opens what at all; it is asked first, even where anybody may read.
SCOPES = {
    Permission.READ_PACKAGE: {"api", "read_api", "read_package_registry", "write_package_registry"},
    Permission.CREATE_PACKAGE: {"api", "write_package_registry"},
    Permission.LIST_PACKAGES: {"api", "read_api"},
    Permission.DESTROY_PACKAGE: {"api"},
    Permission.CURATE_PACKAGE: {"api"},
    Permission.READ_UPSTREAM: {"api", "read_api"},
    Permission.ADMIN_UPSTREAM: {"api"},
    Permission.READ_USER: {"api", "read_api", "read_user"},
    Permission.READ_GROUP_PACKAGE: {"api", "read_api", "read_package_registry", "write_package_registry"},
    Permission.READ_PROJECT: {"api", "read_api"},
    Permission.ADMIN_PROJECT: {"api"},
    Permission.ADMINISTER: {"api"},
    Permission.ACT: {"api"},
    Permission.SIGNED_IN: {"api", "read_api"},
}


@pytest.mark.parametrize("scope", [*(scope.value for scope in Scope), "read_repository", "API", ""])
@pytest.mark.parametrize("permission", SCOPES)
def test_the_scopes(permission: Permission, scope: str) -> None:
    """A token opens a door only with a scope that the door names; the refusal names those that would do (hardening row 26)."""
    identity = Identity(user=ADMIN, token=Token(id=1, name="t", scopes=frozenset({scope})))
    if scope in SCOPES[permission]:
        demand_credential(permission, identity)
        return
    with pytest.raises(InsufficientScope) as caught:
        demand_credential(permission, identity)
    assert set(caught.value.wanted) == SCOPES[permission]


def test_a_token_without_scope_is_refused_on_public_data_too() -> None:
    """A wrong scope is 403 even where nobody needs a token."""
    place = Project(id=5, path="g/p", name="p", visibility=Visibility.PUBLIC)
    with pytest.raises(InsufficientScope):
        demand(Permission.READ_PACKAGE, Identity(user=ANN, token=Token(id=1, name="t", scopes=frozenset({"read_user"}))), place)


def test_any_token_may_look_at_itself() -> None:
    """A token may ask about itself whatever its scopes."""
    demand_signed_in(Permission.READ_SELF, Identity(user=ANN, token=Token(id=1, name="t", scopes=frozenset())))


@pytest.mark.parametrize(
    ("permission", "caller", "error"),
    [
        (Permission.BROWSE, "anonymous", None),
        (Permission.SIGNED_IN, "anonymous", Unauthenticated),
        (Permission.SIGNED_IN, "stranger", None),
        (Permission.ADMINISTER, "anonymous", Unauthenticated),
        (Permission.ADMINISTER, "owner", Forbidden),
        (Permission.ADMINISTER, "admin", None),
        (Permission.READ_JOB, "admin", Unauthenticated),
        (Permission.READ_JOB, "anonymous", Unauthenticated),
        (Permission.READ_JOB, "job guest", None),
        (Permission.SIGNED_IN, "job developer", Unauthenticated),
        (Permission.SIGNED_IN, "deploy write", Unauthenticated),
    ],
)
def test_doors_without_a_place(permission: Permission, caller: str, error: type[RegistryError] | None) -> None:
    """What is about no project or group asks only who is there."""
    if error is None:
        demand_signed_in(permission, CALLERS[caller][0])
    else:
        with pytest.raises(error):
            demand_signed_in(permission, CALLERS[caller][0])


@pytest.mark.parametrize("caller", CALLERS)
def test_what_is_not_there_looks_like_what_may_not_be_seen(caller: str) -> None:
    """An unknown project answers every caller as a private one does that he may not see (hardening row 31)."""
    identity = CALLERS[caller][0]
    hidden = Project(id=99, path="x/y", name="y", visibility=Visibility.PRIVATE, lineage=(77,))
    if identity.user is not None and identity.user.admin:
        return  # he sees every project
    for permission in (Permission.READ_PACKAGE, Permission.CREATE_PACKAGE, Permission.LIST_PACKAGES, Permission.ADMIN_PROJECT):
        errors = []
        for place in (hidden, None):
            with pytest.raises(RegistryError) as caught:
                demand(permission, identity, place, challenge=permission in CHALLENGE)
            errors.append((type(caught.value), str(caught.value)))
        assert errors[0] == errors[1]


def test_the_owner_of_a_personal_namespace_owns_its_projects() -> None:
    """Nobody needs to be made a member of his own projects."""
    place = Project(id=5, path="ann/p", name="p", visibility=Visibility.PRIVATE, owner_id=ANN.id, lineage=(3,))
    assert may(Permission.REMOVE_PROJECT, Identity(user=ANN), place)
    assert not may(Permission.REMOVE_PROJECT, Identity(user=User(id=9, username="bob")), place)


def test_a_job_that_is_shut_out_has_no_role_of_its_user() -> None:
    """An allowlist that does not name the job's project takes away even what its user could do, administrators' jobs included."""
    place = Project(id=5, path="g/p", name="p", visibility=Visibility.PRIVATE)
    job = Identity(user=ADMIN, job=Job(id=1, project_id=9))
    assert may(Permission.CREATE_PACKAGE, job, place, Standing(role=Role.OWNER, admits_job=True))
    assert not may(Permission.READ_PACKAGE, job, place, Standing(role=Role.OWNER, admits_job=False))


@pytest.mark.parametrize(
    ("child", "parent", "fits"), [(c, p, list(Visibility).index(c) <= list(Visibility).index(p)) for c in Visibility for p in Visibility]
)
def test_a_child_is_never_more_visible_than_its_parent(child: Visibility, parent: Visibility, fits: bool) -> None:
    """Private fits everywhere, public only in public."""
    assert child.within(parent) is fits


def test_visibilities_are_parsed_by_gitlabs_words() -> None:
    """Any other word is refused with those there are."""
    assert [Visibility.parse(word) for word in ("private", "internal", "public")] == list(Visibility)
    with pytest.raises(InvalidSetting, match="private, internal or public"):
        Visibility.parse("secret")
