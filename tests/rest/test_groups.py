"""Groups, subgroups and namespaces over REST."""

import pytest

from registry.testing import MemoryRegistry, wheel
from tests.rest.api import FORBIDDEN, NO_GROUP, TAKEN, Api, Cast, told

UNAUTHORIZED = {"message": "401 Unauthorized"}


@pytest.fixture
def cast(registry: MemoryRegistry) -> Cast:
    """Callers."""
    return Cast(registry)


def group(by: Api, path: str, parent: int | None = None, **fields: object) -> int:
    """A new group; its number."""
    return int(by.made("/groups", name=path.title(), path=path, **({"parent_id": parent} if parent else {}), **fields)["id"])


def test_whoever_makes_a_group_owns_it(cast: Cast) -> None:
    """Any signed-in user makes a group at the top and is its Owner; it is private unless he says otherwise."""
    ann, number = cast.new("ann")
    made = ann.made("/groups", name="The Team", path="team", description="We")
    assert {key: made[key] for key in ("name", "path", "full_name", "full_path", "parent_id", "visibility", "description")} == {
        "name": "The Team",
        "path": "team",
        "full_name": "The Team",
        "full_path": "team",
        "parent_id": None,
        "visibility": "private",
        "description": "We",
    }
    assert made["web_url"] == "https://packages.example.com/groups/team"
    assert made["created_at"].endswith("Z")
    assert [(row["id"], row["access_level"]) for row in ann.get(f"/groups/{made['id']}/members").json] == [(number, 50)]


def test_a_subgroup_lies_in_its_parent(cast: Cast) -> None:
    """A subgroup has the names and paths of those above it, and is got by number or by path in any case."""
    top = group(cast.root, "team", visibility="internal")
    made = cast.root.made("/groups", name="Tools", path="tools", parent_id=top)
    assert (made["full_name"], made["full_path"], made["parent_id"]) == ("Team / Tools", "team/tools", top)
    for ref in (made["id"], "team%2Ftools", "TEAM%2ftools"):
        assert cast.root.get(f"/groups/{ref}").json["id"] == made["id"]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "name is missing, path is missing"),
        ({"name": "x"}, "path is missing"),
        ({"name": None, "path": "x"}, "name is missing"),
        ({"name": "", "path": "x"}, "name is empty"),
        ({"name": "x", "path": ["a"]}, "path is invalid"),
        ({"name": "x", "path": "x", "visibility": "secret"}, "visibility does not have a valid value"),
        ({"name": "x", "path": "x", "visibility": 3}, "visibility does not have a valid value"),
        ({"name": {"a": 1}, "path": "x"}, "name is invalid"),
        ({"name": "x" * 2001, "path": "x"}, "name is too long (maximum is 2000 characters)"),
        ({"name": "x", "path": "x", "parent_id": True}, "parent_id is invalid"),
        ({"name": "x", "path": "x", "parent_id": "9" * 30}, "parent_id is invalid"),
    ],
)
def test_what_a_group_lacks_is_told_in_grapes_words(cast: Cast, fields: dict[str, object], problem: str) -> None:
    """Missing fields and fields of a wrong kind are 400 with Grape's sentence, and nothing is made."""
    assert told(cast.root.post("/groups", **fields)) == (400, {"error": problem})
    assert cast.root.all("/groups") == []


@pytest.mark.parametrize("path", ["-x", ".x", "x.", "x.git", "x.atom", "a/b", "a b", "ü", "123", "..", "x" * 256, "api", "Groups"])
def test_a_path_that_no_group_can_have_is_refused(cast: Cast, path: str) -> None:
    """A path that would not work in an address is 400 and names the field."""
    answer = cast.root.post("/groups", name="x", path=path)
    assert answer.code == 400
    assert list(answer.json["message"]) == ["path"]


@pytest.mark.parametrize(("name", "code"), [("x" * 255, 201), ("x" * 256, 400), ("Größe & 🐍", 201), ("a\nb", 400), ("a\x00b", 400)])
def test_names_are_for_people(cast: Cast, name: str, code: int) -> None:
    """A name holds whatever can be printed, up to 255 characters."""
    answer = cast.root.post("/groups", name=name, path="x")
    assert answer.code == code
    if code == 201:
        assert answer.json["name"] == name


def test_a_path_is_taken_once(cast: Cast) -> None:
    """Groups, projects and users share one space of paths, in any case; the second is told so."""
    top = group(cast.root, "team")
    cast.root.made("/projects", name="lib", namespace_id=top)
    assert told(cast.root.post("/groups", name="x", path="TEAM")) == (400, TAKEN)
    assert told(cast.root.post("/groups", name="x", path="Root")) == (400, TAKEN)
    assert told(cast.root.post("/groups", name="x", path="Lib", parent_id=top)) == (400, TAKEN)
    other = group(cast.root, "other")
    assert told(cast.root.put(f"/groups/{other}", path="team")) == (400, TAKEN)
    assert cast.root.put(f"/groups/{other}", path="OTHER").json["full_path"] == "OTHER"


def test_a_child_is_never_more_visible_than_its_parent(cast: Cast) -> None:
    """Neither making a child nor changing either of the two makes a child more visible than what it lies in; 400, and nothing changes."""
    top = group(cast.root, "team", visibility="internal")
    problem = "public is not allowed since the parent group has an internal visibility."
    refused = (400, {"message": {"visibility_level": [problem]}})
    assert told(cast.root.post("/groups", name="x", path="x", parent_id=top, visibility="public")) == refused
    assert told(cast.root.post("/projects", name="x", namespace_id=top, visibility="public")) == refused
    sub = group(cast.root, "sub", top, visibility="internal")
    project = cast.root.made("/projects", name="lib", namespace_id=sub, visibility="internal")["id"]
    assert told(cast.root.put(f"/groups/{sub}", visibility="public")) == refused
    assert told(cast.root.put(f"/projects/{project}", visibility="public")) == refused
    for place, what in ((top, "sub-groups"), (sub, "projects")):
        problem = f"private is not allowed since this group contains {what} with higher visibility."
        assert told(cast.root.put(f"/groups/{place}", visibility="private")) == (400, {"message": {"visibility_level": [problem]}})
    assert cast.root.get(f"/groups/{top}").json["visibility"] == "internal"
    assert cast.root.put(f"/groups/{top}", visibility="public").json["visibility"] == "public"


def test_only_an_owner_makes_subgroups_and_changes_groups(cast: Cast) -> None:
    """A Maintainer may not, whoever cannot see the group is told it does not exist, and anybody has to sign in (hardening row 26)."""
    top = group(cast.root, "team")
    ann, number = cast.new("ann")
    bob, _ = cast.new("bob")
    cast.root.made(f"/groups/{top}/members", user_id=number, access_level=40)
    for caller, expected in ((ann, (403, FORBIDDEN)), (bob, (404, NO_GROUP)), (cast.anybody, (401, UNAUTHORIZED))):
        assert told(caller.post("/groups", name="x", path="x", parent_id=top)) == expected
        assert told(caller.put(f"/groups/{top}", name="x")) == expected
        assert told(caller.delete(f"/groups/{top}")) == expected
    cast.root.put(f"/groups/{top}/members/{number}", access_level=50)
    assert ann.post("/groups", name="x", path="x", parent_id=top).code == 201


def test_a_hidden_group_and_none_answer_alike(cast: Cast) -> None:
    """Status, body and headers do not tell a stranger whether a group exists, whatever he asks of it (hardening row 31)."""
    top = group(cast.root, "team")
    ann, _ = cast.new("ann")
    for caller in (ann, cast.anybody):
        for ask, tail in (
            ("get", ""),
            ("get", "/projects"),
            ("get", "/subgroups"),
            ("get", "/descendant_groups"),
            ("get", "/members"),
            ("get", "/members/all"),
            ("get", "/members/1"),
            ("delete", "/members/1"),
            ("delete", ""),
        ):
            hidden, absent, by_path = (getattr(caller, ask)(f"/groups/{ref}{tail}") for ref in (top, 999, "no%2Fsuch"))
            assert hidden == absent == by_path
            assert hidden.code in {401, 404}
        assert caller.post(f"/groups/{top}/members", user_id=1, access_level=10) == caller.post("/groups/999/members", access_level=1)


def test_a_users_own_namespace_is_no_group(cast: Cast) -> None:
    """The groups API knows nothing of a user's own namespace, not even for an administrator."""
    own = cast.root.get("/namespaces/root").json["id"]
    for ref in (own, "root"):
        assert told(cast.root.get(f"/groups/{ref}")) == (404, NO_GROUP)
        assert told(cast.root.delete(f"/groups/{ref}")) == (404, NO_GROUP)
        assert told(cast.root.put(f"/groups/{ref}", name="x")) == (404, NO_GROUP)
    assert told(cast.root.post("/groups", name="x", path="x", parent_id=own)) == (404, NO_GROUP)


def test_a_rename_moves_all_below(cast: Cast) -> None:
    """Another path of a group is at once part of the paths of all groups and projects below it, and of none beside it."""
    top, beside = group(cast.root, "team"), group(cast.root, "teams")
    sub = group(cast.root, "sub", top)
    project = cast.root.made("/projects", name="Lib", namespace_id=sub)["id"]
    other = cast.root.made("/projects", name="Lib", namespace_id=beside)["id"]
    assert cast.root.get("/projects/team%2Fsub%2Flib").code == 200
    assert cast.root.put(f"/groups/{top}", path="Crew", name="The Crew").json["full_name"] == "The Crew"
    assert cast.root.get(f"/groups/{sub}").json["full_path"] == "Crew/sub"
    shown = cast.root.get(f"/projects/{project}").json
    assert (shown["path_with_namespace"], shown["name_with_namespace"]) == ("Crew/sub/lib", "The Crew / Sub / Lib")
    assert cast.root.get("/projects/team%2Fsub%2Flib").code == 404
    assert cast.root.get("/projects/crew%2Fsub%2Flib").json["id"] == project
    assert cast.root.get(f"/projects/{other}").json["path_with_namespace"] == "teams/lib"
    assert group(cast.root, "team") > beside


def test_a_group_page_has_the_name_of_today(cast: Cast, registry: MemoryRegistry) -> None:
    """A group that is given another name heads its package index with it, though that was rendered before."""
    top = group(cast.root, "team")
    index = f"/api/v4/groups/{top}/-/packages/pypi/simple/"
    assert b"Links for Team<" in registry.ask("GET", index, token=registry.root_token).body
    cast.root.put(f"/groups/{top}", name="Crew")
    assert b"Links for Crew<" in registry.ask("GET", index, token=registry.root_token).body


def test_paths_have_an_end(cast: Cast) -> None:
    """Twenty groups deep is possible, one more is 400; and no rename makes a path below longer than the catalog can keep."""
    parent = None
    for level in range(20):
        parent = group(cast.root, f"g{level}", parent)
    assert cast.root.made("/projects", name="deep", namespace_id=parent)["path_with_namespace"].count("/") == 20
    assert told(cast.root.post("/groups", name="x", path="x", parent_id=parent))[0] == 400
    top = group(cast.root, "a" * 255)
    middle = group(cast.root, "b" * 255, top)
    low = group(cast.root, "c" * 255, middle)
    cast.root.made("/projects", name="x", path="d" * 255, namespace_id=low)
    small = group(cast.root, "small", low)
    refused = cast.root.post("/projects", name="x", path="e" * 255, namespace_id=small)
    assert (refused.code, list(refused.json["message"])) == (400, ["path"])
    tall = group(cast.root, "t", low)
    cast.root.made("/projects", name="x", path="f" * 254, namespace_id=tall)
    assert cast.root.put(f"/groups/{tall}", path="tt").code == 400
    assert cast.root.get(f"/groups/{tall}").json["path"] == "t"


def test_a_group_goes_with_all_below_it(cast: Cast, registry: MemoryRegistry) -> None:
    """Deleting a group is 202 and takes all below it, members and rights too; the paths are free, numbers are not reused."""
    ann, number = cast.new("ann")
    top = group(cast.root, "team")
    sub = group(cast.root, "sub", top)
    project = cast.root.made("/projects", name="lib", namespace_id=sub)["id"]
    cast.root.made(f"/groups/{top}/members", user_id=number, access_level=30)
    built = wheel("demo", "1.0")
    assert registry.upload(project, built, token=ann.token).code == 201
    page = f"/api/v4/projects/{project}/packages/pypi/simple/demo/"
    assert registry.ask("GET", page, token=ann.token).code == 200
    assert told(cast.root.delete(f"/groups/{top}")) == (202, {"message": "202 Accepted"})
    assert registry.ask("GET", page, token=ann.token).code == 404
    for path in (f"/groups/{top}", f"/groups/{sub}", f"/projects/{project}"):
        assert cast.root.get(path).code == 404
        assert ann.get(path).code == 404
    assert ann.all("/groups") == []
    assert ann.all("/projects") == []
    again = group(cast.root, "team")
    assert again > sub
    assert told(ann.get(f"/groups/{again}")) == (404, NO_GROUP)


def test_lists_show_what_can_be_got_one_by_one(cast: Cast) -> None:
    """Every caller finds in every list exactly the groups and projects that he may get by their number (hardening rows 25 and 31)."""
    groups, projects = [], []
    for outer in ("private", "internal", "public"):
        top = group(cast.root, f"top-{outer}", visibility=outer)
        groups.append(top)
        for inner in ("private", "internal", "public")[: ("private", "internal", "public").index(outer) + 1]:
            sub = group(cast.root, f"sub-{inner}", top, visibility=inner)
            groups.append(sub)
            projects += [cast.root.made("/projects", name=f"p{n}", namespace_id=sub, visibility=inner)["id"] for n in range(2)]
        projects.append(cast.root.made("/projects", name="p", namespace_id=top, visibility=outer)["id"])
    callers = [cast.root, cast.anybody]
    for count, place in enumerate([*(f"/groups/{one}" for one in groups), *(f"/projects/{one}" for one in projects)]):
        caller, number = cast.new(f"user{count}")
        cast.root.made(f"{place}/members", user_id=number, access_level=10)
        own = caller.made("/projects", name="mine")["id"]
        projects.append(own)
        callers.append(caller)
    for caller in callers:
        seen = [one for one in groups if caller.get(f"/groups/{one}").code == 200]
        assert caller.all("/groups", order_by="id") == seen
        visible = [one for one in projects if caller.get(f"/projects/{one}").code == 200]
        assert caller.all("/projects", sort="asc") == [*([1] if caller is cast.root or caller == callers[0] else []), *visible]
        for one in seen:
            full = caller.get(f"/groups/{one}").json["full_path"]
            inside = {number for number in visible if caller.get(f"/projects/{number}").json["path_with_namespace"].startswith(f"{full}/")}
            direct = {number for number in inside if caller.get(f"/projects/{number}").json["namespace"]["id"] == one}
            assert set(caller.all(f"/groups/{one}/projects", include_subgroups="true")) == inside
            assert set(caller.all(f"/groups/{one}/projects")) == direct
            assert {each["id"] for each in caller.get(f"/groups/{one}").json["projects"]} == direct
            below = {number for number in seen if caller.get(f"/groups/{number}").json["parent_id"] == one}
            assert set(caller.all(f"/groups/{one}/subgroups")) == below == set(caller.all(f"/groups/{one}/descendant_groups"))


def test_lists_are_filtered_and_ordered(cast: Cast) -> None:
    """A search is in name and last segment, literally; the other filters are GitLab's; unknown orders are 400."""
    ann, number = cast.new("ann")
    first, second = group(cast.root, "zeta", visibility="public"), group(cast.root, "alpha")
    third = group(cast.root, "a_b", first, visibility="public")
    cast.root.made(f"/groups/{second}/members", user_id=number, access_level=40)
    assert cast.root.all("/groups") == [third, second, first]
    assert cast.root.all("/groups", sort="desc") == [first, second, third]
    assert cast.root.all("/groups", order_by="path") == [second, first, third]
    assert cast.root.all("/groups", search="ETA") == [first]
    assert cast.root.all("/groups", search="a_b") == [third]
    assert cast.root.all("/groups", search="%") == []
    assert cast.root.all("/groups", top_level_only="true") == [second, first]
    assert cast.root.all("/groups", visibility="public", order_by="id") == [first, third]
    assert ann.all("/groups", owned="true") == []
    assert ann.all("/groups", min_access_level=40) == [second] == ann.all("/groups", all_available="false")
    assert cast.anybody.all("/groups", owned="true") == []
    assert told(ann.get("/groups?order_by=age")) == (400, {"error": "order_by does not have a valid value"})
    assert told(ann.get("/groups?min_access_level=41")) == (400, {"error": "min_access_level does not have a valid value"})


def test_a_list_comes_in_pages(cast: Cast) -> None:
    """GitLab's headers say how many there are and where the next page is, which is empty beyond the end."""
    for count in range(5):
        group(cast.root, f"g{count}")
    answer = cast.root.get("/groups", per_page=2, page=2)
    assert [row["path"] for row in answer.json] == ["g2", "g3"]
    assert {name: answer.headers[name] for name in ("x-total", "x-total-pages", "x-next-page", "x-prev-page")} == {
        "x-total": "5",
        "x-total-pages": "3",
        "x-next-page": "3",
        "x-prev-page": "1",
    }
    assert '<https://packages.example.com/api/v4/groups?page=3&per_page=2>; rel="next"' in answer.headers["link"]
    assert cast.root.get("/groups", page=9).json == []


def test_namespaces_are_ones_own_and_those_one_has_a_role_in(cast: Cast) -> None:
    """The list holds a caller's own namespace and his groups, an administrator's all; a single one is by number or path, or 404."""
    ann, number = cast.new("ann")
    top = group(cast.root, "team")
    sub = group(cast.root, "sub", top)
    group(cast.root, "open", visibility="public")
    assert ann.all("/namespaces", "full_path") == ["ann"]
    cast.root.made(f"/groups/{top}/members", user_id=number, access_level=10)
    assert ann.all("/namespaces", "full_path") == ["ann", "team", "team/sub"]
    assert ann.all("/namespaces", "full_path", search="su") == ["team/sub"]
    assert ann.all("/namespaces", "full_path", owned_only="true") == ["ann"]
    assert cast.root.all("/namespaces", "full_path") == ["root", "ann", "team", "team/sub", "open"]
    shown = ann.get("/namespaces/team%2Fsub").json
    assert shown == {
        "id": sub,
        "name": "Sub",
        "path": "sub",
        "kind": "group",
        "full_path": "team/sub",
        "parent_id": top,
        "avatar_url": None,
        "web_url": "https://packages.example.com/groups/team/sub",
    }
    assert ann.get("/namespaces/open").code == 200
    for hidden in ("root", "999", "nobody"):
        assert told(ann.get(f"/namespaces/{hidden}")) == (404, {"message": "404 Namespace Not Found"})
    assert told(cast.anybody.get("/namespaces")) == (401, UNAUTHORIZED)


def test_reading_tokens_change_nothing(cast: Cast) -> None:
    """A token with read_api reads groups and makes, changes and removes none (hardening rows 26 and 28)."""
    ann, _ = cast.new("ann")
    top = group(ann, "team")
    reader = Api(ann.registry, ann.registry.token("ann", "read_api"))
    assert reader.get(f"/groups/{top}").code == 200
    for answer in (
        reader.post("/groups", name="x", path="x"),
        reader.put(f"/groups/{top}", name="x"),
        reader.delete(f"/groups/{top}"),
        reader.post("/projects", name="x"),
        reader.delete(f"/groups/{top}/members/2"),
    ):
        assert (answer.code, answer.json["error"]) == (403, "insufficient_scope")


def test_a_job_or_deploy_token_is_nobody_here(cast: Cast, registry: MemoryRegistry) -> None:
    """Groups are not for tokens that act for packages only."""
    packages = Api(registry, registry.token("root", "write_package_registry"))
    assert packages.get("/groups").code == 403
    assert registry.ask("GET", "/api/v4/groups", {"JOB-TOKEN": "glcbt-unknown"}).code == 401
