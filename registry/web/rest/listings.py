"""What lists of places have in common: which are wanted, in which order, and what a place may be asked to become."""

from collections.abc import Callable, Sequence
from typing import Any

from registry.domain.access import RegistryAccess, Role, Visibility
from registry.domain.places import Listing, Wishes
from registry.web.rest.params import Params
from registry.web.routes import Call
from registry.web.simple import mount

VISIBILITIES = tuple(one.value for one in Visibility)
ROLES = tuple(str(role.value) for role in Role if role > Role.NONE)
_LEVELS = tuple(one.value for one in RegistryAccess)
PROJECT_ORDERS = ("id", "name", "path", "created_at", "updated_at", "last_activity_at", "similarity")
_SORT = ("asc", "desc")
# GitLab's other orders; nothing here is newer than its making.
_ALIKE = {"created_at": "id", "updated_at": "id", "last_activity_at": "id", "similarity": "id"}


def base_of(call: Call, external_url: Callable[[], str]) -> str:
    """What the addresses in an answer begin with."""
    return external_url() or mount(call.request)


def listing(params: Params, *, orders: Sequence[str], order: str, descending: bool, **more: Any) -> Listing:
    """What a list of groups or projects is asked for. `order` and `descending`: how it is ordered if nothing is said."""
    level = params.optional_choice("min_access_level", ROLES)
    least = [Role(int(level))] if level else []
    least += [Role.OWNER] if params.flag("owned") else []
    least += [Role.GUEST] if params.flag("membership") else []
    visibility = params.optional_choice("visibility", VISIBILITIES)
    wanted = params.choice("order_by", orders, order)
    return Listing(
        search=params.text("search", "").strip(),
        least=max(least, default=None),
        visibility=Visibility(visibility) if visibility else None,
        order_by=_ALIKE.get(wanted, wanted),
        descending=params.choice("sort", _SORT, "desc" if descending else "asc") == "desc",
        **more,
    )


def wishes(params: Params, *, switches: bool = False) -> Wishes:
    """What a group or project shall be. `switches`: those of a project's package registry, too. Raises `Refused`."""
    visibility = params.optional_choice("visibility", VISIBILITIES)
    level = params.optional_choice("package_registry_access_level", _LEVELS) if switches else None
    enabled = params.flag("packages_enabled") if switches and params.values.get("packages_enabled") is not None else None
    return Wishes(
        name=params.optional_text("name"),
        path=params.optional_text("path"),
        description=params.optional_text("description", limit=100_000),
        visibility=Visibility(visibility) if visibility else None,
        registry=RegistryAccess(level) if level else None,
        packages_enabled=enabled,
    )


def place_ref(params: Params, name: str) -> int | str | None:
    """A place named in a parameter, by number or full path; None when it is not given."""
    text = params.optional_text(name)
    if not text:
        return None
    return params.optional_integer(name) if text.isascii() and text.isdigit() else text
