"""Who may do what: one pure decision, asked by every door."""

from datetime import datetime
from enum import Enum, IntEnum

from attrs import field, frozen

from registry.domain.errors import Forbidden, InsufficientScope, InvalidSetting, Unauthenticated, UnknownProject
from registry.domain.tokens import Scope


class Visibility(Enum):
    """Who can know that a project exists."""

    PRIVATE = "private"
    INTERNAL = "internal"
    PUBLIC = "public"

    @classmethod
    def parse(cls, text: str) -> "Visibility":
        """The visibility called `text`. Raises `InvalidSetting` with the known ones."""
        try:
            return cls(text)
        except ValueError:
            raise InvalidSetting(what="Visibility", value=text, allowed="use private, internal or public") from None


class Role(IntEnum):
    """GitLab's access levels; comparison is meaningful."""

    NONE = 0
    GUEST = 10
    PLANNER = 15
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50


class Permission(Enum):
    """What a route may ask of a caller."""

    OPEN = "open"  # asks nothing: health, the front page
    READ_PACKAGE = "read_package"
    CREATE_PACKAGE = "create_package"


# GitLab: "api" opens everything; writing packages implies reading them. The order is that of the error's `scope` value.
_SCOPES: dict[Permission, tuple[Scope, ...]] = {
    Permission.READ_PACKAGE: (Scope.API, Scope.READ_API, Scope.READ_PACKAGE_REGISTRY, Scope.WRITE_PACKAGE_REGISTRY),
    Permission.CREATE_PACKAGE: (Scope.API, Scope.WRITE_PACKAGE_REGISTRY),
}


@frozen(kw_only=True)
class User:
    """A person or bot that owns tokens."""

    id: int
    username: str
    admin: bool = False
    blocked: bool = False


@frozen(kw_only=True)
class Token:
    """A token in use. `scopes` are GitLab's names; an unknown one opens nothing."""

    id: int
    name: str
    scopes: frozenset[str]
    expires_at: datetime | None = None


@frozen(kw_only=True)
class Identity:
    """Who asks. Without a user: anybody."""

    user: User | None = None
    token: Token | None = None

    @property
    def anonymous(self) -> bool:
        """Whether the caller is nobody in particular."""
        return self.user is None


ANYBODY = Identity()


@frozen(kw_only=True)
class Project:
    """The part of a project that access depends on, and its number, path and display name."""

    id: int
    path: str
    name: str
    visibility: Visibility
    packages_enabled: bool = True
    owner_id: int | None = field(default=None)  # the user in whose personal namespace it lies


def role_in(identity: Identity, project: Project) -> Role:
    """The highest role that `identity` has in `project`: its namespace's owner is Owner, an administrator counts as one."""
    user = identity.user
    if user is not None and (user.admin or user.id == project.owner_id):
        return Role.OWNER
    return Role.NONE


def demand_scope(permission: Permission, identity: Identity) -> None:
    """Let pass whose token, if any, may be used for `permission` at all. Raises `InsufficientScope`."""
    if identity.token is not None:
        wanted = tuple(scope.value for scope in _SCOPES[permission])
        if identity.token.scopes.isdisjoint(wanted):
            raise InsufficientScope(wanted=wanted)


def demand(permission: Permission, identity: Identity, project: Project | None) -> Project:
    """Let pass who may do `permission` in `project`, and return it; None stands for a project that does not exist.

    To an anonymous caller everything he may not see is `Unauthenticated`, so that clients send credentials and nothing is given away; to
    others what they may not see is `UnknownProject`; what they see and may not do is `Forbidden`. A token without the scope is refused
    first, even where anybody may read (GitLab).
    """
    demand_scope(permission, identity)
    if project is None:
        raise Unauthenticated if identity.anonymous else UnknownProject
    role = role_in(identity, project)
    if not _visible(project, identity, role):
        raise Unauthenticated if identity.anonymous else UnknownProject
    if not project.packages_enabled or not _may(permission, project, role):
        raise Unauthenticated if identity.anonymous else Forbidden
    return project


def _visible(project: Project, identity: Identity, role: Role) -> bool:
    return (
        role > Role.NONE
        or project.visibility is Visibility.PUBLIC
        or (project.visibility is Visibility.INTERNAL and not identity.anonymous)
    )


def _may(permission: Permission, project: Project, role: Role) -> bool:
    if permission is Permission.READ_PACKAGE:
        # GitLab (new): in a private project reading packages takes Guest; elsewhere whoever sees the project reads.
        return project.visibility is not Visibility.PRIVATE or role >= Role.GUEST
    return role >= Role.DEVELOPER
