"""Dated views over HTTP: which instants, who is shown what, validators, and files that are gone."""

from datetime import datetime
from urllib.parse import quote

import pytest

from registry.domain.access import Role, Visibility
from registry.testing import OPERATOR, Answer, MemoryRegistry, done, sdist, wheel

BASE = "/api/v4/projects/1/packages/pypi"
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
HTML = {"Accept": "text/html"}
ONE, TWO = wheel("My.Demo", "1.0"), wheel("my-demo", "2.0")


def ask(registry: MemoryRegistry, path: str, *, base: str = BASE, token: str | None = None, **more: str) -> Answer:
    return registry.ask("GET", f"{base}/{path}", {**JSON, **more}, token=registry.root_token if token is None else token)


def versions(answer: Answer) -> list[str]:
    assert answer.code == 200, answer
    found: list[str] = answer.json["versions"]
    return found


def projects(answer: Answer) -> list[str]:
    assert answer.code == 200, answer
    return [one["name"] for one in answer.json["projects"]]


def stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


@pytest.fixture
def held(registry: MemoryRegistry) -> MemoryRegistry:
    """My.Demo 1.0, published at noon of 2030-06-15 (UTC), and 2.0, a day later; it is 13 hours later still."""
    assert registry.upload(1, ONE).code == 201
    registry.clock.advance(24 * 3600)
    assert registry.upload(1, TWO).code == 201
    registry.clock.advance(13 * 3600)
    return registry


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2030-06-14", []),
        ("2030-06-15T11:59:59.999999Z", []),
        ("2030-06-15T12:00:00Z", ["1.0"]),
        ("2030-06-15", ["1.0"]),
        ("2030-06-16T11:59:59.999999Z", ["1.0"]),
        ("2030-06-16T13:59:59.9999999+02:00", ["1.0"]),
        ("2030-06-16T14:00:00+02:00", ["1.0", "2.0"]),
        ("2030-06-16", ["1.0", "2.0"]),
        ("2030-06-17", ["1.0", "2.0"]),
        ("9999-12-31", ["1.0", "2.0"]),
    ],
)
def test_an_instant_is_answered_as_it_was(held: MemoryRegistry, at: str, expected: list[str]) -> None:
    """A day means its end, an instant itself in any zone, raw or percent-encoded; what is to come is answered as now."""
    for spelt in (at, quote(at, safe="")):
        page = ask(held, f"at/{spelt}/simple/MY_demo/")
        assert versions(page) == expected if expected else page.code == 404
    if at < "2030-06-15T12" and at != "2030-06-15":
        # The project was made at noon, too.
        assert ask(held, f"at/{at}/simple/").code == 404
    else:
        assert projects(ask(held, f"at/{at}/simple/")) == ["my-demo"]


@pytest.mark.parametrize(
    "at",
    [
        "yesterday",
        "2026-13-01",
        "2026-02-30",
        "2026-1-1",
        "20261121",
        "2026-11-21T09:30",
        "2026-W47-6",
        "0000-01-01",
        "10000-01-01",
        "\uff12\uff10\uff12\uff16-11-21",
        "2026-11-21T09:30:00 02:00",
        "2" * 10_000,
        "<script>",
    ],
)
def test_what_is_no_date_is_refused(registry: MemoryRegistry, at: str) -> None:
    """A date that is none is 400, with what would be one, in the reason and in the body, for index and page."""
    for rest in ("simple/", "simple", "simple/my-demo/"):
        answer = ask(registry, f"at/{quote(at)}/{rest}")
        assert answer.code == 400
        assert "RFC 3339" in answer.json["message"]
        assert "RFC 3339" in answer.reason
        assert len(answer.body) < 500
        assert answer.headers["cache-control"] == "no-store"


def test_who_may_not_read_is_told_nothing_of_dates(registry: MemoryRegistry) -> None:
    """A stranger gets the same answer for a good date as for a bad one."""
    registry.user("ann")
    stranger = registry.token("ann")
    for at in ("2030-06-15", "yesterday"):
        assert registry.ask("GET", f"{BASE}/at/{at}/simple/").code == 401
        assert ask(registry, f"at/{at}/simple/", token=stranger).code == 404


def test_a_view_is_answered_like_any_page(held: MemoryRegistry) -> None:
    """Negotiation, validators, HEAD and headers are those of the page of today, and so is the body while nothing has changed."""
    for rest in ("simple/", "simple/my-demo/"):
        for accept in (HTML, JSON):
            now = held.ask("GET", f"{BASE}/{rest}", accept, token=held.root_token)
            then = held.ask("GET", f"{BASE}/at/2030-06-17/{rest}", accept, token=held.root_token)
            assert then.body == now.body
            for name in ("content-type", "etag", "vary", "cache-control"):
                assert then.headers[name] == now.headers[name]
            again = held.ask(
                "GET", f"{BASE}/at/2030-06-17/{rest}", {**accept, "If-None-Match": then.headers["etag"]}, token=held.root_token
            )
            assert (again.code, again.body) == (304, b"")
            head = held.ask("HEAD", f"{BASE}/at/2030-06-17/{rest}", accept, token=held.root_token)
            assert (head.code, head.body, head.headers["content-length"]) == (200, b"", str(len(then.body)))
            packed = held.ask("GET", f"{BASE}/at/2030-06-15/{rest}", {**accept, "Accept-Encoding": "gzip"}, token=held.root_token)
            assert packed.code == 200


def test_an_index_without_its_slash_leads_to_pages_of_then(held: MemoryRegistry) -> None:
    """Links of a dated index are relative, so that they stay at its instant, whether it was asked for with a slash or without."""
    for path, link in ((f"{BASE}/at/2030-06-15/simple/", "my-demo/"), (f"{BASE}/at/2030-06-15/simple", "simple/my-demo/")):
        assert f'<a href="{link}">' in held.ask("GET", path, HTML, token=held.root_token).text


@pytest.mark.parametrize("name", ["-", "a%20b", "%2e%2e", "nothing"])
def test_what_was_never_there_is_unknown(held: MemoryRegistry, name: str) -> None:
    """A name that is none, or was never held, is 404, so that clients try their next index."""
    assert ask(held, f"at/2030-06-17/simple/{name}/").code == 404


def test_a_yank_is_not_backdated(held: MemoryRegistry) -> None:
    """A version that was yanked is on the page of before as it was then."""
    before = stamp(held.now())
    held.clock.advance(1)
    done(held.store.releases.set_yanked(1, 1, "broken", OPERATOR, level=60))
    assert ask(held, "simple/my-demo/").json["files"][0]["yanked"] == "broken"
    assert "yanked" not in ask(held, f"at/{before}/simple/my-demo/").json["files"][0]
    assert ask(held, f"at/{stamp(held.now())}/simple/my-demo/").json["files"][0]["yanked"] == "broken"


# --- files that are gone --------------------------------------------------------------------------------------------------------------


def test_a_deleted_file_is_gone(held: MemoryRegistry) -> None:
    """What a dated page links and was deleted since is 410, with the day, for its metadata too; what never was is 404, others stay."""
    before = stamp(held.now())
    held.clock.advance(1)
    assert held.ask("DELETE", "/api/v4/projects/1/packages/1", token=held.root_token).code == 204
    assert ask(held, "simple/my-demo/").json["versions"] == ["2.0"]
    page = ask(held, f"at/{before}/simple/my-demo/").json
    codes = {}
    for file in page["files"]:
        path = file["url"].partition(BASE)[2].partition("#")[0].lstrip("/")
        codes[file["filename"]] = ask(held, path).code
    assert codes == {ONE.filename: 410, TWO.filename: 200}
    assert ask(held, f"files/{ONE.sha256}/{ONE.filename}.metadata").code == 410
    assert ask(held, f"files/{TWO.sha256}/{TWO.filename}.metadata").code in {200, 404}
    gone = ask(held, f"files/{ONE.sha256.upper()}/{ONE.filename}")
    assert (gone.code, gone.headers["cache-control"]) == (410, "no-store")
    assert "was deleted on 2030-06-17; its bytes are gone" in gone.json["message"]
    for path in (f"files/{TWO.sha256}/{ONE.filename}", f"files/{ONE.sha256}/{TWO.filename}", f"files/{'0' * 64}/{ONE.filename}"):
        assert ask(held, path).code == 404


def test_a_deleted_file_is_gone_through_the_group_too(registry: MemoryRegistry) -> None:
    """A group knows what was deleted in its projects, and tells only who may read there."""
    registry.group("team", Visibility.PUBLIC)
    project = registry.project("team/lib").id
    registry.upload(project, ONE)
    package = registry.ask("GET", f"/api/v4/projects/{project}/packages", token=registry.root_token).json[0]["id"]
    assert registry.ask("DELETE", f"/api/v4/projects/{project}/packages/{package}", token=registry.root_token).code == 204
    registry.user("ann")
    for token, code in ((registry.root_token, 410), (registry.token("ann"), 404)):
        answer = ask(registry, f"files/{ONE.sha256}/{ONE.filename}", base="/api/v4/groups/team/-/packages/pypi", token=token)
        assert answer.code == code


def test_a_file_that_is_back_is_there(held: MemoryRegistry) -> None:
    """The same bytes published again are served, and what replaced them does not bring them back."""
    assert held.ask("DELETE", "/api/v4/projects/1/packages/1", token=held.root_token).code == 204
    other = wheel("My.Demo", "1.0", payload=b"other")
    assert held.upload(1, other).code == 201
    assert ask(held, f"files/{ONE.sha256}/{ONE.filename}").code == 410
    assert ask(held, f"files/{other.sha256}/{other.filename}").code == 200
    assert held.ask("DELETE", "/api/v4/projects/1/packages/3", token=held.root_token).code == 204
    assert held.upload(1, ONE).code == 201
    assert ask(held, f"files/{ONE.sha256}/{ONE.filename}").code == 200


# --- groups ---------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def team(registry: MemoryRegistry) -> MemoryRegistry:
    """Group team with projects one (one-lib) and sub/two (two-lib, two hours later), and group else."""
    for path in ("team", "team/sub", "else"):
        registry.group(path)
    registry.upload(registry.project("team/one").id, sdist("one-lib"))
    registry.clock.advance(7200)
    registry.upload(registry.project("team/sub/two").id, sdist("two-lib"))
    registry.clock.advance(7200)
    return registry


TEAM = "/api/v4/groups/team/-/packages/pypi"


def test_a_group_is_what_lay_below_it(team: MemoryRegistry) -> None:
    """The projects that were below the group at the instant are shown, whatever has moved in or out since."""
    assert projects(ask(team, "at/2030-06-15T12:30:00Z/simple/", base=TEAM)) == ["one-lib"]
    assert projects(ask(team, "at/2030-06-15T14:30:00Z/simple/", base=TEAM)) == ["one-lib", "two-lib"]
    api = "/api/v4/projects/team%2Fsub%2Ftwo/transfer"
    assert team.ask("PUT", api, {"Content-Type": "application/json"}, b'{"namespace": "else"}', token=team.root_token).code == 200
    assert projects(ask(team, "simple/", base=TEAM)) == ["one-lib"]
    assert projects(ask(team, "at/2030-06-15T14:30:00Z/simple/", base=TEAM)) == ["one-lib", "two-lib"]
    assert versions(ask(team, "at/2030-06-15T14:30:00Z/simple/two-lib/", base=TEAM)) == ["1.0"]
    other = "/api/v4/groups/else/-/packages/pypi"
    assert projects(ask(team, "simple/", base=other)) == ["two-lib"]
    assert projects(ask(team, "at/2030-06-15T14:30:00Z/simple/", base=other)) == []
    assert ask(team, "at/2030-06-15T11:59:59Z/simple/", base=TEAM).code == 404


def test_rights_are_those_of_now(team: MemoryRegistry) -> None:
    """A reader is shown the past of what he may read today, and of nothing else, wherever it is now; what he has lost is left out."""
    for name in ("ann", "bob"):
        team.user(name)
    team.member("team", "ann", Role.DEVELOPER)
    team.member("team", "bob", Role.DEVELOPER)
    ann, bob = team.token("ann"), team.token("bob")
    at = "at/2030-06-15T14:30:00Z"
    assert projects(ask(team, f"{at}/simple/", base=TEAM, token=ann)) == ["one-lib", "two-lib"]
    api = "/api/v4/projects/team%2Fsub%2Ftwo/transfer"
    assert team.ask("PUT", api, {"Content-Type": "application/json"}, b'{"namespace": "else"}', token=team.root_token).code == 200
    team.member("else/two", "bob", Role.GUEST)
    assert projects(ask(team, f"{at}/simple/", base=TEAM, token=ann)) == ["one-lib"]
    assert ask(team, f"{at}/simple/two-lib/", base=TEAM, token=ann).code == 404
    assert projects(ask(team, f"{at}/simple/", base=TEAM, token=bob)) == ["one-lib", "two-lib"]
    assert versions(ask(team, f"{at}/simple/two-lib/", base=TEAM, token=bob)) == ["1.0"]


def test_a_removed_project_is_left_out(team: MemoryRegistry) -> None:
    """Nobody's rights to a project that is gone can be decided, so it is in no view, not even an administrator's."""
    assert team.ask("DELETE", "/api/v4/projects/team%2Fone", token=team.root_token).code == 202
    assert projects(ask(team, "at/2030-06-15T14:30:00Z/simple/", base=TEAM)) == ["two-lib"]
    assert ask(team, "at/2030-06-15T14:30:00Z/simple/one-lib/", base=TEAM).code == 404
