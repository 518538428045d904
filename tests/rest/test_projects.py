"""Projects over REST."""

import pytest

from registry.domain.access import Role
from registry.domain.errors import Unauthenticated, UnknownProject
from registry.domain.model import Actor, Digests, NewFile
from registry.domain.names import Name
from registry.domain.versions import Version
from registry.testing import FORM_TYPE, MemoryRegistry, done, form, wheel
from tests.rest.api import FORBIDDEN, NO_PROJECT, NO_USER, TAKEN, Api, Cast, told

NOWHERE = (400, {"message": {"namespace": ["is not valid"]}})


@pytest.fixture
def cast(registry: MemoryRegistry) -> Cast:
    """Callers."""
    return Cast(registry)


def group(by: Api, path: str, **fields: object) -> int:
    """A new group; its number."""
    return int(by.made("/groups", name=path, path=path, **fields)["id"])


def test_a_project_is_shown_as_gitlab_shows_it(cast: Cast) -> None:
    """A project made in a group has every key that scripts read."""
    top = group(cast.root, "team", visibility="public")
    made = cast.root.made(
        "/projects", name="My Lib", namespace_id=top, visibility="internal", description="Hm", initialize_with_readme=True
    )
    assert made == {
        "id": 2,
        "description": "Hm",
        "name": "My Lib",
        "name_with_namespace": "team / My Lib",
        "path": "my-lib",
        "path_with_namespace": "team/my-lib",
        "created_at": "2030-06-15T12:00:00.000Z",
        "default_branch": "main",
        "topics": [],
        "web_url": "https://packages.example.com/team/my-lib",
        "avatar_url": None,
        "namespace": {
            "id": top,
            "name": "team",
            "path": "team",
            "kind": "group",
            "full_path": "team",
            "parent_id": None,
            "avatar_url": None,
            "web_url": "https://packages.example.com/groups/team",
        },
        "_links": {
            "self": "https://packages.example.com/api/v4/projects/2",
            "members": "https://packages.example.com/api/v4/projects/2/members",
        },
        "visibility": "internal",
        "creator_id": 1,
        "archived": False,
        "packages_enabled": True,
        "package_registry_access_level": "enabled",
        "permissions": {"project_access": None, "group_access": {"access_level": 50, "notification_level": 3}},
    }
    # Ours beside GitLab's, for who may administer it.
    switch = {
        "pypi_package_requests_forwarding": None,
        "pypi_package_requests_forwarding_locked": False,
        "pypi_package_requests_forwarding_effective": True,
    }
    assert cast.root.get("/projects/2").json == made | switch
    assert [row for row in cast.root.get("/projects").json if row["id"] == 2] == [made]
    simple = cast.root.get("/projects", simple="true").json[0]
    assert set(made) - set(simple) == {
        "_links",
        "visibility",
        "creator_id",
        "archived",
        "packages_enabled",
        "package_registry_access_level",
        "permissions",
    }


def test_without_a_namespace_it_is_ones_own(cast: Cast) -> None:
    """A project goes to the caller's own namespace, where he is Owner; name and path are made of one another."""
    ann, _ = cast.new("ann")
    by_name, by_path = ann.made("/projects", name="Ünï  Lib! 2"), ann.made("/projects", path="Other")
    assert (by_name["path_with_namespace"], by_name["name"]) == ("ann/n-lib-2", "Ünï  Lib! 2")
    assert (by_path["path_with_namespace"], by_path["name"]) == ("ann/Other", "Other")
    assert by_name["namespace"]["kind"] == "user"
    assert by_name["namespace"]["web_url"] == "https://packages.example.com/ann"
    assert by_name["permissions"] == {"project_access": {"access_level": 50, "notification_level": 3}, "group_access": None}
    assert ann.post("/projects", name="Ü").json == {"message": {"path": ["can't be blank"]}}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "name, path are missing, at least one parameter must be provided"),
        ({"name": ""}, "name, path are missing, at least one parameter must be provided"),
        ({"name": ["x"]}, "name is invalid"),
        ({"name": "x", "visibility": "open"}, "visibility does not have a valid value"),
        ({"name": "x", "package_registry_access_level": "on"}, "package_registry_access_level does not have a valid value"),
        ({"name": "x", "packages_enabled": "maybe"}, "packages_enabled is invalid"),
        ({"name": "x", "namespace_id": {}}, "namespace_id is invalid"),
    ],
)
def test_fields_of_a_wrong_kind_are_told(cast: Cast, fields: dict[str, object], problem: str) -> None:
    """A project that cannot be made is 400 with Grape's sentence."""
    assert told(cast.root.post("/projects", **fields)) == (400, {"error": problem})
    assert cast.root.all("/projects") == [1]


def test_forms_are_as_good_as_json(cast: Cast, registry: MemoryRegistry) -> None:
    """A form body, and what is in the query, make the same project."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = registry.ask("POST", "/api/v4/projects?visibility=public", kind, b"name=a+b&packages_enabled=false", token=registry.root_token)
    assert answer.code == 201
    assert (answer.json["path"], answer.json["visibility"], answer.json["package_registry_access_level"]) == ("a-b", "public", "disabled")
    assert told(registry.ask("POST", "/api/v4/projects", {"Content-Type": "text/plain"}, b"name=x", token=registry.root_token))[0] == 400
    for body in (b"{", b"[]", b'"x"', b"\xff", b"[" * 5000):
        broken = registry.ask("POST", "/api/v4/projects", {"Content-Type": "application/json"}, body, token=registry.root_token)
        assert broken.code == 400
    assert cast.root.all("/projects") == [answer.json["id"], 1]


def test_a_namespace_takes_projects_of_its_maintainers(cast: Cast) -> None:
    """It takes Maintainer in a group; a namespace one may not use, may not see, or that is not there are refused in the same words."""
    top = group(cast.root, "team")
    ann, number = cast.new("ann")
    assert told(ann.post("/projects", name="x", namespace_id=top)) == NOWHERE
    for role in (10, 15, 20, 30):
        if role == 10:
            cast.root.made(f"/groups/{top}/members", user_id=number, access_level=role)
        else:
            cast.root.put(f"/groups/{top}/members/{number}", access_level=role)
        assert told(ann.post("/projects", name="x", namespace_id=top)) == NOWHERE
    cast.root.put(f"/groups/{top}/members/{number}", access_level=40)
    assert ann.post("/projects", name="x", namespace_id=top).code == 201
    assert ann.post("/projects", name="y", namespace_id="team").code == 201
    for other in ("root", 1, 999, "no/where"):
        assert told(ann.post("/projects", name="z", namespace_id=other)) == NOWHERE
    assert cast.root.made("/projects", name="z", namespace_id="ann")["path_with_namespace"] == "ann/z"
    assert told(cast.anybody.post("/projects", name="x")) == (401, {"message": "401 Unauthorized"})


def test_administrators_make_projects_for_others(cast: Cast) -> None:
    """POST /projects/user/:id puts a project into that user's namespace; others may not."""
    ann, number = cast.new("ann")
    made = cast.root.made(f"/projects/user/{number}", name="gift")
    assert made["path_with_namespace"] == "ann/gift"
    assert ann.get(f"/projects/{made['id']}").json["permissions"]["project_access"]["access_level"] == 50
    assert told(cast.root.post("/projects/user/999", name="gift")) == (404, NO_USER)
    assert told(cast.root.post("/projects/user/x", name="gift")) == (400, {"error": "user_id is invalid"})
    assert told(ann.post("/projects/user/1", name="gift")) == (403, FORBIDDEN)


def test_a_path_is_taken_once(cast: Cast) -> None:
    """A path belongs to one project, in any case, when it is made, renamed or moved."""
    top = group(cast.root, "team")
    cast.root.made("/groups", name="sub", path="sub", parent_id=top)
    lib = cast.root.made("/projects", name="lib", namespace_id=top)["id"]
    own = cast.root.made("/projects", name="LIB")["id"]
    for answer in (
        cast.root.post("/projects", name="x", path="Lib", namespace_id=top),
        cast.root.post("/projects", name="x", path="sub", namespace_id=top),
        cast.root.put(f"/projects/{lib}", path="SUB"),
        cast.root.put(f"/projects/{own}/transfer", namespace=top),
    ):
        assert told(answer) == (400, TAKEN)
    assert cast.root.put(f"/projects/{lib}", path="LIB", name="Liberty").json["path_with_namespace"] == "team/LIB"
    assert cast.root.get("/projects/team%2Flib").json["name"] == "Liberty"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"packages_enabled": False}, (False, "disabled")),
        ({"packages_enabled": True}, (True, "enabled")),
        ({"package_registry_access_level": "disabled"}, (False, "disabled")),
        ({"package_registry_access_level": "private"}, (True, "private")),
        ({"package_registry_access_level": "public"}, (True, "public")),
        ({"package_registry_access_level": "public", "packages_enabled": False}, (True, "public")),
    ],
)
def test_the_two_switches_agree(cast: Cast, registry: MemoryRegistry, fields: dict[str, object], expected: tuple[bool, str]) -> None:
    """The flags packages_enabled and package_registry_access_level always agree, in new and changed projects, and both work."""
    for number in (cast.root.made("/projects", name="new", **fields)["id"], 1):
        shown = cast.root.put(f"/projects/{number}", **fields).json
        assert (shown["packages_enabled"], shown["package_registry_access_level"]) == expected
        page = registry.ask("GET", f"/api/v4/projects/{number}/packages/pypi/simple/", token=registry.root_token)
        assert page.code == (200 if expected[0] else 403)


def test_switching_on_what_is_on_changes_no_level(cast: Cast) -> None:
    """Sending packages_enabled=true leaves a level that is on as it is, so that a script that always sends it opens nothing."""
    cast.root.put("/projects/1", package_registry_access_level="private")
    assert cast.root.put("/projects/1", packages_enabled=True).json["package_registry_access_level"] == "private"


def test_a_change_counts_from_the_next_request_on(cast: Cast, registry: MemoryRegistry) -> None:
    """Who loses a project by its visibility is refused at once, though he was let in before (hardening row 28)."""
    ann, _ = cast.new("ann")
    cast.root.put("/projects/1", visibility="public", name="Shown", description="D")
    page = "/api/v4/projects/1/packages/pypi/simple/"
    assert registry.ask("GET", page).code == registry.ask("GET", page, token=ann.token).code == 200
    assert ann.get("/projects/1").json["name"] == "Shown"
    cast.root.put("/projects/1", visibility="private")
    assert registry.ask("GET", page).code == 401
    assert told(ann.get("/projects/1")) == told(cast.anybody.get("/projects/1")) == (404, NO_PROJECT)


@pytest.mark.parametrize("role", [role for role in Role if role > Role.NONE])
def test_who_changes_removes_and_moves_a_project(cast: Cast, role: Role) -> None:
    """Maintainers change a project; removing and moving it takes an Owner (hardening row 26)."""
    ann, number = cast.new("ann")
    cast.root.made("/projects/1/members", user_id=number, access_level=role.value)
    assert ann.get("/projects/1").json["permissions"]["project_access"]["access_level"] == role
    assert ann.put("/projects/1", description="x").code == (200 if role >= Role.MAINTAINER else 403)
    assert ann.put("/projects/1/transfer", namespace="ann").code == (200 if role is Role.OWNER else 403)
    assert ann.delete("/projects/1").code == (202 if role is Role.OWNER else 403)


def test_a_hidden_project_and_none_answer_alike(cast: Cast) -> None:
    """A stranger cannot tell a private project from none, whatever he asks of it (hardening row 31)."""
    ann, _ = cast.new("ann")
    for caller in (ann, cast.anybody):
        for ask, tail in (("get", ""), ("delete", ""), ("get", "/members"), ("get", "/members/all/1"), ("delete", "/members/1")):
            hidden, absent, by_path = (getattr(caller, ask)(f"/projects/{ref}{tail}") for ref in (1, 999, "no%2Fsuch"))
            assert hidden == absent == by_path
        assert caller.put("/projects/1", name="x") == caller.put("/projects/999", name="x")
        assert caller.put("/projects/1/transfer", namespace=2) == caller.put("/projects/999/transfer")


def test_a_project_moves_with_its_packages(cast: Cast, registry: MemoryRegistry) -> None:
    """A moved project keeps number, files and direct members, loses what it inherited, and is no more visible than its new group."""
    ann, number = cast.new("ann")
    old, new = group(cast.root, "old", visibility="public"), group(cast.root, "new", visibility="internal")
    cast.root.made(f"/groups/{old}/members", user_id=number, access_level=40)
    project = ann.made("/projects", name="lib", namespace_id=old, visibility="public")["id"]
    assert registry.upload(project, wheel("demo", "1.0"), token=ann.token).code == 201
    moved = cast.root.put(f"/projects/{project}/transfer", namespace="new")
    assert moved.code == 200
    assert (moved.json["path_with_namespace"], moved.json["visibility"], moved.json["namespace"]["id"]) == ("new/lib", "internal", new)
    assert registry.ask("GET", f"/api/v4/projects/{project}/packages/pypi/simple/demo/", token=ann.token).code == 200
    assert registry.ask("GET", f"/api/v4/projects/{project}/packages/pypi/simple/demo/").code == 401
    assert registry.upload(project, wheel("demo", "1.1"), token=ann.token).code == 403
    assert cast.root.put(f"/projects/{project}/transfer", namespace=new).code == 400
    assert told(cast.root.put(f"/projects/{project}/transfer")) == (400, {"error": "namespace is missing"})
    assert told(cast.root.put(f"/projects/{project}/transfer", namespace=999)) == NOWHERE


def test_a_project_goes_with_all_it_holds(cast: Cast, registry: MemoryRegistry) -> None:
    """Deleting is 202; files, members and pages are gone at once, and the path can be used again."""
    ann, number = cast.new("ann")
    cast.root.made("/projects/1/members", user_id=number, access_level=30)
    built = wheel("demo", "1.0")
    assert registry.upload(1, built, token=ann.token).code == 201
    assert told(cast.root.delete("/projects/1")) == (202, {"message": "202 Accepted"})
    assert told(ann.get("/projects/1")) == (404, NO_PROJECT)
    assert registry.upload(1, built, token=ann.token).code == 404
    again = cast.root.made("/projects", name="packages")
    assert again["id"] > 1
    assert ann.get(f"/projects/{again['id']}").code == 404
    assert registry.ask("GET", f"/api/v4/projects/{again['id']}/packages/pypi/simple/demo/", token=registry.root_token).code == 404
    assert registry.upload(again["id"], built).code == 201


def test_a_project_deleted_under_an_upload_takes_the_upload_with_it(cast: Cast, registry: MemoryRegistry) -> None:
    """An upload whose project is removed while its bytes arrive is 404, and nothing of it stays."""
    built = wheel("demo", "1.0")
    body = form(built.fields, ("content", built.filename, built.content))
    head = f"POST /api/v4/projects/1/packages/pypi HTTP/1.1\r\nHost: x\r\nPRIVATE-TOKEN: {registry.root_token}\r\n"
    wire = registry.connect()
    wire.send(f"{head}Content-Type: {FORM_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:200])
    assert cast.root.delete("/projects/1").code == 202
    wire.send(body[200:])
    assert [answer.code for answer in wire.answers("POST")] == [404]
    assert registry.kept_files() == registry.staged_files() == []


def test_lists_are_filtered_and_ordered(cast: Cast) -> None:
    """The newest come first; search is in name, last segment and description, literally; other filters are GitLab's."""
    ann, number = cast.new("ann")
    top = group(cast.root, "needle", visibility="public")
    made = [
        cast.root.made("/projects", name="Zed", namespace_id=top, visibility="public")["id"],
        cast.root.made("/projects", name="alpha", namespace_id=top, description="a needle")["id"],
        cast.root.made("/projects", name="m_x", visibility="internal")["id"],
    ]
    own = ann.made("/projects", name="mine")["id"]
    cast.root.made(f"/projects/{made[1]}/members", user_id=number, access_level=20)
    assert cast.root.all("/projects") == [own, *reversed(made), 1]
    assert cast.root.all("/projects", sort="asc", order_by="name") == [made[1], made[2], own, 1, made[0]]
    assert cast.root.all("/projects", sort="asc", order_by="path") == [made[1], made[2], own, 1, made[0]]
    assert cast.root.all("/projects", search="needle") == [made[1]]
    assert cast.root.all("/projects", search="M_") == [made[2]]
    assert cast.root.all("/projects", search="_") == [made[2]]
    assert cast.root.all("/projects", visibility="internal") == [made[2]]
    assert ann.all("/projects", membership="true") == [own, made[1]]
    assert ann.all("/projects", owned="true") == [own] == ann.all("/projects", min_access_level=30)
    assert cast.root.all("/projects", owned="true", search="packages") == [1]
    assert cast.anybody.all("/projects") == [made[0]]
    assert cast.anybody.all("/projects", membership="true") == []
    assert "permissions" not in cast.anybody.get("/projects").json[0]
    assert told(ann.get("/projects?order_by=stars")) == (400, {"error": "order_by does not have a valid value"})
    assert told(ann.get("/projects?sort=up")) == (400, {"error": "sort does not have a valid value"})
    assert told(ann.get("/projects?owned=maybe")) == (400, {"error": "owned is invalid"})


def test_what_arrives_too_late_is_refused_not_broken(cast: Cast, registry: MemoryRegistry) -> None:
    """A file that is kept after its project, or its publisher, was removed is refused in the transaction, in the usual words."""
    new = NewFile(
        name=Name("demo"),
        version=Version("1.0"),
        filename="demo-1.0.tar.gz",
        digests=Digests(size=1, sha256="0" * 64, others={}),
        requires_python="",
        metadata={},
    )
    _, number = cast.new("ann")
    ann = Actor(user_id=number, username="ann")
    cast.root.delete(f"/users/{number}")
    with pytest.raises(Unauthenticated):
        done(registry.store.packages.add_file(1, new, ann))
    cast.root.delete("/projects/1")
    with pytest.raises(UnknownProject):
        done(registry.store.packages.add_file(1, new, Actor(user_id=1, username="root")))
