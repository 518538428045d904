"""Personal access tokens over REST: GitLab's statuses, bodies and rules."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from attrs import frozen

from registry.testing import NOON, OPERATOR, MemoryRegistry, done
from tests.rest.asking import ask, told

PAT = "/personal_access_tokens"
KEYS = {"id", "name", "revoked", "created_at", "description", "scopes", "user_id", "last_used_at", "active", "expires_at"}
REVOKED = {"error": "invalid_token", "error_description": "Token was revoked. You have to re-authorize from the user."}


@frozen(kw_only=True)
class People:
    """An administrator and two others, each with a token of scope api."""

    registry: MemoryRegistry
    ids: Mapping[str, int]
    tokens: Mapping[str, str]

    def mint(self, username: str, **asked: object) -> dict[str, object]:
        """A new token for somebody, made by the administrator."""
        body = {"name": "made", "scopes": ["api"], **asked}
        made: dict[str, object] = told(self.registry, "POST", f"/users/{self.ids[username]}{PAT}", self.tokens["root"], body, status=201)
        return made


@pytest.fixture
def people(registry: MemoryRegistry) -> People:
    ids = {name: registry.user(name).id for name in ("ann", "bob")}
    tokens = {name: registry.token(name) for name in ids}
    return People(registry=registry, ids={"root": 1, **ids}, tokens={"root": registry.root_token, **tokens})


def test_a_token_made_by_an_administrator_has_gitlabs_keys_and_works(people: People) -> None:
    """POST answers 201 with the documented keys and the secret, which no later answer repeats."""
    made = people.mint("ann", expires_at="2040-01-31", description="for CI", scopes=["read_api", "self_rotate"])
    assert set(made) == KEYS | {"token"}
    secret = str(made.pop("token"))
    assert secret.startswith("glpat-")
    assert made["expires_at"] == "2040-01-31"
    assert made["scopes"] == ["read_api", "self_rotate"]
    assert made["description"] == "for CI"
    assert made["active"] is True
    own = told(people.registry, "GET", f"{PAT}/self", secret)
    assert {**own, "last_used_at": None} == made
    assert set(told(people.registry, "GET", f"{PAT}/{made['id']}", people.tokens["root"])) == KEYS


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        ({}, 400, {"error": "name is missing, scopes is missing"}),
        ({"name": "x"}, 400, {"error": "scopes is missing"}),
        ({"name": "x", "scopes": []}, 400, None),
        ({"name": "x", "scopes": ["nonsense"]}, 400, None),
        ({"name": "", "scopes": ["api"]}, 400, {"error": "name is empty"}),
        ({"name": "x" * 256, "scopes": ["api"]}, 400, {"error": "name is too long (maximum is 255 characters)"}),
        ({"name": "x" * 255, "scopes": ["api"]}, 201, None),
        ({"name": ["x"], "scopes": ["api"]}, 400, {"error": "name is invalid"}),
        ({"name": "x", "scopes": {"api": 1}}, 400, {"error": "scopes is invalid"}),
        ({"name": "x", "scopes": "api"}, 201, None),
        ({"name": "x", "scopes": ["api"], "expires_at": "2000-01-01"}, 400, None),
        ({"name": "x", "scopes": ["api"], "expires_at": "2040-02-30"}, 400, None),
        ({"name": "x", "scopes": ["api"], "expires_at": "2040-01-01T10:00:00"}, 400, None),
        ({"name": "x", "scopes": ["api"], "expires_at": "2040-01-01T10:00:00Z"}, 201, None),
        ({"name": "x", "scopes": ["api"], "unheard_of": 1}, 201, None),
    ],
)
def test_bad_requests_are_told_and_change_nothing(people: People, body: object, status: int, answer: object) -> None:
    """Missing, wrong and overlong values are 400 in GitLab's envelopes and make no token; unknown fields are ignored."""
    before = len(told(people.registry, "GET", PAT, people.tokens["ann"]))
    got = ask(people.registry, "POST", f"/users/{people.ids['ann']}{PAT}", people.tokens["root"], body)
    assert got.code == status, got.text
    if answer is not None:
        assert got.json == answer
    assert len(told(people.registry, "GET", PAT, people.tokens["ann"])) == before + (status == 201)


def test_only_administrators_make_tokens_for_others(people: People) -> None:
    """POST for a user is 403 to anybody but an administrator, even for himself."""
    body = {"name": "x", "scopes": ["api"]}
    for name in ("ann", "bob"):
        assert ask(people.registry, "POST", f"/users/{people.ids['ann']}{PAT}", people.tokens[name], body).code == 403
    assert ask(people.registry, "POST", f"/users/{people.ids['ann']}{PAT}", None, body).code == 401
    unknown = ask(people.registry, "POST", f"/users/4711{PAT}", people.tokens["root"], body)
    assert (unknown.code, unknown.json) == (404, {"message": "404 User Not Found"})


def test_no_token_for_a_blocked_user(people: People) -> None:
    """POST for a blocked user is 400 and says so."""
    done(people.registry.store.users.block_user("ann", OPERATOR, blocked=True))
    got = ask(people.registry, "POST", f"/users/{people.ids['ann']}{PAT}", people.tokens["root"], {"name": "x", "scopes": ["api"]})
    assert (got.code, got.json) == (400, {"message": {"user": ["is blocked"]}})


def test_what_one_may_make_for_oneself(people: People) -> None:
    """POST /user/personal_access_tokens takes only k8s_proxy and self_rotate."""
    path = f"/user{PAT}"
    made = told(people.registry, "POST", path, people.tokens["ann"], {"name": "x", "scopes": ["self_rotate"]}, status=201)
    assert made["user_id"] == people.ids["ann"]
    assert ask(people.registry, "POST", path, people.tokens["ann"], {"name": "x", "scopes": ["self_rotate", "api"]}).code == 400
    assert ask(people.registry, "POST", path, str(made["token"]), {"name": "x", "scopes": ["self_rotate"]}).code == 403


def test_one_sees_ones_own_tokens_and_an_administrator_all(people: People) -> None:
    """Lists hold one's own tokens; asking for another's is 401, except for an administrator."""
    registry, tokens = people.registry, people.tokens
    assert {one["user_id"] for one in told(registry, "GET", PAT, tokens["ann"])} == {people.ids["ann"]}
    assert {one["user_id"] for one in told(registry, "GET", PAT, tokens["root"])} == set(people.ids.values())
    wanted = f"{PAT}?user_id={people.ids['ann']}"
    assert {one["user_id"] for one in told(registry, "GET", wanted, tokens["root"])} == {people.ids["ann"]}
    assert told(registry, "GET", wanted, tokens["ann"])
    assert ask(registry, "GET", wanted, tokens["bob"]).json == {"message": "401 Unauthorized"}


def test_anothers_token_is_like_one_that_does_not_exist(people: People) -> None:
    """GET, DELETE and rotate by number answer for another's token exactly as for none (rows 28 and 31)."""
    number = int(str(people.mint("ann")["id"]))
    for method, suffix in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
        answers = [ask(people.registry, method, f"{PAT}/{which}{suffix}", people.tokens["bob"]) for which in (number, 4711)]
        assert [(one.code, one.body) for one in answers] == [(404, b'{"message":"404 Not Found"}')] * 2
    assert told(people.registry, "GET", f"{PAT}/{number}", people.tokens["ann"])["active"] is True


@pytest.mark.parametrize("number", ["0", "x", "-1", "9223372036854775808", "1" * 400, "%00"])
def test_what_is_no_number_is_no_server_error(people: People, number: str) -> None:
    """A number that is none, or too large, is 400 or 404."""
    assert ask(people.registry, "GET", f"{PAT}/{number}", people.tokens["root"]).code in {400, 404}


def test_filters_and_order(people: People) -> None:
    """state, revoked, search, the six moments and sort choose and order what a list shows."""
    registry = people.registry
    people.mint("ann", name="zeta", expires_at="2040-01-01")
    registry.clock.advance(3600)
    middle = people.mint("ann", name="Beta_100%", expires_at="2039-01-01")
    told(registry, "DELETE", f"{PAT}/{middle['id']}", people.tokens["ann"], status=204)

    def names(query: str) -> list[str]:
        return [one["name"] for one in told(registry, "GET", f"{PAT}?user_id={people.ids['ann']}&{query}", people.tokens["root"])]

    moment = (NOON + timedelta(minutes=30)).isoformat().replace("+00:00", "Z")
    assert names("") == ["test", "zeta", "Beta_100%"]
    assert names("state=active") == ["test", "zeta"]
    assert names("state=inactive") == names("revoked=true") == ["Beta_100%"]
    assert names("revoked=false") == ["test", "zeta"]
    assert names("search=ETA") == ["zeta", "Beta_100%"]
    assert names("search=%25") == ["Beta_100%"]  # row 42
    assert names("search=_1") == ["Beta_100%"]
    assert names(f"created_after={moment}") == ["Beta_100%"]
    assert names(f"created_before={moment}") == ["test", "zeta"]
    assert names("expires_before=2039-06-01") == ["Beta_100%"]
    assert names("expires_after=2039-06-01") == ["zeta"]
    assert names("sort=name_desc") == ["zeta", "test", "Beta_100%"]
    assert names("sort=created_desc") == ["Beta_100%", "zeta", "test"]
    assert names("sort=expires_asc") == ["Beta_100%", "zeta", "test"]
    done(registry.parts.uses.flush())
    assert names("last_used_after=2020-01-01") == ["test"]
    assert names("sort=last_used_asc")[0] == "test"


@pytest.mark.parametrize(
    "query", ["state=odd", "sort=odd", "revoked=odd", "created_after=odd", "user_id=odd", "page=odd", "expires_before=%00"]
)
def test_wrong_filters_are_told(people: People, query: str) -> None:
    """A filter that cannot be read is 400 in Grape's words."""
    got = ask(people.registry, "GET", f"{PAT}?{query}", people.tokens["root"])
    assert got.code == 400
    assert query.partition("=")[0] in got.json["error"]


def test_lists_come_in_pages(people: People) -> None:
    """Pagination headers count what the filters let through."""
    for number in range(3):
        people.mint("ann", name=f"t{number}")
    got = ask(people.registry, "GET", f"{PAT}?per_page=2&page=2", people.tokens["ann"])
    assert [one["name"] for one in got.json] == ["t1", "t2"]
    assert (got.headers["x-total"], got.headers["x-total-pages"], got.headers["x-next-page"]) == ("4", "2", "")


def test_rotating_gives_a_new_token_and_ends_the_old(people: People) -> None:
    """The new token has the old one's name and scopes, ends in a week unless said otherwise, and the old one is over at once."""
    made = people.mint("ann", name="ci", scopes=["read_api", "self_rotate"])
    rotated = told(people.registry, "POST", f"{PAT}/self/rotate", str(made["token"]))
    assert (rotated["name"], rotated["scopes"], rotated["id"] != made["id"]) == ("ci", ["read_api", "self_rotate"], True)
    assert rotated["expires_at"] == (NOON + timedelta(days=7)).date().isoformat()
    assert ask(people.registry, "GET", PAT, str(made["token"])).json == REVOKED
    again = told(people.registry, "POST", f"{PAT}/{rotated['id']}/rotate", people.tokens["ann"], {"expires_at": "2041-01-01"})
    assert again["expires_at"] == "2041-01-01"
    assert told(people.registry, "GET", PAT, str(again["token"]))
    late = ask(people.registry, "POST", f"{PAT}/{again['id']}/rotate", people.tokens["ann"], {"expires_at": "2001-01-01"})
    assert late.code == 400
    assert told(people.registry, "GET", PAT, str(again["token"])), "a refused rotation ends nothing"


def test_rotating_a_revoked_token_ends_its_whole_family(people: People) -> None:
    """An old token that is rotated again, by itself or by number, is 401 and takes every later rotation with it, and no other token."""
    for by_itself in (True, False):
        first = people.mint("ann")
        second = told(people.registry, "POST", f"{PAT}/self/rotate", str(first["token"]))
        third = told(people.registry, "POST", f"{PAT}/self/rotate", str(second["token"]))
        assert told(people.registry, "GET", PAT, str(third["token"]))
        where, who = ("self", str(first["token"])) if by_itself else (second["id"], people.tokens["ann"])
        reused = ask(people.registry, "POST", f"{PAT}/{where}/rotate", who)
        assert (reused.code, reused.json) == (401, REVOKED)
        assert ask(people.registry, "GET", PAT, str(third["token"])).code == 401
        assert told(people.registry, "GET", PAT, people.tokens["ann"])


def test_using_a_revoked_token_for_anything_else_ends_no_family(people: People) -> None:
    """A script that goes on reading with its old token does not end the new one."""
    first = people.mint("ann")
    second = told(people.registry, "POST", f"{PAT}/self/rotate", str(first["token"]))
    assert ask(people.registry, "GET", f"{PAT}/self", str(first["token"])).code == 401
    assert told(people.registry, "GET", f"{PAT}/self", str(second["token"]))


def test_an_expired_token_is_not_rotated(people: People) -> None:
    """Rotating a token that is over by date is 401, by itself and by its owner."""
    made = people.mint("ann", expires_at=(NOON + timedelta(hours=1)).isoformat())
    people.registry.clock.advance(3600)
    for where, who in (("self", str(made["token"])), (made["id"], people.tokens["ann"])):
        got = ask(people.registry, "POST", f"{PAT}/{where}/rotate", who)
        assert (got.code, got.json["error"]) == (401, "invalid_token")


def test_expiry_is_at_midnight_utc_of_its_day(people: People) -> None:
    """A token works until the last second of the day before its date, and no longer."""
    made = people.mint("ann", expires_at=(NOON + timedelta(days=1)).date().isoformat())
    people.registry.clock.advance(12 * 3600 - 1)
    assert ask(people.registry, "GET", PAT, str(made["token"])).code == 200
    people.registry.clock.advance(1)
    assert ask(people.registry, "GET", PAT, str(made["token"])).code == 401


@pytest.mark.parametrize("scope", ["read_user", "self_rotate", "read_repository", "write_package_registry"])
def test_any_scope_may_look_at_and_end_itself_and_only_some_may_rotate(people: People, scope: str) -> None:
    """GET and DELETE of self need no scope; rotate needs api or self_rotate (row 26)."""
    made = people.mint("ann", scopes=[scope])
    secret = str(made["token"])
    assert told(people.registry, "GET", f"{PAT}/self", secret)["id"] == made["id"]
    assert ask(people.registry, "GET", PAT, secret).code == 403
    rotated = ask(people.registry, "POST", f"{PAT}/self/rotate", secret)
    assert rotated.code == (200 if scope == "self_rotate" else 403)
    secret = rotated.json["token"] if rotated.code == 200 else secret
    assert ask(people.registry, "DELETE", f"{PAT}/self", secret).code == 204
    assert ask(people.registry, "GET", f"{PAT}/self", secret).json == REVOKED


def test_last_use_is_kept_once_a_minute(people: People) -> None:
    """Uses are shown at once, written with the next flush, and no request writes."""
    registry, made = people.registry, people.mint("ann")
    registry.clock.advance(5)
    own = told(registry, "GET", f"{PAT}/self", str(made["token"]))
    assert own["last_used_at"] == (NOON + timedelta(seconds=5)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    token_id = int(str(made["id"]))
    kept = done(registry.store.tokens.token(token_id))
    assert kept is not None
    assert kept.last_used_at is None
    done(registry.parts.uses.flush())
    kept = done(registry.store.tokens.token(token_id))
    assert kept is not None
    assert kept.last_used_at == NOON + timedelta(seconds=5)


def test_every_change_is_in_the_journal_without_its_secret(people: People) -> None:
    """Making, rotating and ending tokens each leave a row that names who, and never the secret (row 36)."""
    heard: list[object] = []
    people.registry.store.database.subscribe(heard.extend)
    made = people.mint("ann")
    rotated = told(people.registry, "POST", f"{PAT}/self/rotate", str(made["token"]))
    told(people.registry, "DELETE", f"{PAT}/self", str(rotated["token"]), status=204)
    assert [one.action for one in heard] == ["token.create", "token.create", "token.revoke", "token.revoke"]  # type: ignore[attr-defined]
    assert [one.actor.username for one in heard] == ["root", "ann", "ann", "ann"]  # type: ignore[attr-defined]
    assert not any(secret in repr(heard) for secret in (str(made["token"]), str(rotated["token"])))
