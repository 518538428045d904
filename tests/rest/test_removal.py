"""What goes with a project, a group or a user: every row that names it, and nothing else."""

import base64

import pytest
from sqlalchemy import func, select

from registry.storage.catalog.tables import metadata
from registry.testing import MemoryRegistry, done, wheel
from tests.rest.api import Api, Cast

# These stay by design: the journal outlives what it tells of, settings are nobody's, and a name that was ours once is ours for good.
_LASTING = {"journal", "settings", "own_names"}


@pytest.fixture
def cast(registry: MemoryRegistry) -> Cast:
    """Callers."""
    return Cast(registry)


def counted(registry: MemoryRegistry) -> dict[str, int]:
    """How many rows each table has."""
    tables = [table for table in metadata.sorted_tables if table.name not in _LASTING]
    return done(
        registry.store.database.read(
            lambda connection: {table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables}
        )
    )


def furnish(cast: Cast, project: int) -> list[str]:
    """Give a project one of everything; the secrets that open it."""
    root = cast.root
    secrets = [
        root.made(f"/projects/{project}/access_tokens", name="bot", scopes=["api"], access_level=40, expires_at="2031-01-01")["token"],
        root.made(f"/projects/{project}/job_tokens")["token"],
    ]
    deploy = root.made(f"/projects/{project}/deploy_tokens", name="deploy", scopes=["read_package_registry"])["token"]
    root.made(f"/projects/{project}/job_token_scope/allowlist", target_project_id=1)
    root.made("/projects/1/job_token_scope/allowlist", target_project_id=project)
    rule = {"package_name_pattern": "my-*", "package_type": "pypi", "minimum_access_level_for_push": "owner"}
    root.made(f"/projects/{project}/packages/protection/rules", **rule)
    assert root.put(f"/projects/{project}", pypi_package_requests_forwarding=False).code == 200
    assert root.put(f"/projects/{project}/packages/pypi/upstream/demo").code == 204
    registry = cast.registry
    assert registry.upload(project, wheel("demo", "1.0"), token=secrets[0]).code == 201
    assert registry.upload(project, wheel("demo", "2.0")).code == 201
    return [*secrets, deploy]


def opens(cast: Cast, secret: str, project: int) -> int:
    """What a token gets for the project's index."""
    path = f"/api/v4/projects/{project}/packages/pypi/simple/"
    user = "gitlab-ci-token" if secret.startswith("glcbt-") else "anybody"
    basic = {"Authorization": "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()}
    header = {"glpat-": {"PRIVATE-TOKEN": secret}, "gldt-": {"Deploy-Token": secret}}.get(secret[: secret.index("-") + 1], basic)
    return cast.registry.ask("GET", path, header).code


def test_a_project_takes_every_row_that_names_it_along(cast: Cast, registry: MemoryRegistry) -> None:
    """Files, rules, members, bots, and deploy, job and access tokens go with a project; what others hold stays (hardening row 28)."""
    assert registry.upload(1, wheel("demo", "1.0")).code == 201
    _, number = cast.new("ann")
    before = counted(registry)
    project = cast.root.made("/projects", name="lib")["id"]
    cast.root.made(f"/projects/{project}/members", user_id=number, access_level=30)
    secrets = furnish(cast, project)
    assert {opens(cast, secret, project) for secret in secrets} == {200}
    assert cast.root.delete(f"/projects/{project}").code == 202
    assert counted(registry) == before
    again = cast.root.made("/projects", name="lib", visibility="public")["id"]
    assert {opens(cast, secret, again) for secret in secrets} == {401}
    assert registry.ask("GET", "/api/v4/projects/1/packages/pypi/simple/demo/", token=registry.root_token).code == 200


def test_a_group_takes_every_row_below_it_along(cast: Cast, registry: MemoryRegistry) -> None:
    """So do all projects and subgroups of a group, with its own bots and deploy tokens (hardening row 28)."""
    _, number = cast.new("ann")
    before = counted(registry)
    top = cast.root.made("/groups", name="team", path="team")["id"]
    sub = cast.root.made("/groups", name="sub", path="sub", parent_id=top)["id"]
    secrets = []
    for count, place in enumerate((top, sub)):
        project = cast.root.made("/projects", name="lib", namespace_id=place)["id"]
        secrets += furnish(cast, project)
        cast.root.made(f"/groups/{place}/members", user_id=number, access_level=30 + 10 * count)
        assert cast.root.put(f"/groups/{place}", pypi_package_requests_forwarding=True).code == 200
        scopes = ["read_package_registry"]
        secrets.append(cast.root.made(f"/groups/{place}/deploy_tokens", name="deploy", scopes=scopes)["token"])
        token = cast.root.made(f"/groups/{place}/access_tokens", name="bot", scopes=["api"], access_level=30, expires_at="2031-01-01")
        secrets.append(token["token"])
        assert registry.upload(project, wheel("other", "1.0"), token=token["token"]).code == 201
    assert cast.root.delete(f"/groups/{top}").code == 202
    assert counted(registry) == before
    assert {opens(cast, secret, 1) for secret in secrets} == {401}


def test_a_user_takes_every_row_of_his_along(cast: Cast, registry: MemoryRegistry) -> None:
    """A user who has published nothing leaves no row behind but those of others: what he made for them works on."""
    cast.root.made("/groups", name="team", path="team")
    before = counted(registry)
    ann, number = cast.new("ann")
    cast.root.made("/projects/1/members", user_id=number, access_level=50)
    ann.made("/projects/1/job_tokens")
    deploy = ann.made("/projects/1/deploy_tokens", name="deploy", scopes=["read_package_registry"])["token"]
    assert cast.root.delete(f"/users/{number}").code == 204
    assert counted(registry) == {**before, "deploy_tokens": before["deploy_tokens"] + 1}
    assert opens(cast, deploy, 1) == 200


def test_a_bot_founds_nothing_of_its_own(cast: Cast, registry: MemoryRegistry) -> None:
    """The bot of an access token makes no group at the top and no project outside its place, and is no member anywhere else."""
    top = cast.root.made("/groups", name="team", path="team")["id"]
    made = cast.root.made(f"/groups/{top}/access_tokens", name="bot", scopes=["api"], access_level=50, expires_at="2031-01-01")
    bot = Api(registry, made["token"])
    assert bot.post("/groups", name="x", path="x").code == 403
    assert bot.post("/groups", name="x", path="x", parent_id=top).code == 201
    assert bot.post("/projects", name="x").code == 400
    assert bot.post("/projects", name="y", namespace_id=top).code == 201
    refused = cast.root.post("/projects/1/members", user_id=made["user_id"], access_level=30)
    assert (refused.code, list(refused.json["message"])) == (400, ["base"])
