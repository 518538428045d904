"""Which switch counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.errors import InvalidSetting, Refused
from registry.domain.forwarding import Says, Switch, Turn, decide, locked_by, turned

ON, OFF, INHERIT = Switch.ON, Switch.OFF, Switch.INHERIT

says = st.builds(Says, holder=st.text(min_size=1, max_size=8), switch=st.sampled_from(Switch), locked=st.booleans())
chains = st.lists(says, max_size=6)
turns = st.builds(Turn, switch=st.none() | st.sampled_from(Switch), locked=st.none() | st.booleans())


def place(switch: Switch, *, locked: bool = False, holder: str = "the group team") -> Says:
    return Says(holder=holder, switch=switch, locked=locked)


@pytest.mark.parametrize(
    ("chain", "default", "enabled"),
    [
        ([], True, True),
        ([], False, False),
        ([place(INHERIT)], False, False),
        ([place(OFF)], True, False),
        ([place(OFF), place(ON)], True, True),
        ([place(OFF), place(ON), place(INHERIT)], True, True),
        ([place(OFF, locked=True), place(ON)], True, False),
        ([place(ON, locked=True), place(OFF, locked=True)], False, True),
        ([place(ON), place(OFF, locked=True), place(ON)], True, False),
        ([place(OFF), place(INHERIT, locked=True), place(ON)], True, False),
        ([place(INHERIT, locked=True), place(ON)], False, False),
    ],
)
def test_the_innermost_word_below_no_lock_counts(chain: list[Says], default: bool, enabled: bool) -> None:
    """The innermost switch wins, a locked one decides for all below it, also with what it only inherits, and silence is the default."""
    assert decide(chain, default=default) is enabled


@given(chains, chains, says, st.booleans())
def test_nothing_below_a_lock_matters(above: list[Says], below: list[Says], lock: Says, default: bool) -> None:
    """Whatever is said below a lock, the decision is that of the locked place."""
    upto = [*above, place(lock.switch, locked=True)]
    assert decide([*upto, *below], default=default) is decide(upto, default=default)


@given(st.lists(says.map(lambda one: place(one.switch)), max_size=6), st.booleans(), st.booleans())
def test_without_locks_the_last_word_wins(above: list[Says], word: bool, default: bool) -> None:
    """Where nothing is locked, what the innermost place says is so, and if it says nothing, what is so above it."""
    assert decide([*above, place(Switch.of(word))], default=default) is word
    assert decide([*above, place(INHERIT)], default=default) is decide(above, default=default)


@pytest.mark.parametrize("switch", Switch)
def test_a_switch_is_kept_as_true_false_or_null(switch: Switch) -> None:
    """A position is read back as it was kept."""
    assert Switch.of(switch.enabled) is switch


@given(says, chains, turns)
def test_what_is_not_turned_stays(before: Says, above: list[Says], turn: Turn) -> None:
    """A turn changes what it names and nothing else, and no change at all is possible below a lock."""
    try:
        after = turned(before, above, turn, lockable=True)
    except Refused:
        assert locked_by(above)
        assert turn not in (Turn(), Turn(switch=before.switch, locked=before.locked))
        return
    assert after.holder == before.holder
    assert after.switch is (turn.switch or before.switch)
    assert after.locked is (before.locked if turn.locked is None else turn.locked)
    if any(one.locked for one in above):
        assert after == before


@pytest.mark.parametrize(
    ("turn", "field"),
    [
        (Turn(switch=ON), "pypi_package_requests_forwarding"),
        (Turn(switch=ON, locked=True), "pypi_package_requests_forwarding"),
        (Turn(locked=True), "lock_pypi_package_requests_forwarding"),
    ],
)
def test_the_refusal_names_who_has_locked_it(turn: Turn, field: str) -> None:
    """A change below locks is refused with the field at fault and the holder of the outermost lock, who can do something about it."""
    above = [place(INHERIT, holder="the instance"), place(OFF, locked=True), place(OFF, locked=True, holder="the group team/sub")]
    with pytest.raises(Refused) as caught:
        turned(place(OFF, holder="the project team/sub/lib"), above, turn, lockable=True)
    words = "cannot be changed because it is locked by the group team; whoever administers that can unlock it"
    assert caught.value.problems == {field: (words,)}


def test_what_is_so_already_is_no_change() -> None:
    """Saying below a lock what is said there already is not refused: a client may send back what it was shown."""
    above = [place(OFF, locked=True)]
    assert turned(place(ON), above, Turn(switch=ON, locked=False), lockable=True) == place(ON)


def test_what_holds_nothing_cannot_be_locked() -> None:
    """A lock on a project is refused by name, since nothing lies below; taking off the one it never had changes nothing."""
    project = place(OFF, holder="the project team/lib")
    with pytest.raises(InvalidSetting, match="nothing lies below the project team/lib"):
        turned(project, [], Turn(locked=True), lockable=False)
    assert turned(project, [], Turn(locked=False), lockable=False) == project
