"""Groups, projects, and who belongs to them."""

from collections.abc import Sequence

from zope.interface import Interface

from registry.domain.access import Identity, Place, Visibility
from registry.domain.members import Grant, Member, Seats
from registry.domain.model import Actor, ProjectInfo
from registry.domain.paths import ProjectPath
from registry.domain.places import Listing, NamespaceInfo, ProjectDetails, Wishes


class IPlaces(Interface):
    """Groups and projects."""

    async def create_project(path: ProjectPath, visibility: Visibility, actor: Actor) -> ProjectInfo:
        """A new project in an existing namespace; its `ProjectInfo`. Raises `Missing`, `AlreadyTaken`."""

    async def projects(ref: int | str | None = None) -> list[ProjectInfo]:
        """The `ProjectInfo`s of all projects (None), or of the one with this id or path. Raises `Missing`."""


class INamespaces(Interface):
    """Groups and users' own namespaces, as one caller sees them."""

    async def groups(listing: Listing, identity: Identity | None, limit: int, offset: int) -> tuple[list[NamespaceInfo], int]:
        """A part of the groups that a listing wants and the caller (None: the operator) may see, and how many there are in all."""

    async def group(group_id: int) -> NamespaceInfo:
        """The group. Raises `UnknownGroup`."""

    async def namespaces(listing: Listing, identity: Identity, limit: int, offset: int) -> tuple[list[NamespaceInfo], int]:
        """As `groups`: those where the caller has a role, and his own; all of them to administrators."""

    async def namespace(ref: int | str, identity: Identity) -> NamespaceInfo:
        """The namespace with this number or full path. Raises `NotFound` for what the caller may not see, too."""


class IGroups(Interface):
    """Groups made, changed and removed.

    Whether the caller may is decided in the same transaction, where it depends on more than the gate knows; None for a caller is the
    operator, who may do everything and becomes nobody's member.
    """

    async def create_group(wishes: Wishes, parent: int | str | None, actor: Actor, by: Identity | None) -> NamespaceInfo:
        """A new group, in the group `parent` or at the top (None), of which its maker is the first Owner.

        Raises `Refused` for a path that is taken or a group more visible than its parent; `UnknownGroup`, `Forbidden`.
        """

    async def change_group(group_id: int, wishes: Wishes, actor: Actor) -> NamespaceInfo:
        """The changed group. Another path changes those of all below it. Raises `UnknownGroup`, and `Refused` as above and below."""

    async def remove_group(group_id: int, actor: Actor) -> None:
        """Remove a group with all below it, and what gives access there, in one transaction. Raises `UnknownGroup`."""


class IProjects(Interface):
    """Projects, as one caller sees and changes them; as for `IGroups`."""

    async def projects(listing: Listing, identity: Identity, limit: int, offset: int) -> tuple[list[ProjectDetails], int]:
        """A part of the projects that a listing wants and the caller may see, and how many there are in all."""

    async def project(project_id: int, identity: Identity) -> ProjectDetails:
        """The project, with the caller's roles. Raises `UnknownProject`."""

    async def create(wishes: Wishes, namespace: int | str | None, actor: Actor, by: Identity) -> ProjectDetails:
        """A new project in a namespace where the caller is at least Maintainer, or his own (None).

        Raises `Refused` for a namespace that is none for him, a path that is taken, or a project more visible than its group.
        """

    async def create_for(user_id: int, wishes: Wishes, actor: Actor, by: Identity) -> ProjectDetails:
        """As `create`, in another user's own namespace. Raises `NotFound`."""

    async def change(project_id: int, wishes: Wishes, actor: Actor, by: Identity) -> ProjectDetails:
        """The changed project. Raises `UnknownProject`, and `Refused` as `create`."""

    async def transfer(project_id: int, namespace: int | str, actor: Actor, by: Identity) -> ProjectDetails:
        """Move a project to a namespace where the caller could create one; it becomes no more visible than its new group."""

    async def remove(project_id: int, actor: Actor) -> None:
        """Remove a project with all it holds, and what gives access to it, in one transaction. Raises `UnknownProject`."""


class IMembers(Interface):
    """Who belongs to a project or group. As for `IGroups`, the caller's right is decided in the transaction; None is the operator."""

    async def members(place: Place, seats: Seats, limit: int, offset: int) -> tuple[list[Member], int]:
        """A part of the `Member`s of a place, by number of user, and how many there are in all. Expired memberships are none."""

    async def member(place: Place, user_id: int, *, inherited: bool) -> Member:
        """One `Member`; `inherited`: with the highest role from there or above. Raises `NotFound`."""

    async def add(place: Place, grants: Sequence[Grant], actor: Actor, by: Identity | None) -> list[Member]:
        """Give roles, all or none. Raises `NotFound` for a user, `Conflict` for a member, `Forbidden` for a role above the caller's.

        `Refused` for a role below the one the user has from a group above.
        """

    async def change(place: Place, grant: Grant, actor: Actor, by: Identity | None, *, keep_expiry: bool) -> Member:
        """Change a direct membership. Raises as `add`, and `Forbidden` when a group would be left without an owner."""

    async def remove(place: Place, user_id: int | str, actor: Actor, by: Identity | None) -> None:
        """End a direct membership; of a group, those below it too. Members may leave. Raises `NotFound`, `Forbidden`."""
