"""Yanking, closing and statuses over REST, and what pages, downloads and uploads make of them."""

import base64
import json
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from registry.domain.access import Role, Visibility
from registry.domain.audit import Search
from registry.testing import (
    EXTERNAL_URL,
    FORM_TYPE,
    Answer,
    Built,
    HeldThreads,
    MemoryRegistry,
    Wire,
    done,
    form,
    registry_in_memory,
    request,
    sdist,
    wheel,
)
from registry.testing.registry import FORGIVING
from tests.rest.scene import Scene

PROJECT = "/api/v4/projects/1"
API = f"{PROJECT}/packages"
YANK, CLOSE = f"{API}/1/yank", f"{API}/1/close"
HELD, MORE, NEXT = wheel("demo", "1.0"), sdist("demo", "1.0"), wheel("demo", "2.0")
JSON, HTML = "application/vnd.pypi.simple.v1+json", "text/html"
MARKUP = """<script>alert("1")</script> & 'x' --> \N{PILE OF POO}"""


def send(registry: MemoryRegistry, method: str, path: str, body: Mapping[str, object] | None = None, token: str | None = None) -> Answer:
    headers = {"Content-Type": "application/json"} if body is not None else {}
    sent = json.dumps(body).encode() if body is not None else b""
    return registry.ask(method, path, headers, sent, token=registry.root_token if token is None else token)


def page(registry: MemoryRegistry, name: str = "demo", *, kind: str = JSON, top: str = PROJECT) -> Answer:
    return registry.ask("GET", f"{top}/packages/pypi/simple/{name}/", {"Accept": kind}, token=registry.root_token)


def yanks(registry: MemoryRegistry) -> dict[str, object]:
    """What the page says of each file; None where it says nothing."""
    return {file["filename"]: file.get("yanked") for file in page(registry).json["files"]}


def set_status(registry: MemoryRegistry, status: object, reason: object = None, name: str = "demo") -> Answer:
    return send(registry, "PUT", f"{API}/pypi/status/{name}", {"status": status, "reason": reason})


def history(registry: MemoryRegistry, action: str) -> list[Any]:
    return [entry.change for entry in done(registry.store.audit.entries(Search(action=action), 100))]


class Tags(HTMLParser):
    """The tags of a page and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """HTMLParser."""
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every such tag."""
        return [attributes for found, attributes in self.found if found == tag]


@pytest.fixture
def stocked(registry: MemoryRegistry) -> MemoryRegistry:
    """Package 1 is demo 1.0, with files 1 and 2; package 2 is demo 2.0, with file 3."""
    for built in (HELD, MORE, NEXT):
        assert registry.upload(1, built).code == 201
    return registry


# --- yanking ---


def test_a_yanked_version_is_marked_and_still_there(stocked: MemoryRegistry) -> None:
    """Yanking answers with the package and why; every page, rendered before or not, marks its files, which can still be fetched."""
    assert (yanks(stocked), "data-yanked" in page(stocked, kind=HTML).text) == (dict.fromkeys(yanks(stocked)), False)
    listed = next(one for one in send(stocked, "GET", API).json if one["id"] == 1)
    answer = send(stocked, "PUT", YANK, {"reason": "it loses data"})
    assert (answer.code, answer.json) == (200, {**listed, "yanked": True, "yanked_reason": "it loses data", "closed": None})
    assert answer.json["_links"]["delete_api_path"] == f"{EXTERNAL_URL}{API}/1"
    assert yanks(stocked) == {HELD.filename: "it loses data", MORE.filename: "it loses data", NEXT.filename: None}
    marks = [anchor.get("data-yanked") for anchor in Tags(page(stocked, kind=HTML).text).all("a")]
    assert marks == ["it loses data", "it loses data", None]
    assert send(stocked, "GET", f"{API}/pypi/files/{HELD.sha256}/{HELD.filename}").body == HELD.content
    assert page(stocked).json["versions"] == ["1.0", "2.0"]
    back = send(stocked, "DELETE", YANK)
    assert (back.code, back.body) == (204, b"")
    assert set(yanks(stocked).values()) == {None}
    assert "data-yanked" not in page(stocked, kind=HTML).text


@pytest.mark.parametrize("body", [None, {}, {"reason": None}, {"reason": ""}, {"reason": "   "}])
def test_no_reason_is_true_on_the_page(stocked: MemoryRegistry, body: Mapping[str, object] | None) -> None:
    """A yank without a reason is `true` in JSON and an attribute without a value in HTML, never null (PEP 592)."""
    answer = send(stocked, "PUT", YANK, body)
    assert (answer.code, answer.json["yanked"], answer.json["yanked_reason"]) == (200, True, None)
    assert yanks(stocked)[HELD.filename] is True
    assert [anchor.get("data-yanked") for anchor in Tags(page(stocked, kind=HTML).text).all("a")] == ["", "", None]


def test_a_file_is_yanked_alone(stocked: MemoryRegistry) -> None:
    """One file's mark is its own; the answer is the file as it is listed, and why."""
    listed = send(stocked, "GET", f"{API}/1/package_files").json[1]
    answer = send(stocked, "PUT", f"{API}/1/package_files/2/yank", {"reason": "stray file"})
    assert (answer.code, answer.json) == (200, {**listed, "yanked": True, "yanked_reason": "stray file"})
    assert yanks(stocked) == {HELD.filename: None, MORE.filename: "stray file", NEXT.filename: None}
    back = send(stocked, "DELETE", f"{API}/1/package_files/2/yank")
    assert (back.code, back.body) == (204, b"")
    assert set(yanks(stocked).values()) == {None}


def test_forms_give_reasons_too(stocked: MemoryRegistry) -> None:
    """A form body and a query do what JSON does."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert stocked.ask("PUT", YANK, headers, b"reason=so+there", token=stocked.root_token).json["yanked_reason"] == "so there"
    assert send(stocked, "PUT", f"{YANK}?reason=in%20the%20query").json["yanked_reason"] == "in the query"


def test_a_project_is_named_by_its_path_too(stocked: MemoryRegistry) -> None:
    """Every route takes `group%2Fproject`, and any other slash is no part of a name."""
    top = "/api/v4/projects/ROOT%2Fpackages/packages"
    assert send(stocked, "PUT", f"{top}/1/yank", {"reason": "by path"}).json["yanked_reason"] == "by path"
    assert send(stocked, "PUT", f"{top}/1/package_files/2/yank").json["yanked"] is True
    assert send(stocked, "PUT", f"{top}/1/close").json["closed"] is True
    assert send(stocked, "PUT", f"{top}/pypi/status/demo", {"status": "deprecated"}).code == 200
    assert yanks(stocked) == {HELD.filename: "by path", MORE.filename: True, NEXT.filename: None}
    assert send(stocked, "PUT", "/api/v4/projects/root%2Fother/packages/1/yank").json == {"message": "404 Project Not Found"}


def test_changes_that_change_nothing_are_answered_alike(stocked: MemoryRegistry) -> None:
    """A second PUT or DELETE is answered as the first, and leaves no second entry in the journal."""
    for path, body in ((YANK, {"reason": "x"}), (CLOSE, None), (f"{API}/2/package_files/3/yank", None)):
        first, second = send(stocked, "PUT", path, body), send(stocked, "PUT", path, body)
        assert (first.code, second.code, first.json) == (200, 200, second.json)
        assert [send(stocked, "DELETE", path).code for _ in range(2)] == [204, 204]
    assert set_status(stocked, "archived", "x").json == set_status(stocked, "archived", "x").json
    actions = [change.action for change in history(stocked, "")]
    for action in ("yank", "unyank", "close", "reopen", "status"):
        assert actions.count(f"package.{action}") == 1
    assert (actions.count("file.yank"), actions.count("file.unyank")) == (1, 1)


def test_every_change_is_told_with_who_did_it(stocked: MemoryRegistry, scene: Scene) -> None:
    """The journal has who, with which token and from where, and all that a replay needs (hardening row 36)."""
    token = scene.member("mia", Role.MAINTAINER, project=1)
    send(stocked, "PUT", YANK, {"reason": "why"}, token)
    send(stocked, "PUT", f"{API}/pypi/status/Demo", {"status": "deprecated", "reason": "use other"}, token)
    files = [HELD.filename, MORE.filename]
    for action, detail in (
        ("package.yank", {"version": "1.0", "reason": "why", "files": files}),
        ("package.status", {"status": "deprecated", "reason": "use other"}),
    ):
        (change,) = history(stocked, action)
        assert (change.project_id, change.name, dict(change.detail)) == (1, "demo", detail)
        assert (change.actor.username, change.actor.token_name, change.actor.address) == ("mia", "test", "192.0.2.7")
    assert token not in str(history(stocked, ""))


def test_markup_in_reasons_is_text(stocked: MemoryRegistry) -> None:
    """Reasons full of markup come out of pages as they went in, and make no tag (hardening row 4)."""
    assert send(stocked, "PUT", YANK, {"reason": MARKUP}).json["yanked_reason"] == MARKUP
    assert set_status(stocked, "deprecated", MARKUP).json["reason"] == MARKUP
    assert yanks(stocked)[HELD.filename] == MARKUP
    assert page(stocked).json["project-status"] == {"status": "deprecated", "reason": MARKUP}
    tags = Tags(page(stocked, kind=HTML).text)
    assert [anchor.get("data-yanked") for anchor in tags.all("a")] == [MARKUP, MARKUP, None]
    metas = {meta["name"]: meta["content"] for meta in tags.all("meta")}
    assert (metas["pypi:project-status"], metas["pypi:project-status-reason"]) == ("deprecated", MARKUP)
    assert tags.all("script") == []


@pytest.mark.parametrize(
    ("reason", "problem"),
    [
        ("x" * 513, "at most 512 characters, not in 513"),
        ("a\r\nSet-Cookie: x=1", "one line, without control characters"),
        ("a\n", "one line"),
        ("\x1b[2J", "one line"),
        ("a\u2028b", "one line"),
        ("a\0b", "reason is invalid"),
        ("x" * 2001, "reason is too long"),
        (["a"], "reason is invalid"),
        (True, "reason is invalid"),
    ],
)
def test_what_cannot_be_a_reason_is_refused(stocked: MemoryRegistry, reason: object, problem: str) -> None:
    """A reason of the wrong kind is 400 in words, changes nothing, and puts nothing of its own into a header (hardening row 3)."""
    answers = [
        send(stocked, "PUT", YANK, {"reason": reason}),
        send(stocked, "PUT", f"{API}/1/package_files/1/yank", {"reason": reason}),
        set_status(stocked, "archived", reason),
    ]
    for answer in answers:
        assert (answer.code, problem in answer.text) == (400, True), answer
        assert "set-cookie" not in answer.headers
    assert set(yanks(stocked).values()) == {None}
    assert "project-status" not in page(stocked).json
    longest = "x" * 512
    assert send(stocked, "PUT", YANK, {"reason": longest}).json["yanked_reason"] == longest
    assert set_status(stocked, "archived", longest).json["reason"] == longest


def test_only_what_is_in_the_project_is_changed(stocked: MemoryRegistry, scene: Scene) -> None:
    """Packages of other projects and files of other packages answer like those there never were, and stay so (hardening row 27)."""
    elsewhere = scene.project("root/other")
    there = f"/api/v4/projects/{elsewhere}/packages"
    for method in ("PUT", "DELETE"):
        for rest in ("yank", "close", "package_files/1/yank"):
            foreign, unknown = send(stocked, method, f"{there}/1/{rest}"), send(stocked, method, f"{API}/999/{rest}")
            assert (foreign.code, foreign.json) == (404, {"message": "Package not found"})
            assert (foreign.code, foreign.body) == (unknown.code, unknown.body)
            assert send(stocked, method, f"{API}/x/{rest}").json == {"error": "package_id is invalid"}
            assert send(stocked, method, f"{API}/{'9' * 30}/{rest}").code == 400
        assert send(stocked, method, f"{API}/1/package_files/3/yank").json == {"message": "404 Not Found"}
        assert send(stocked, method, f"{API}/2/package_files/1/yank").json == {"message": "404 Not Found"}
        assert send(stocked, method, f"{API}/1/package_files/x/yank").json == {"error": "package_file_id is invalid"}
    assert set(yanks(stocked).values()) == {None}
    assert [change for action in ("package", "file.yank") for change in history(stocked, action)] == []


def test_two_yanks_at_once_leave_one_reason(held_back: tuple[MemoryRegistry, HeldThreads]) -> None:
    """Of two at once the later stands, on all files alike, and a file that is published between them carries it, too."""
    registry, writer = held_back
    first, late, second = begin_yank(registry, "first"), begin_upload(registry, MORE), begin_yank(registry, "second")
    assert writer.waiting
    writer.let_all()
    assert [wire.answers("PUT")[-1].json["yanked_reason"] for wire in (first, second)] == ["first", "second"]
    assert late.answers("POST")[-1].code == 201
    assert yanks(registry) == {HELD.filename: "second", MORE.filename: "second"}


@pytest.mark.parametrize(
    ("path", "body", "code", "words"),
    [
        (CLOSE, {}, 400, "closed"),
        (f"{API}/pypi/status/demo", {"status": "archived", "reason": "moved"}, 403, "archived and takes no uploads: moved"),
    ],
)
def test_what_closes_meanwhile_keeps_an_upload_out(
    held_back: tuple[MemoryRegistry, HeldThreads], path: str, body: Mapping[str, object], code: int, words: str
) -> None:
    """An upload that was let in before the version was closed, or the name archived, is refused at its end and leaves nothing behind."""
    registry, writer = held_back
    kept = registry.kept_files()
    closing, late = begin(registry, "PUT", path, body), begin_upload(registry, MORE)
    writer.let_all()
    assert closing.answers("PUT")[-1].code == 200
    refused = late.answers("POST")[-1]
    assert (refused.code, words in refused.text) == (code, True), refused
    assert registry.kept_files() == kept
    assert registry.staged_files() == []
    assert set(yanks(registry)) == {HELD.filename}


@pytest.fixture
def held_back(tmp_path: Path) -> Iterator[tuple[MemoryRegistry, HeldThreads]]:
    """A registry that holds one file of demo 1.0, and whose writes wait from now on until they are let."""
    writer = HeldThreads()
    registry = registry_in_memory(tmp_path / "data", writer=writer)
    first = begin_upload(registry, HELD)
    writer.let_all()
    assert first.answers("POST")[-1].code == 201
    yield registry, writer
    registry.close()


def begin(registry: MemoryRegistry, method: str, path: str, body: Mapping[str, object]) -> Wire:
    wire = registry.connect()
    headers = [("PRIVATE-TOKEN", registry.root_token), ("Content-Type", "application/json")]
    wire.send(request(method, path, headers, json.dumps(body).encode()))
    return wire


def begin_yank(registry: MemoryRegistry, reason: str) -> Wire:
    return begin(registry, "PUT", YANK, {"reason": reason})


def begin_upload(registry: MemoryRegistry, built: Built) -> Wire:
    wire = registry.connect()
    headers = [("PRIVATE-TOKEN", registry.root_token), ("Content-Type", FORM_TYPE)]
    wire.send(request("POST", f"{API}/pypi", headers, form(built.fields, ("content", built.filename, built.content))))
    return wire


# --- protection ---


def test_a_rule_about_publishing_is_one_about_yanking(stocked: MemoryRegistry, scene: Scene) -> None:
    """Where publishing takes an Owner, so do yanking, closing and statuses; a rule about deleting alone leaves them to Maintainers."""
    maintainer, owner = scene.member("mia", Role.MAINTAINER, project=1), scene.member("olga", Role.OWNER, project=1)
    rules, rule = f"{API}/protection/rules", {"package_name_pattern": "de*", "package_type": "pypi"}
    assert send(stocked, "POST", rules, {**rule, "minimum_access_level_for_delete": "admin"}).code == 201
    assert send(stocked, "PUT", YANK, token=maintainer).code == 200
    assert send(stocked, "PATCH", f"{rules}/1", {"minimum_access_level_for_push": "owner"}).code == 200
    for method, path, body in (
        ("DELETE", YANK, None),
        ("PUT", f"{API}/1/package_files/1/yank", None),
        ("PUT", CLOSE, None),
        ("PUT", f"{API}/pypi/status/De_Mo", {"status": "archived"}),
    ):
        refused = send(stocked, method, path, body, maintainer)
        assert (refused.code, refused.json) == (403, {"message": "403 Forbidden - Package protected."})
        assert send(stocked, method, path, body, owner).code in {200, 204}
    assert send(stocked, "PUT", f"{API}/pypi/status/other", {"status": "archived"}, maintainer).code == 200


# --- closing ---


def test_a_closed_version_takes_no_more_files(stocked: MemoryRegistry) -> None:
    """A closed version refuses files with the word, keeps those it has, and takes files again once it is reopened."""
    answer = send(stocked, "PUT", CLOSE)
    assert (answer.code, answer.json["closed"], answer.json["yanked"]) == (200, True, False)
    late = wheel("demo", "1.0", tag="py2-none-any")
    refused = stocked.upload(1, late)
    assert (refused.code, "is closed" in refused.text, "closed" in refused.reason) == (400, True, True)
    assert late.sha256 not in stocked.kept_files()
    assert send(stocked, "GET", f"{API}/pypi/files/{HELD.sha256}/{HELD.filename}").code == 200
    assert stocked.upload(1, sdist("demo", "2.0")).code == 201
    assert (send(stocked, "DELETE", CLOSE).code, stocked.upload(1, late).code) == (204, 201)


def test_a_version_closes_by_its_age_unless_it_is_kept_open(tmp_path: Path) -> None:
    """With `close_after`, a version takes files up to that age, none after it, and again once it is reopened."""
    config = evolve(FORGIVING, uploads=evolve(FORGIVING.uploads, close_after=3600.0))
    registry = registry_in_memory(tmp_path / "data", config=config)
    try:
        tags = (f"py3{number}-none-any" for number in range(9))
        assert registry.upload(1, HELD).code == 201
        registry.clock.advance(3600)
        assert registry.upload(1, wheel("demo", "1.0", tag=next(tags))).code == 201
        registry.clock.advance(1)
        refused = registry.upload(1, wheel("demo", "1.0", tag=next(tags)))
        assert (refused.code, "closed" in refused.reason, "closed" in refused.text) == (400, True, True), refused
        assert registry.upload(1, NEXT).code == 201
        assert send(registry, "DELETE", CLOSE).code == 204
        registry.clock.advance(10**8)
        assert registry.upload(1, wheel("demo", "1.0", tag=next(tags))).code == 201
        assert send(registry, "PUT", CLOSE).json["closed"] is True
        assert registry.upload(1, wheel("demo", "1.0", tag=next(tags))).code == 400
    finally:
        registry.close()


# --- statuses ---


def test_a_status_is_set_read_and_taken_back(stocked: MemoryRegistry) -> None:
    """A status is answered and read alike, stands on the page in both forms, and goes with `active`."""
    path = f"{API}/pypi/status/Demo"
    nothing = {"name": "demo", "status": "active", "reason": None, "changed_at": None}
    assert send(stocked, "GET", path).json == nothing
    stocked.clock.advance(1.5)
    made = set_status(stocked, "deprecated", "use other")
    expected = {"name": "demo", "status": "deprecated", "reason": "use other", "changed_at": "2030-06-15T12:00:01.500Z"}
    assert (made.code, made.json) == (200, expected)
    assert send(stocked, "GET", path).json == made.json
    assert page(stocked).json["project-status"] == {"status": "deprecated", "reason": "use other"}
    assert stocked.upload(1, sdist("demo", "2.0")).code == 201
    assert set_status(stocked, "archived").json["reason"] is None
    assert page(stocked).json["project-status"] == {"status": "archived"}
    assert "pypi:project-status-reason" not in page(stocked, kind=HTML).text
    assert set_status(stocked, "active", "again").json == nothing
    assert "project-status" not in page(stocked).json


@pytest.mark.parametrize("spelling", ["demo", "DEMO", "dEmO"])
def test_any_spelling_is_the_name(stocked: MemoryRegistry, spelling: str) -> None:
    """A status is that of the normal form of a name."""
    assert set_status(stocked, "archived", name=spelling).json["name"] == "demo"
    assert page(stocked).json["project-status"] == {"status": "archived"}


@pytest.mark.parametrize("name", ["a%2Fb", "%2E%2E", "a%20b", "-x", "x-", "\N{KELVIN SIGN}elvin", "a%0D%0Ab", "%ff"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_what_is_no_name_has_no_status(registry: MemoryRegistry, method: str, name: str) -> None:
    """A slash, a control character or whatever else no name can hold is refused before anything is looked up (hardening rows 1 to 3)."""
    path = f"{API}/pypi/status/{name}".encode()
    headers = {"Content-Type": "application/json", "PRIVATE-TOKEN": registry.root_token}
    answer = registry.ask(method, path, headers, b'{"status":"archived"}' if method == "PUT" else b"")
    assert answer.code == 400, answer
    assert "\r" not in answer.reason
    assert done(registry.store.releases.statuses(1)) == []


@pytest.mark.parametrize(("length", "code"), [(255, 200), (256, 400), (5000, 400)])
def test_a_name_too_long_to_be_held_has_no_status(registry: MemoryRegistry, length: int, code: int) -> None:
    """As long as a file's name may be, and not one character longer."""
    answer = set_status(registry, "archived", name="x" * length)
    assert (answer.code, "255" in answer.text) == (code, code == 400)
    assert len(done(registry.store.releases.statuses(1))) == (code == 200)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "status is missing"),
        ({"status": None}, "status is missing"),
        ({"status": ""}, "status is empty"),
        ({"status": ["archived"]}, "status is invalid"),
        ({"status": "Archived"}, "use active, archived, deprecated or quarantined"),
        ({"status": "gone\r\nX: y"}, "use active, archived, deprecated or quarantined"),
    ],
)
def test_there_are_four_statuses(stocked: MemoryRegistry, body: Mapping[str, object], problem: str) -> None:
    """Any other word is 400 and hears of the four; nothing changes."""
    answer = send(stocked, "PUT", f"{API}/pypi/status/demo", body)
    assert (answer.code, problem in answer.text) == (400, True), answer
    assert "x" not in answer.headers
    assert "project-status" not in page(stocked).json


@pytest.mark.parametrize("status", ["archived", "quarantined"])
def test_a_name_that_takes_no_uploads_says_why(stocked: MemoryRegistry, status: str) -> None:
    """An upload is 403 with status and reason in words, in the reason phrase too, and leaves nothing; a new name can be kept out alike."""
    kept = stocked.kept_files()
    for name in ("demo", "reserved"):
        set_status(stocked, status, "ask the platform team", name)
        refused = stocked.upload(1, wheel(name, "9.0"))
        words = f"{name!r} is {status} and takes no uploads: ask the platform team"
        assert (refused.code, words in refused.reason, words in refused.json["message"]) == (403, True, True), refused
    assert (stocked.kept_files(), stocked.staged_files()) == (kept, [])
    assert page(stocked, "reserved").code == 404


def test_a_quarantined_name_gives_out_nothing(stocked: MemoryRegistry) -> None:
    """Its page is there, empty and marked; its files are 403 whichever way they are asked for; it is off the index (hardening row 22)."""
    file = f"{API}/pypi/files/{HELD.sha256}/{HELD.filename}"
    index = f"{API}/pypi/simple/"
    etag = send(stocked, "GET", file).headers["etag"]
    assert send(stocked, "GET", f"{file}.metadata").code == 200
    before = page(stocked)
    assert set_status(stocked, "quarantined", "stolen token").code == 200
    found = page(stocked)
    assert (found.code, found.json["files"], found.json["versions"]) == (200, [], [])
    assert found.json["project-status"] == {"status": "quarantined", "reason": "stolen token"}
    assert Tags(page(stocked, kind=HTML).text).all("a") == []
    stale = stocked.ask(
        "GET", f"{API}/pypi/simple/demo/", {"Accept": JSON, "If-None-Match": before.headers["etag"]}, token=stocked.root_token
    )
    assert stale.code == 200
    for kind in (JSON, HTML):
        assert "demo" not in stocked.ask("GET", index, {"Accept": kind}, token=stocked.root_token).text.replace("demo</title>", "")
    words = "'demo' is quarantined: its files cannot be downloaded (stolen token)"
    for method, headers in (
        ("GET", {}),
        ("HEAD", {}),
        ("GET", {"Range": "bytes=0-3"}),
        ("GET", {"If-None-Match": etag}),
        ("GET", {"Authorization": "Basic " + base64.b64encode(f"x:{stocked.root_token}".encode()).decode()}),
    ):
        answer = stocked.ask(method, file, headers, token=stocked.root_token)
        assert (answer.code, words in answer.reason) == (403, True), answer
        assert method == "HEAD" or answer.json == {"message": f"403 Forbidden - {words}"}
        assert answer.headers["cache-control"] == "no-store"
    beside = send(stocked, "GET", f"{file}.metadata")
    assert (beside.code, words in beside.reason) == (403, True), beside
    assert set_status(stocked, "active").code == 200
    assert (page(stocked).body, send(stocked, "GET", file).body) == (before.body, HELD.content)


def test_a_reason_longer_than_a_status_line_is_whole_in_the_body(stocked: MemoryRegistry) -> None:
    """The longest reason is cut in the reason phrase, which stays one line of latin-1, and whole in the body (hardening row 3)."""
    reason = "\N{SNOWMAN}" + "x" * 511
    set_status(stocked, "quarantined", reason)
    answer = send(stocked, "GET", f"{API}/pypi/files/{HELD.sha256}/{HELD.filename}")
    assert (answer.code, reason in answer.json["message"], "?xxx" in answer.reason) == (403, True, True)
    assert len(answer.reason) <= 300


def test_a_quarantine_is_of_one_project(stocked: MemoryRegistry, scene: Scene) -> None:
    """A group shows what its other projects hold of a name, and of the quarantined one nothing, on no route (hardening row 22)."""
    group = scene.group("team", Visibility.PUBLIC)
    one, two = (scene.project(f"team/{name}", Visibility.PUBLIC) for name in ("one", "two"))
    bad, good = wheel("shared", "1.0", payload=b"bad"), wheel("shared", "2.0", payload=b"good")
    assert (stocked.upload(one, bad).code, stocked.upload(two, good).code) == (201, 201)
    top = f"/api/v4/groups/{group}/-"
    assert [file["filename"] for file in page(stocked, "shared", top=top).json["files"]] == [bad.filename, good.filename]
    path = f"/api/v4/projects/{one}/packages/pypi/status/shared"
    assert send(stocked, "PUT", path, {"status": "quarantined", "reason": "bad"}).code == 200
    assert [file["filename"] for file in page(stocked, "shared", top=top).json["files"]] == [good.filename]
    for built, code in ((bad, 403), (good, 200)):
        assert send(stocked, "GET", f"{top}/packages/pypi/files/{built.sha256}/{built.filename}").code == code
