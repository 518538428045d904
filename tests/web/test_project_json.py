"""The project JSON over HTTP: where bots look for it, what they read there, and who gets it."""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeVar

import pytest
from attrs import define
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, execute
from twisted.web.http_headers import Headers
from zope.interface import implementer

from registry.domain.access import Role, Visibility
from registry.domain.model import Digests, NewFile
from registry.domain.names import Name
from registry.domain.versions import Version
from registry.interfaces import IThreads
from registry.testing import EXTERNAL_URL, OPERATOR, Answer, MemoryPackages, MemoryRegistry, done, registry_in_memory, sdist, wheel
from registry.web.project_json import ProjectJson
from registry.web.routes import Call, Routes
from registry.workflows.views import View

T = TypeVar("T")

PROJECT, GROUP = "/api/v4/projects/1/packages/pypi", "/api/v4/groups/team/-/packages/pypi"
FILES = [wheel("My.Demo", "1.10", requires_python=">=3.8,<4"), sdist("my-demo", "1.9"), wheel("my_demo", "2.0rc1")]
_strangers = count(1)
# What other routes begin with, or a bot's address has in it.
AWKWARD = {name: wheel(name, "1.0") for name in ("simple", "files", "json", "pypi", "at", "status", "integrity", "api")}


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryRegistry]:
    """Three files of My.Demo in root/packages, and each awkward name; the same in team/library."""
    registry = registry_in_memory(tmp_path_factory.mktemp("json") / "data")
    registry.group("team")
    registry.project("team/library")
    for built in (*FILES, *AWKWARD.values()):
        for project in ("1", "team%2Flibrary"):
            fields = {"summary": "declared"}
            assert registry.upload(project, built, fields=fields).code == 201
    yield registry
    registry.close()


def asked(registry: MemoryRegistry, path: str, **headers: str) -> Answer:
    return registry.ask("GET", path, headers, token=registry.root_token)


def set_status(registry: MemoryRegistry, status: str, reason: str, name: str = "my-demo") -> None:
    body = json.dumps({"status": status, "reason": reason}).encode()
    answer = registry.ask("PUT", f"{PROJECT}/status/{name}", {"Content-Type": "application/json"}, body, token=registry.root_token)
    assert answer.code == 200, answer.text


# --- where --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("top", [PROJECT, PROJECT.replace("/1/", "/root%2Fpackages/"), GROUP])
@pytest.mark.parametrize("spelling", ["my-demo", "My.Demo", "MY__demo"])
def test_every_address_tells_the_same(held: MemoryRegistry, top: str, spelling: str) -> None:
    """Dependabot's and Renovate's address, of a project by number or path and of a group, in any spelling, with a slash or without."""
    answers = [asked(held, f"{top}/{middle}{spelling}/json{end}") for middle in ("pypi/", "") for end in ("", "/")]
    for answer in answers:
        assert (answer.code, answer.headers["content-type"]) == (200, "application/json")
        assert answer.body == answers[0].body
    told = answers[0].json
    assert (told["info"]["name"], told["info"]["version"], told["info"]["summary"]) == ("My.Demo", "1.10", "for tests")
    assert [(version, [file["filename"] for file in files]) for version, files in told["releases"].items()] == [
        ("1.9", [FILES[1].filename]),
        ("1.10", [FILES[0].filename]),
        ("2.0rc1", [FILES[2].filename]),
    ]


@pytest.mark.parametrize("top", [PROJECT, GROUP])
def test_a_release_is_told_alone(held: MemoryRegistry, top: str) -> None:
    """A version, in any spelling, is described with its own metadata and its own files, and without the others."""
    for version in ("1.9", "1.9.0", "v1.9"):
        told = asked(held, f"{top}/pypi/my-demo/{version}/json").json
        assert (told["info"]["version"], [file["filename"] for file in told["urls"]]) == ("1.9", [FILES[1].filename])
        assert "releases" not in told
    assert asked(held, f"{top}/pypi/my-demo/2.0RC1/json").json["info"]["version"] == "2.0rc1"


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names_are_found(held: MemoryRegistry, name: str) -> None:
    """A project called as something in an address has its page, its JSON and that of its version like any other."""
    assert asked(held, f"{PROJECT}/simple/{name}/", Accept="application/vnd.pypi.simple.v1+json").json["name"] == name
    assert asked(held, f"{PROJECT}/+simple/{name}/", Accept="application/vnd.pypi.simple.v1+json").json["name"] == name
    assert asked(held, f"{PROJECT}/pypi/{name}/json").json["info"]["name"] == name
    assert asked(held, f"{PROJECT}/pypi/{name}/1.0/json").json["info"]["version"] == "1.0"


@pytest.mark.parametrize("name", sorted({*AWKWARD} - {"simple", "status"}))
def test_awkward_names_are_found_beside_the_index(held: MemoryRegistry, name: str) -> None:
    """So they are at Renovate's address, but for the two whose address another route has had all along."""
    assert asked(held, f"{PROJECT}/{name}/json").json["info"]["name"] == name


def test_no_other_route_is_shadowed(held: MemoryRegistry) -> None:
    """The page and the status of a name called json stay where they were, and a file is still a file."""
    assert asked(held, f"{PROJECT}/simple/json", Accept="application/vnd.pypi.simple.v1+json").json["name"] == "json"
    assert asked(held, f"{PROJECT}/status/json").json["status"] == "active"
    (file,) = asked(held, f"{PROJECT}/pypi/files/json").json["urls"]
    assert asked(held, file["url"].removeprefix(EXTERNAL_URL).partition("#")[0]).body == AWKWARD["files"].content


@pytest.mark.parametrize("segment", ["+simple", "%2Bsimple", "%2bsimple"])
@pytest.mark.parametrize("accept", ["text/html", "application/vnd.pypi.simple.v1+json"])
def test_hatch_finds_the_page(held: MemoryRegistry, segment: str, accept: str) -> None:
    """At devpi's address of an index the page is the same to the byte, validator included; nothing is called "+simple"."""
    page, same = (asked(held, f"{PROJECT}/{where}/my-demo/", Accept=accept) for where in ("simple", segment))
    assert (same.code, same.body, same.headers["etag"], same.headers["content-type"]) == (
        200,
        page.body,
        page.headers["etag"],
        page.headers["content-type"],
    )
    assert asked(held, f"{PROJECT}/{segment}/nothing/").code == 404
    assert asked(held, f"{PROJECT}/{segment}/json").code == 200, "the page of a project called json"
    assert asked(held, f"{PROJECT}/pypi/{segment}/json").code == 404


@pytest.mark.parametrize("top", [PROJECT, GROUP])
@pytest.mark.parametrize(
    "rest",
    [
        "pypi/nothing/json",
        "nothing/json",
        "pypi/my-demo/9.9/json",
        "pypi/my-demo/latest/json",
        "pypi/my-demo/%D9%A1.9/json",
        "pypi/_x/json",
        "pypi/%E2%84%AA/json",
        "pypi/my%2Fdemo/json",
        "pypi/..%2Fx/json",
        f"pypi/{'x' * 3000}/json",
        f"pypi/my-demo/{'9' * 3000}/json",
    ],
)
def test_what_is_not_there_is_404(held: MemoryRegistry, top: str, rest: str) -> None:
    """Unknown names and versions, and what can be neither, are not found, in JSON, and no copy of that is kept (hardening row 2)."""
    answer = asked(held, f"{top}/{rest}")
    assert (answer.code, answer.json) == (404, {"message": "404 Package Not Found"})
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/json", "no-store")


# --- what bots read -----------------------------------------------------------------------------------------------------------------


def test_dependabot_reads_its_releases(held: MemoryRegistry) -> None:
    """Of each version the last file with its time, yank, type and Python; the address is that of the index, `simple` made `pypi`."""
    index = f"{EXTERNAL_URL}{PROJECT}/simple/"
    address = index.removesuffix("simple/").rstrip("/") + "/pypi/"
    answer = asked(held, f"{address.rstrip('/')}/my-demo/json".removeprefix(EXTERNAL_URL), Accept="application/json")
    assert answer.code == 200
    found = {}
    for version, files in answer.json["releases"].items():
        last = files[-1]
        assert isinstance(last["upload_time"], str)
        # Ruby takes a time without a zone for a local one, and Dependabot runs in UTC.
        released = datetime.fromisoformat(last["upload_time"]).replace(tzinfo=UTC)
        found[version] = (
            released,
            last["yanked"],
            last["yanked_reason"],
            last["packagetype"],
            last["python_version"],
            last["requires_python"],
        )
        assert last["url"].startswith(f"{EXTERNAL_URL}{PROJECT}/files/")
    noon = datetime(2030, 6, 15, 12, tzinfo=UTC)
    assert found == {
        "1.9": (noon, False, None, "sdist", "source", None),
        "1.10": (noon, False, None, "bdist_wheel", "py3", ">=3.8,<4"),
        "2.0rc1": (noon, False, None, "bdist_wheel", "py3", None),
    }


def test_renovate_reads_its_releases(held: MemoryRegistry) -> None:
    """What its schema names has the types it wants, none of them null but Requires-Python, and it finds times, yanks and Pythons."""
    told: Any = asked(held, f"{PROJECT}/my-demo/json", Accept="application/json").json
    info = told["info"]
    assert isinstance(info["name"], str)
    assert isinstance(info["home_page"], str)
    assert all(isinstance(one, str) for pair in info["project_urls"].items() for one in pair)
    constraints = {}
    for version, files in told["releases"].items():
        for file in files:
            assert isinstance(file["upload_time"], str)
            assert isinstance(file["yanked"], bool)
            assert isinstance(file["requires_python"], str | None)
        constraints[version] = {file["requires_python"] for file in files} - {None}
    assert constraints == {"1.9": set(), "1.10": {">=3.8,<4"}, "2.0rc1": set()}


def test_every_url_is_a_file(held: MemoryRegistry) -> None:
    """What the JSON links is downloaded there, to the byte, through a project and through a group."""
    for top in (PROJECT, GROUP):
        for files in asked(held, f"{top}/pypi/my-demo/json").json["releases"].values():
            for file in files:
                built = next(one for one in FILES if one.filename == file["filename"])
                assert asked(held, file["url"].removeprefix(EXTERNAL_URL).partition("#")[0]).body == built.content
                assert (file["digests"]["sha256"], file["size"]) == (built.sha256, len(built.content))


def test_addresses_it_names_answer(held: MemoryRegistry) -> None:
    """The project's and the release's own address can be asked."""
    info = asked(held, f"{GROUP}/my-demo/json").json["info"]
    for key in ("package_url", "project_url", "release_url"):
        assert asked(held, info[key].removeprefix(EXTERNAL_URL)).code == 200


def test_declared_digests_are_told(registry: MemoryRegistry) -> None:
    """Digests that the client declared, and which were checked, stand beside the one that is always there."""
    built = wheel("demo", "1.0")
    md5 = "d41d8cd98f00b204e9800998ecf8427e"
    assert registry.upload(1, built, fields={"md5_digest": md5}).code == 400
    declared = {
        "md5_digest": hashlib.md5(built.content).hexdigest(),
        "blake2_256_digest": hashlib.blake2b(built.content, digest_size=32).hexdigest(),
    }
    assert registry.upload(1, built, fields=declared).code == 201
    (file,) = asked(registry, f"{PROJECT}/demo/json").json["urls"]
    assert file["digests"] == {
        "sha256": built.sha256,
        "md5": declared["md5_digest"],
        "blake2b_256": declared["blake2_256_digest"],
    }


# --- how long it holds --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [f"{PROJECT}/pypi/my-demo/json", f"{PROJECT}/pypi/my-demo/1.9/json", f"{GROUP}/my-demo/json"])
def test_a_copy_that_is_current_is_not_sent_again(held: MemoryRegistry, path: str) -> None:
    """The validator is strong and each coding's own; with it the answer is 304; whoever asks is never told an old one unasked."""
    first = asked(held, path)
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["vary"] == "Accept, Accept-Encoding, Authorization, Private-Token"
    assert not first.headers["etag"].startswith("W/")
    again = asked(held, path, **{"If-None-Match": first.headers["etag"]})
    assert (again.code, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert asked(held, path, **{"If-None-Match": '"other"'}).body == first.body
    head = held.ask("HEAD", path, token=held.root_token)
    assert (head.code, head.body, head.headers["content-length"]) == (200, b"", str(len(first.body)))
    assert asked(held, path, **{"Accept-Encoding": "gzip"}).headers["etag"] != first.headers["etag"]


def test_every_change_is_seen_at_once(registry: MemoryRegistry) -> None:
    """After an upload, a yank and a deletion the answer is another one, with a higher serial (hardening row 14)."""
    path = f"{PROJECT}/my-demo/json"
    for built in FILES:
        registry.upload(1, built)
    first = asked(registry, path)
    number = next(
        one["id"] for one in asked(registry, "/api/v4/projects/1/packages").json if one["version"] == first.json["info"]["version"]
    )
    body = json.dumps({"reason": "broken"}).encode()
    headers = {"Content-Type": "application/json"}
    assert registry.ask("PUT", f"/api/v4/projects/1/packages/{number}/yank", headers, body, token=registry.root_token).code == 200
    second = asked(registry, path, **{"If-None-Match": first.headers["etag"]})
    assert second.code == 200
    assert second.json["info"]["version"] == "1.9"
    assert [(file["yanked"], file["yanked_reason"]) for file in second.json["releases"]["1.10"]] == [(True, "broken")]
    named = asked(registry, f"{PROJECT}/pypi/my-demo/1.10/json").json["info"]
    assert (named["yanked"], named["yanked_reason"]) == (True, "broken")
    assert registry.ask("DELETE", f"/api/v4/projects/1/packages/{number}", token=registry.root_token).code == 204
    third = asked(registry, path)
    assert list(third.json["releases"]) == ["1.9", "2.0rc1"]
    assert first.json["last_serial"] < second.json["last_serial"] < third.json["last_serial"]


# --- who --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", ["pypi/my-demo/json", "pypi/my-demo/1.9/json", "my-demo/json", "+simple/my-demo/"])
def test_it_is_for_who_may_read_the_page(held: MemoryRegistry, rest: str) -> None:
    """Nobody and strangers get what the page gives them, in a project or a group; deploy tokens may read (hardening row 22)."""
    stranger = held.token(held.user(f"stranger{next(_strangers)}").username)
    reader = held.deploy_token("team/library")
    for top in (PROJECT, GROUP, "/api/v4/projects/77/packages/pypi", PROJECT.replace("/1/", "/team%2Flibrary/")):
        for token in (None, "glpat-wrong", stranger, reader):
            page, answer = (held.ask("GET", f"{top}/{one}", token=token) for one in ("simple/my-demo/", rest))
            assert (answer.code, answer.headers.get("www-authenticate")) == (page.code, page.headers.get("www-authenticate"))
            if answer.code != 200:
                assert answer.body == page.body
    deploy = held.ask("GET", f"{PROJECT.replace('/1/', '/team%2Flibrary/')}/{rest}", {"Deploy-Token": reader})
    assert deploy.code == 200


def test_a_group_tells_only_what_the_caller_may_read(registry: MemoryRegistry) -> None:
    """Of several projects below a group each reader gets those he may read, with no trace of the others (hardening row 22)."""
    registry.group("team", Visibility.PUBLIC)
    for project, visibility, version in (("open", Visibility.PUBLIC, "1.0"), ("shut", Visibility.PRIVATE, "2.0")):
        registry.project(f"team/{project}", visibility)
        assert registry.upload(f"team%2F{project}", wheel("demo", version)).code == 201
    registry.user("ann")
    registry.member("team/shut", "ann", Role.REPORTER)
    everybody = registry.ask("GET", f"{GROUP}/demo/json")
    member = registry.ask("GET", f"{GROUP}/demo/json", token=registry.token("ann"))
    assert (list(everybody.json["releases"]), everybody.json["info"]["version"]) == (["1.0"], "1.0")
    assert (list(member.json["releases"]), member.json["info"]["version"]) == (["1.0", "2.0"], "2.0")
    assert everybody.json["last_serial"] < member.json["last_serial"]
    assert everybody.headers["cache-control"] == "private, no-cache"
    assert registry.ask("GET", f"{GROUP}/pypi/demo/2.0/json").code == 404


def test_a_public_projects_answer_may_be_kept_by_anybody(registry: MemoryRegistry) -> None:
    """What is the same for everybody says so, and is asked for again all the same."""
    number = registry.project("root/open", Visibility.PUBLIC).id
    registry.upload(number, wheel("demo", "1.0"))
    answer = registry.ask("GET", f"/api/v4/projects/{number}/packages/pypi/demo/json")
    assert (answer.code, answer.headers["cache-control"], answer.headers["vary"]) == (200, "no-cache", "Accept, Accept-Encoding")


def test_a_quarantined_name_has_no_files_at_any_address(registry: MemoryRegistry) -> None:
    """The JSON offers what the page offers: no version and no file; a release is refused with the reason (hardening row 22)."""
    for built in FILES:
        registry.upload(1, built)
    set_status(registry, "quarantined", "steals keys")
    for path in (f"{PROJECT}/pypi/my-demo/json", f"{PROJECT}/my-demo/json"):
        told = asked(registry, path).json
        assert (told["releases"], told["urls"], told["info"]["summary"], told["info"]["version"]) == ({}, [], "", "")
    for version in ("1.10", "9.9"):
        release = asked(registry, f"{PROJECT}/pypi/my-demo/{version}/json")
        assert release.code == 403
        assert "steals keys" in release.json["message"]
    assert asked(registry, f"{PROJECT}/+simple/my-demo/", Accept="application/vnd.pypi.simple.v1+json").json["files"] == []
    set_status(registry, "archived", "")
    assert len(asked(registry, f"{PROJECT}/my-demo/json").json["releases"]) == 3


# --- what it costs ------------------------------------------------------------------------------------------------------------------


@implementer(IThreads)
@define(eq=False)
class Counted:
    """Threads that run everything at once, and count."""

    ran: int = 0

    def run(self, work: Callable[..., T], *args: object) -> "Deferred[T]":
        """IThreads."""
        self.ran += 1
        return execute(work, *args)


@pytest.mark.parametrize(
    ("files", "characters", "in_thread"),
    [(300, 0, False), (301, 0, True), (1, 1 << 16, False), (1, (1 << 16) + 1, True)],
)
def test_much_is_rendered_in_a_thread(registry: MemoryRegistry, files: int, characters: int, *, in_thread: bool) -> None:
    """Up to 300 files and 64 Ki characters of metadata are rendered at once; more never keep the reactor waiting (hardening row 4)."""
    packages, threads = MemoryPackages(), Counted()
    for number in range(files):
        new = NewFile(
            name=Name("demo"),
            version=Version(str(number)),
            filename=f"demo-{number}.tar.gz",
            digests=Digests(size=1, sha256=f"{number:064x}", others={}),
            requires_python="",
            metadata={"description": "<" * characters},
        )
        done(packages.add_file(1, new, OPERATOR))

    async def view(call: Call) -> View:
        return View.of_project(call.project)

    family = ProjectJson(packages=packages, library=registry.library, threads=threads, view=view, external_url=lambda: "")
    client = HTTPClient(RequestTraversalAgent(Routes(gate=registry.gate, routes=family.routes()).resource()))
    answer = done(client.get(f"http://registry.test{PROJECT}/demo/json", headers=Headers({"PRIVATE-TOKEN": [registry.root_token]})))
    assert answer.code == 200
    told: Any = done(answer.json())
    assert (len(told["releases"]), told["info"]["description"]) == (files, "<" * characters)
    assert threads.ran == in_thread


def test_metadata_full_of_markup_stays_text(registry: MemoryRegistry) -> None:
    """What an uploader wrote comes back as the text it was, in a type that no browser renders (hardening row 4)."""
    markup = "</script><script>alert(1)</script>\u2028"
    registry.upload(1, wheel("demo", "1.0"), fields={"author_email": markup})
    answer = asked(registry, f"{PROJECT}/demo/json")
    assert answer.json["info"]["author_email"] == markup
    assert (answer.headers["content-type"], answer.headers["x-content-type-options"]) == ("application/json", "nosniff")
