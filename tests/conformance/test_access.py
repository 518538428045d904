"""What every IAccess promises: places, roles from above, and whose credential it is."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from registry.domain.access import ANYBODY, Group, Identity, Job, Place, Project, Role, Standing, User, Visibility
from registry.domain.model import Memberships, StoredCredential
from registry.domain.tokens import Secret
from registry.interfaces import IAccess
from registry.testing import NOON, OPERATOR, MemoryRegistry, done, registry_in_memory

HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[MemoryRegistry]:
    """Group team with subgroup team/sub, a project in each, and users ann and bob, who are nobody's members."""
    registry = registry_in_memory(tmp_path / "data")
    for path in ("team", "team/sub"):
        registry.group(path)
        registry.project(f"{path}/tools")
    registry.user("ann")
    registry.user("bob")
    yield registry
    registry.close()


def access(world: MemoryRegistry) -> IAccess:
    found: IAccess = world.store.access
    return found


def user(world: MemoryRegistry, name: str = "ann") -> User:
    return next(user for user in done(world.store.users.users()) if user.username == name)


def group(world: MemoryRegistry, path: str) -> Group:
    found = world.place(path)
    assert isinstance(found, Group)
    return found


def project(world: MemoryRegistry, path: str) -> Project:
    found = world.place(path)
    assert isinstance(found, Project)
    return found


def standing(world: MemoryRegistry, path: str, identity: Identity) -> Standing:
    place = world.place(path)
    found: tuple[Place | None, Standing] = done(
        access(world).enter("project" if isinstance(place, Project) else "group", place.id, identity)
    )
    assert found[0] == place
    return found[1]


# --- places ---------------------------------------------------------------------------------------------------------------------------


def test_a_group_is_found_by_number_and_path(world: MemoryRegistry) -> None:
    """A group answers to its number and its whole path in any case, and knows the groups it lies in, outermost first."""
    team, sub = group(world, "team"), group(world, "team/sub")
    assert sub == Group(id=sub.id, path="team/sub", name="sub", visibility=Visibility.PRIVATE, lineage=(team.id, sub.id))
    assert team.lineage == (team.id,)
    for ref in (sub.id, "team/sub", "TEAM/Sub"):
        assert done(access(world).enter("group", ref, ANYBODY)) == (sub, Standing())
    for ref in (0, 99, 2**63 - 1, "", "sub", "team/", "team/su_", "team/%", "team/sub/tools"):
        assert done(access(world).enter("group", ref, ANYBODY)) == (None, Standing())


def test_a_users_own_namespace_is_no_group(world: MemoryRegistry) -> None:
    """Neither its name nor its number finds the namespace that a user's own projects lie in."""
    refs: list[int | str] = ["root", "ann", *project(world, "root/packages").lineage]
    for ref in refs:
        assert done(access(world).enter("group", ref, Identity(user=user(world, "root")))) == (None, Standing())


def test_a_project_knows_the_groups_it_lies_in(world: MemoryRegistry) -> None:
    """A project's lineage is that of its group; one in a user's own namespace has that user for an owner."""
    team, sub = group(world, "team"), group(world, "team/sub")
    assert project(world, "team/sub/tools").lineage == (team.id, sub.id)
    assert project(world, "team/tools").lineage == (team.id,)
    assert project(world, "team/tools").owner_id is None
    assert project(world, "root/packages").owner_id == user(world, "root").id


def test_below_a_group_are_its_projects_and_those_of_its_subgroups(world: MemoryRegistry) -> None:
    """All projects at any depth come, by number, and none of a group whose number only begins alike."""
    for number in range(12):
        world.group(f"other{number}")
        world.project(f"other{number}/x")
    world.group("team/sub/deep")
    deep = world.project("team/sub/deep/x").id
    tools, sub_tools = project(world, "team/tools"), project(world, "team/sub/tools")
    assert [one.id for one in done(access(world).below(group(world, "team")))] == [tools.id, sub_tools.id, deep]
    assert done(access(world).below(group(world, "team")))[:2] == [tools, sub_tools]
    assert [one.id for one in done(access(world).below(group(world, "team/sub")))] == [sub_tools.id, deep]
    for number in range(12):
        assert [one.path for one in done(access(world).below(group(world, f"other{number}")))] == [f"other{number}/x"]


# --- roles ----------------------------------------------------------------------------------------------------------------------------


def test_a_role_is_the_highest_from_here_or_above(world: MemoryRegistry) -> None:
    """A member of a group has his role in everything below it, and a higher one that he was given there."""
    ann = Identity(user=user(world))
    world.member("team", "ann", Role.REPORTER)
    world.member("team/sub", "ann", Role.MAINTAINER)
    world.member("team/tools", "ann", Role.DEVELOPER)
    roles = {path: standing(world, path, ann).role for path in ("team", "team/sub", "team/tools", "team/sub/tools", "root/packages")}
    assert roles == {
        "team": Role.REPORTER,
        "team/sub": Role.MAINTAINER,
        "team/tools": Role.DEVELOPER,
        "team/sub/tools": Role.MAINTAINER,
        "root/packages": Role.NONE,
    }
    bob = Identity(user=user(world, "bob"))
    assert {standing(world, path, bob).role for path in roles} == {Role.NONE}
    assert {standing(world, path, ANYBODY).role for path in roles} == {Role.NONE}


def test_a_role_below_says_nothing_above(world: MemoryRegistry) -> None:
    """A member of a project or subgroup is nobody in the group above it, and in its other projects."""
    ann = Identity(user=user(world))
    world.member("team/sub", "ann", Role.OWNER)
    assert [standing(world, path, ann).role for path in ("team", "team/tools")] == [Role.NONE, Role.NONE]


def test_a_membership_ends_at_its_moment(world: MemoryRegistry) -> None:
    """Until its moment a role counts and says when it ends; at that moment it is gone, and the one beneath it counts again."""
    ann = Identity(user=user(world))
    world.member("team", "ann", Role.GUEST)
    world.member("team/tools", "ann", Role.MAINTAINER, expires_at=NOON + HOUR)
    world.clock.advance(3599)
    assert standing(world, "team/tools", ann) == Standing(role=Role.MAINTAINER, until=NOON + HOUR)
    assert done(access(world).memberships(user(world).id)).projects == {project(world, "team/tools").id: Role.MAINTAINER}
    world.clock.advance(1)
    assert standing(world, "team/tools", ann) == Standing(role=Role.GUEST)
    assert done(access(world).memberships(user(world).id)).projects == {}


def test_memberships_are_the_direct_ones(world: MemoryRegistry) -> None:
    """All roles that a user was given are told by place, with the moment at which the first of them ends."""
    assert done(access(world).memberships(user(world).id)) == Memberships(projects={}, groups={})
    world.member("team", "ann", Role.GUEST)
    world.member("team/sub", "ann", Role.OWNER, expires_at=NOON + 2 * HOUR)
    world.member("root/packages", "ann", Role.DEVELOPER, expires_at=NOON + HOUR)
    world.member("team", "bob", Role.OWNER)
    assert done(access(world).memberships(user(world).id)) == Memberships(
        projects={1: Role.DEVELOPER},
        groups={group(world, "team").id: Role.GUEST, group(world, "team/sub").id: Role.OWNER},
        until=NOON + HOUR,
    )


# --- jobs -----------------------------------------------------------------------------------------------------------------------------


def running(world: MemoryRegistry, path: str) -> Identity:
    return Identity(user=user(world), job=Job(id=1, project_id=project(world, path).id))


def test_a_project_admits_its_own_jobs_and_those_it_lists(world: MemoryRegistry) -> None:
    """A job is admitted where it runs and where its project is on the allowlist; listing goes one way only."""
    world.admit_jobs("team/tools", "team/sub/tools")
    job, other = running(world, "team/sub/tools"), running(world, "team/tools")
    paths = ("team/sub/tools", "team/tools", "root/packages")
    assert [standing(world, path, job).admits_job for path in paths] == [True, True, False]
    assert [standing(world, path, other).admits_job for path in paths] == [False, True, False]
    assert [standing(world, path, Identity(user=user(world))).admits_job for path in paths] == [True, True, True]
    assert done(access(world).admitting(project(world, "team/sub/tools").id)) == {project(world, path).id for path in paths[:2]}
    assert done(access(world).admitting(project(world, "team/tools").id)) == {project(world, "team/tools").id}


def test_an_allowlist_that_is_off_admits_all(world: MemoryRegistry) -> None:
    """A project whose allowlist is not enforced admits the jobs of every project."""
    done(world.store.jobs.set_limited(project(world, "team/tools"), OPERATOR, limited=False))
    job = running(world, "root/packages")
    assert standing(world, "team/tools", job).admits_job is True
    assert done(access(world).admitting(1)) == {1, project(world, "team/tools").id}


# --- credentials ----------------------------------------------------------------------------------------------------------------------


def stored(world: MemoryRegistry, secret: str) -> StoredCredential:
    found: StoredCredential | None = done(access(world).credential(Secret(secret).digest()))
    assert found is not None
    return found


@pytest.mark.parametrize("path", ["team", "team/tools"])
def test_a_deploy_token_is_its_places(world: MemoryRegistry, path: str) -> None:
    """A deploy token acts for nobody, and knows its place, its scopes and its end, before and after it."""
    secret = world.deploy_token(path, "read_package_registry", "read_repository", expires_at=NOON + HOUR)
    for _ in range(2):
        found = stored(world, secret)
        deploy = found.identity.deploy
        assert deploy is not None
        assert (found.kind, found.revoked, found.identity.user, found.identity.anonymous) == ("deploy", False, None, False)
        assert (deploy.project_id, deploy.group_id) == ((None, world.place(path).id) if path == "team" else (world.place(path).id, None))
        assert (deploy.name, deploy.scopes) == ("test", frozenset({"read_package_registry", "read_repository"}))
        assert found.identity.expires_at == NOON + HOUR
        world.clock.advance(3600)
        number = deploy.id
    done(world.store.deploy_tokens.revoke_deploy_token(number, OPERATOR))
    assert stored(world, secret).revoked is True


def test_a_job_token_is_its_users_in_its_project(world: MemoryRegistry) -> None:
    """A job token names the user who triggered the job and the project it runs in."""
    world.member("team/tools", "ann", Role.DEVELOPER)
    secret = world.job_token("team/tools", "ann")
    found = stored(world, secret)
    job = found.identity.job
    assert job is not None
    assert (found.kind, found.revoked, found.identity.user, found.identity.token) == ("job", False, user(world), None)
    assert (job.project_id, job.created_at, found.identity.expires_at) == (project(world, "team/tools").id, NOON, NOON + HOUR)
    done(world.store.jobs.revoke_job_token(project(world, "team/tools"), job.id, OPERATOR))
    assert stored(world, secret).revoked is True
