"""CI job tokens: making them, what they open, GitLab's `/job`, and allowlists."""

import base64
from collections.abc import Mapping
from datetime import timedelta

import pytest
from attrs import frozen

from registry.domain.access import Role
from registry.testing import NOON, OPERATOR, MemoryRegistry, done
from tests.rest.asking import ask, told

APP, LIB = "team%2Fapp", "team%2Flib"
PAGE = "packages/pypi/simple/"
NOT_RUNNING = {"message": "401 Unauthorized"}


@frozen(kw_only=True)
class Team:
    """The group team with app and lib; owner, maintainer and developer of the group; stranger, of nothing."""

    registry: MemoryRegistry
    ids: Mapping[str, int]
    tokens: Mapping[str, str]
    projects: Mapping[str, int]

    def mint(self, who: str = "maintainer", project: str = APP, **asked: object) -> dict[str, object]:
        """A new job token."""
        made: dict[str, object] = told(self.registry, "POST", f"/projects/{project}/job_tokens", self.tokens[who], asked, status=201)
        return made

    def read(self, project: str, secret: object, username: str = "gitlab-ci-token") -> int:
        """The status of the project's index, to a job."""
        sent = {"Authorization": "Basic " + base64.b64encode(f"{username}:{secret}".encode()).decode()}
        return self.registry.ask("GET", f"/api/v4/projects/{project}/{PAGE}", sent).code


@pytest.fixture
def team(registry: MemoryRegistry) -> Team:
    registry.group("team")
    projects = {"app": registry.project("team/app").id, "lib": registry.project("team/lib").id}
    ids, tokens = {"root": 1}, {"root": registry.root_token}
    for name, role in (("owner", Role.OWNER), ("maintainer", Role.MAINTAINER), ("developer", Role.DEVELOPER), ("stranger", None)):
        ids[name] = registry.user(name).id
        if role is not None:
            registry.member("team", name, role)
        tokens[name] = registry.token(name)
    return Team(registry=registry, ids=ids, tokens=tokens, projects=projects)


def test_a_job_token_acts_for_its_user_in_its_project(team: Team) -> None:
    """POST answers 201 with number and secret; the token reads over Basic with exactly gitlab-ci-token, and ends with DELETE."""
    made = team.mint(ref="main", sha="a" * 40, pipeline_id=5, job_id=9)
    assert str(made["token"]).startswith("glcbt-")
    assert made["expires_at"] == "2030-06-15T13:00:00.000Z"
    assert (made["user_id"], made["project_id"]) == (team.ids["maintainer"], team.projects["app"])
    assert team.read(APP, made["token"]) == 200
    assert team.read(APP, made["token"], "gitlab-ci-token2") == 401
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert team.registry.ask("GET", f"/api/v4/projects/{APP}/{PAGE}", bearer).code == 401
    assert ask(team.registry, "GET", f"/projects/{APP}/packages", JOB_TOKEN=str(made["token"])).code == 200
    where = f"/projects/{APP}/job_tokens/{made['id']}"
    told(team.registry, "DELETE", where, team.tokens["maintainer"], status=204)
    assert team.read(APP, made["token"]) == 401
    assert ask(team.registry, "DELETE", where, team.tokens["maintainer"]).code == 404


def test_a_job_describes_itself_as_gitlabs_does(team: Team) -> None:
    """GET /job with the header or the parameter has GitLab's keys; without a running job's token it is 401."""
    made = team.mint(ref="main", sha="abcdef1234567890", pipeline_id=5, job_id=9)
    team.registry.clock.advance(90)
    job = ask(team.registry, "GET", "/job", JOB_TOKEN=str(made["token"])).json
    assert job == ask(team.registry, "GET", f"/job?job_token={made['token']}").json
    assert {name: job[name] for name in ("id", "status", "ref", "tag", "finished_at", "duration")} == {
        "id": 9, "status": "running", "ref": "main", "tag": False, "finished_at": None, "duration": 90.0,
    }  # fmt: skip
    assert job["commit"] == {"id": "abcdef1234567890", "short_id": "abcdef12"}
    pipeline = {"id": 5, "project_id": team.projects["app"], "ref": "main", "sha": "abcdef1234567890", "status": "running"}
    assert job["pipeline"] == pipeline
    assert job["user"]["username"] == "maintainer"
    assert job["project"] == {"ci_job_token_scope_enabled": False}
    assert job["created_at"] == job["started_at"] == "2030-06-15T12:00:00.000Z"
    assert job["web_url"].endswith("/team/app/-/jobs/9")
    for headers in ({}, {"JOB_TOKEN": "glcbt-wrong"}, {"PRIVATE_TOKEN": team.tokens["owner"]}, {"JOB_TOKEN": team.tokens["owner"]}):
        got = ask(team.registry, "GET", "/job", **headers)
        assert (got.code, got.json) == (401, NOT_RUNNING)


@pytest.mark.parametrize(("who", "status"), [("developer", 403), ("maintainer", 201), ("owner", 201), ("root", 201), ("stranger", 404)])
def test_who_may_make_them(team: Team, who: str, status: int) -> None:
    """It takes Maintainer; to a stranger the private project does not exist."""
    assert ask(team.registry, "POST", f"/projects/{APP}/job_tokens", team.tokens[who], {}).code == status


@pytest.mark.parametrize(
    ("who", "user", "status"),
    [
        ("maintainer", "developer", 201),
        ("maintainer", "stranger", 201),
        ("maintainer", "owner", 403),
        ("maintainer", "root", 403),
        ("owner", "owner", 201),
        ("owner", "root", 403),
        ("root", "owner", 201),
        ("root", "root", 201),
    ],
)
def test_nobody_makes_one_for_somebody_with_more_rights(team: Team, who: str, user: str, status: int) -> None:
    """The job's user has no higher role in the project than who makes the token, and is an administrator only for one (row 34)."""
    body = {"user_id": team.ids[user]}
    assert ask(team.registry, "POST", f"/projects/{APP}/job_tokens", team.tokens[who], body).code == status


def test_an_administrator_without_a_role_is_still_one(team: Team) -> None:
    """Not even in a project where he is nobody may an Owner act for an administrator."""
    body = {"user_id": team.ids["root"]}
    assert ask(team.registry, "POST", f"/projects/{APP}/job_tokens", team.tokens["owner"], body).code == 403


def test_unknown_and_blocked_users(team: Team) -> None:
    """An unknown user is 404, a blocked one 400; a token of somebody who is blocked later is 403."""
    path, token = f"/projects/{APP}/job_tokens", team.tokens["maintainer"]
    got = ask(team.registry, "POST", path, token, {"user_id": 4711})
    assert (got.code, got.json) == (404, {"message": "404 User Not Found"})
    made = team.mint(user_id=team.ids["developer"])
    assert team.read(APP, made["token"]) == 200
    done(team.registry.store.users.block_user("developer", OPERATOR, blocked=True))
    got = ask(team.registry, "POST", path, token, {"user_id": team.ids["developer"]})
    assert (got.code, got.json) == (400, {"message": {"user": ["is blocked"]}})
    assert team.read(APP, made["token"]) == 403


def in_hours(hours: float, seconds: int = 0) -> str:
    return (NOON + timedelta(hours=hours, seconds=seconds)).isoformat()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"expires_at": in_hours(24)}, 201),
        ({"expires_at": in_hours(24, 1)}, 400),
        ({"expires_at": in_hours(0)}, 400),
        ({"expires_at": in_hours(0, 1)}, 201),
        ({"expires_at": "2030-06-15T12:30:00"}, 400),
        ({"expires_at": "later"}, 400),
        ({"expires_at": 7}, 400),
        ({"ref": "r" * 255, "sha": "a" * 64}, 201),
        ({"ref": "r" * 256}, 400),
        ({"sha": "a" * 65}, 400),
        ({"sha": ["a"]}, 400),
        ({"pipeline_id": 2**63 - 1}, 201),
        ({"pipeline_id": 2**63}, 400),
        ({"job_id": -1}, 400),
        ({"job_id": True}, 400),
        ({"user_id": "root"}, 400),
        ({"unheard_of": 1}, 201),
    ],
)
def test_the_bounds_of_what_is_asked(team: Team, body: object, status: int) -> None:
    """Each value is taken up to its bound and 400 beyond; unknown fields are ignored."""
    got = ask(team.registry, "POST", f"/projects/{APP}/job_tokens", team.tokens["maintainer"], body)
    assert got.code == status, got.text


def test_a_job_token_ends_by_itself(team: Team) -> None:
    """It works until the last second before it expires, remembered or not."""
    made = team.mint(expires_at=in_hours(2))
    team.registry.clock.advance(7199)
    assert team.read(APP, made["token"]) == 200
    team.registry.clock.advance(1)
    assert team.read(APP, made["token"]) == 401


def test_another_projects_token_is_like_one_that_does_not_exist(team: Team) -> None:
    """DELETE answers for another project's job token exactly as for none (row 28)."""
    made = team.mint(project=LIB)
    for number in (made["id"], 4711):
        got = ask(team.registry, "DELETE", f"/projects/{APP}/job_tokens/{number}", team.tokens["maintainer"])
        assert (got.code, got.json) == (404, {"message": "404 Not Found"})
    assert team.read(LIB, made["token"]) == 200


def test_a_job_token_makes_no_tokens(team: Team) -> None:
    """Not even an Owner's job makes tokens or changes allowlists (row 26)."""
    made = team.mint("owner")
    for path in ("job_tokens", "deploy_tokens", "access_tokens", "job_token_scope/allowlist"):
        assert ask(team.registry, "POST", f"/projects/{APP}/{path}", None, {}, JOB_TOKEN=str(made["token"])).code == 401


def test_the_allowlist_belongs_to_the_project_that_is_used(team: Team) -> None:
    """Jobs of app reach lib once lib lists app, not the other way round, and no longer once it does not, on the next request (row 25)."""
    registry, token = team.registry, team.tokens["maintainer"]
    made, allowlist = team.mint(), "job_token_scope/allowlist"
    told(registry, "POST", f"/projects/{APP}/{allowlist}", token, {"target_project_id": team.projects["lib"]}, status=201)
    assert team.read(LIB, made["token"]) == 404
    added = told(registry, "POST", f"/projects/{LIB}/{allowlist}", token, {"target_project_id": team.projects["app"]}, status=201)
    assert added == {"source_project_id": team.projects["lib"], "target_project_id": team.projects["app"]}
    assert team.read(LIB, made["token"]) == 200
    (listed,) = told(registry, "GET", f"/projects/{LIB}/{allowlist}", token)
    assert (listed["id"], listed["path_with_namespace"], listed["name_with_namespace"]) == (team.projects["app"], "team/app", "team / app")
    told(registry, "DELETE", f"/projects/{LIB}/{allowlist}/{team.projects['app']}", token, status=204)
    assert team.read(LIB, made["token"]) == 404
    assert ask(registry, "DELETE", f"/projects/{LIB}/{allowlist}/{team.projects['app']}", token).code == 404


def test_an_allowlist_can_be_left_unenforced(team: Team) -> None:
    """PATCH with enabled false admits the jobs of every project, by their users' rights; with true only those listed."""
    registry, token, scope = team.registry, team.tokens["maintainer"], f"/projects/{LIB}/job_token_scope"
    made, stranger = team.mint(), team.mint(user_id=team.ids["stranger"])
    assert told(registry, "GET", scope, token) == {"inbound_enabled": True, "outbound_enabled": False}
    told(registry, "PATCH", scope, token, {"enabled": False}, status=204)
    assert told(registry, "GET", scope, token)["inbound_enabled"] is False
    assert (team.read(LIB, made["token"]), team.read(LIB, stranger["token"])) == (200, 404)
    told(registry, "PATCH", scope, token, {"enabled": True}, status=204)
    assert team.read(LIB, made["token"]) == 404
    for body in ({}, {"enabled": "perhaps"}, {"enabled": None}):
        assert ask(registry, "PATCH", scope, token, body).code == 400


def test_bad_requests_to_the_allowlist(team: Team) -> None:
    """Listing twice, or itself, is 400; a project the caller may not see is the same 404 as none; others may not look."""
    registry, token, path = team.registry, team.tokens["maintainer"], f"/projects/{LIB}/job_token_scope/allowlist"
    hidden = registry.project("stranger/secret").id
    answers = [ask(registry, "POST", path, token, {"target_project_id": number}) for number in (hidden, 4711)]
    assert [(one.code, one.json) for one in answers] == [(404, {"message": "404 Project Not Found"})] * 2
    told(registry, "POST", path, token, {"target_project_id": team.projects["app"]}, status=201)
    for again in (team.projects["app"], team.projects["lib"]):
        got = ask(registry, "POST", path, token, {"target_project_id": again})
        assert (got.code, got.json) == (400, {"message": {"target_project": ["is already in the job token scope"]}})
    assert ask(registry, "POST", path, token, {}).json == {"error": "target_project_id is missing"}
    assert ask(registry, "GET", path, team.tokens["developer"]).code == 403
    assert ask(registry, "GET", path, team.tokens["stranger"]).code == 404


def test_of_a_listed_project_that_the_reader_may_not_see_only_the_number_is_told(team: Team) -> None:
    """An allowlist hides no entry and leaks no name (row 31)."""
    hidden = team.registry.project("stranger/secret").id
    path = f"/projects/{LIB}/job_token_scope/allowlist"
    told(team.registry, "POST", path, team.tokens["root"], {"target_project_id": hidden}, status=201)
    assert told(team.registry, "GET", path, team.tokens["maintainer"]) == [{"id": hidden}]


def test_every_change_is_in_the_journal_without_its_secret(team: Team) -> None:
    """Making, ending, listing and switching leave rows that name who and where, and never the secret (row 36)."""
    heard: list[object] = []
    registry, token = team.registry, team.tokens["maintainer"]
    registry.store.database.subscribe(heard.extend)
    made = team.mint()
    told(registry, "DELETE", f"/projects/{APP}/job_tokens/{made['id']}", token, status=204)
    told(registry, "POST", f"/projects/{APP}/job_token_scope/allowlist", token, {"target_project_id": team.projects["lib"]}, status=201)
    told(registry, "DELETE", f"/projects/{APP}/job_token_scope/allowlist/{team.projects['lib']}", token, status=204)
    told(registry, "PATCH", f"/projects/{APP}/job_token_scope", token, {"enabled": False}, status=204)
    told(registry, "PATCH", f"/projects/{APP}/job_token_scope", token, {"enabled": False}, status=204)
    expected = ["job_token.create", "job_token.revoke", "allowlist.add", "allowlist.remove", "allowlist.ignore"]
    assert [one.action for one in heard] == expected  # type: ignore[attr-defined]
    assert {(one.actor.username, one.project_id) for one in heard} == {("maintainer", team.projects["app"])}  # type: ignore[attr-defined]
    assert str(made["token"]) not in repr(heard)


def test_a_new_job_token_makes_nobody_be_asked_anew(team: Team) -> None:
    """What was decided for others is still remembered after a job token was made, and forgotten after one was ended."""
    first = team.mint()
    assert team.read(APP, first["token"]) == 200
    remembered = len(team.registry.gate._admissions)
    second = team.mint()
    assert len(team.registry.gate._admissions) >= remembered > 0
    told(team.registry, "DELETE", f"/projects/{APP}/job_tokens/{second['id']}", team.tokens["maintainer"], status=204)
    assert not team.registry.gate._admissions
