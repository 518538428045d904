"""Deploy tokens: over REST, and what they open on the package routes."""

import base64
from collections.abc import Mapping
from datetime import timedelta

import pytest
from attrs import frozen

from registry.domain.access import Role
from registry.testing import FORM_TYPE, NOON, Answer, MemoryRegistry, form, wheel
from tests.rest.asking import ask, told

KEYS = {"id", "name", "username", "expires_at", "revoked", "expired", "scopes"}


@frozen(kw_only=True)
class Team:
    """The group team with team/app and team/sub/lib, and root/packages elsewhere, each with one file."""

    registry: MemoryRegistry
    owner: str
    maintainer: str

    def make(self, path: str, who: str | None = None, **asked: object) -> dict[str, object]:
        """A new deploy token."""
        body = {"name": "d", "scopes": ["read_package_registry"], **asked}
        made: dict[str, object] = told(self.registry, "POST", f"{path}/deploy_tokens", who or self.owner, body, status=201)
        return made

    def read(self, project: str, headers: Mapping[str, str]) -> int:
        """The status of the project's index."""
        return self.registry.ask("GET", f"/api/v4/projects/{project}/packages/pypi/simple/", headers).code

    def upload(self, project: str, headers: Mapping[str, str], version: str = "9") -> Answer:
        """The answer to a new file."""
        built = wheel("fresh", version)
        body = form(built.fields, ("content", built.filename, built.content))
        path = f"/api/v4/projects/{project}/packages/pypi"
        return self.registry.ask("POST", path, {"Content-Type": FORM_TYPE, **headers}, body)


@pytest.fixture
def team(registry: MemoryRegistry) -> Team:
    registry.group("team")
    registry.group("team/sub")
    for path in ("team/app", "team/sub/lib"):
        registry.project(path)
    tokens = {}
    for name, role in (("owner", Role.OWNER), ("maintainer", Role.MAINTAINER)):
        registry.user(name)
        registry.member("team", name, role)
        tokens[name] = registry.token(name)
    for project in ("team%2Fapp", "team%2Fsub%2Flib", "root%2Fpackages"):
        assert registry.upload(project, wheel("held")).code == 201
    return Team(registry=registry, **tokens)


APP, LIB, OTHER = "team%2Fapp", "team%2Fsub%2Flib", "root%2Fpackages"


def basic(username: str, secret: object) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{secret}".encode()).decode()}


def carriers(secret: object) -> list[dict[str, str]]:
    """Every way in which a client may send a deploy token."""
    return [
        basic("gitlab+deploy-token-1", secret),
        basic("any name", secret),
        {"Deploy-Token": str(secret)},
        {"Authorization": f"Bearer {secret}"},
    ]


def test_a_new_token_has_gitlabs_keys_and_its_secret_is_told_once(team: Team) -> None:
    """POST answers 201 with the documented keys, GitLab's default user name and a secret that no later answer repeats."""
    made = team.make(f"/projects/{APP}", scopes=["read_package_registry", "read_repository"], expires_at="2040-01-31T10:00:00Z")
    secret = str(made.pop("token"))
    assert secret.startswith("gldt-")
    assert set(made) == KEYS
    assert made["username"] == f"gitlab+deploy-token-{made['id']}"
    assert made["expires_at"] == "2040-01-31T10:00:00.000Z"
    assert (made["revoked"], made["expired"]) == (False, False)
    assert told(team.registry, "GET", f"/projects/{APP}/deploy_tokens/{made['id']}", team.owner) == made
    assert told(team.registry, "GET", f"/projects/{APP}/deploy_tokens", team.owner) == [made]
    assert told(team.registry, "GET", "/deploy_tokens", team.registry.root_token) == [made]
    assert team.make(f"/projects/{APP}", username="robot", expires_at="2040-01-31")["expires_at"] == "2040-01-31T00:00:00.000Z"


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({}, {"error": "name is missing, scopes is missing"}),
        ({"name": "d", "scopes": []}, None),
        ({"name": "d", "scopes": ["api"]}, None),
        ({"name": "d", "scopes": ["read_package_registry"], "expires_at": "2001-01-01"}, None),
        ({"name": "d", "scopes": ["read_package_registry"], "expires_at": "soon"}, None),
        ({"name": "d", "scopes": ["read_package_registry"], "username": "a b"}, None),
        ({"name": "d", "scopes": ["read_package_registry"], "username": "x" * 256}, None),
        ({"name": "d" * 256, "scopes": ["read_package_registry"]}, None),
        ({"name": "\0", "scopes": ["read_package_registry"]}, {"error": "name is invalid"}),
    ],
)
def test_bad_requests_are_told_and_change_nothing(team: Team, body: object, answer: object) -> None:
    """Missing, wrong and overlong values are 400 and make no token."""
    got = ask(team.registry, "POST", f"/projects/{APP}/deploy_tokens", team.owner, body)
    assert got.code == 400, got.text
    assert answer is None or got.json == answer
    assert told(team.registry, "GET", f"/projects/{APP}/deploy_tokens", team.owner) == []


def test_who_may_make_and_see_them(team: Team) -> None:
    """A project's takes Maintainer to make; a group's takes Owner, and Maintainer to see; all of them are for administrators."""
    body = {"name": "d", "scopes": ["read_package_registry"]}
    for path, making in ((f"/projects/{APP}", 201), ("/groups/team", 403)):
        assert ask(team.registry, "GET", f"{path}/deploy_tokens", team.maintainer).code == 200
        assert ask(team.registry, "POST", f"{path}/deploy_tokens", team.maintainer, body).code == making
    assert ask(team.registry, "GET", "/deploy_tokens", team.owner).code == 403
    assert ask(team.registry, "GET", "/deploy_tokens").code == 401


def test_a_deploy_token_is_nothing_to_the_rest_api(team: Team) -> None:
    """On REST a deploy token is an unknown credential, in whatever header (row 26)."""
    secret = team.make(f"/projects/{APP}", scopes=["write_package_registry"])["token"]
    for headers in ({"PRIVATE-TOKEN": str(secret)}, {"Authorization": f"Bearer {secret}"}):
        assert team.registry.ask("GET", f"/api/v4/projects/{APP}/deploy_tokens", headers).code == 401


def test_a_projects_token_reads_that_project_through_every_carrier(team: Team) -> None:
    """With the read scope it reads its project and cannot publish; every other project is as if it did not exist (row 26)."""
    secret = team.make(f"/projects/{APP}")["token"]
    for headers in carriers(secret):
        assert team.read(APP, headers) == 200
        assert team.upload(APP, headers).code == 403
        assert (team.read(LIB, headers), team.read(OTHER, headers)) == (404, 404)
        assert team.upload(OTHER, headers).code == 404
    assert team.read(APP, {"PRIVATE-TOKEN": str(secret)}) == 401


def test_a_token_that_may_write_may_read(team: Team) -> None:
    """With the write scope alone it publishes and reads."""
    secret = team.make(f"/projects/{APP}", scopes=["write_package_registry"])["token"]
    for number, headers in enumerate(carriers(secret)):
        assert team.upload(APP, headers, f"9.{number}").code == 201
        assert team.read(APP, headers) == 200


def test_a_token_without_a_package_scope_opens_nothing(team: Team) -> None:
    """Other scopes make it a stranger, for whom a private project does not exist."""
    secret = team.make(f"/projects/{APP}", scopes=["read_repository"])["token"]
    assert [team.read(APP, headers) for headers in carriers(secret)] == [404] * 4


def test_a_groups_token_is_for_everything_below(team: Team) -> None:
    """It reads and publishes in every project of the group and its subgroups, reads the group's pages, and nothing elsewhere (row 25)."""
    secret = team.make("/groups/team", scopes=["read_package_registry", "write_package_registry"])["token"]
    headers = {"Deploy-Token": str(secret)}
    assert (team.read(APP, headers), team.read(LIB, headers), team.read(OTHER, headers)) == (200, 200, 404)
    assert team.upload(LIB, headers).code == 201
    page = team.registry.ask("GET", "/api/v4/groups/team/-/packages/pypi/simple/", headers)
    assert (page.code, "fresh" in page.text) == (200, True)
    below = team.make("/groups/team%2Fsub")["token"]
    assert (team.read(APP, {"Deploy-Token": str(below)}), team.read(LIB, {"Deploy-Token": str(below)})) == (404, 200)


def test_expiry_and_the_active_filter(team: Team) -> None:
    """At its moment the token stops, as if it had never been; the list says expired, and `active` tells the two kinds apart."""
    made = team.make(f"/projects/{APP}", expires_at=(NOON + timedelta(hours=1)).isoformat())
    headers = basic("x", made["token"])
    team.registry.clock.advance(3599)
    assert team.read(APP, headers) == 200
    team.registry.clock.advance(1)
    assert team.read(APP, headers) == 401
    where = f"/projects/{APP}/deploy_tokens"
    assert told(team.registry, "GET", f"{where}?active=true", team.owner) == []
    assert [one["expired"] for one in told(team.registry, "GET", f"{where}?active=false", team.owner)] == [True]


def test_a_deleted_token_is_gone_at_once(team: Team) -> None:
    """After DELETE the token opens nothing on the next request and its number is 404."""
    made = team.make(f"/projects/{APP}")
    headers, where = basic("x", made["token"]), f"/projects/{APP}/deploy_tokens/{made['id']}"
    assert team.read(APP, headers) == 200
    told(team.registry, "DELETE", where, team.maintainer, status=204)
    assert team.read(APP, headers) == 401
    for method in ("GET", "DELETE"):
        assert ask(team.registry, method, where, team.owner).code == 404


def test_another_places_token_is_like_one_that_does_not_exist(team: Team) -> None:
    """GET and DELETE answer for another project's or the group's token exactly as for none (row 28)."""
    numbers = [team.make(path)["id"] for path in (f"/projects/{LIB}", "/groups/team")]
    for number in (*numbers, 4711):
        for method in ("GET", "DELETE"):
            got = ask(team.registry, method, f"/projects/{APP}/deploy_tokens/{number}", team.owner)
            assert (got.code, got.json) == (404, {"message": "404 Not Found"})
    assert len(told(team.registry, "GET", "/deploy_tokens", team.registry.root_token)) == 2


def test_every_change_is_in_the_journal_without_its_secret(team: Team) -> None:
    """Making and deleting leave rows that name who, where and which, and never the secret (row 36)."""
    heard: list[object] = []
    team.registry.store.database.subscribe(heard.extend)
    made = team.make("/groups/team")
    told(team.registry, "DELETE", f"/groups/team/deploy_tokens/{made['id']}", team.owner, status=204)
    assert [one.action for one in heard] == ["deploy_token.create", "deploy_token.delete"]  # type: ignore[attr-defined]
    assert {one.actor.username for one in heard} == {"owner"}  # type: ignore[attr-defined]
    assert all(one.detail["place"] == "team" for one in heard)  # type: ignore[attr-defined]
    assert str(made["token"]) not in repr(heard)
