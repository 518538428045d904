"""The simple API of groups: what is listed to whom, which of several files wins, and that every file is authorised in its own project."""

import base64
from datetime import timedelta

import pytest
from attrs import frozen

from registry.domain.access import Role, Visibility
from registry.testing import EXTERNAL_URL, Answer, Built, MemoryRegistry, done, wheel
from tests.rest.scene import Scene

JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
HTML = {"Accept": "text/html"}


@frozen(kw_only=True)
class Team:
    """A group team (public) with projects open (public), inside (internal) and secret (private), and team/sub/deep (private)."""

    registry: MemoryRegistry
    scene: Scene
    group: int
    sub: int
    projects: dict[str, int]
    held: dict[str, Built]

    def index(self, token: str | None = None, group: str | int = "team") -> list[str]:
        """The names that a caller is shown."""
        answer = self.get("simple/", token, group)
        assert answer.code == 200, answer
        return [one["name"] for one in answer.json["projects"]]

    def get(self, path: str, token: str | None = None, group: str | int = "team", method: str = "GET") -> Answer:
        """One answer at the group's level."""
        return self.registry.ask(method, f"/api/v4/groups/{group}/-/packages/pypi/{path}", JSON, token=token)

    def file(self, name: str, token: str | None = None, group: str | int = "team") -> Answer:
        """The download of what a project holds."""
        built = self.held[name]
        return self.get(f"files/{built.sha256}/{built.filename}", token, group)


@pytest.fixture
def team(registry: MemoryRegistry, scene: Scene) -> Team:
    """See `Team`."""
    group, sub = scene.group("team", Visibility.PUBLIC), scene.group("team/sub", Visibility.PUBLIC)
    projects, held = {}, {}
    for path, visibility in (
        ("team/open", Visibility.PUBLIC),
        ("team/inside", Visibility.INTERNAL),
        ("team/secret", Visibility.PRIVATE),
        ("team/sub/deep", Visibility.PRIVATE),
    ):
        name = path.rpartition("/")[2]
        projects[name], held[name] = scene.project(path, visibility), wheel(name)
        assert registry.upload(projects[name], held[name]).code == 201
    return Team(registry=registry, scene=scene, group=group, sub=sub, projects=projects, held=held)


def reaches(team: Team, token: str | None, *expected: str, group: str | int = "team") -> None:
    """Index, pages, HEAD and downloads all show exactly the `expected` projects to the caller."""
    assert team.index(token, group) == sorted(expected)
    for name in team.held:
        code = 200 if name in expected else 404
        assert team.get(f"simple/{name}/", token, group).code == code
        assert team.get(f"simple/{name}", token, group, "HEAD").code == code
        download = team.file(name, token, group)
        assert download.code == code
        if name not in expected:
            assert team.held[name].sha256.encode() not in download.body
            # What is hidden and what does not exist answer alike.
            assert download.body == team.get(f"files/{'0' * 64}/none-1.0.tar.gz", token, group).body


def test_a_private_project_in_a_public_group_never_leaks(team: Team) -> None:
    """Each caller sees the projects of the group that he may read himself, in no list, page, HEAD or download any other (row 25)."""
    scene, registry = team.scene, team.registry
    reaches(team, None, "open")
    reaches(team, scene.member("stranger", Role.NONE), "open", "inside")
    reaches(team, scene.member("guest", Role.GUEST, project=team.projects["secret"]), "open", "inside", "secret")
    reaches(team, scene.member("member", Role.GUEST, group=team.group), *team.held)
    reaches(team, scene.member("below", Role.GUEST, group=team.sub), "open", "inside", "deep")
    reaches(team, registry.root_token, *team.held)
    reaches(team, registry.token("member", "read_package_registry"), *team.held)


def test_groups_are_named_by_number_or_path(team: Team) -> None:
    """A number and an escaped path, in any case, mean the same group; a subgroup has its own projects only."""
    token = team.registry.root_token
    for group in (team.group, "team", "TEAM", "%74eam"):
        assert team.index(token, group) == sorted(team.held)
    for group in (team.sub, "team%2Fsub", "Team%2fSub"):
        assert team.index(token, group) == ["deep"]
        assert team.file("deep", token, group).code == 200
        assert team.file("open", token, group).code == 404
    assert team.get("simple/", token, "team/sub").code == 404


@pytest.mark.parametrize("group", ["nothing", "root", "999", "9" * 30, "team%2Fopen"])
def test_what_is_no_group_is_404_or_asks_to_sign_in(team: Team, group: str) -> None:
    """An unknown group, a user's own namespace and a project answer alike: 404, and 401 to anonymous callers."""
    answer = team.get("simple/", team.registry.root_token, group)
    assert (answer.code, answer.json) == (404, {"message": "404 Group Not Found"})
    anonymous = team.get("simple/", None, group)
    assert (anonymous.code, anonymous.json) == (401, {"message": "401 Unauthorized"})


def test_a_private_group_is_hidden(registry: MemoryRegistry, scene: Scene) -> None:
    """A private group is like none at all to who has no role in it, though a project below it were open to him."""
    group = scene.group("hush")
    project = scene.project("hush/one")
    registry.upload(project, wheel())
    path = f"/api/v4/groups/{group}/-/packages/pypi/simple/"
    stranger, unknown = scene.member("stranger", Role.NONE), "/api/v4/groups/nothing/-/packages/pypi/simple/"
    assert registry.ask("GET", path).code == 401
    assert registry.ask("GET", path, token=stranger).body == registry.ask("GET", unknown, token=stranger).body
    assert registry.ask("GET", path, token=scene.member("guest", Role.GUEST, group=group)).code == 200


def test_an_internal_group_shows_packages_to_members(registry: MemoryRegistry, scene: Scene) -> None:
    """GitLab's rule: a signed-in stranger sees an internal group and may not read its packages, which is 403."""
    group = scene.group("half", Visibility.INTERNAL)
    path = f"/api/v4/groups/{group}/-/packages/pypi/simple/"
    assert registry.ask("GET", path).code == 401
    assert registry.ask("GET", path, token=scene.member("stranger", Role.NONE)).code == 403
    assert registry.ask("GET", path, token=scene.member("guest", Role.GUEST, group=group)).code == 200


def test_losing_a_role_counts_at_once(team: Team) -> None:
    """Who loses his role gets neither page nor file of the private project with the next request, and regains both with a new role."""
    token = team.scene.member("guest", Role.GUEST, project=team.projects["secret"])
    user = next(one for one in _users(team) if one[1] == "guest")[0]
    reaches(team, token, "open", "inside", "secret")
    team.scene.leave(user)
    reaches(team, token, "open", "inside")
    team.scene.join(user, Role.GUEST, group=team.group)
    reaches(team, token, *team.held)


def test_a_role_below_the_group_ends_when_it_expires(team: Team) -> None:
    """A role in a project that ends by itself ends on the group's pages, too, though nothing was changed."""
    until = team.registry.now() + timedelta(seconds=60)
    token = team.scene.member("guest", Role.GUEST, project=team.projects["secret"], until=until)
    reaches(team, token, "open", "inside", "secret")
    team.registry.clock.advance(61)
    reaches(team, token, "open", "inside")


def test_a_changed_visibility_counts_at_once(team: Team) -> None:
    """A project that becomes private, or whose registry is switched off, is gone from the group's pages with the next request."""
    reaches(team, None, "open")
    team.scene.set_project(team.projects["open"], visibility="private")
    assert team.index() == []
    assert team.file("open").code == 404
    team.scene.set_project(team.projects["open"], visibility="public", registry_access="disabled")
    assert team.index(team.registry.root_token) == ["deep", "inside", "secret"]
    team.scene.set_project(team.projects["open"], registry_access="private")
    reaches(team, None)


def test_a_registry_open_to_all_is_not_so_through_the_group(team: Team) -> None:
    """A private project whose registry is public is for its members on group pages, as GitLab has it."""
    team.scene.set_project(team.projects["secret"], registry_access="public")
    assert team.registry.ask("GET", f"/api/v4/projects/{team.projects['secret']}/packages/pypi/simple/secret").code == 200
    reaches(team, None, "open")


@pytest.mark.parametrize("scope", ["read_package_registry", "write_package_registry"])
def test_a_groups_deploy_token_reads_all_below(team: Team, scope: str) -> None:
    """A deploy token of the group reads every project below it, one of a subgroup only there, one without the scope what anybody reads."""
    whole, part = team.scene.deploy_token([scope], group=team.group), team.scene.deploy_token([scope], group=team.sub)
    for token, group, expected in ((whole, "team", sorted(team.held)), (whole, "team%2Fsub", ["deep"]), (part, "team%2Fsub", ["deep"])):
        for headers in ({"Deploy-Token": token}, {"Authorization": _basic("deploy", token)}, {"Authorization": f"Bearer {token}"}):
            answer = team.registry.ask("GET", f"/api/v4/groups/{group}/-/packages/pypi/simple/", {**JSON, **headers})
            assert [one["name"] for one in answer.json["projects"]] == expected
    useless = team.scene.deploy_token(["read_repository"], group=team.group)
    answer = team.registry.ask("GET", "/api/v4/groups/team/-/packages/pypi/simple/", {**JSON, "Deploy-Token": useless})
    assert [one["name"] for one in answer.json["projects"]] == ["open"]


def test_a_projects_deploy_token_reads_that_project(team: Team) -> None:
    """A deploy token of one project shows that project beside what anybody sees, and no other."""
    token = team.scene.deploy_token(["read_package_registry"], project=team.projects["secret"])
    answer = team.registry.ask("GET", "/api/v4/groups/team/-/packages/pypi/simple/", {**JSON, "Deploy-Token": token})
    assert [one["name"] for one in answer.json["projects"]] == ["open", "secret"]


def test_a_job_reaches_projects_that_admit_it(team: Team) -> None:
    """A job token has its user's rights in its own project and in those whose allowlist has that one, on pages and downloads."""
    user = team.registry.user("ann")
    team.scene.join(user.id, Role.DEVELOPER, group=team.group)
    token = _basic("gitlab-ci-token", team.scene.job_token(user.id, team.projects["deep"]))

    def seen() -> tuple[list[str], int]:
        headers = {**JSON, "Authorization": token}
        index = team.registry.ask("GET", "/api/v4/groups/team/-/packages/pypi/simple/", headers)
        secret = team.held["secret"]
        path = f"/api/v4/groups/team/-/packages/pypi/files/{secret.sha256}/{secret.filename}"
        return [one["name"] for one in index.json["projects"]], team.registry.ask("GET", path, headers).code

    names, code = seen()
    assert ("deep" in names, "secret" in names, code) == (True, False, 404)
    team.scene.admit(team.projects["secret"], team.projects["deep"])
    names, code = seen()
    assert ("deep" in names, "secret" in names, code) == (True, True, 200)


def test_the_first_published_file_wins(team: Team) -> None:
    """Of files with one name in several projects a page lists the first that this caller may see, once, and it stays that one."""
    first, second, third = (wheel("same", payload=payload) for payload in (b"1", b"2", b"3"))
    for name, built in (("secret", first), ("open", second), ("inside", third)):
        assert team.registry.upload(team.projects[name], built).code == 201
        team.registry.clock.advance(1)
    for token, winner in ((team.registry.root_token, first), (None, second)):
        for _ in range(2):
            (file,) = team.get("simple/same/", token).json["files"]
            assert file["hashes"] == {"sha256": winner.sha256}
            assert team.registry.ask("GET", file["url"].removeprefix(EXTERNAL_URL).partition("#")[0], token=token).body == winner.content
    html = team.registry.ask("GET", "/api/v4/groups/team/-/packages/pypi/simple/same/", HTML).text
    assert html.count("<a ") == 1
    assert second.sha256 in html
    # Publishing more changes nothing about who was first.
    team.registry.upload(team.projects["deep"], wheel("same", payload=b"4"))
    assert team.get("simple/same/", None).json["files"][0]["hashes"] == {"sha256": second.sha256}


def test_when_the_first_file_goes_the_next_one_shows(team: Team) -> None:
    """Deleting the file that stood for all shows the one published after it, at once, on pages that were rendered before."""
    first, second = wheel("same", payload=b"1"), wheel("same", payload=b"2")
    team.registry.upload(team.projects["open"], first)
    team.registry.upload(team.projects["inside"], second)
    root = team.registry.root_token
    assert team.get("simple/same/", root).json["files"][0]["hashes"] == {"sha256": first.sha256}
    packages = f"/api/v4/projects/{team.projects['open']}/packages"
    number = team.registry.ask("GET", f"{packages}?package_name=same", token=root).json[0]["id"]
    assert team.registry.ask("DELETE", f"{packages}/{number}", token=root).code == 204
    assert team.get("simple/same/", root).json["files"][0]["hashes"] == {"sha256": second.sha256}
    assert team.get("simple/same/", None).code == 404


def test_links_are_the_groups_own(team: Team) -> None:
    """A group's page links to files through the group by its number, in HTML as in JSON, whatever the group was called by."""
    built = team.held["open"]
    expected = f"{EXTERNAL_URL}/api/v4/groups/{team.group}/-/packages/pypi/files/{built.sha256}/{built.filename}"
    page = team.get("simple/open/")
    assert page.json["files"][0]["url"].partition("#")[0] == expected
    assert page.headers["content-type"] == "application/vnd.pypi.simple.v1+json; charset=utf-8" or "json" in page.headers["content-type"]
    html = team.registry.ask("GET", "/api/v4/groups/team/-/packages/pypi/simple/open/", HTML)
    assert f'href="{expected}#sha256={built.sha256}"' in html.text
    assert "text/html" in html.headers["content-type"]
    assert "private" in html.headers["cache-control"]
    assert "private" in team.file("open").headers["cache-control"]


@pytest.mark.parametrize("path", ["", "simple/", "simple/open/"])
def test_nothing_is_published_to_a_group(team: Team, path: str) -> None:
    """Uploading to a group is refused, and nothing is kept."""
    before = team.registry.kept_files()
    answer = team.get(path, team.registry.root_token, method="POST")
    assert answer.code == (405 if path else 404)
    assert team.registry.kept_files() == before


def test_head_is_get_without_a_body(team: Team) -> None:
    """HEAD on index, page and file says what GET would, and sends nothing."""
    built = team.held["open"]
    for path in ("simple/", "simple/open/", f"files/{built.sha256}/{built.filename}"):
        get, head = team.get(path), team.get(path, method="HEAD")
        assert (head.code, head.body) == (200, b"")
        assert {**get.headers, "date": ""} == {**head.headers, "date": ""}


def test_pages_rendered_for_one_are_not_shown_to_another(team: Team) -> None:
    """The same page asked for by callers with different rights, in every order, is each one's own (row 32)."""
    guest = team.scene.member("guest", Role.GUEST, project=team.projects["secret"])
    shared = (wheel("both", "1.0"), wheel("both", "2.0"))
    team.registry.upload(team.projects["open"], shared[0])
    team.registry.upload(team.projects["secret"], shared[1])
    for token, count in ((None, 1), (guest, 2), (None, 1), (team.registry.root_token, 2), (None, 1)):
        assert len(team.get("simple/both/", token).json["files"]) == count


def _users(team: Team) -> list[tuple[int, str]]:
    return [(one.id, one.username) for one in done(team.registry.store.users.users())]


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
