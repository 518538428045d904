"""Forwarding switches of groups and projects over REST."""

import pytest
from attrs import evolve

from registry.config import Upstream
from registry.testing import OPERATOR, Answer, MemoryRegistry, done, registry_in_memory
from registry.testing.registry import FORGIVING
from tests.rest.api import FORBIDDEN, NO_GROUP, NO_PROJECT, Api, Cast, told

FORWARDING = "pypi_package_requests_forwarding"
LOCK, LOCKED, EFFECTIVE = f"lock_{FORWARDING}", f"{FORWARDING}_locked", f"{FORWARDING}_effective"
KEYS = {FORWARDING, LOCK, LOCKED, EFFECTIVE}
TOP, SUB, LIB = "/groups/top", "/groups/top%2Fsub", "/projects/top%2Fsub%2Flib"


@pytest.fixture
def cast(registry: MemoryRegistry) -> Cast:
    """Callers of a registry with a group, a subgroup and a project in one another."""
    for path in ("top", "top/sub"):
        registry.group(path)
    registry.project("top/sub/lib")
    return Cast(registry)


def shown(answer: Answer) -> dict[str, object]:
    """What an answer tells of the switch."""
    assert answer.code == 200, answer
    return {key: value for key, value in answer.json.items() if key in KEYS}


def group(*, own: bool | None = None, lock: bool = False, locked: bool = False, effective: bool = True) -> dict[str, object]:
    return {FORWARDING: own, LOCK: lock, LOCKED: locked, EFFECTIVE: effective}


def project(*, own: bool | None = None, locked: bool = False, effective: bool = True) -> dict[str, object]:
    return {FORWARDING: own, LOCKED: locked, EFFECTIVE: effective}


def test_nothing_is_said_at_first(cast: Cast) -> None:
    """Groups and projects inherit, from an instance that has forwarding on (GitLab)."""
    for path, expected in ((TOP, group()), (SUB, group()), (LIB, project()), ("/projects/1", project())):
        assert shown(cast.root.get(path)) == expected


def test_a_switch_holds_for_what_lies_below(cast: Cast) -> None:
    """True, false and null are set and shown, with what counts in the place, at once and whatever is set further in."""
    assert shown(cast.root.put(TOP, **{FORWARDING: False})) == group(own=False, effective=False)
    assert shown(cast.root.get(SUB)) == group(effective=False)
    assert shown(cast.root.put(LIB, **{FORWARDING: True})) == project(own=True)
    assert shown(cast.root.get(LIB)) == project(own=True)
    assert shown(cast.root.put(LIB, **{FORWARDING: None})) == project(effective=False)
    assert shown(cast.root.put(TOP, **{FORWARDING: None})) == group()
    assert shown(cast.root.get(LIB)) == project()


def test_the_instances_switch_is_inherited_and_locked(cast: Cast) -> None:
    """What the instance says holds where nobody says otherwise, and with its lock everywhere."""
    cast.root.put(TOP, **{FORWARDING: True})
    cast.root.put("/application/settings", **{FORWARDING: False})
    assert [shown(cast.root.get(path))[EFFECTIVE] for path in (LIB, "/projects/1")] == [True, False]
    cast.root.put("/application/settings", **{LOCK: True})
    assert shown(cast.root.get(LIB)) == project(locked=True, effective=False)
    words = "cannot be changed because it is locked by the instance; whoever administers that can unlock it"
    assert told(cast.root.put(LIB, **{FORWARDING: True})) == (400, {"message": {FORWARDING: [words]}})
    cast.root.put("/application/settings", **{LOCK: False, FORWARDING: True})
    assert shown(cast.root.get("/projects/1")) == project()


def test_the_configuration_is_the_instances_first_word(registry: MemoryRegistry, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`[upstream] enabled = no` holds until an administrator says otherwise, and again when he takes that back."""
    config = evolve(FORGIVING, upstream=Upstream(enabled=False))
    made = registry_in_memory(tmp_path_factory.mktemp("off") / "data", config=config)
    root = Api(made, made.root_token)
    assert root.get("/application/settings").json[FORWARDING] is False
    assert shown(root.get("/projects/1")) == project(effective=False)
    root.put("/application/settings", **{FORWARDING: True})
    assert root.get("/application/settings").json[FORWARDING] is True
    assert shown(root.get("/projects/1")) == project()
    # As the command line's "inherit" does.
    done(made.store.settings.change_settings({FORWARDING: None}, OPERATOR))
    assert root.get("/application/settings").json[FORWARDING] is False
    assert shown(root.get("/projects/1")) == project(effective=False)
    made.close()


def test_a_locked_group_decides(cast: Cast) -> None:
    """Below a locked group nothing is changed, 400 names the group, and the rest of the same request is not done either."""
    cast.root.put(TOP, **{FORWARDING: False, LOCK: True})
    assert shown(cast.root.get(TOP)) == group(own=False, lock=True, effective=False)
    assert shown(cast.root.get(SUB)) == group(locked=True, effective=False)
    words = "cannot be changed because it is locked by the group top; whoever administers that can unlock it"
    for path in (SUB, LIB):
        answer = cast.root.put(path, description="new", **{FORWARDING: True})
        assert told(answer) == (400, {"message": {FORWARDING: [words]}})
        assert cast.root.get(path).json["description"] == ""
    assert told(cast.root.put(SUB, **{LOCK: True})) == (400, {"message": {LOCK: [words]}})
    assert shown(cast.root.put(TOP, **{LOCK: False})) == group(own=False, effective=False)
    assert shown(cast.root.put(LIB, **{FORWARDING: True})) == project(own=True)


def test_a_client_may_send_back_what_it_was_shown(cast: Cast) -> None:
    """All that a place shows of itself can be sent back under a lock, with another description, say."""
    cast.root.put(SUB, **{FORWARDING: True, LOCK: True})
    cast.root.put(TOP, **{LOCK: True})
    seen = shown(cast.root.get(SUB))
    answer = cast.root.put(SUB, description="new", **seen)
    assert (answer.json["description"], shown(answer)) == ("new", seen)


@pytest.mark.parametrize(
    ("path", "fields", "problem"),
    [
        (TOP, {FORWARDING: "perhaps"}, f"{FORWARDING} is invalid"),
        (TOP, {FORWARDING: []}, f"{FORWARDING} is invalid"),
        (TOP, {LOCK: 2}, f"{LOCK} is invalid"),
        (LIB, {FORWARDING: {}}, f"{FORWARDING} is invalid"),
    ],
)
def test_what_is_no_position_is_refused(cast: Cast, path: str, fields: dict[str, object], problem: str) -> None:
    """A value that is neither true nor false is 400 in Grape's words, and nothing changes."""
    before = cast.root.get(path).json
    assert told(cast.root.put(path, name="x", **fields)) == (400, {"error": problem})
    assert cast.root.get(path).json == before


def test_a_lock_is_a_groups(cast: Cast) -> None:
    """A project has no lock: it is not shown, and one that is sent is passed over like any name that means nothing here."""
    assert shown(cast.root.put(LIB, **{LOCK: True, FORWARDING: False})) == project(own=False, effective=False)
    assert shown(cast.root.put(TOP, **{LOCK: None})) == group()


def test_only_who_may_turn_a_switch_sees_it(cast: Cast) -> None:
    """Owners of a group and Maintainers of a project see and turn the switch; others see the place as ever (hardening row 26)."""
    ann, number = cast.new("ann")
    for role, of_group, of_project in ((30, set(), set()), (40, set(), KEYS - {LOCK}), (50, KEYS, KEYS - {LOCK})):
        cast.root.delete(f"{TOP}/members/{number}")
        cast.root.made(f"{TOP}/members", user_id=number, access_level=role)
        assert set(shown(ann.get(TOP))) == of_group
        assert set(shown(ann.get(LIB))) == of_project
        for path, may in ((TOP, of_group), (LIB, of_project)):
            answer = ann.put(path, **{FORWARDING: False})
            assert answer.code == (200 if may else 403), answer
    bob, _ = cast.new("bob")
    assert told(bob.put(TOP, **{FORWARDING: False})) == (404, NO_GROUP)
    assert told(bob.put(LIB, **{FORWARDING: False})) == (404, NO_PROJECT)
    assert cast.anybody.put(TOP, **{FORWARDING: False}).code == 401


def test_lists_do_not_tell(cast: Cast) -> None:
    """Lists of groups and projects have GitLab's keys only."""
    for path in ("/groups", "/projects", f"{TOP}/subgroups", f"{SUB}/projects"):
        rows = cast.root.get(path).json
        assert rows != []
        assert all(KEYS.isdisjoint(row) for row in rows)


def test_a_reading_token_sees_and_does_not_turn(cast: Cast) -> None:
    """With `read_api` an administrator sees the switch and cannot turn it (hardening row 26)."""
    reader = Api(cast.registry, cast.registry.token("root", "read_api"))
    assert shown(reader.get(TOP)) == group()
    assert reader.put(TOP, **{FORWARDING: False}).code == 403
    assert shown(cast.root.get(TOP)) == group()


# --- names of ours that are shared ----------------------------------------------------------------------------------------------------

NAMES = f"{LIB}/packages/pypi/upstream"


def test_administrators_share_names(cast: Cast) -> None:
    """A name in any spelling is shared in the project, listed normalised and sorted, and taken back; twice is once."""
    assert told(cast.root.get(NAMES)) == (200, [])
    for name in ("Zeta", "My.Demo", "my-demo"):
        answer = cast.root.put(f"{NAMES}/{name}")
        assert (answer.code, answer.body) == (204, b"")
    assert cast.root.all(NAMES, "name") == ["my-demo", "zeta"]
    assert told(cast.root.get("/projects/1/packages/pypi/upstream")) == (200, [])
    for _ in range(2):
        assert cast.root.delete(f"{NAMES}/MY_demo").code == 204
    assert cast.root.all(NAMES, "name") == ["zeta"]


def test_the_list_comes_in_pages(cast: Cast) -> None:
    """GitLab's paging holds here too."""
    for name in ("c", "a", "b"):
        cast.root.put(f"{NAMES}/{name}")
    answer = cast.root.get(NAMES, per_page=2, page=2)
    assert (answer.json, answer.headers["x-total"], answer.headers["x-total-pages"]) == ([{"name": "c"}], "3", "2")


@pytest.mark.parametrize(
    ("name", "message"),
    [("-", "400 Bad request - Validation failed: Name is invalid"), ("x" * 300, "400 Bad request - Name ")],
)
def test_what_is_no_name_is_not_shared(cast: Cast, name: str, message: str) -> None:
    """A text that is no name, or one that no file could have, is 400 with a sentence."""
    answer = cast.root.put(f"{NAMES}/{name}")
    assert (answer.code, answer.json["message"].startswith(message)) == (400, True)
    assert told(cast.root.get(NAMES)) == (200, [])


def test_sharing_is_not_for_owners(cast: Cast) -> None:
    """Maintainers and Owners read the list, administrators alone change it, and others get neither (hardening row 24)."""
    ann, number = cast.new("ann")
    for role, reads in ((30, 403), (40, 200), (50, 200)):
        cast.root.delete(f"{TOP}/members/{number}")
        cast.root.made(f"{TOP}/members", user_id=number, access_level=role)
        assert ann.get(NAMES).code == reads
        for refused in (ann.put(f"{NAMES}/demo"), ann.delete(f"{NAMES}/demo")):
            assert told(refused) == (403, FORBIDDEN)
    bob, _ = cast.new("bob")
    assert told(bob.put(f"{NAMES}/demo")) == (404, NO_PROJECT)
    assert cast.anybody.put(f"{NAMES}/demo").code == 401
    assert told(cast.root.get(NAMES)) == (200, [])
    eve, _ = cast.new("eve", admin=True)
    assert eve.put(f"{NAMES}/demo").code == 204
