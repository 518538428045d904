"""Members of projects and groups over REST."""

from collections.abc import Mapping

import pytest
from attrs import frozen

from registry.domain.access import Role
from registry.testing import Answer, MemoryRegistry
from tests.rest.api import FORBIDDEN, NO_GROUP, NO_PROJECT, NO_USER, NOTHING, Api, Cast, told

ROLES = tuple(role.value for role in Role if role > Role.NONE)
LAST_OWNER = "403 Forbidden - The last owner of a group cannot be removed or given another role; make somebody else its owner first."


@frozen(kw_only=True)
class World:
    """A private group `team` with a subgroup `sub` and a project in it; one user per role, members of nothing yet, and a stranger."""

    cast: Cast
    top: str
    sub: str
    project: str
    users: Mapping[int, tuple[Api, int]]
    stranger: Api

    @property
    def root(self) -> Api:
        """The administrator, and Owner of the group."""
        return self.cast.root

    def join(self, place: str, role: int) -> tuple[Api, int]:
        """Make the user named after the role a member; he and his number."""
        caller, number = self.users[role]
        self.root.made(f"{place}/members", user_id=number, access_level=role)
        return caller, number


@pytest.fixture
def world(registry: MemoryRegistry) -> World:
    """The world."""
    cast = Cast(registry)
    top = cast.root.made("/groups", name="Team", path="team")["id"]
    sub = cast.root.made("/groups", name="Sub", path="sub", parent_id=top)["id"]
    project = cast.root.made("/projects", name="lib", namespace_id=sub)["id"]
    users = {role: cast.new(Role(role).name.lower()) for role in ROLES}
    stranger, _ = cast.new("stranger")
    return World(cast=cast, top=f"/groups/{top}", sub=f"/groups/{sub}", project=f"/projects/{project}", users=users, stranger=stranger)


def levels(by: Api, path: str) -> dict[str, int]:
    """Who is a member, and what."""
    answer = by.get(path, per_page=100)
    assert answer.code == 200, answer
    return {row["username"]: row["access_level"] for row in answer.json}


def test_a_member_is_shown_as_gitlab_shows_him(world: World) -> None:
    """A membership has the keys that scripts read, in the answer to making it, alone and in lists."""
    _, number = world.users[30]
    made = world.root.made(f"{world.project}/members", user_id=number, access_level=30, expires_at="2031-01-01")
    assert made == {
        "id": number,
        "username": "developer",
        "name": "developer",
        "state": "active",
        "locked": False,
        "avatar_url": None,
        "web_url": "https://packages.example.com/developer",
        "access_level": 30,
        "created_at": "2030-06-15T12:00:00.000Z",
        "expires_at": "2031-01-01",
        "membership_state": "active",
    }
    for path in ("/members", "/members/all", f"/members/{number}", f"/members/all/{number}"):
        found = world.root.get(f"{world.project}{path}").json
        assert (found if isinstance(found, dict) else next(row for row in found if row["id"] == number)) == made


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"access_level": 30}, "user_id, username are missing, exactly one parameter must be provided"),
        ({"access_level": 30, "user_id": 2, "username": "x"}, "user_id, username are mutually exclusive"),
        ({"user_id": 2}, "access_level is missing"),
        ({"user_id": 2, "access_level": 31}, "access_level does not have a valid value"),
        ({"user_id": 2, "access_level": 0}, "access_level does not have a valid value"),
        ({"user_id": 2, "access_level": 60}, "access_level does not have a valid value"),
        ({"user_id": 2, "access_level": "high"}, "access_level is invalid"),
        ({"user_id": 2, "access_level": -10}, "access_level is invalid"),
        ({"user_id": 2, "access_level": 30.0}, "access_level is invalid"),
        ({"user_id": "x", "access_level": 30}, "user_id is invalid"),
        ({"user_id": True, "access_level": 30}, "user_id is invalid"),
        ({"user_id": {}, "access_level": 30}, "user_id is invalid"),
        ({"user_id": "9" * 30, "access_level": 30}, "user_id is invalid"),
        ({"username": "\ud800", "access_level": 30}, "username is invalid"),
        ({"username": ["a\0"], "access_level": 30}, "username is invalid"),
        ({"username": "x" * 2001, "access_level": 30}, "username is too long (maximum is 2000 characters)"),
        ({"user_id": 2, "access_level": 30, "expires_at": "soon"}, "expires_at is invalid"),
        ({"user_id": 2, "access_level": 30, "expires_at": ["2031-01-01"]}, "expires_at is invalid"),
    ],
)
def test_fields_of_a_wrong_kind_are_told(world: World, fields: dict[str, object], problem: str) -> None:
    """What cannot be a membership is 400 with Grape's sentence, in projects and groups, and nobody becomes a member."""
    for place in (world.project, world.top):
        before = levels(world.root, f"{place}/members")
        assert told(world.root.post(f"{place}/members", **fields)) == (400, {"error": problem})
        assert levels(world.root, f"{place}/members") == before


def test_an_expiry_lies_ahead(world: World, registry: MemoryRegistry) -> None:
    """A date of today or before is 400; from 00:00 UTC of the day it names the member is none any more, and can be added again."""
    caller, number = world.users[30]
    for past in ("2030-06-15", "2030-06-14", "2030-06-15T12:00:00Z"):
        answer = world.root.post(f"{world.project}/members", user_id=number, access_level=30, expires_at=past)
        assert told(answer) == (400, {"message": {"expires_at": ["cannot be a date in the past"]}})
    world.root.made(f"{world.project}/members", user_id=number, access_level=30, expires_at="2030-06-15T12:00:05Z")
    assert caller.get(world.project).code == 200
    registry.clock.advance(4)
    assert caller.get(world.project).code == 200
    registry.clock.advance(1)
    assert told(caller.get(world.project)) == (404, NO_PROJECT)
    assert caller.all("/projects") == []
    assert told(world.root.get(f"{world.project}/members/{number}")) == (404, NOTHING)
    assert told(world.root.put(f"{world.project}/members/{number}", access_level=40)) == (404, NOTHING)
    assert world.root.post(f"{world.project}/members", user_id=number, access_level=20).code == 201
    assert caller.get(world.project).code == 200


def test_the_highest_role_counts(world: World) -> None:
    """Roles come down the tree, the highest counts, and /members/all says so once per user; /members only names the direct ones."""
    caller, number = world.join(world.top, 10)
    assert caller.get(world.project).json["permissions"] == {
        "project_access": None,
        "group_access": {"access_level": 10, "notification_level": 3},
    }
    world.root.made(f"{world.project}/members", user_id=number, access_level=30)
    assert levels(world.root, f"{world.project}/members") == {"guest": 30}
    assert levels(world.root, f"{world.project}/members/all") == {"root": 50, "guest": 30}
    assert levels(world.root, f"{world.sub}/members/all") == {"root": 50, "guest": 10}
    assert world.root.get(f"{world.sub}/members/all/{number}").json["access_level"] == 10
    assert told(world.root.get(f"{world.top}/members/999")) == (404, NOTHING)
    assert told(world.root.get(f"{world.top}/members/x")) == (400, {"error": "user_id is invalid"})


def test_the_owner_of_a_namespace_is_a_member_of_its_projects(world: World) -> None:
    """In one's own namespace one is Owner of every project, cannot be added again, and cannot be taken out or given another role."""
    caller, number = world.users[30]
    own = caller.made("/projects", name="own")["id"]
    for path in ("/members", "/members/all"):
        assert levels(caller, f"/projects/{own}{path}") == {"developer": 50}
    assert told(caller.post(f"/projects/{own}/members", user_id=number, access_level=50)) == (409, {"message": "Member already exists"})
    assert told(caller.put(f"/projects/{own}/members/{number}", access_level=10)) == (404, NOTHING)
    assert told(caller.delete(f"/projects/{own}/members/{number}")) == (404, NOTHING)


def test_lists_can_be_searched(world: World) -> None:
    """A query is in names, literally; user_ids picks."""
    _, first = world.join(world.top, 10)
    _, second = world.join(world.top, 30)
    assert world.root.all(f"{world.top}/members", query="EVEL") == [second]
    assert world.root.all(f"{world.top}/members", query="_") == []
    assert world.root.all(f"{world.project}/members/all", **{"user_ids[]": [first, 999]}) == [first]
    assert told(world.root.get(f"{world.top}/members?user_ids[]=x")) == (400, {"error": "user_ids is invalid"})
    answer = world.root.get(f"{world.top}/members", per_page=1, page=2)
    assert [row["id"] for row in answer.json] == [first]
    assert answer.headers["x-total"] == "3"


def test_several_are_added_together_or_not_at_all(world: World) -> None:
    """Numbers or user names with commas give all of them the role; one who cannot have it spoils it for all."""
    numbers = [number for _, number in world.users.values()]
    answer = world.root.post(f"{world.project}/members", user_id=f"{numbers[0]},999", access_level=30)
    assert told(answer) == (404, NO_USER)
    assert levels(world.root, f"{world.project}/members") == {}
    answer = world.root.post(f"{world.project}/members", user_id=f"{numbers[0]}, {numbers[1]}", access_level=30)
    assert told(answer) == (201, {"status": "success"})
    assert world.root.post(f"{world.project}/members", username="Reporter", access_level=20).json["id"] == numbers[2]
    assert levels(world.root, f"{world.project}/members") == {"guest": 30, "planner": 30, "reporter": 20}


def test_a_member_is_one_once(world: World) -> None:
    """Adding a member again is 409 and leaves his role; a user who does not exist is 404."""
    for place in (world.project, world.top):
        _, number = world.users[30]
        world.root.made(f"{place}/members", user_id=number, access_level=10 if place == world.top else 30)
        answer = world.root.post(f"{place}/members", user_id=number, access_level=40)
        assert told(answer) == (409, {"message": "Member already exists"})
        assert told(world.root.post(f"{place}/members", user_id=999, access_level=40)) == (404, NO_USER)
        assert told(world.root.post(f"{place}/members", username="nobody", access_level=40)) == (404, NO_USER)
        assert world.root.get(f"{place}/members/{number}").json["access_level"] == (10 if place == world.top else 30)


def test_a_role_is_not_below_an_inherited_one(world: World) -> None:
    """A role lower than that from a group above says nothing, so it is 400 and names the group; the same one is fine."""
    _, number = world.join(world.top, 30)
    problem = "should be greater than or equal to Developer inherited membership from group Team"
    refused = (400, {"message": {"access_level": [problem]}})
    for place in (world.project, world.sub):
        assert told(world.root.post(f"{place}/members", user_id=number, access_level=20)) == refused
        assert world.root.post(f"{place}/members", user_id=number, access_level=30).code == 201
        assert told(world.root.put(f"{place}/members/{number}", access_level=15)) == refused


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", ["project", "group"])
def test_nobody_gives_what_he_does_not_have(world: World, kind: str, role: int) -> None:
    """Maintainers give and take roles in projects up to their own, Owners in groups too; others are 403 (hardening row 26)."""
    place = world.project if kind == "project" else world.top
    caller, _ = world.join(place, role)
    least = 40 if kind == "project" else 50
    _, target = world.cast.new("target")
    for level in ROLES:
        answer = caller.post(f"{place}/members", user_id=target, access_level=level)
        allowed = role >= least and level <= role
        assert answer.code == (201 if allowed else 403), (level, answer)
        if not allowed:
            assert told(answer) == (403, FORBIDDEN)
            world.root.made(f"{place}/members", user_id=target, access_level=level)
            assert caller.put(f"{place}/members/{target}", access_level=10).code == 403
            assert caller.delete(f"{place}/members/{target}").code == 403
        for other in ROLES:
            changed = caller.put(f"{place}/members/{target}", access_level=other)
            assert changed.code == (200 if role >= least and max(level, other) <= role else 403)
            world.root.put(f"{place}/members/{target}", access_level=level)
        assert (caller if allowed else world.root).delete(f"{place}/members/{target}").code == 204


def test_nobody_raises_himself(world: World) -> None:
    """A Maintainer cannot make himself Owner."""
    caller, number = world.join(world.project, 40)
    assert told(caller.put(f"{world.project}/members/{number}", access_level=50)) == (403, FORBIDDEN)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", ["project", "group"])
def test_members_may_leave(world: World, kind: str, role: int) -> None:
    """Whatever his role, a member takes himself out with 204, and is a stranger from the next request on."""
    place, gone = (world.project, NO_PROJECT) if kind == "project" else (world.top, NO_GROUP)
    caller, number = world.join(place, role)
    reader = Api(caller.registry, caller.registry.token(Role(role).name.lower(), "read_api"))
    assert reader.delete(f"{place}/members/{number}").code == 403
    answer = caller.delete(f"{place}/members/{number}")
    assert (answer.code, answer.body) == (204, b"")
    assert told(caller.get(place)) == (404, gone)
    assert told(caller.delete(f"{place}/members/{number}")) == (404, gone)


def test_an_inherited_membership_is_left_where_it_is(world: World) -> None:
    """Who is a member only from above leaves nothing here: 404, and he stays."""
    caller, number = world.join(world.top, 20)
    assert told(caller.delete(f"{world.project}/members/{number}")) == (404, NOTHING)
    assert caller.get(world.project).code == 200


def test_a_group_keeps_an_owner(world: World) -> None:
    """The last Owner of a group is not removed, not demoted and given no end, not even by an administrator: 403; with a second he is."""
    owner, number = world.users[50]
    group = f"/groups/{owner.made('/groups', name='own', path='own')['id']}"
    for caller in (owner, world.root):
        attempts: list[Answer] = [
            caller.delete(f"{group}/members/{number}"),
            caller.put(f"{group}/members/{number}", access_level=40),
            caller.put(f"{group}/members/{number}", access_level=50, expires_at="2031-01-01"),
        ]
        assert [told(attempt) for attempt in attempts] == [(403, {"message": LAST_OWNER})] * 3
    second, other = world.users[40]
    world.root.made(f"{group}/members", user_id=other, access_level=50)
    world.root.post(f"/users/{other}/block")
    assert owner.delete(f"{group}/members/{number}").code == 403
    world.root.post(f"/users/{other}/unblock")
    assert owner.delete(f"{group}/members/{number}").code == 204
    assert second.delete(f"{group}/members/{other}").code == 403


def test_an_owner_above_owns_what_is_below(world: World) -> None:
    """The last direct Owner of a subgroup may go: those of the group above own it still."""
    assert world.root.delete(f"{world.sub}/members/1").code == 204
    assert levels(world.root, f"{world.sub}/members/all") == {"root": 50}


def test_who_leaves_a_group_leaves_all_below_it(world: World) -> None:
    """With a group membership go those in its subgroups and projects, and none elsewhere (hardening row 28)."""
    caller, number = world.join(world.top, 10)
    for place in (world.sub, world.project, "/projects/1"):
        world.root.made(f"{place}/members", user_id=number, access_level=30)
    assert world.root.delete(f"{world.top}/members/{number}").code == 204
    for place in (world.top, world.sub, world.project):
        assert caller.get(place).code == 404
        assert told(world.root.get(f"{place}/members/{number}")) == (404, NOTHING)
    assert caller.get("/projects/1").code == 200


def test_a_change_of_role_counts_at_once(world: World) -> None:
    """A role that is raised, lowered or taken counts from the next request on; an expiry stays unless one is given (hardening row 28)."""
    caller, number = world.users[30]
    world.root.made(f"{world.project}/members", user_id=number, access_level=30, expires_at="2031-01-01")
    assert caller.put(world.project, description="x").code == 403
    assert world.root.put(f"{world.project}/members/{number}", access_level=40).json["expires_at"] == "2031-01-01"
    assert caller.put(world.project, description="x").code == 200
    for end in ("", None):
        world.root.put(f"{world.project}/members/{number}", access_level=20, expires_at="2031-01-01")
        assert world.root.put(f"{world.project}/members/{number}", access_level=20, expires_at=end).json["expires_at"] is None
    assert caller.put(world.project, description="x").code == 403
    assert world.root.delete(f"{world.project}/members/{number}").code == 204
    assert caller.get(world.project).code == 404


def test_members_are_seen_by_who_sees_the_place(world: World) -> None:
    """A stranger is told that there is no such place; in a public one, anybody reads who its members are."""
    assert told(world.stranger.get(f"{world.project}/members")) == (404, NO_PROJECT)
    assert told(world.stranger.get(f"{world.top}/members/all")) == (404, NO_GROUP)
    world.root.put("/projects/1", visibility="public")
    assert levels(world.cast.anybody, "/projects/1/members") == {"root": 50}
    assert world.cast.anybody.post("/projects/1/members", user_id=2, access_level=10).code == 401
    assert world.stranger.post("/projects/1/members", user_id=2, access_level=10).code == 403
    assert world.stranger.delete("/projects/1/members/1").code == 403
