"""What is switched while the registry runs: for the instance, for groups and projects."""

from collections.abc import Mapping

from zope.interface import Interface

from registry.domain.access import Place
from registry.domain.forwarding import Forwarding, Turn
from registry.domain.model import Actor


class ISettings(Interface):
    """What an administrator changes while the registry runs."""

    async def settings() -> tuple[Mapping[str, object], int]:
        """Every setting that was ever changed, by name, and the serial of the last change of anything."""

    async def change_settings(changes: Mapping[str, object], actor: Actor) -> Mapping[str, object]:
        """Keep these values; every setting that was ever changed. The journal row's detail has the changed ones under `settings`."""


class IForwarding(Interface):
    """Whether names not held here may be asked upstream: the instance's switch, those of groups, those of projects.

    The innermost that says something wins, but a locked one above decides (`domain/forwarding.py`). The instance's own is one of ISettings;
    until it is set, the configuration says.
    """

    async def enabled(place: Place) -> bool:
        """Whether upstreams may be asked in a group or project. True to the last commit of anybody."""

    async def forwarding(place: Place | None) -> Forwarding:
        """The same, with what the place itself says and who has locked it. None is the instance."""

    async def switch(kind: str, place_id: int, turn: Turn, actor: Actor) -> Forwarding:
        """Turn the switch, or the lock, of the group or project (`kind`) with this number. What changes nothing leaves no journal row.

        Raises `Refused` below a lock, `InvalidSetting` for a lock on a project, `UnknownGroup`, `UnknownProject`.
        """
