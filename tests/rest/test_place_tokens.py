"""Project and group access tokens over REST."""

from datetime import timedelta

import pytest
from attrs import frozen

from registry.domain.access import Role
from registry.testing import NOON, MemoryRegistry, done, wheel
from tests.rest.asking import ask, told

KEYS = {"id", "name", "revoked", "created_at", "description", "scopes", "user_id", "last_used_at", "active", "expires_at", "access_level"}


@frozen(kw_only=True)
class Team:
    """The group team with the project team/app, whose owner, maintainer and developer have tokens of scope api."""

    registry: MemoryRegistry
    owner: str
    maintainer: str
    developer: str
    project: str
    group: str

    def bot(self, path: str, who: str, **asked: object) -> dict[str, object]:
        """A new access token of `path`."""
        made: dict[str, object] = told(self.registry, "POST", path, who, {"name": "bot", "scopes": ["api"], **asked}, status=201)
        return made


@pytest.fixture
def team(registry: MemoryRegistry) -> Team:
    registry.group("team")
    project = registry.project("team/app")
    tokens = {}
    for name, role in (("owner", Role.OWNER), ("maintainer", Role.MAINTAINER), ("developer", Role.DEVELOPER)):
        registry.user(name)
        registry.member("team", name, role)
        tokens[name] = registry.token(name)
    return Team(
        registry=registry,
        project=f"/projects/{project.id}/access_tokens",
        group=f"/groups/{registry.place('team').id}/access_tokens",
        **tokens,
    )


def test_a_projects_token_is_a_bot_with_a_role_there(team: Team) -> None:
    """POST makes a bot that is a member with the role asked for (Maintainer by default) and a token that acts for it."""
    made = team.bot(team.project, team.maintainer, access_level=30, expires_at="2040-01-01")
    assert set(made) == KEYS | {"token"}
    assert (made["access_level"], made["expires_at"]) == (30, "2040-01-01")
    assert team.registry.upload("team%2Fapp", wheel("made-by-bot"), token=str(made["token"])).code == 201
    bot = told(team.registry, "GET", f"/users/{made['user_id']}", team.registry.root_token)
    assert bot["bot"] is True
    assert bot["username"].startswith(f"project_{team.registry.place('team/app').id}_bot_")
    assert team.bot(team.project, team.maintainer)["access_level"] == 40
    shown = told(team.registry, "GET", team.project, team.maintainer)
    assert [set(one) for one in shown] == [KEYS, KEYS]
    assert told(team.registry, "GET", f"{team.project}/{made['id']}", team.maintainer)["id"] == made["id"]


def test_a_groups_token_works_in_every_project_below(team: Team) -> None:
    """A group's bot has its role in the group's projects, and in no other."""
    made = team.bot(team.group, team.owner, access_level=20)
    page = "/packages/pypi/simple/"
    assert ask(team.registry, "GET", f"/projects/team%2Fapp{page}", str(made["token"])).code == 200
    assert ask(team.registry, "GET", f"/groups/team/-{page}", str(made["token"])).code == 200
    assert ask(team.registry, "GET", f"/projects/1{page}", str(made["token"])).code == 404
    assert team.registry.upload("team%2Fapp", wheel("x"), token=str(made["token"])).code == 403


@pytest.mark.parametrize(("who", "place", "status"), [
    ("developer", "project", 403), ("maintainer", "project", 201), ("owner", "project", 201),
    ("developer", "group", 403), ("maintainer", "group", 403), ("owner", "group", 201),
])  # fmt: skip
def test_who_may_make_them(team: Team, who: str, place: str, status: int) -> None:
    """A project's takes Maintainer, a group's takes Owner."""
    path = team.project if place == "project" else team.group
    body = {"name": "x", "scopes": ["api"], "access_level": 10}
    assert ask(team.registry, "POST", path, getattr(team, who), body).code == status
    assert ask(team.registry, "GET", path, getattr(team, who)).code == (200 if status == 201 else status)


def test_nobody_makes_a_token_with_more_rights_than_his_own(team: Team) -> None:
    """A role above the caller's is 400, and no bot is left behind."""
    body = {"name": "x", "scopes": ["api"], "access_level": 50}
    before = len(done(team.registry.store.users.users()))
    got = ask(team.registry, "POST", team.project, team.maintainer, body)
    assert got.code == 400
    assert got.json["message"].endswith("can't be greater the access level of the user who created the token")
    assert len(done(team.registry.store.users.users())) == before
    assert team.bot(team.project, team.owner, access_level=50)["access_level"] == 50


@pytest.mark.parametrize("level", [0, 5, 11, 60, "high", None, -1, 10**30])
def test_a_role_that_does_not_exist_is_refused(team: Team, level: object) -> None:
    """A number that is no role is 400; null is the default."""
    got = ask(team.registry, "POST", team.project, team.owner, {"name": "x", "scopes": ["api"], "access_level": level})
    assert got.code == (201 if level is None else 400)


def test_a_bot_makes_no_bots(team: Team) -> None:
    """An access token cannot make access tokens that would outlive it."""
    made = team.bot(team.project, team.maintainer)
    assert ask(team.registry, "POST", team.project, str(made["token"]), {"name": "x", "scopes": ["api"]}).code == 403


def test_ending_a_token_ends_its_bot(team: Team) -> None:
    """After DELETE the token is revoked, the bot is no member any more and blocked; a second DELETE changes nothing."""
    made = team.bot(team.project, team.maintainer)
    told(team.registry, "DELETE", f"{team.project}/{made['id']}", team.maintainer, status=204)
    assert ask(team.registry, "GET", "/version", str(made["token"])).code == 401
    shown = told(team.registry, "GET", f"{team.project}/{made['id']}", team.maintainer)
    assert (shown["revoked"], shown["active"]) == (True, False)
    (bot,) = [user for user in done(team.registry.store.users.users()) if user.id == made["user_id"]]
    assert bot.blocked
    assert not done(team.registry.store.access.memberships(bot.id)).projects
    told(team.registry, "DELETE", f"{team.project}/{made['id']}", team.maintainer, status=204)
    assert told(team.registry, "GET", f"{team.project}?state=active", team.maintainer) == []


def test_ending_an_old_rotation_leaves_the_bot_to_the_new_one(team: Team) -> None:
    """A bot works on as long as one of its tokens does."""
    made = team.bot(team.project, team.maintainer)
    rotated = told(team.registry, "POST", f"{team.project}/{made['id']}/rotate", team.maintainer, {"expires_at": "2040-01-01"})
    assert (rotated["user_id"], rotated["access_level"], rotated["expires_at"]) == (made["user_id"], 40, "2040-01-01")
    told(team.registry, "DELETE", f"{team.project}/{made['id']}", team.maintainer, status=204)
    assert ask(team.registry, "GET", "/version", str(rotated["token"])).code == 200
    told(team.registry, "DELETE", f"{team.project}/{rotated['id']}", team.maintainer, status=204)
    assert ask(team.registry, "GET", "/version", str(rotated["token"])).code == 401


def test_a_bot_renews_its_own_token_in_its_own_place_only(team: Team) -> None:
    """self/rotate works for the place's own tokens, whatever their role; elsewhere it is 404; without the scope 403."""
    made = team.bot(team.project, team.maintainer, access_level=10, scopes=["self_rotate"])
    assert ask(team.registry, "POST", f"{team.group}/self/rotate", str(made["token"])).code == 404
    rotated = told(team.registry, "POST", f"{team.project}/self/rotate", str(made["token"]))
    assert rotated["expires_at"] == (NOON + timedelta(days=7)).date().isoformat()
    assert ask(team.registry, "POST", f"{team.project}/self/rotate", team.maintainer).code == 404
    reader = team.bot(team.project, team.maintainer, scopes=["read_api"])
    assert ask(team.registry, "POST", f"{team.project}/self/rotate", str(reader["token"])).code == 403
    reused = ask(team.registry, "POST", f"{team.project}/self/rotate", str(made["token"]))
    assert reused.code == 401
    assert ask(team.registry, "POST", f"{team.project}/self/rotate", str(rotated["token"])).code == 401, "the family has ended"


def test_nobody_renews_a_token_with_more_rights_than_his_own(team: Team) -> None:
    """Rotating would hand the caller a secret with a higher role: 400, and the token works on (row 28)."""
    made = team.bot(team.project, team.owner, access_level=50)
    assert ask(team.registry, "POST", f"{team.project}/{made['id']}/rotate", team.maintainer).code == 400
    assert ask(team.registry, "GET", "/version", str(made["token"])).code == 200


def test_another_places_token_is_like_one_that_does_not_exist(team: Team) -> None:
    """GET, DELETE and rotate answer for the group's token under the project exactly as for none (row 28)."""
    made = team.bot(team.group, team.owner)
    for method, suffix in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
        answers = [ask(team.registry, method, f"{team.project}/{which}{suffix}", team.owner) for which in (made["id"], 4711)]
        assert [(one.code, one.body) for one in answers] == [(404, b'{"message":"404 Not Found"}')] * 2
    assert ask(team.registry, "GET", "/version", str(made["token"])).code == 200


def test_places_that_are_hidden_or_absent_answer_alike(team: Team) -> None:
    """A stranger gets for a private place what he gets for none, with the word of its kind (row 31)."""
    team.registry.user("stranger")
    token = team.registry.token("stranger")
    for kind, path in (("Project", team.project), ("Group", team.group)):
        absent = f"/{kind.lower()}s/4711/access_tokens"
        for method in ("GET", "POST"):
            answers = [ask(team.registry, method, where, token) for where in (path, absent)]
            assert [(one.code, one.json) for one in answers] == [(404, {"message": f"404 {kind} Not Found"})] * 2
        assert ask(team.registry, "GET", absent, team.registry.root_token).json == {"message": f"404 {kind} Not Found"}
