"""python-gitlab, unmodified, with every kind of token."""

from collections.abc import Iterator

import gitlab
import pytest
import requests
from attrs import frozen
from gitlab.exceptions import GitlabAuthenticationError, GitlabCreateError, GitlabGetError, GitlabRotateError

from tests.clients.processes import DEADLINE, Server, serving


@frozen(kw_only=True)
class World:
    """A server with the user ann and her projects ann/app and ann/lib, and the group team."""

    server: Server
    root: gitlab.Gitlab
    ann: gitlab.Gitlab
    ann_id: int
    app: int
    lib: int
    team: int

    def client(self, token: str) -> gitlab.Gitlab:
        """python-gitlab with a token."""
        return gitlab.Gitlab(self.server.url, private_token=token, timeout=DEADLINE)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("tokens") / "data") as server:
        root = gitlab.Gitlab(server.url, private_token=server.token, timeout=DEADLINE)
        user = root.users.create({"username": "ann", "name": "Ann", "email": "ann@example.com", "force_random_password": True})
        token = user.personal_access_tokens.create({"name": "ann's own", "scopes": ["api"]})
        ann = gitlab.Gitlab(server.url, private_token=token.token, timeout=DEADLINE)
        app, lib = (ann.projects.create({"name": name}).id for name in ("app", "lib"))
        team = ann.groups.create({"name": "Team", "path": "team"}).id
        yield World(server=server, root=root, ann=ann, ann_id=user.id, app=app, lib=lib, team=team)


def test_personal_access_tokens(world: World) -> None:
    """A token is made by an administrator, found, filtered, looked at by itself, rotated and revoked."""
    made = world.root.users.get(world.ann_id).personal_access_tokens.create(
        {"name": "script", "scopes": ["api", "read_user"], "expires_at": "2040-01-31"}
    )
    client = world.client(made.token)
    own = client.personal_access_tokens.get("self")
    assert (own.id, own.scopes, own.expires_at, own.active) == (made.id, ["api", "read_user"], "2040-01-31", True)
    assert own.last_used_at is not None
    assert made.id in [token.id for token in world.root.personal_access_tokens.list(user_id=world.ann_id, get_all=True)]
    assert [token.name for token in world.ann.personal_access_tokens.list(search="scrip")] == ["script"]
    rotated = own.rotate(self_rotate=True)
    assert rotated["id"] != made.id
    with pytest.raises(GitlabAuthenticationError):
        client.personal_access_tokens.get("self")
    again = world.root.personal_access_tokens.rotate(rotated["id"], expires_at="2041-01-01")
    assert again["expires_at"] == "2041-01-01"
    world.ann.personal_access_tokens.delete(again["id"])
    assert world.ann.personal_access_tokens.get(again["id"]).revoked is True
    with pytest.raises((GitlabRotateError, GitlabAuthenticationError)):
        world.ann.personal_access_tokens.rotate(again["id"])
    with pytest.raises(GitlabGetError, match="404"):
        world.ann.personal_access_tokens.get(1)


@pytest.mark.parametrize("kind", ["project", "group"])
def test_access_tokens_of_places(world: World, kind: str) -> None:
    """A project's and a group's tokens are made, listed, fetched, rotated and deleted."""
    tokens = world.ann.projects.get(world.app).access_tokens if kind == "project" else world.ann.groups.get(world.team).access_tokens
    made = tokens.create({"name": "bot", "scopes": ["api"], "access_level": 30, "expires_at": "2040-01-31"})
    assert (made.access_level, made.expires_at) == (30, "2040-01-31")
    assert [token.id for token in tokens.list()] == [made.id]
    fetched = tokens.get(made.id)
    assert fetched.name == "bot"
    rotated = fetched.rotate()
    assert (rotated["access_level"], rotated["user_id"]) == (30, made.user_id)
    tokens.delete(rotated["id"])
    assert tokens.list(state="active") == []
    with pytest.raises(GitlabAuthenticationError):
        world.client(rotated["token"]).personal_access_tokens.get("self")
    with pytest.raises(GitlabCreateError, match="400"):
        tokens.create({"name": "bot", "scopes": ["api"], "access_level": 51})


@pytest.mark.parametrize("kind", ["project", "group"])
def test_deploy_tokens(world: World, kind: str) -> None:
    """A project's and a group's deploy tokens are made, listed there and for the administrator, used by pip's door, and deleted."""
    tokens = world.ann.projects.get(world.app).deploytokens if kind == "project" else world.ann.groups.get(world.team).deploytokens
    made = tokens.create({"name": "deploy", "scopes": ["read_package_registry"], "expires_at": "2040-01-31T00:00:00Z", "username": "bob"})
    where = world.server.api(str(world.app)) if kind == "project" else f"{world.server.url}/api/v4/groups/{world.team}/-/packages/pypi"
    assert (made.username, made.scopes) == ("bob", ["read_package_registry"])
    assert requests.get(f"{where}/simple/", auth=("bob", made.token), timeout=DEADLINE).status_code == 200
    assert [token.id for token in tokens.list()] == [made.id]
    assert made.id in [token.id for token in world.root.deploytokens.list(get_all=True)]
    assert tokens.get(made.id).expires_at == "2040-01-31T00:00:00.000Z"
    made.delete()
    with pytest.raises(GitlabGetError, match="404"):
        tokens.get(made.id)
    assert requests.get(f"{where}/simple/", auth=("bob", made.token), timeout=DEADLINE).status_code == 401


def test_job_tokens_and_their_scope(world: World) -> None:
    """A job's token reads another project's packages once that project's allowlist has its own."""
    made = world.ann.http_post(f"/projects/{world.app}/job_tokens", post_data={"ref": "main", "job_id": 7})
    assert isinstance(made, dict)
    job = gitlab.Gitlab(world.server.url, job_token=made["token"], timeout=DEADLINE)
    described = job.http_get("/job")
    assert isinstance(described, dict)
    assert (described["id"], described["user"]["username"]) == (7, "ann")
    assert job.projects.get(world.app, lazy=True).packages.list() == []
    scope = world.ann.projects.get(world.lib).job_token_scope.get()
    assert scope.inbound_enabled
    with pytest.raises(gitlab.GitlabError):
        job.projects.get(world.lib, lazy=True).packages.list()
    scope.enabled = False
    scope.save()
    scope.refresh()
    assert not scope.inbound_enabled
    assert job.projects.get(world.lib, lazy=True).packages.list() == []
    scope.enabled = True
    scope.save()
    added = scope.allowlist.create({"target_project_id": world.app})
    assert (added.source_project_id, added.target_project_id) == (world.lib, world.app)
    assert [project.path_with_namespace for project in scope.allowlist.list()] == ["ann/app"]
    assert job.projects.get(world.lib, lazy=True).packages.list() == []
    scope.allowlist.delete(world.app)
    with pytest.raises(gitlab.GitlabError):
        job.projects.get(world.lib, lazy=True).packages.list()
    world.ann.http_delete(f"/projects/{world.app}/job_tokens/{made['id']}")
    with pytest.raises(GitlabAuthenticationError):
        job.http_get("/job")


def test_last_use_survives_a_restart(world: World) -> None:
    """What was noted of a token's last use is written when the server stops."""
    with serving(world.server.data_dir.parent / "again") as server:
        token = gitlab.Gitlab(server.url, private_token=server.token, timeout=DEADLINE).personal_access_tokens.get("self")
    with serving(server.data_dir) as server:
        found = server.command("token", "list", "--json").worked().out
    assert token.last_used_at is not None
    assert token.last_used_at[:19] in found
