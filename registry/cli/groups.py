"""`registry group` and `member`."""

import click

from registry.cli.output import fail, say, show
from registry.cli.store import as_json, operator, result, with_store
from registry.composition import Store, now
from registry.domain.access import ANYBODY, Place, Role, Visibility
from registry.domain.errors import InvalidSetting, Missing, NotFound
from registry.domain.members import Grant, Member, Seats
from registry.domain.places import Listing, NamespaceInfo, Wishes
from registry.domain.tokens import parse_expiry

_ALL = 10_000_000
_ROLES = {role.name.lower(): role for role in Role if role > Role.NONE}


@click.group()
def group() -> None:
    """Create and list groups."""


@group.command("create")
@click.argument("path")
@click.option("--name", help="How it is called where people read it. Default: the last part of PATH.")
@click.option("--visibility", default="private", metavar="VISIBILITY", help="private (default), internal or public.")
@as_json
@with_store
def group_create(store: Store, path: str, name: str | None, visibility: str, as_json: bool) -> None:
    """Create the group PATH: GROUP, or GROUP/SUBGROUP in a group that exists. Give it an owner with `member add`."""
    parent, _, segment = path.rpartition("/")
    wishes = Wishes(name=name or segment, path=segment, visibility=Visibility.parse(visibility))
    if parent and result(store.access.enter("group", parent, ANYBODY))[0] is None:
        raise Missing(what="group", value=parent)
    made = result(store.groups.create_group(wishes, parent or None, operator(), None))
    show([_group(made)], as_json=as_json, one=True)


@group.command("list")
@as_json
@with_store
def group_list(store: Store, as_json: bool) -> None:
    """List all groups."""
    found, _ = result(store.namespaces.groups(Listing(order_by="path"), None, _ALL, 0))
    show([_group(one) for one in found], as_json=as_json)


@click.group()
def member() -> None:
    """Give users roles in groups and projects, and take them away."""


@member.command("add")
@click.argument("place")
@click.argument("username", metavar="USER")
@click.argument("role")
@click.option("--expires", metavar="DATE", help="2030-01-31: no member any more from 00:00 UTC of that day. Default: never.")
@as_json
@with_store
def member_add(store: Store, place: str, username: str, role: str, *, expires: str | None, as_json: bool) -> None:
    """Make USER a member of PLACE, the path of a group or project, as guest, planner, reporter, developer, maintainer or owner."""
    until = parse_expiry(expires, now()) if expires else None
    grant = Grant(user=username, role=_role(role), expires_at=until)
    try:
        made = result(store.members.add(_place(store, place), [grant], operator(), None))
    except NotFound:
        raise Missing(what="user", value=username) from None
    show([_member(made[0])], as_json=as_json, one=True)


@member.command("remove")
@click.argument("place")
@click.argument("username", metavar="USER")
@with_store
def member_remove(store: Store, place: str, username: str) -> None:
    """End the membership of USER in PLACE; of a group, those below it, too."""
    try:
        result(store.members.remove(_place(store, place), username, operator(), None))
    except NotFound:
        fail(f"{username} is no direct member of {place}")
    say(f"{username} is no member of {place} any more.")


@member.command("list")
@click.argument("place")
@click.option("--inherited", is_flag=True, help="With those of the groups above; each with the highest of his roles.")
@as_json
@with_store
def member_list(store: Store, place: str, inherited: bool, as_json: bool) -> None:
    """List the members of PLACE."""
    found, _ = result(store.members.members(_place(store, place), Seats(inherited=inherited), _ALL, 0))
    show([_member(one) for one in found], as_json=as_json)


def _place(store: Store, path: str) -> Place:
    for kind in ("group", "project"):
        found, _ = result(store.access.enter(kind, path, ANYBODY))
        if found is not None:
            return found
    raise Missing(what="group or project", value=path)


def _role(text: str) -> Role:
    if text.lower() not in _ROLES:
        raise InvalidSetting(what="Role", value=text, allowed=f"use {', '.join(_ROLES)}")
    return _ROLES[text.lower()]


def _group(one: NamespaceInfo) -> dict[str, object]:
    return {"id": one.id, "path": one.full_path, "name": one.name, "visibility": one.visibility.value, "created_at": one.created_at}


def _member(one: Member) -> dict[str, object]:
    state = "blocked" if one.user.blocked else "active"
    return {"username": one.user.username, "role": one.role.name.lower(), "state": state, "expires_at": one.expires_at}
