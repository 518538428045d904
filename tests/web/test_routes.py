"""Every door at once: permissions, health, and what the access log may know."""

import base64
import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogEvent
from twisted.web.server import Site

from registry.assembly import assemble
from registry.config import load_config
from registry.domain import errors
from registry.domain.access import RULES, Permission, Visibility
from registry.domain.errors import RegistryError
from registry.domain.tokens import Scope
from registry.storage.threads import InlineThreads
from registry.testing import FORM_TYPE, HeldThreads, MemoryRegistry, Wire, done, form, registry_in_memory, request, wheel
from registry.web import errors as web_errors
from registry.web.access_log import AccessLog
from registry.web.credentials import Door
from registry.web.routes import Route

BASE = "/api/v4/projects/1/packages/pypi"
DEMO = wheel()
# Whoever adds a route that asks nothing adds it here, and says why.
OPEN = {
    "GET /": "a page for people, which tells nothing about what is held",
    "GET /-/health": "load balancers have no token",
    "GET /-/liveness": "nor have they here",
    "GET /-/readiness": "nor here",
}
# What each permission is about.
_EITHER = {
    Permission.READ_MEMBERS,
    Permission.ADMIN_MEMBERS,
    Permission.LEAVE,
    Permission.READ_ACCESS_TOKENS,
    Permission.ADMIN_ACCESS_TOKENS,
    Permission.ROTATE_SELF,
    Permission.READ_DEPLOY_TOKENS,
    Permission.ADMIN_DEPLOY_TOKENS,
}
ABOUT: Mapping[str, set[Permission]] = {
    "project": _EITHER
    | {
        Permission.READ_PACKAGE,
        Permission.CREATE_PACKAGE,
        Permission.LIST_PACKAGES,
        Permission.DESTROY_PACKAGE,
        Permission.CURATE_PACKAGE,
        Permission.READ_UPSTREAM,
        Permission.ADMIN_UPSTREAM,
        Permission.READ_PROTECTION,
        Permission.ADMIN_PROTECTION,
        Permission.READ_PROJECT,
        Permission.ADMIN_PROJECT,
        Permission.REMOVE_PROJECT,
        Permission.READ_JOB_TOKENS,
        Permission.ADMIN_JOB_TOKENS,
    },
    "group": _EITHER | {Permission.READ_GROUP_PACKAGE, Permission.LIST_GROUP_PACKAGES, Permission.READ_GROUP, Permission.ADMIN_GROUP},
    "nothing": {
        Permission.OPEN,
        Permission.BROWSE,
        Permission.READ_SELF,
        Permission.REVOKE_SELF,
        Permission.ROTATE_SELF,
        Permission.READ_USER,
        Permission.SIGNED_IN,
        Permission.ACT,
        Permission.READ_JOB,
        Permission.ADMINISTER,
        Permission.READ_INSTANCE,
    },
}
# GitLab: who asks the API for a place that he cannot see, as anybody could if it were public, hears that there is none.
UNSEEN = {
    Permission.LIST_PACKAGES,
    Permission.READ_PROJECT,
    Permission.LIST_GROUP_PACKAGES,
    Permission.READ_GROUP,
    Permission.READ_MEMBERS,
}


def assembled(tmp_path: Path) -> tuple[Route, ...]:
    config = load_config(override={("server", "data_dir"): str(tmp_path / "data")}, environ={})
    return tuple(assemble(config, MemoryReactorClock(), listen=False).site._routes.routes)


# --- permissions ----------------------------------------------------------------------------------------------------------------------


def test_every_route_says_what_it_asks(tmp_path: Path) -> None:
    """Exactly the known routes are open, and every other asks what is about the place it names, or about none (hardening row 22)."""
    routes = assembled(tmp_path)
    assert {route.endpoint for route in routes if route.permission is Permission.OPEN} == set(OPEN)
    for route in routes:
        kind = "project" if "<segment:project>" in route.rule else "group" if "<segment:group>" in route.rule else "nothing"
        assert route.permission in ABOUT[kind], route.endpoint
    assert len({route.endpoint for route in routes}) == len(routes)


def test_every_permission_is_about_something(tmp_path: Path) -> None:
    """Every permission there is stands in the table of this test, and some route asks for it."""
    assert set().union(*ABOUT.values()) == set(Permission)
    asked = {route.permission for route in assembled(tmp_path)}
    assert set(Permission) - asked == set()


def test_only_package_routes_read_deploy_tokens(tmp_path: Path) -> None:
    """The routes of the package protocol come through its door, all others, statuses among them, through the API's (hardening row 26)."""
    for route in assembled(tmp_path):
        if route.permission is not Permission.OPEN:
            ours = any(f"/packages/pypi/{what}" in route.rule for what in ("status/", "upstream"))
            protocol = "/packages/pypi" in route.rule and not ours
            assert (route.door is Door.PYPI) == protocol, route.endpoint
        assert route.takes_upload == (route.permission is Permission.CREATE_PACKAGE)


def test_reading_and_writing_never_share_a_permission(tmp_path: Path) -> None:
    """What is read never asks the same as what is changed, and no change is open to a scope that only reads (hardening rows 26 and 28)."""
    reading, writing = set[Permission](), set[Permission]()
    for route in assembled(tmp_path):
        (reading if route.method == "GET" else writing).add(route.permission)
    assert reading & writing == set()
    for permission in writing - {Permission.REVOKE_SELF}:
        scopes = RULES[permission].scopes
        assert scopes is not None
        assert set(scopes) <= {Scope.API, Scope.WRITE_PACKAGE_REGISTRY, Scope.SELF_ROTATE}
    assert RULES[Permission.REVOKE_SELF].scopes is None, "whoever holds a token may end it"


def test_no_route_without_a_permission() -> None:
    """A route cannot be made without saying what it asks."""

    async def handler(call: object) -> bytes:
        return b""

    arguments: dict[str, Any] = {"method": "GET", "rule": "/x", "handler": handler}
    with pytest.raises(TypeError, match="permission"):
        Route(**arguments)
    assert Route(**arguments, permission=Permission.OPEN).permission is Permission.OPEN


def test_nobody_gets_through_any_route(tmp_path: Path, registry: MemoryRegistry) -> None:
    """Without a credential each route answers 401, or 404 where all it would do is read a place; open and browsing ones answer 200."""
    registry.group("team", Visibility.PRIVATE)
    for route in assembled(tmp_path):
        code = {Permission.OPEN: 200, Permission.BROWSE: 200}.get(route.permission, 404 if route.permission in UNSEEN else 401)
        answer = registry.ask(route.method, path_of(route))
        assert (route.endpoint, answer.code) == (route.endpoint, code)
        assert ("www-authenticate" in answer.headers) == (route.door is Door.PYPI and code == 401)
        if route.permission is Permission.BROWSE:
            assert answer.json == []


def test_nobody_changes_anything_in_a_public_place(tmp_path: Path, registry: MemoryRegistry) -> None:
    """That everybody sees a project or group lets nobody in particular change it: every route that is not GET answers 401."""
    registry.group("team", Visibility.PUBLIC)
    number = registry.project("root/open", Visibility.PUBLIC).id
    for route in assembled(tmp_path):
        answer = registry.ask(route.method, path_of(route, project=number))
        assert answer.code < 500, route.endpoint
        if route.method != "GET":
            assert (route.endpoint, answer.code) == (route.endpoint, 401)


def test_a_stranger_gets_into_no_private_place(tmp_path: Path, registry: MemoryRegistry) -> None:
    """A user without a role is told that private projects and groups do not exist, and may not administer, whatever the route."""
    registry.group("team", Visibility.PRIVATE)
    registry.user("bob")
    for route in assembled(tmp_path):
        answer = registry.ask(route.method, path_of(route), token=registry.token("bob"))
        for kind in ("project", "group"):
            if f"<segment:{kind}>" in route.rule:
                hidden = {"message": f"404 {kind.capitalize()} Not Found"}
                assert (route.endpoint, answer.code, answer.json) == (route.endpoint, 404, hidden)
        # Where a place is named, that comes first: of a private one nobody is told.
        if RULES.get(route.permission, RULES[Permission.BROWSE]).admin and "<segment:project>" not in route.rule:
            assert (route.endpoint, answer.code, answer.json) == (route.endpoint, 403, {"message": "403 Forbidden"})
        assert answer.code < 500, route.endpoint


def path_of(route: Route, project: int = 1) -> str:
    """A path of `route`, in this project or in the group called team."""
    places = {"project": str(project), "group": "team"}
    return re.sub(r"<segment:(\w+)>", lambda found: places.get(found[1], "1"), route.rule)


def test_every_error_has_its_answer() -> None:
    """Each error a caller can meet over HTTP stands in the table; those that only an operator meets do not."""
    known = {error for _, error in inspect.getmembers(errors, inspect.isclass) if issubclass(error, RegistryError)} - {RegistryError}
    operators_only: set[type[RegistryError]] = {errors.DataDirInUse, errors.NewerSchema}
    made_of_their_fields: set[type[RegistryError]] = {errors.Refused}
    assert known - set(web_errors._TABLE) == operators_only | made_of_their_fields


# --- health ---------------------------------------------------------------------------------------------------------------------------


def test_a_healthy_registry_says_so(registry: MemoryRegistry) -> None:
    """Health, liveness and readiness answer 200 to anybody, in GitLab's forms, and may not be kept."""
    health, live, ready = (registry.ask("GET", f"/-/{name}") for name in ("health", "liveness", "readiness"))
    assert (health.code, health.text, health.headers["content-type"]) == (200, "Registry OK", "text/plain; charset=utf-8")
    assert (live.code, live.json) == (200, {"status": "ok"})
    assert (ready.code, ready.json) == (
        200,
        {"status": "ok", **{f"{part}_check": [{"status": "ok"}] for part in ("service", "catalog", "blobs")}},
    )
    assert {answer.headers["cache-control"] for answer in (health, live, ready)} == {"no-store"}
    assert registry.staged_files() == []


def lose_catalog(registry: MemoryRegistry) -> None:
    registry.store.data_dir.catalog.rename(registry.store.data_dir.path / "elsewhere")


def replace_catalog(registry: MemoryRegistry) -> None:
    lose_catalog(registry)
    registry.store.data_dir.catalog.write_bytes(b"")


def lose_blobs(registry: MemoryRegistry) -> None:
    registry.store.data_dir.blobs.rename(registry.store.data_dir.path / "elsewhere")


def close_catalog(registry: MemoryRegistry) -> None:
    registry.store.database.close()


@pytest.mark.parametrize(
    ("harm", "part"), [(lose_catalog, "catalog"), (replace_catalog, "catalog"), (close_catalog, "catalog"), (lose_blobs, "blobs")]
)
def test_readiness_tells_what_is_gone_and_liveness_does_not(registry: MemoryRegistry, harm: Any, part: str) -> None:
    """Without its catalog or its blobs a registry is alive, and not ready; the answer names the part (hardening row 57)."""
    harm(registry)
    ready = registry.ask("GET", "/-/readiness")
    assert (ready.code, ready.json["status"]) == (503, "failed")
    assert {name for name in ("catalog", "blobs") if ready.json[f"{name}_check"][0]["status"] == "failed"} == {part}
    assert [registry.ask("GET", f"/-/{name}").code for name in ("health", "liveness")] == [200, 200]
    assert str(registry.store.data_dir.path) not in ready.text


def test_readiness_comes_back(registry: MemoryRegistry) -> None:
    """A registry whose blobs are back is ready again, without a restart (hardening row 57)."""
    elsewhere = registry.store.data_dir.path / "elsewhere"
    lose_blobs(registry)
    assert registry.ask("GET", "/-/readiness").code == 503
    elsewhere.rename(registry.store.data_dir.blobs)
    assert registry.ask("GET", "/-/readiness").code == 200


def test_one_failure_does_not_hide_another(registry: MemoryRegistry) -> None:
    """When both parts are gone, both are named (hardening row 57)."""
    lose_blobs(registry)
    close_catalog(registry)
    ready = registry.ask("GET", "/-/readiness")
    assert [ready.json[f"{part}_check"][0]["status"] for part in ("catalog", "blobs")] == ["failed", "failed"]


# --- the access log -------------------------------------------------------------------------------------------------------------------


def test_the_access_log_knows_no_secret(registry: MemoryRegistry) -> None:
    """However a token is carried, or misplaced into the query, no line of the access log holds it (hardening row 30)."""
    secret = registry.root_token
    basic = base64.b64encode(f"__token__:{secret}".encode()).decode()
    headers = ({"PRIVATE-TOKEN": secret}, {"Authorization": f"Bearer {secret}"}, {"Authorization": f"Basic {basic}"})
    for one in headers:
        for path in (f"{BASE}/simple/?private_token={secret}", f"/none?x={secret}", f"{BASE}/simple/demo?{secret}"):
            registry.ask("GET", path, one)
        registry.ask("POST", BASE, {**one, "Content-Type": FORM_TYPE}, form(DEMO.fields, ("content", DEMO.filename, DEMO.content)))
    log = registry.access_log()
    assert log.count("\n") == 12
    assert secret not in log
    assert basic not in log
    assert "?" not in log


def test_an_access_log_line(registry: MemoryRegistry) -> None:
    """A line tells when, from where, who, what, how it ended, how many bytes, how long and with what."""
    registry.ask("GET", f"{BASE}/simple/", {"User-Agent": "pip/26.0"}, token=registry.root_token)
    registry.ask("GET", f"{BASE}/simple/")
    first, second = registry.access_log().splitlines()
    assert re.fullmatch(
        r'2030-06-15T12:00:00\.000Z 192\.0\.2\.7 root "GET /api/v4/projects/1/packages/pypi/simple/ \S+" 200 \d+ \d+\.\dms "pip/26\.0"',
        first,
    )
    assert ' 192.0.2.7 - "GET ' in second
    assert " 401 " in second


@pytest.mark.parametrize("agent", ['x" 200 0 "', "a\u001bb[31m", "\u00e9\u202e", "\\"])
def test_no_header_forges_a_line(registry: MemoryRegistry, agent: str) -> None:
    """What a client sends stays inside its quotes, in printable text, whatever it holds (hardening row 3)."""
    registry.ask("GET", "/-/health", {"User-Agent": agent})
    (line,) = registry.access_log().splitlines()
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line.partition("ms ")[2]) == agent


def test_a_refused_body_is_logged_too(registry: MemoryRegistry) -> None:
    """A refusal before the body is a line like any other."""
    wire = registry.connect()
    wire.send(request("POST", BASE, {"Content-Type": FORM_TYPE, "Content-Length": "5"}) + b"12345")
    assert [answer.code for answer in wire.answers("POST")] == [401]
    assert f'"POST {BASE} HTTP/1.1" 401 ' in registry.access_log()


def test_a_slow_log_costs_lines_not_memory() -> None:
    """When the log cannot be written, lines gather up to a limit; beyond it they are counted, and the count is told."""
    written: list[str] = []
    threads = HeldThreads()
    log = AccessLog(threads=threads, write=written.append, now=lambda: 0.0)
    one = FakeRequest()
    for _ in range(100_000 + 7):
        log.add(one, 0.001)
    flushing = log.flush()
    with pytest.raises(AssertionError, match="has not happened"):
        done(flushing)
    threads.let_all()
    (text,) = written
    assert text.count("\n") == 100_001
    assert text.endswith("- 7 requests were not logged: the log's disk is too slow\n")


def test_nothing_to_log_writes_nothing() -> None:
    """An idle registry does not touch its log."""
    written: list[str] = []
    done(AccessLog(threads=InlineThreads(), write=written.append, now=lambda: 0.0).flush())
    assert written == []


class FakeRequest:
    """What the log looks at."""

    method, path, clientproto, code, sentLength = b"GET", b"/", b"HTTP/1.1", 200, 0

    class requestHeaders:  # noqa: N801 - twisted.web's name
        """No headers."""

        @staticmethod
        def getRawHeaders(name: bytes) -> None:
            """Headers."""

    @staticmethod
    def getClientAddress() -> None:
        """IRequest: a unix socket has none."""


# --- somebody else's Site -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parse", [True, False])
def test_a_stock_site_can_serve_uploads(tmp_path: Path, log_events: list[LogEvent], *, parse: bool) -> None:
    """Under twisted.web's own Site uploads work, whichever way it takes bodies, and a warning says what to set."""
    registry = registry_in_memory(tmp_path / "data")
    site = Site(registry.routes.resource(), reactor=registry.clock, timeout=None, parsePOSTFormSubmission=parse)
    wire = Wire.to(site)
    body = form(DEMO.fields, ("content", DEMO.filename, DEMO.content))
    headers = {"PRIVATE-TOKEN": registry.root_token, "Content-Type": FORM_TYPE}
    wire.send(request("POST", BASE, headers, body))
    wire.send(request("GET", f"{BASE}/simple/demo/", headers))
    wire.send(request("GET", f"{BASE}/files/{DEMO.sha256}/{DEMO.filename}", headers))
    upload, page, file = wire.answers("POST", "GET", "GET")
    assert (upload.code, upload.json) == (201, {"message": "201 Created"})
    assert DEMO.filename in page.text
    assert file.body == DEMO.content
    warnings = [event["log_format"] for event in log_events if event["log_level"].name == "warn"]
    assert len(warnings) == 1
    assert "parsePOSTFormSubmission=False" in warnings[0]
    assert registry.staged_files() == []


@pytest.mark.parametrize("parse", [True, False])
@pytest.mark.parametrize(
    ("token", "fields", "code"),
    [("glpat-unknown", {}, 401), ("", {"name": "-"}, 400), ("", {"md5_digest": "0" * 32}, 400), ("", {"version": ""}, 400)],
)
def test_a_stock_site_refuses_the_same(tmp_path: Path, token: str, fields: dict[str, str], code: int, *, parse: bool) -> None:
    """Under twisted.web's own Site an upload is refused for the same reasons, and leaves nothing."""
    registry = registry_in_memory(tmp_path / "data")
    wire = Wire.to(Site(registry.routes.resource(), reactor=registry.clock, timeout=None, parsePOSTFormSubmission=parse))
    body = form({**DEMO.fields, **fields}, ("content", DEMO.filename, DEMO.content))
    wire.send(request("POST", BASE, {"PRIVATE-TOKEN": token or registry.root_token, "Content-Type": FORM_TYPE}, body))
    assert [answer.code for answer in wire.answers("POST")] == [code]
    assert (registry.staged_files(), registry.kept_files()) == ([], [])


@pytest.mark.parametrize("parse", [True, False])
def test_a_large_file_goes_out_of_a_stock_site(tmp_path: Path, *, parse: bool) -> None:
    """Files that are streamed come whole out of twisted.web's own Site too."""
    registry = registry_in_memory(tmp_path / "data")
    built = wheel(payload=b"\3" * 500_000)
    assert registry.upload(1, built).code == 201
    wire = Wire.to(Site(registry.routes.resource(), reactor=registry.clock, timeout=None, parsePOSTFormSubmission=parse))
    wire.send(request("GET", f"{BASE}/files/{built.sha256}/{built.filename}", {"PRIVATE-TOKEN": registry.root_token}))
    (answer,) = wire.answers()
    assert (answer.code, answer.complete, answer.body == built.content) == (200, True, True)


@pytest.mark.parametrize("path", [f"{BASE}/simple", "/api/v4/user", "/api/v4/personal_access_tokens/self", "/api/v4/projects/1", "/"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_cookies_sign_nobody_in(tmp_path: Path, path: str, method: str) -> None:
    """No answer sets a cookie and none is read, so a page elsewhere cannot act for somebody who is signed in (hardening row 33)."""
    registry = registry_in_memory(tmp_path / "data")
    token = registry.root_token
    cookie = f"private_token={token}; access_token={token}; _gitlab_session={token}; authorization={token}"
    plain, with_cookie = registry.ask(method, path), registry.ask(method, path, {"Cookie": cookie})
    assert (plain.code, plain.body) == (with_cookie.code, with_cookie.body)
    assert "set-cookie" not in {*plain.headers, *with_cookie.headers}
