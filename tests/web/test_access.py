"""Who gets what through which door: GitLab's matrices, with the differences that are ours on purpose."""

import base64
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import count

import pytest
from attrs import frozen
from sqlalchemy import update

from registry.domain.access import Visibility
from registry.storage.catalog.database import Writing
from registry.storage.catalog.tables import projects
from registry.testing import FORM_TYPE, NOON, OPERATOR, Answer, Built, MemoryRegistry, done, form, registry_in_memory, request, wheel

HELD = wheel("held", "1.0")
PLACES = ("public", "internal", "private", "off", "unknown")

# What an answer is: status, challenge, body.
BASIC = 'Basic realm="GitLab Packages Registry"'
EXPIRED = "Token is expired. You can either do re-authorization or token refresh."
REVOKED = "Token was revoked. You have to re-authorize from the user."
SCOPE = "The request requires higher privileges than provided by the access token."
READING, WRITING = "api read_api read_package_registry write_package_registry", "api write_package_registry"


def oauth(text: str) -> str:
    return f'Bearer realm="Protected by OAuth 2.0", error="invalid_token", error_description="{text}"'


def needs(scope: str) -> dict[str, str]:
    return {"error": "insufficient_scope", "error_description": SCOPE, "scope": scope}


OUTCOMES: Mapping[str, tuple[int, str | None, object]] = {
    "challenge": (401, BASIC, {"message": "401 Unauthorized"}),
    "expired": (401, oauth(EXPIRED), {"error": "invalid_token", "error_description": EXPIRED}),
    "revoked": (401, oauth(REVOKED), {"error": "invalid_token", "error_description": REVOKED}),
    "no read scope": (403, None, needs(READING)),
    "no write scope": (403, None, needs(WRITING)),
    "forbidden": (403, None, {"message": "403 Forbidden"}),
    "blocked": (403, None, {"message": "403 Forbidden - Your account has been blocked."}),
    "hidden": (404, None, {"message": "404 Project Not Found"}),
}

ALL_CHALLENGE = ("challenge",) * 5
# caller: what reading gives, then what uploading gives, in each of PLACES ("off": a public project whose package registry is off).
TABLE: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "nobody": (("ok", "challenge", "challenge", "challenge", "challenge"), ALL_CHALLENGE),
    "unknown password": (("ok", "challenge", "challenge", "challenge", "challenge"), ALL_CHALLENGE),
    "empty password": (("ok", "challenge", "challenge", "challenge", "challenge"), ALL_CHALLENGE),
    "unknown job token": (ALL_CHALLENGE, ALL_CHALLENGE),
    "unknown private-token": (ALL_CHALLENGE, ALL_CHALLENGE),
    "unknown bearer": (ALL_CHALLENGE, ALL_CHALLENGE),
    "expired private-token": (("expired",) * 5, ("expired",) * 5),
    "expired bearer": (("expired",) * 5, ("expired",) * 5),
    "expired password": (("expired",) * 5, ("expired",) * 5),
    "revoked private-token": (("revoked",) * 5, ("revoked",) * 5),
    "revoked bearer": (("revoked",) * 5, ("revoked",) * 5),
    "revoked password": (("revoked",) * 5, ("revoked",) * 5),
    "owner without scope": (("no read scope",) * 5, ("no write scope",) * 5),
    "stranger": (("ok", "ok", "hidden", "forbidden", "hidden"), ("forbidden", "forbidden", "hidden", "forbidden", "hidden")),
    "owner": (("ok", "ok", "ok", "forbidden", "hidden"), ("ok", "ok", "ok", "forbidden", "hidden")),
    "owner by bearer": (("ok", "ok", "ok", "forbidden", "hidden"), ("ok", "ok", "ok", "forbidden", "hidden")),
    "owner by password": (("ok", "ok", "ok", "forbidden", "hidden"), ("ok", "ok", "ok", "forbidden", "hidden")),
    "owner as job": (("ok", "ok", "ok", "forbidden", "hidden"), ("ok", "ok", "ok", "forbidden", "hidden")),
    "owner with read_api": (("ok", "ok", "ok", "forbidden", "hidden"), ("no write scope",) * 5),
    "owner with read_package_registry": (("ok", "ok", "ok", "forbidden", "hidden"), ("no write scope",) * 5),
    "owner with write_package_registry": (("ok", "ok", "ok", "forbidden", "hidden"), ("ok", "ok", "ok", "forbidden", "hidden")),
    "admin": (("ok", "ok", "ok", "forbidden", "hidden"), ("ok", "ok", "ok", "forbidden", "hidden")),
    "blocked owner": (("blocked",) * 5, ("blocked",) * 5),
    "blocked stranger": (("blocked",) * 5, ("blocked",) * 5),
}
HTML, JSON = {"Accept": "text/html"}, {"Accept": "application/vnd.pypi.simple.v1+json"}
DOORS: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "HTML index": ("GET", "simple/", HTML),
    "JSON index": ("GET", "simple/", JSON),
    "HTML page": ("GET", "simple/held/", HTML),
    "JSON page": ("GET", "simple/held/", JSON),
    "download": ("GET", f"files/{HELD.sha256}/{HELD.filename}", {}),
    "part of a download": ("GET", f"files/{HELD.sha256}/{HELD.filename}", {"Range": "bytes=0-3"}),
    "index head": ("HEAD", "simple/", {}),
    "page head": ("HEAD", "simple/held/", {}),
    "download head": ("HEAD", f"files/{HELD.sha256}/{HELD.filename}", {}),
}
_versions = count(1)


@frozen(kw_only=True)
class World:
    """A registry with every kind of place and every kind of caller."""

    registry: MemoryRegistry
    ids: Mapping[str, int]
    callers: Mapping[str, Mapping[str, str]]

    def ask(self, caller: str, place: str, door: str) -> Answer:
        """What `caller` gets through `door`."""
        method, path, headers = DOORS[door]
        return self.registry.ask(method, f"/api/v4/projects/{self.ids[place]}/packages/pypi/{path}", {**headers, **self.callers[caller]})

    def upload(self, caller: str, place: str) -> Answer:
        """What `caller` gets for a new file."""
        built = a_wheel()
        headers = {"Content-Type": FORM_TYPE, **self.callers[caller]}
        return self.registry.ask("POST", f"/api/v4/projects/{self.ids[place]}/packages/pypi", headers, body_of(built))


def a_wheel() -> Built:
    return wheel("fresh", f"1.{next(_versions)}")


def body_of(built: Built) -> bytes:
    return form(built.fields, ("content", built.filename, built.content))


def basic(username: str, password: str) -> Mapping[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    registry = registry_in_memory(tmp_path_factory.mktemp("access") / "data")
    for username in ("ann", "bob", "eve"):
        registry.user(username)
    ids = {}
    for place, visibility in {"public": "public", "internal": "internal", "private": "private", "off": "public"}.items():
        ids[place] = registry.project(f"ann/{place}", Visibility(visibility)).id
        assert registry.upload(ids[place], HELD).code == 201
    ids["unknown"] = 4711
    done(registry.store.database.write(lambda writing: switch_off(writing, ids["off"])))
    expired = registry.token("ann", expires_at=NOON + timedelta(seconds=60))
    revoked, owner = registry.token("ann"), registry.token("ann")
    tokens = registry.store.tokens
    done(tokens.revoke_token(done(tokens.tokens("ann"))[1].id, OPERATOR))
    blocked = registry.token("eve")
    done(registry.store.users.block_user("eve", OPERATOR, blocked=True))
    registry.clock.advance(61)
    callers: dict[str, Mapping[str, str]] = {
        "nobody": {},
        "unknown password": basic("ann", "glpat-unknown"),
        "empty password": basic("ann", ""),
        "unknown job token": basic("gitlab-ci-token", "glpat-unknown"),
        "unknown private-token": {"PRIVATE-TOKEN": "glpat-unknown"},
        "unknown bearer": {"Authorization": "Bearer glpat-unknown"},
        "owner without scope": {"PRIVATE-TOKEN": registry.token("ann", "read_repository")},
        "stranger": {"PRIVATE-TOKEN": registry.token("bob")},
        "owner": {"PRIVATE-TOKEN": owner},
        "owner by bearer": {"Authorization": f"Bearer {owner}"},
        "owner by password": basic("__token__", owner),
        "owner as job": basic("gitlab-ci-token", owner),
        "admin": {"PRIVATE-TOKEN": registry.root_token},
        "blocked stranger": {"PRIVATE-TOKEN": blocked},
    }
    for kind, secret in (("expired", expired), ("revoked", revoked)):
        callers[f"{kind} private-token"] = {"PRIVATE-TOKEN": secret}
        callers[f"{kind} bearer"] = {"Authorization": f"Bearer {secret}"}
        callers[f"{kind} password"] = basic("any", secret)
    for scope in ("read_api", "read_package_registry", "write_package_registry"):
        callers[f"owner with {scope}"] = {"PRIVATE-TOKEN": registry.token("ann", scope)}
    yield World(registry=registry, ids=ids, callers=callers)
    registry.close()


def switch_off(writing: Writing, project_id: int) -> None:
    writing.connection.execute(update(projects).where(projects.c.id == project_id).values(packages_enabled=False))
    writing.record("project.update", OPERATOR, project_id=project_id)


@pytest.fixture
def blocked_owner(world: World) -> Iterator[Mapping[str, str]]:
    """The owner, blocked for the length of one test."""
    users = world.registry.store.users
    headers = world.callers["owner"]
    done(users.block_user("ann", OPERATOR, blocked=True))
    yield headers
    done(users.block_user("ann", OPERATOR, blocked=False))


def callers_of(world: World, caller: str, request_: pytest.FixtureRequest) -> World:
    if caller != "blocked owner":
        return world
    return World(registry=world.registry, ids=world.ids, callers={**world.callers, caller: request_.getfixturevalue("blocked_owner")})


def check(answer: Answer, outcome: str, *, body: bool = True) -> None:
    code, challenge, value = OUTCOMES[outcome]
    assert (answer.code, answer.headers.get("www-authenticate")) == (code, challenge)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    if body:
        assert answer.json == value


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("caller", TABLE)
def test_reading_follows_the_matrix_through_every_door(world: World, caller: str, door: str, request: pytest.FixtureRequest) -> None:
    """Every door gives one caller the same decision, with GitLab's status, challenge and envelope (hardening rows 22, 26, 31)."""
    asked = callers_of(world, caller, request)
    for place, outcome in zip(PLACES, TABLE[caller][0], strict=True):
        answer = asked.ask(caller, place, door)
        if outcome == "ok":
            assert (place, answer.code) == (place, 206 if door == "part of a download" else 200)
        else:
            check(answer, outcome, body=not door.endswith("head"))


@pytest.mark.parametrize("caller", TABLE)
def test_uploading_follows_the_matrix(world: World, caller: str, request: pytest.FixtureRequest) -> None:
    """An upload is accepted from those who may create packages, and refused in GitLab's words to everybody else (hardening row 26)."""
    asked = callers_of(world, caller, request)
    for place, outcome in zip(PLACES, TABLE[caller][1], strict=True):
        answer = asked.upload(caller, place)
        if outcome == "ok":
            assert (place, answer.code, answer.json) == (place, 201, {"message": "201 Created"})
        else:
            check(answer, outcome)
    assert asked.registry.staged_files() == []


@pytest.mark.parametrize("caller", TABLE)
def test_who_may_not_upload_is_told_before_the_body(world: World, caller: str, request: pytest.FixtureRequest) -> None:
    """A refusal comes as soon as the headers are there: not one byte of the body has been sent, and none is staged."""
    asked = callers_of(world, caller, request)
    for place, outcome in zip(PLACES, TABLE[caller][1], strict=True):
        wire = asked.registry.connect()
        head = {"Content-Type": FORM_TYPE, "Content-Length": str(5 << 20), **asked.callers[caller]}
        wire.send(head_of(f"/api/v4/projects/{asked.ids[place]}/packages/pypi", head))
        if outcome == "ok":
            assert wire.answers() == []
        else:
            (answer,) = wire.answers("POST")
            check(answer, outcome)
            assert answer.headers["connection"] == "close"
        wire.hang_up()
    assert asked.registry.staged_files() == []


def head_of(path: str, headers: Mapping[str, str]) -> bytes:
    return request("POST", path, headers)


def test_a_private_place_and_no_place_look_the_same(world: World) -> None:
    """To one caller a hidden project and one that does not exist differ in nothing but the date (hardening row 31)."""
    for caller in ("nobody", "stranger", "unknown password"):
        for door in DOORS:
            hidden, absent = world.ask(caller, "private", door), world.ask(caller, "unknown", door)
            assert (hidden.code, hidden.reason, hidden.body) == (absent.code, absent.reason, absent.body)
            assert {**hidden.headers, "date": ""} == {**absent.headers, "date": ""}


@pytest.mark.parametrize(
    "path", ["ann%2Fprivate", "ANN%2fPrivate", "ann%2Fnone", "bob%2Fprivate", "0", "99999999999999999999999", "private", "%31"]
)
def test_projects_are_named_by_number_or_whole_path(world: World, path: str) -> None:
    """A project answers to its number and to its full path in any case, and to nothing else."""
    answer = world.registry.ask("GET", f"/api/v4/projects/{path}/packages/pypi/simple/", world.callers["owner"])
    assert answer.code == (200 if path.lower() == "ann%2fprivate" else 404)


def test_the_number_may_be_escaped_too(world: World) -> None:
    """Escaping what needs none changes nothing: `%3x` is the digit it stands for."""
    escaped = "".join(f"%{ord(digit):02x}" for digit in str(world.ids["private"]))
    assert world.registry.ask("GET", f"/api/v4/projects/{escaped}/packages/pypi/simple/", world.callers["owner"]).code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("PRIVATE-TOKEN", "{owner}"), ("PRIVATE-TOKEN", "{owner}")],
        [("PRIVATE-TOKEN", "glpat-x"), ("Private-Token", "{owner}")],
        [("Authorization", "Bearer {owner}"), ("Authorization", "Bearer {owner}")],
        [("Authorization", "Basic Og=="), ("AUTHORIZATION", "Bearer {owner}")],
        [("PRIVATE-TOKEN", "{owner}"), ("Authorization", "Bearer {owner}"), ("Authorization", "Bearer {owner}")],
    ],
)
@pytest.mark.parametrize("place", ["public", "private"])
def test_a_credential_that_comes_twice_is_none(world: World, headers: list[tuple[str, str]], place: str) -> None:
    """Two credential headers of one kind are refused even where anybody may read: a proxy may have added either (hardening row 6)."""
    owner = world.callers["owner"]["PRIVATE-TOKEN"]
    sent = [(name, value.format(owner=owner)) for name, value in headers]
    answer = world.registry.ask("GET", f"/api/v4/projects/{world.ids[place]}/packages/pypi/simple/", sent)
    check(answer, "challenge")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"PRIVATE_TOKEN": "{owner}"}, 401),  # a name that a proxy could fold into the real one
        ({"JOB-TOKEN": "{owner}"}, 401),
        ({"Deploy-Token": "{owner}"}, 401),
        ({"Authorization": "{owner}"}, 401),
        ({"Authorization": "Digest {owner}"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Basic"}, 401),
        ({"Authorization": "Basic !!!"}, 401),
        ({"Authorization": "Basic bm9jb2xvbg=="}, 401),
        ({"PRIVATE-TOKEN": ""}, 401),
        ({"Authorization": "bEaReR {owner}"}, 200),
        ({"Authorization": "  Bearer   {owner}  "}, 200),
        ({"PRIVATE-TOKEN": "{owner}", "Authorization": "Bearer glpat-unknown"}, 200),  # GitLab: PRIVATE-TOKEN first
        ({"PRIVATE-TOKEN": "glpat-unknown", "Authorization": "Bearer {owner}"}, 401),
        ({"PRIVATE-TOKEN": "{owner}\u00ff"}, 401),
        ({"X-Forwarded-User": "ann", "Remote-User": "ann"}, 401),
    ],
)
def test_only_known_carriers_open(world: World, headers: Mapping[str, str], code: int) -> None:
    """Nothing but PRIVATE-TOKEN, Bearer and a Basic password carries a token, in that order (hardening row 6)."""
    owner = world.callers["owner"]["PRIVATE-TOKEN"]
    sent = {name: value.format(owner=owner) for name, value in headers.items()}
    assert world.registry.ask("GET", f"/api/v4/projects/{world.ids['private']}/packages/pypi/simple/", sent).code == code


def test_the_query_carries_no_token(world: World) -> None:
    """A token in the query opens nothing: addresses are written into logs."""
    owner = world.callers["owner"]["PRIVATE-TOKEN"]
    path = f"/api/v4/projects/{world.ids['private']}/packages/pypi/simple/?private_token={owner}&access_token={owner}"
    check(world.registry.ask("GET", path), "challenge")


@pytest.mark.parametrize("username", ["", "__token__", "ann", "bob", "gitlab-ci-token", "any thing", "\u00e9", "a" * 300])
def test_the_user_name_beside_a_token_does_not_matter(world: World, username: str) -> None:
    """A Basic password that is a token is the token's user, whatever name comes with it."""
    owner = world.callers["owner"]["PRIVATE-TOKEN"]
    path = f"/api/v4/projects/{world.ids['private']}/packages/pypi/simple/"
    assert world.registry.ask("GET", path, basic(username, owner)).code == 200


def test_one_callers_page_is_never_anothers(world: World) -> None:
    """A page rendered for one who may see it stays closed to everybody else, and caches are told so (hardening row 32)."""
    for door in ("HTML page", "JSON page", "download"):
        seen = world.ask("owner", "private", door)
        assert seen.code == 200
        assert seen.headers["cache-control"].startswith("private")
        check(world.ask("nobody", "private", door), "challenge")
        check(world.ask("stranger", "private", door), "hidden")
