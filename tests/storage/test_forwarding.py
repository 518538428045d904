"""The switches in the catalog: one read, one place each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define, field

from registry.domain.access import ANYBODY, Place, Project
from registry.domain.errors import InvalidSetting, Refused, UnknownGroup, UnknownProject
from registry.domain.forwarding import Forwarding, Says, Switch, Turn
from registry.domain.model import Change
from registry.domain.settings import FORWARDING, LOCK_FORWARDING
from registry.domain.tokens import Secret
from registry.interfaces import IForwarding
from registry.storage.catalog.forwarding import SqlForwarding
from registry.testing import OPERATOR, MemoryRegistry, done, registry_in_memory

ON, OFF, INHERIT = Switch.ON, Switch.OFF, Switch.INHERIT
TOP, SUB, LIB, OWN, BESIDE = "top", "top/sub", "top/sub/lib", "root/packages", "beside"


@define
class Switches:
    """Switches of places by their paths; "" is the instance."""

    registry: MemoryRegistry
    forwarding: IForwarding
    told: list[Change] = field(factory=list)

    def place(self, path: str) -> Place:
        """The place as it is now."""
        return self.registry.place(path)

    def turn(self, path: str, switch: Switch | None = None, *, locked: bool | None = None) -> None:
        """Turn a switch, or a lock."""
        if not path:
            changes: dict[str, object] = {} if switch is None else {FORWARDING: switch.enabled}
            changes |= {} if locked is None else {LOCK_FORWARDING: locked}
            done(self.registry.store.settings.change_settings(changes, OPERATOR))
            return
        place = self.place(path)
        turn = Turn(switch=switch, locked=locked)
        told = done(self.forwarding.switch("project" if isinstance(place, Project) else "group", place.id, turn, OPERATOR))
        assert told == self.shown(path)

    def shown(self, path: str) -> Forwarding:
        """How it is in a place."""
        return done(self.forwarding.forwarding(self.place(path) if path else None))

    def enabled(self, *paths: str) -> list[bool]:
        """Where upstreams may be asked."""
        found = [done(self.forwarding.enabled(self.place(path))) for path in paths]
        assert found == [self.shown(path).enabled for path in paths]
        return found


@pytest.fixture
def switches(tmp_path: Path) -> Iterator[Switches]:
    """The places, nobody having said anything about them."""
    registry = registry_in_memory(tmp_path / "data")
    for path in (TOP, SUB, BESIDE):
        registry.group(path)
    registry.project(LIB)
    made = Switches(registry, registry.store.forwarding)
    registry.store.database.subscribe(made.told.extend)
    yield made
    registry.close()


def test_until_somebody_speaks_the_configuration_counts(switches: Switches) -> None:
    """Where nothing was said the default is so, also for the instance, and what the instance says replaces it until it says nothing."""
    database = switches.registry.store.database
    for default in (True, False):
        silent = Switches(switches.registry, SqlForwarding(database, default))
        assert silent.enabled(TOP, SUB, LIB, OWN) == [default] * 4
        assert silent.shown("") == Forwarding(says=Says(holder="the instance"), enabled=default)
        silent.turn("", Switch.of(not default))
        assert silent.enabled(TOP, SUB, LIB, OWN) == [not default] * 4
        assert silent.shown("").says.switch is Switch.of(not default)
        silent.turn("", INHERIT)
        assert silent.enabled(TOP, LIB) == [default] * 2


def test_the_innermost_counts(switches: Switches) -> None:
    """What a place says holds there and below, up to the next that says something, and nowhere beside or above."""
    switches.turn(TOP, OFF)
    assert switches.enabled(TOP, SUB, LIB, BESIDE, OWN) == [False, False, False, True, True]
    switches.turn(LIB, ON)
    assert switches.enabled(TOP, SUB, LIB) == [False, False, True]
    switches.turn(SUB, ON)
    switches.turn(LIB, OFF)
    assert switches.enabled(TOP, SUB, LIB) == [False, True, False]
    switches.turn(LIB, INHERIT)
    assert switches.enabled(LIB) == [True]
    switches.turn(SUB, INHERIT)
    assert switches.enabled(SUB, LIB) == [False, False]


def test_a_project_in_nobodys_group_has_its_own_switch(switches: Switches) -> None:
    """In a user's own namespace there is the instance above, and nothing between."""
    switches.turn("", OFF)
    switches.turn(OWN, ON)
    assert switches.enabled(OWN, LIB) == [True, False]
    switches.turn("", locked=True)
    assert switches.enabled(OWN) == [False]
    assert switches.shown(OWN).locked_by == "the instance"


def test_a_lock_decides_for_all_below(switches: Switches) -> None:
    """Below a lock what was said before counts for nothing, and counts again when the lock is off; the places tell who has locked them."""
    switches.turn(LIB, ON)
    switches.turn(TOP, OFF, locked=True)
    assert switches.enabled(TOP, SUB, LIB, BESIDE) == [False, False, False, True]
    assert [switches.shown(path).locked_by for path in (TOP, SUB, LIB, BESIDE)] == ["", "the group top", "the group top", ""]
    says = Says(holder="the project top/sub/lib", switch=ON)
    assert switches.shown(LIB) == Forwarding(says=says, enabled=False, locked_by="the group top")
    switches.turn(TOP, locked=False)
    assert switches.enabled(TOP, SUB, LIB) == [False, False, True]


def test_a_lock_holds_what_is_only_inherited(switches: Switches) -> None:
    """A group that says nothing itself locks what it inherits, and that follows the instance."""
    switches.turn(LIB, ON)
    switches.turn(TOP, locked=True)
    assert switches.enabled(TOP, LIB) == [True, True]
    switches.turn("", OFF)
    assert switches.enabled(TOP, LIB) == [False, False]


def test_nothing_is_changed_below_a_lock(switches: Switches) -> None:
    """Switches and locks below a lock cannot be turned, whoever asks; the refusal names the holder, and nothing is told."""
    switches.turn(SUB, OFF, locked=True)
    switches.turn("", locked=True)
    switches.told.clear()
    for path, turn in ((LIB, Turn(switch=ON)), (SUB, Turn(switch=ON)), (SUB, Turn(locked=False)), (BESIDE, Turn(locked=True))):
        before, place = switches.shown(path), switches.place(path)
        with pytest.raises(Refused, match="cannot be changed because it is locked by the instance"):
            done(switches.forwarding.switch("project" if isinstance(place, Project) else "group", place.id, turn, OPERATOR))
        assert switches.shown(path) == before
    switches.turn(SUB, OFF, locked=True)
    assert switches.told == []


def test_each_change_is_told_once(switches: Switches) -> None:
    """A change is one journal row, of the project or with the group's number; what changes nothing leaves none."""
    for _ in range(2):
        switches.turn(LIB, OFF)
    for _ in range(2):
        switches.turn(TOP, ON, locked=True)
    switches.turn(TOP, locked=None)
    switches.turn(TOP, INHERIT, locked=False)
    group = {"path": TOP, "group_id": switches.place(TOP).id}
    lib = switches.place(LIB).id
    assert [(change.action, change.project_id, change.actor, dict(change.detail)) for change in switches.told] == [
        ("forwarding.update", lib, OPERATOR, {"path": LIB, "enabled": False, "locked": False}),
        ("forwarding.update", None, OPERATOR, {**group, "enabled": True, "locked": True}),
        ("forwarding.update", None, OPERATOR, {**group, "enabled": None, "locked": False}),
    ]


def test_what_is_not_there_has_no_switch(switches: Switches) -> None:
    """A group or project that does not exist is refused as such, and a project has no lock."""
    for kind, number, error in (("group", 99, UnknownGroup), ("project", 99, UnknownProject)):
        with pytest.raises(error):
            done(switches.forwarding.switch(kind, number, Turn(switch=ON), OPERATOR))
    with pytest.raises(InvalidSetting, match="nothing lies below the project top/sub/lib"):
        switches.turn(LIB, locked=True)
    assert switches.told == []


def test_groups_and_projects_of_one_number_are_two_places(switches: Switches) -> None:
    """A project's switch is not that of the group that happens to have its number, nor the other way round."""
    group = switches.place(BESIDE)
    paths = [switches.registry.project(f"top/{number}-th").path for number in range(group.id)]
    same = next(path for path in paths if switches.place(path).id == group.id)
    switches.turn(same, OFF)
    assert switches.enabled(BESIDE, same) == [True, False]
    switches.turn(same, INHERIT)
    switches.turn(BESIDE, OFF)
    assert switches.enabled(BESIDE, same) == [False, True]


def test_a_place_that_moves_is_below_others(switches: Switches) -> None:
    """A project that is moved to another group keeps what it says and hears what is said above it there."""
    switches.turn(BESIDE, OFF)
    number = switches.place(LIB).id
    root = done(switches.registry.store.access.credential(_digest(switches.registry.root_token)))
    assert root is not None
    done(switches.registry.store.projects.transfer(number, BESIDE, OPERATOR, root.identity))
    assert switches.enabled("beside/lib") == [False]
    switches.turn("beside/lib", ON)
    done(switches.registry.store.projects.transfer(number, SUB, OPERATOR, root.identity))
    switches.turn(TOP, OFF)
    assert switches.enabled(LIB, SUB) == [True, False]


def test_what_is_removed_leaves_no_word_behind(switches: Switches) -> None:
    """A project or group that is removed takes its switch along; a new one at its path begins with nothing said."""
    switches.turn(LIB, OFF)
    switches.turn(SUB, OFF, locked=True)
    store = switches.registry.store
    done(store.groups.remove_group(switches.place(SUB).id, OPERATOR))
    switches.registry.group(SUB)
    switches.registry.project(LIB)
    assert switches.enabled(SUB, LIB) == [True, True]
    assert done(store.access.enter("project", LIB, ANYBODY))[0] is not None


def _digest(secret: str) -> str:
    return Secret(secret).digest()
