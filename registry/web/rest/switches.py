"""GitLab's forwarding switches in requests and answers: of groups, and, as ours alone, of projects."""

from typing import Any

from registry.domain.access import RULES, Permission, Project, role_in
from registry.domain.forwarding import Switch, Turn
from registry.domain.settings import FORWARDING, LOCK_FORWARDING
from registry.interfaces import IForwarding
from registry.web.rest.params import Params
from registry.web.routes import Call

_LOCKED_ABOVE = f"{FORWARDING}_locked"  # the name that GitLab has in GraphQL
_EFFECTIVE = f"{FORWARDING}_effective"


def turn(params: Params, *, lockable: bool) -> Turn | None:
    """What a request asks of the switch: true, false, or null for as above; None if it does not speak of it.

    `lockable`: of a group's lock, too. A null lock leaves it as it is.
    """
    switch = Switch.of(_flag(params, FORWARDING)) if params.given(FORWARDING) else None
    locked = _flag(params, LOCK_FORWARDING) if lockable else None
    return None if switch is None and locked is None else Turn(switch=switch, locked=locked)


def _flag(params: Params, name: str) -> bool | None:
    return None if params.values.get(name) is None else params.flag(name)


async def switches(call: Call, forwarding: IForwarding) -> dict[str, Any]:
    """What is shown of the switch with the place of a call, to who may turn it: nothing to anybody else."""
    place = call.admission.place
    assert place is not None, "the route names one"
    is_project = isinstance(place, Project)
    needed = RULES[Permission.ADMIN_PROJECT if is_project else Permission.ADMIN_GROUP].least
    if role_in(call.identity, place, call.admission.standing) < needed:
        return {}
    found = await forwarding.forwarding(place)
    lock = {} if is_project else {LOCK_FORWARDING: found.says.locked}
    return {FORWARDING: found.says.switch.enabled, **lock, _LOCKED_ABOVE: bool(found.locked_by), _EFFECTIVE: found.enabled}
