"""Who belongs to a project or group, and the rules about giving and taking roles."""

from datetime import datetime

from attrs import frozen

from registry.domain.access import Role, User
from registry.domain.errors import Forbidden, Refused

_ROLE_WORDS = {role: role.name.capitalize() for role in Role}


@frozen(kw_only=True)
class Member:
    """A user's role in a place, there or from above."""

    user: User
    role: Role
    created_at: datetime | None
    expires_at: datetime | None = None


@frozen(kw_only=True)
class Seats:
    """Which members a list shows. `inherited`: with those of the groups above, each with the highest of his roles."""

    inherited: bool = False
    query: str = ""
    user_ids: tuple[int, ...] = ()


@frozen(kw_only=True)
class Grant:
    """A role for a user, named by number or user name."""

    user: int | str
    role: Role
    expires_at: datetime | None = None


def check_rank(actor: Role, *roles: Role) -> None:
    """Raises `Forbidden` when one of `roles` is above the actor's own: nobody gives, changes or takes away what he does not have."""
    if any(role > actor for role in roles):
        raise Forbidden


def check_above_inherited(role: Role, inherited: Role, group_name: str) -> None:
    """Raises `Refused` when a role would be lower than the one the user has from a group above."""
    if role < inherited:
        problem = f"should be greater than or equal to {_ROLE_WORDS[inherited]} inherited membership from group {group_name}"
        raise Refused(problems={"access_level": (problem,)})


def check_owner_left(others: int) -> None:
    """Raises `Forbidden` when a group would be left without an owner; `others`: how many remain."""
    if others < 1:
        raise Forbidden(reason="The last owner of a group cannot be removed or given another role; make somebody else its owner first.")
