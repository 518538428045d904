"""Whether names not held here may be asked upstream: what the instance, groups and projects say, and which of them counts."""

from collections.abc import Sequence
from enum import Enum

from attrs import frozen

from registry.domain.errors import InvalidSetting, Refused
from registry.domain.settings import FORWARDING, LOCK_FORWARDING


class Switch(Enum):
    """How a place's switch stands."""

    ON = "on"
    OFF = "off"
    INHERIT = "inherit"  # as above

    @classmethod
    def of(cls, enabled: bool | None) -> "Switch":
        """The position that is kept, and shown in GitLab's JSON, as true, false or null."""
        return cls.INHERIT if enabled is None else cls.ON if enabled else cls.OFF

    @property
    def enabled(self) -> bool | None:
        """True, false or null."""
        return None if self is Switch.INHERIT else self is Switch.ON


@frozen(kw_only=True)
class Says:
    """What one place says. `holder`: the place in words, "the group team"; `locked`: nobody below may say otherwise."""

    holder: str
    switch: Switch = Switch.INHERIT
    locked: bool = False


@frozen(kw_only=True)
class Turn:
    """What shall become of a place's switch and its lock; None leaves as it is."""

    switch: Switch | None = None
    locked: bool | None = None


@frozen(kw_only=True)
class Forwarding:
    """How it is in one place. `enabled`: what counts there; `locked_by`: the holder of the lock above it, empty if there is none."""

    says: Says
    enabled: bool
    locked_by: str = ""


def decide(chain: Sequence[Says], *, default: bool) -> bool:
    """Whether upstreams may be asked at the end of a chain of places, outermost first.

    The innermost that says something wins, but what a locked one has, said or inherited, holds for all below it. Nobody has said anything:
    `default`.
    """
    enabled = default
    for says in chain:
        if says.switch.enabled is not None:
            enabled = says.switch.enabled
        if says.locked:
            break
    return enabled


def locked_by(above: Sequence[Says]) -> str:
    """Who decides for all that lies below a chain, outermost first: the holder of its first lock; empty if nothing is locked."""
    return next((says.holder for says in above if says.locked), "")


def turned(says: Says, above: Sequence[Says], turn: Turn, *, lockable: bool) -> Says:
    """What a place says after `turn`. `lockable`: there is something below it.

    Raises `Refused` for a change below a lock; what changes nothing is none. `InvalidSetting` for a lock on what holds nothing.
    """
    switch = says.switch if turn.switch is None else turn.switch
    locked = says.locked if turn.locked is None else turn.locked
    if locked and not lockable:
        raise InvalidSetting(
            what="Lock", value="true", allowed=f"nothing lies below {says.holder}; lock the group or the instance above it"
        )
    holder = locked_by(above)
    if holder and (switch, locked) != (says.switch, says.locked):
        name = FORWARDING if switch is not says.switch else LOCK_FORWARDING
        words = f"cannot be changed because it is locked by {holder}; whoever administers that can unlock it"
        raise Refused(problems={name: (words,)})
    return Says(holder=says.holder, switch=switch, locked=locked)
