"""Users over REST."""

import pytest

from registry.domain.model import Change
from registry.testing import MemoryRegistry, wheel
from tests.rest.api import FORBIDDEN, NO_USER, Api, Cast, told

NEW = {"username": "ann", "email": "ann@example.com", "name": "Ann A."}


@pytest.fixture
def cast(registry: MemoryRegistry) -> Cast:
    """Callers."""
    return Cast(registry)


def test_a_user_is_shown_as_gitlab_shows_him(cast: Cast, registry: MemoryRegistry) -> None:
    """What is shown of a user depends on the reader: administrators read all, he his own email, others neither."""
    made = cast.root.made("/users", **NEW, password="ignored", reset_password=True, force_random_password=True, skip_confirmation=True)
    public = {
        "id": 2,
        "username": "ann",
        "name": "Ann A.",
        "state": "active",
        "locked": False,
        "avatar_url": None,
        "web_url": "https://packages.example.com/ann",
        "created_at": "2030-06-15T12:00:00.000Z",
        "bot": False,
        "public_email": None,
    }
    assert made == {**public, "email": "ann@example.com", "is_admin": False}
    ann, bob = Api(registry, registry.token("ann", "read_user")), cast.new("bob")[0]
    assert ann.get("/user").json == {**public, "email": "ann@example.com"}
    assert cast.root.get("/user").json["is_admin"] is True
    assert bob.get("/users/2").json == public
    assert next(row for row in bob.get("/users").json if row["id"] == 2) == public
    assert cast.root.get("/users/2").json == made


def test_who_one_is_takes_a_scope(cast: Cast, registry: MemoryRegistry) -> None:
    """GET /user takes api, read_api or read_user; lists take more, and anybody has to sign in (hardening row 26)."""
    for scope, code, listed in (("api", 200, 200), ("read_api", 200, 200), ("read_user", 200, 403), ("read_package_registry", 403, 403)):
        caller = Api(registry, registry.token("root", scope))
        assert (caller.get("/user").code, caller.get("/users").code) == (code, listed)
    for path in ("/user", "/users", "/users/1"):
        assert told(cast.anybody.get(path)) == (401, {"message": "401 Unauthorized"})


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"username": "x"}, {"error": "email is missing, name is missing"}),
        ({**NEW, "name": " "}, {"error": "name is empty"}),
        ({**NEW, "email": ["a@b"]}, {"error": "email is invalid"}),
        ({**NEW, "admin": "perhaps"}, {"error": "admin is invalid"}),
        ({**NEW, "email": "nowhere"}, {"message": {"email": ["is invalid"]}}),
        ({**NEW, "email": "a@b\nc"}, {"message": {"email": ["is invalid"]}}),
        ({**NEW, "email": "a" * 250 + "@b.cd"}, {"message": {"email": ["is invalid"]}}),
        ({**NEW, "name": "x" * 256}, {"message": {"name": ["is too long (maximum is 255 characters)"]}}),
    ],
)
def test_what_no_user_can_have_is_refused(cast: Cast, fields: dict[str, object], answer: object) -> None:
    """A user who cannot be made is 400 and says why, and is not there."""
    assert told(cast.root.post("/users", **fields)) == (400, answer)
    assert cast.root.all("/users") == [1]


@pytest.mark.parametrize("username", ["-a", "a/b", "42", "a.git", "groups", "x" * 256, "ü"])
def test_a_user_name_is_a_path(cast: Cast, username: str) -> None:
    """A user name that would not work in an address is 400."""
    answer = cast.root.post("/users", **{**NEW, "username": username})
    assert (answer.code, list(answer.json["message"])) == (400, ["username"])


def test_names_and_emails_are_taken_once(cast: Cast) -> None:
    """A user name (any case, groups' too) and an email (any case) that are taken are 409 in GitLab's words."""
    cast.root.made("/users", **NEW)
    cast.root.made("/groups", name="team", path="team")
    for username in ("ANN", "Team"):
        answer = cast.root.post("/users", **{**NEW, "username": username, "email": "new@example.com"})
        assert told(answer) == (409, {"message": "Username has already been taken"})
    answer = cast.root.post("/users", **{**NEW, "username": "other", "email": "ANN@example.com"})
    assert told(answer) == (409, {"message": "Email has already been taken"})
    other = cast.root.made("/users", username="other", email="other@example.com", name="Other")["id"]
    assert told(cast.root.put(f"/users/{other}", email="Ann@example.com")) == (400, {"message": {"email": ["has already been taken"]}})
    assert cast.root.put(f"/users/{other}", email="OTHER@example.com").json["email"] == "OTHER@example.com"


def test_administrators_manage_users(cast: Cast) -> None:
    """Making, changing, blocking and removing users is for administrators, with a token that may write (hardening row 26)."""
    ann, number = cast.new("ann")
    reader = Api(cast.registry, cast.registry.token("root", "read_api"))
    for caller, code in ((ann, 403), (cast.anybody, 401), (reader, 403)):
        for answer in (
            caller.post("/users", **NEW),
            caller.put(f"/users/{number}", admin=True),
            caller.put("/users/999", admin=True),
            caller.post("/users/1/block"),
            caller.post("/users/1/unblock"),
            caller.delete("/users/1"),
        ):
            assert answer.code == code
    assert told(ann.delete("/users/1")) == (403, FORBIDDEN)
    for answer in (
        cast.root.get("/users/999"),
        cast.root.put("/users/999"),
        cast.root.post("/users/999/block"),
        cast.root.delete("/users/999"),
    ):
        assert told(answer) == (404, NO_USER)
    assert told(cast.root.get("/users/ann")) == (400, {"error": "id is invalid"})


def test_a_user_is_changed(cast: Cast) -> None:
    """Name, email and being an administrator change; what is not sent stays; rights count at once."""
    ann, number = cast.new("ann")
    assert ann.get("/groups/1").code == 404
    assert ann.put(f"/users/{number}", name="x").code == 403
    changed = cast.root.put(f"/users/{number}", name="Ann B.", admin=True, username="ignored").json
    assert (changed["name"], changed["username"], changed["is_admin"]) == ("Ann B.", "ann", True)
    assert ann.put(f"/users/{number}", email="a@b.c").json["email"] == "a@b.c"
    assert ann.get("/user").json["name"] == "Ann B."
    cast.root.put(f"/users/{number}", admin=False)
    assert ann.put(f"/users/{number}", name="x").code == 403


def test_administrators_do_not_lock_themselves_out(cast: Cast) -> None:
    """Nobody blocks, removes or demotes himself, so there is always an administrator."""
    for answer in (cast.root.post("/users/1/block"), cast.root.put("/users/1", admin=False), cast.root.delete("/users/1")):
        assert answer.code == 403
    assert cast.root.get("/user").json["is_admin"] is True


def test_a_blocked_user_is_refused_everything(cast: Cast) -> None:
    """Blocking answers true and counts from the next request on; a second time it is 403, and so is unblocking who is not blocked."""
    ann, number = cast.new("ann")
    assert ann.get("/user").code == 200
    assert told(cast.root.post(f"/users/{number}/block")) == (201, True)
    for path in ("/user", "/projects", "/groups", "/users/1"):
        assert told(ann.get(path)) == (403, {"message": "403 Forbidden - Your account has been blocked."})
    assert cast.root.get(f"/users/{number}").json["state"] == "blocked"
    assert cast.root.post(f"/users/{number}/block").code == 403
    assert told(cast.root.post(f"/users/{number}/unblock")) == (201, True)
    assert cast.root.post(f"/users/{number}/unblock").code == 403
    assert ann.get("/user").code == 200


def test_a_user_goes_with_his_tokens_and_roles(cast: Cast) -> None:
    """Removing a user is 204; his tokens mean nothing, his memberships are gone, and his name is free."""
    ann, number = cast.new("ann")
    cast.root.made("/projects/1/members", user_id=number, access_level=30)
    assert ann.get("/projects/1").code == 200
    answer = cast.root.delete(f"/users/{number}")
    assert (answer.code, answer.body) == (204, b"")
    assert ann.get("/projects/1").code == 401
    assert told(cast.root.get(f"/users/{number}")) == (404, NO_USER)
    assert cast.root.all("/projects/1/members", "username") == ["root"]
    assert cast.root.made("/users", **NEW)["id"] > number


def test_who_has_published_stays_as_the_author(cast: Cast, registry: MemoryRegistry) -> None:
    """A user whose files are there is kept, blocked and without roles, tokens or rights; unblocking brings none of them back."""
    ann, number = cast.new("ann", admin=True)
    cast.root.made("/projects/1/members", user_id=number, access_level=30)
    assert registry.upload(1, wheel("demo", "1.0"), token=ann.token).code == 201
    assert cast.root.delete(f"/users/{number}").code == 204
    shown = cast.root.get(f"/users/{number}").json
    assert (shown["state"], shown["is_admin"]) == ("blocked", False)
    assert cast.root.all("/projects/1/members", "username") == ["root"]
    cast.root.post(f"/users/{number}/unblock")
    assert ann.get("/user").code == 401
    assert registry.ask("GET", "/api/v4/projects/1/packages/pypi/simple/demo/", token=registry.root_token).code == 200


def test_who_would_leave_orphans_stays(cast: Cast) -> None:
    """A user with projects of his own, or who is a group's only Owner, is not removed: 400, which says what is in the way."""
    ann, number = cast.new("ann")
    project = ann.made("/projects", name="lib")["id"]
    group = ann.made("/groups", name="team", path="team")["id"]
    answer = cast.root.delete(f"/users/{number}")
    assert answer.code == 400
    assert "ann/lib" in answer.json["message"]["user"][0]
    ann.put(f"/projects/{project}/transfer", namespace=group)
    answer = cast.root.delete(f"/users/{number}")
    assert answer.code == 400
    assert "the group team:" in answer.json["message"]["user"][0]
    assert ann.get("/user").code == 200
    cast.root.made(f"/groups/{group}/members", user_id=1, access_level=50)
    assert cast.root.delete(f"/users/{number}").code == 204
    assert cast.root.get(f"/projects/{project}").json["path_with_namespace"] == "team/lib"


def test_lists_are_filtered_and_ordered(cast: Cast) -> None:
    """A username is exact, a search is in names, administrators find an email; active and blocked pick; the newest come first."""
    ann, number = cast.new("ann")
    other = cast.root.made("/users", username="bob_b", email="bob@example.com", name="Zoë")["id"]
    cast.root.post(f"/users/{other}/block")
    assert cast.root.all("/users") == [other, number, 1]
    assert cast.root.all("/users", order_by="username", sort="asc") == [number, other, 1]
    assert cast.root.all("/users", username="ANN") == [number]
    assert cast.root.all("/users", username="an") == []
    assert cast.root.all("/users", search="OB_") == [other]
    assert cast.root.all("/users", search="%") == []
    assert cast.root.all("/users", search="bob@example.com") == [other]
    assert ann.all("/users", search="bob@example.com") == []
    assert cast.root.all("/users", blocked="true") == [other]
    assert cast.root.all("/users", active="true") == [number, 1]
    assert cast.root.get("/users", per_page=1, page=2).headers["x-total"] == "3"
    assert told(cast.root.get("/users?order_by=age")) == (400, {"error": "order_by does not have a valid value"})


def test_every_change_is_in_the_journal(cast: Cast, registry: MemoryRegistry) -> None:
    """Who made, changed, moved and removed what is told in order, with place, person and token, and never a secret (hardening row 36)."""
    told_of: list[Change] = []
    registry.store.database.subscribe(told_of.extend)
    ann = cast.root.made("/users", **NEW)["id"]
    cast.root.put(f"/users/{ann}", name="Ann", admin=True)
    group = cast.root.made("/groups", name="team", path="team")["id"]
    cast.root.put(f"/groups/{group}", path="crew", visibility="internal")
    cast.root.made(f"/groups/{group}/members", user_id=ann, access_level=30)
    cast.root.put(f"/groups/{group}/members/{ann}", access_level=40)
    project = cast.root.made("/projects", name="lib", namespace_id=group)["id"]
    cast.root.put(f"/projects/{project}", visibility="internal", packages_enabled=False)
    cast.root.put(f"/projects/{project}/transfer", namespace="root")
    cast.root.delete(f"/groups/{group}/members/{ann}")
    cast.root.post(f"/users/{ann}/block")
    cast.root.delete(f"/users/{ann}")
    cast.root.delete(f"/projects/{project}")
    cast.root.delete(f"/groups/{group}")
    assert [change.action for change in told_of] == [
        "user.create",
        "user.update",
        "group.create",
        "member.add",
        "group.update",
        "member.add",
        "member.update",
        "project.create",
        "project.update",
        "project.transfer",
        "member.remove",
        "user.block",
        "user.delete",
        "project.delete",
        "group.delete",
    ]
    assert {(change.actor.username, change.actor.token_name, change.actor.address) for change in told_of} == {
        ("root", "initial root token", "192.0.2.7")
    }
    assert told_of[9].project_id == project
    assert told_of[9].detail == {"path": "crew/lib", "to": "root/lib", "visibility": "internal"}
    assert told_of[5].detail == {"group_id": group, "place": "crew", "user": "ann", "role": 30}
    assert "glpat" not in repr(told_of)
