"""Packages over REST: lists, one package, its files and pipelines, and what deleting does."""

import base64
from urllib.parse import quote

import pytest

from registry.domain.access import Role, Visibility
from registry.domain.audit import Search
from registry.testing import EXTERNAL_URL, FORM_TYPE, Answer, Built, MemoryRegistry, done, form, sdist, wheel
from registry.workflows.upkeep import sweep
from tests.rest.scene import Scene

API = "/api/v4/projects/1/packages"
AT = "2026-01-01T12:00:00.000Z"


def ask(registry: MemoryRegistry, path: str, method: str = "GET", *, token: str | None = None, **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return registry.ask(method, path, sent, token=registry.root_token if token is None else token)


def names(answer: Answer) -> list[str]:
    assert answer.code == 200, answer
    return [f"{one['name']} {one['version']}" for one in answer.json]


@pytest.fixture
def stocked(registry: MemoryRegistry) -> MemoryRegistry:
    """Four packages, published a second apart."""
    for name, version in (("Beta.One", "1.0"), ("alpha", "2.0"), ("alpha", "1.0"), ("100%_sure", "3.0")):
        registry.upload(1, wheel(name.replace("%_", "-"), version))
        registry.clock.advance(1)
    return registry


def test_a_package_has_gitlabs_shape(registry: MemoryRegistry) -> None:
    """A listed package has exactly GitLab's keys, times with milliseconds, a relative web path and an absolute address to delete it."""
    assert registry.upload(1, wheel("My.Thing", "1.0")).code == 201
    (one,) = ask(registry, API).json
    at = one.pop("created_at")
    assert at.endswith("Z")
    assert len(at) == len(AT)
    assert one == {
        "id": 1,
        "name": "My.Thing",
        "version": "1.0",
        "package_type": "pypi",
        "status": "default",
        "_links": {"web_path": "/root/packages/-/packages/1", "delete_api_path": f"{EXTERNAL_URL}/api/v4/projects/1/packages/1"},
        "last_downloaded_at": None,
        "creator_id": 1,
        "tags": [],
        "pipelines": [],
    }


def test_one_package_tells_its_other_versions(stocked: MemoryRegistry) -> None:
    """A single package has what a list shows of it, and the other versions of its name, not itself."""
    found = ask(stocked, f"{API}/2")
    assert found.code == 200
    listed = next(one for one in ask(stocked, API).json if one["id"] == 2)
    others = found.json["versions"]
    assert {**listed, "versions": others} == found.json
    assert [(one["id"], one["version"], one["tags"], one["pipelines"]) for one in others] == [(3, "1.0", [], [])]


def test_files_have_gitlabs_shape(registry: MemoryRegistry) -> None:
    """A package's files tell size and digests; md5 only where the client declared it, sha1 never."""
    built, more = wheel("demo", "1.0"), sdist("demo", "1.0")
    registry.upload(1, built)
    registry.upload(1, more)
    first, second = ask(registry, f"{API}/1/package_files").json
    del first["created_at"]
    assert first == {
        "id": 1,
        "package_id": 1,
        "file_name": built.filename,
        "size": len(built.content),
        "file_md5": None,
        "file_sha1": None,
        "file_sha256": built.sha256,
    }
    assert second["file_name"] == more.filename
    assert [one["id"] for one in ask(registry, f"{API}/1/package_files?sort=desc").json] == [2, 1]
    assert [one["id"] for one in ask(registry, f"{API}/1/package_files?order_by=created_at").json] == [1, 2]
    by_name = [one["file_name"] for one in ask(registry, f"{API}/1/package_files?order_by=file_name&per_page=1").json]
    assert by_name == [min(built.filename, more.filename)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["Beta.One 1.0", "alpha 2.0", "alpha 1.0", "100-sure 3.0"]),
        ("order_by=created_at&sort=desc", ["100-sure 3.0", "alpha 1.0", "alpha 2.0", "Beta.One 1.0"]),
        ("order_by=name", ["100-sure 3.0", "alpha 1.0", "alpha 2.0", "Beta.One 1.0"]),
        ("order_by=version&sort=desc", ["100-sure 3.0", "alpha 2.0", "alpha 1.0", "Beta.One 1.0"]),
        ("order_by=type", ["Beta.One 1.0", "alpha 2.0", "alpha 1.0", "100-sure 3.0"]),
        ("package_name=ALPH", ["alpha 2.0", "alpha 1.0"]),
        ("package_name=beta_one", ["Beta.One 1.0"]),
        ("package_name=a.o", ["Beta.One 1.0"]),
        ("package_name=nothing", []),
        ("package_version=1.0", ["Beta.One 1.0", "alpha 1.0"]),
        ("package_version=1", []),
        ("package_name=alpha&package_version=2.0", ["alpha 2.0"]),
        ("package_type=pypi&status=default&include_versionless=true", ["Beta.One 1.0", "alpha 2.0", "alpha 1.0", "100-sure 3.0"]),
        ("package_type=npm", []),
        ("status=pending_destruction", []),
        ("page=2&per_page=3", ["100-sure 3.0"]),
        ("page=3&per_page=3", []),
        ("unknown=x", ["Beta.One 1.0", "alpha 2.0", "alpha 1.0", "100-sure 3.0"]),
    ],
)
def test_lists_are_filtered_and_sorted(stocked: MemoryRegistry, query: str, expected: list[str]) -> None:
    """Each filter and order of GitLab's list does what it says; unknown parameters are ignored."""
    assert names(ask(stocked, f"{API}?{query}")) == expected


@pytest.mark.parametrize("wild", ["%", "_%", "%%", "a%a", "\\", "a\\%", "*", "'", "\u00c5"])
def test_wildcards_in_a_name_are_text(stocked: MemoryRegistry, wild: str) -> None:
    """What means "anything" to a database means itself here, so it finds nothing (row 42)."""
    assert names(ask(stocked, f"{API}?package_name={quote(wild)}")) == []


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("order_by=size", "order_by does not have a valid value"),
        ("order_by=project_path", "order_by does not have a valid value"),
        ("sort=up", "sort does not have a valid value"),
        ("package_type=wheel", "package_type does not have a valid value"),
        ("status=fine", "status does not have a valid value"),
        ("include_versionless=perhaps", "include_versionless is invalid"),
        ("page=x", "page is invalid"),
        ("per_page=-1", "per_page is invalid"),
        (f"package_name={'a' * 2001}", "package_name is too long (maximum is 2000 characters)"),
        ("package_name=a%00b", "package_name is invalid"),
    ],
)
def test_words_that_mean_nothing_are_refused(stocked: MemoryRegistry, query: str, problem: str) -> None:
    """A parameter of the wrong kind is 400 and says which, in Grape's envelope."""
    answer = ask(stocked, f"{API}?{query}")
    assert (answer.code, answer.json) == (400, {"error": problem})


def test_pages_have_gitlabs_headers(stocked: MemoryRegistry) -> None:
    """Lists tell how many there are and where the other pages are, with the query they were asked with."""
    answer = ask(stocked, f"{API}?per_page=3&sort=desc")
    assert {name: answer.headers[name] for name in ("x-total", "x-total-pages", "x-page", "x-next-page", "x-prev-page")} == {
        "x-total": "4",
        "x-total-pages": "2",
        "x-page": "1",
        "x-next-page": "2",
        "x-prev-page": "",
    }
    assert f'<{EXTERNAL_URL}{API}?sort=desc&page=2&per_page=3>; rel="next"' in answer.headers["link"]


@pytest.mark.parametrize("number", ["pypi", "x", "1.5", "-1", "9" * 30, "%31%20"])
@pytest.mark.parametrize("rest", ["", "/package_files", "/pipelines"])
def test_what_is_no_number_is_refused(registry: MemoryRegistry, number: str, rest: str) -> None:
    """GET on the upload address, and whatever else is no number, is 400 once the caller is let in."""
    answer = ask(registry, f"{API}/{number}{rest}")
    assert (answer.code, answer.json) == (400, {"error": "package_id is invalid"})
    assert ask(registry, f"{API}/{number}{rest}", token="wrong").code == 401


@pytest.mark.parametrize("rest", ["", "/package_files", "/pipelines"])
def test_packages_of_other_projects_do_not_exist_here(registry: MemoryRegistry, scene: Scene, rest: str) -> None:
    """A package of another project answers exactly like one that there never was (row 27)."""
    elsewhere = scene.project("root/other")
    assert registry.upload(elsewhere, wheel()).code == 201
    other, unknown = ask(registry, f"{API}/1{rest}"), ask(registry, f"{API}/999{rest}")
    assert (other.code, other.json) == (404, {"message": "Package not found"})
    assert (unknown.code, unknown.body) == (other.code, other.body)
    assert ask(registry, f"/api/v4/projects/{elsewhere}/packages/1{rest}").code == 200


def test_who_may_not_delete_is_not_told_how(registry: MemoryRegistry, scene: Scene) -> None:
    """`delete_api_path` is there for those who may delete with this very token, and for nobody else."""
    project = scene.project("root/open", Visibility.PUBLIC)
    registry.upload(project, wheel())
    path = f"/api/v4/projects/{project}/packages"
    developer, maintainer = scene.member("dev", Role.DEVELOPER, project=project), scene.member("main", Role.MAINTAINER, project=project)
    reading = registry.token("main", "read_api")
    for token, shown in ((developer, False), (maintainer, True), (reading, False), ("", False)):
        answer = registry.ask("GET", path, token=token or None)
        assert answer.code == 200
        assert ("delete_api_path" in answer.json[0]["_links"]) is shown


# --- deletion ---


def test_deleting_takes_a_package_off_every_page(registry: MemoryRegistry) -> None:
    """A deleted package is gone from lists, pages and downloads at once, its bytes from the disk, and may be published again."""
    built, other = wheel("demo", "1.0"), wheel("demo", "2.0")
    registry.upload(1, built)
    registry.upload(1, other)
    file = f"{API}/pypi/files/{built.sha256}/{built.filename}"
    assert (ask(registry, f"{API}/pypi/simple/demo").code, ask(registry, file).code) == (200, 200)
    answer = ask(registry, f"{API}/1", "DELETE")
    assert (answer.code, answer.body) == (204, b"")
    assert ask(registry, file).code == 410
    assert built.filename not in ask(registry, f"{API}/pypi/simple/demo").text
    assert names(ask(registry, API)) == ["demo 2.0"]
    assert registry.kept_files() == other.blobs
    assert ask(registry, f"{API}/1", "DELETE").json == {"message": "Package not found"}
    assert registry.upload(1, wheel("demo", "1.0", payload=b"different")).code == 201
    assert ask(registry, f"{API}/3").json["version"] == "1.0"


def test_bytes_that_another_file_names_stay(registry: MemoryRegistry, scene: Scene) -> None:
    """The same bytes in another project survive the deletion of one of the two."""
    elsewhere, built = scene.project("root/other"), wheel()
    registry.upload(1, built)
    registry.upload(elsewhere, built)
    assert ask(registry, f"{API}/1", "DELETE").code == 204
    assert registry.kept_files() == built.blobs
    assert ask(registry, f"/api/v4/projects/{elsewhere}/packages/pypi/files/{built.sha256}/{built.filename}").body == built.content
    assert ask(registry, f"/api/v4/projects/{elsewhere}/packages/2", "DELETE").code == 204
    assert registry.kept_files() == []


def test_with_its_last_file_a_package_goes(registry: MemoryRegistry) -> None:
    """A file is deleted alone, until it is the last one."""
    built, more = wheel(), sdist()
    registry.upload(1, built)
    registry.upload(1, more)
    assert ask(registry, f"{API}/1/package_files/1", "DELETE").code == 204
    assert [one["file_name"] for one in ask(registry, f"{API}/1/package_files").json] == [more.filename]
    assert built.filename not in ask(registry, f"{API}/pypi/simple/demo").text
    assert ask(registry, f"{API}/1/package_files/1", "DELETE").code == 404
    assert ask(registry, f"{API}/1/package_files/2", "DELETE").code == 204
    assert ask(registry, f"{API}/1").code == 404
    assert ask(registry, f"{API}/pypi/simple/demo").code == 404
    assert ask(registry, f"{API}/pypi/simple").text.count("<a ") == 0
    assert registry.kept_files() == []


def test_files_of_other_packages_do_not_exist_here(registry: MemoryRegistry) -> None:
    """A file is deleted through its own package only (row 27)."""
    registry.upload(1, wheel("one"))
    registry.upload(1, wheel("two"))
    answer, unknown = ask(registry, f"{API}/1/package_files/2", "DELETE"), ask(registry, f"{API}/1/package_files/99", "DELETE")
    assert (answer.code, answer.body) == (404, unknown.body)
    assert ask(registry, f"{API}/1/package_files/x", "DELETE").json == {"error": "package_file_id is invalid"}
    assert len(ask(registry, API).json) == 2


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 412),
        ("2020-01-01T00:00:00Z", 412),
        ("Fri, 31 Dec 9998 00:00:00 GMT", 204),
        ("nonsense", 204),
        ("", 204),
    ],
)
@pytest.mark.parametrize("path", [f"{API}/1", f"{API}/1/package_files/1"])
def test_deleting_what_has_changed_since_is_refused(registry: MemoryRegistry, path: str, header: str, code: int) -> None:
    """If-Unmodified-Since before the package's last change is 412 and nothing happens; what is not a date is ignored (RFC 9110)."""
    registry.upload(1, wheel())
    answer = ask(registry, path, "DELETE", If_Unmodified_Since=header)
    assert answer.code == code
    if code == 412:
        assert answer.json == {"message": "412 Precondition Failed"}
    assert len(ask(registry, API).json) == (1 if code == 412 else 0)


def test_a_file_added_since_counts_as_a_change(registry: MemoryRegistry) -> None:
    """The very second of the last change passes; a file that is newer does not."""
    registry.upload(1, wheel())
    made = registry.now()
    stamp = made.strftime("%a, %d %b %Y %H:%M:%S GMT")
    registry.clock.advance(2)
    registry.upload(1, sdist())
    assert ask(registry, f"{API}/1", "DELETE", If_Unmodified_Since=stamp).code == 412
    stamp = registry.now().strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert ask(registry, f"{API}/1", "DELETE", If_Unmodified_Since=stamp).code == 204


@pytest.mark.parametrize("path", [f"{API}/1", f"{API}/1/package_files/1"])
def test_deleting_takes_a_maintainer_with_a_token_that_writes(registry: MemoryRegistry, scene: Scene, path: str) -> None:
    """Whoever may not delete is told so, or that there is no such project, and nothing is deleted (row 26)."""
    registry.upload(1, wheel())
    developer, stranger = scene.member("dev", Role.DEVELOPER, project=1), scene.member("stranger", Role.NONE)
    scene.member("main", Role.MAINTAINER, project=1)
    for token, code in (
        (None, 401),
        (developer, 403),
        (stranger, 404),
        (registry.token("main", "read_api"), 403),
        (registry.token("main", "write_package_registry"), 403),
        (scene.deploy_token(["write_package_registry"], project=1), 401),
    ):
        assert registry.ask("DELETE", path, token=token).code == code
    assert len(ask(registry, API).json) == 1
    assert registry.ask("DELETE", path, token=registry.token("main")).code == 204


def test_the_journal_tells_who_deleted_what(registry: MemoryRegistry) -> None:
    """A deletion is a journal row with project, normalised name, version and files, and whose token it was (row 36)."""
    registry.upload(1, wheel("My.Thing", "1.0"))
    ask(registry, f"{API}/1", "DELETE")
    (entry,) = done(registry.store.audit.entries(Search(action="package.delete"), 10))
    change = entry.change
    assert (change.project_id, change.name, change.actor.username, change.actor.address) == (1, "my-thing", "root", "192.0.2.7")
    assert change.actor.token_name
    assert change.detail["version"] == "1.0"


def test_a_store_that_fails_to_forget_has_deleted_all_the_same(registry: MemoryRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the bytes cannot be removed the package is gone nevertheless, and the next sweep takes them."""
    built = wheel()
    registry.upload(1, built)
    with monkeypatch.context() as patch:
        patch.setattr(type(registry.store.blobs.disk), "remove", _fail)
        assert ask(registry, f"{API}/1", "DELETE").code == 204
    assert registry.kept_files() == built.blobs
    assert done(sweep(registry.store.packages, registry.store.blobs)) == len(built.blobs)


def _fail(*_: object) -> None:
    raise OSError("the disk is read-only")


# --- pipelines and downloads ---


def test_uploads_by_a_job_tell_of_it(registry: MemoryRegistry, scene: Scene) -> None:
    """What a CI job uploads shows its pipeline, on the package, its file and in the list of pipelines; other uploads show none."""
    token = scene.job_token(1, 1, ref="v1", sha="ab" * 20, pipeline_id=77, job_id=5)
    basic = _basic("gitlab-ci-token", token)
    assert _upload(registry, wheel("demo", "1.0"), basic).code == 201
    registry.upload(1, wheel("demo", "2.0"))
    by_job, by_hand = ask(registry, API).json
    pipeline = by_job["pipeline"]
    assert {key: pipeline[key] for key in ("id", "project_id", "sha", "ref")} == {"id": 77, "project_id": 1, "sha": "ab" * 20, "ref": "v1"}
    assert pipeline["user"]["username"] == "root"
    assert by_job["pipelines"] == []
    assert "pipeline" not in by_hand
    assert ask(registry, f"{API}/1/pipelines").json == [pipeline]
    assert ask(registry, f"{API}/1/package_files").json[0]["pipelines"] == [pipeline]
    assert ask(registry, f"{API}/2/pipelines").json == []
    assert "pipelines" not in ask(registry, f"{API}/2/package_files").json[0]
    assert ask(registry, f"{API}/2").json["versions"][0]["pipeline"] == pipeline


def test_pipelines_come_once_each_and_in_pages(registry: MemoryRegistry, scene: Scene) -> None:
    """A pipeline with several jobs is listed once, the newest first, and the next page is where `Link` says."""
    for pipeline, built in ((1, wheel()), (1, sdist()), (2, wheel(tag="py2-none-any")), (3, wheel(tag="cp311-none-any"))):
        _upload(registry, built, _basic("gitlab-ci-token", scene.job_token(1, 1, pipeline_id=pipeline, job_id=pipeline)))
    first = ask(registry, f"{API}/1/pipelines?per_page=2")
    assert [one["id"] for one in first.json] == [3, 2]
    link = first.headers["link"].partition(">")[0].removeprefix(f"<{EXTERNAL_URL}")
    assert [one["id"] for one in ask(registry, link).json] == [1]
    assert "link" not in ask(registry, link).headers
    for wrong in ("per_page=0", "per_page=21", "cursor=x"):
        assert ask(registry, f"{API}/1/pipelines?{wrong}").code == 400
    assert ask(registry, f"{API}/1/pipelines?per_page=20").code == 200


def test_downloads_are_noted_and_written_now_and_then(registry: MemoryRegistry) -> None:
    """The last download of a package is known after the next flush, without a journal row; HEAD is no download."""
    built = wheel()
    registry.upload(1, built)
    path = f"{API}/pypi/files/{built.sha256}/{built.filename}"
    ask(registry, path, "HEAD")
    done(registry.downloads.flush())
    assert ask(registry, f"{API}/1").json["last_downloaded_at"] is None
    before = _serial(registry)
    registry.clock.advance(5)
    ask(registry, path)
    assert ask(registry, f"{API}/1").json["last_downloaded_at"] is None
    done(registry.downloads.flush())
    when = ask(registry, f"{API}/1").json["last_downloaded_at"]
    assert when == registry.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert _serial(registry) == before


def test_a_download_of_what_is_deleted_meanwhile_is_forgotten(registry: MemoryRegistry) -> None:
    """Noting the download of a file that is gone writes nothing and fails nothing."""
    built = wheel()
    registry.upload(1, built)
    ask(registry, f"{API}/pypi/files/{built.sha256}/{built.filename}")
    ask(registry, f"{API}/1", "DELETE")
    done(registry.downloads.flush())
    assert ask(registry, API).json == []


# --- groups ---


@pytest.fixture
def team(registry: MemoryRegistry, scene: Scene) -> dict[str, int]:
    """A public group with a public and a private project, and one in a subgroup."""
    group = scene.group("team", Visibility.PUBLIC)
    scene.group("team/sub", Visibility.PUBLIC)
    made = {"team": group}
    for path, visibility in (("team/open", Visibility.PUBLIC), ("team/secret", Visibility.PRIVATE), ("team/sub/deep", Visibility.PUBLIC)):
        made[path] = scene.project(path, visibility)
        assert registry.upload(made[path], wheel(path.rpartition("/")[2])).code == 201
        registry.clock.advance(1)
    return made


def test_a_group_lists_what_its_reader_may_read(registry: MemoryRegistry, scene: Scene, team: dict[str, int]) -> None:
    """A group's list has the packages of all projects below it, but never those of a project that this caller may not read (row 25)."""
    path = f"/api/v4/groups/{team['team']}/packages"
    member, other = scene.member("mia", Role.GUEST, project=team["team/secret"]), scene.member("otto", Role.NONE)
    assert names(ask(registry, path)) == ["open 1.0", "secret 1.0", "deep 1.0"]
    assert names(ask(registry, path, token=member)) == ["open 1.0", "secret 1.0", "deep 1.0"]
    assert names(ask(registry, path, token=other)) == ["open 1.0", "deep 1.0"]
    assert names(registry.ask("GET", path)) == ["open 1.0", "deep 1.0"]
    assert ask(registry, path, token=other).headers["x-total"] == "2"
    assert names(ask(registry, f"{path}?package_name=secret", token=other)) == []


def test_a_groups_packages_say_where_they_are(registry: MemoryRegistry, scene: Scene, team: dict[str, int]) -> None:
    """In a group's list each package has its project's number and path, its own web path, and an address to delete it where allowed."""
    token = scene.member("mo", Role.MAINTAINER, project=team["team/open"])
    first, second = ask(registry, f"/api/v4/groups/{team['team']}/packages", token=token).json
    assert (first["project_id"], first["project_path"]) == (team["team/open"], "team/open")
    assert first["_links"]["delete_api_path"] == f"{EXTERNAL_URL}/api/v4/projects/{team['team/open']}/packages/{first['id']}"
    assert second["_links"] == {"web_path": f"/team/sub/deep/-/packages/{second['id']}"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("exclude_subgroups=true", ["open 1.0", "secret 1.0"]),
        ("exclude_subgroups=false", ["open 1.0", "secret 1.0", "deep 1.0"]),
        ("order_by=project_path&sort=desc", ["deep 1.0", "secret 1.0", "open 1.0"]),
        ("order_by=name", ["deep 1.0", "open 1.0", "secret 1.0"]),
        ("package_type=maven", []),
        ("per_page=1&page=2", ["secret 1.0"]),
    ],
)
def test_a_groups_list_is_filtered_and_sorted(registry: MemoryRegistry, team: dict[str, int], query: str, expected: list[str]) -> None:
    """What GitLab adds for groups works with the rest, by path too."""
    assert names(ask(registry, f"/api/v4/groups/team/packages?{query}")) == expected


def test_subgroups_are_groups(registry: MemoryRegistry, team: dict[str, int]) -> None:
    """A subgroup is named by its escaped path; an unknown group and a user's namespace are 404 with one body."""
    assert names(ask(registry, "/api/v4/groups/team%2Fsub/packages")) == ["deep 1.0"]
    unknown, user = ask(registry, "/api/v4/groups/nothing/packages"), ask(registry, "/api/v4/groups/root/packages")
    assert (unknown.code, unknown.json) == (404, {"message": "404 Group Not Found"})
    assert (user.code, user.body) == (unknown.code, unknown.body)


def test_an_empty_group_lists_nothing(registry: MemoryRegistry, scene: Scene) -> None:
    """A group without projects is an empty page, not an error."""
    scene.group("empty")
    answer = ask(registry, "/api/v4/groups/empty/packages")
    assert (answer.json, answer.headers["x-total"]) == ([], "0")


def _serial(registry: MemoryRegistry) -> int:
    return done(registry.store.audit.entries(Search(), 1))[0].change.serial


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def _upload(registry: MemoryRegistry, built: Built, headers: dict[str, str]) -> Answer:
    body = form(built.fields, ("content", built.filename, built.content))
    return registry.ask("POST", f"{API}/pypi", {**headers, "Content-Type": FORM_TYPE}, body)
