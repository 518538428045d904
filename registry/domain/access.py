"""Who may do what: one pure decision over one table, asked by every door."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum, IntEnum

from attrs import evolve, field, frozen

from registry.domain.errors import (
    Forbidden,
    InsufficientScope,
    InvalidSetting,
    RegistryError,
    Unauthenticated,
    UnknownGroup,
    UnknownProject,
)
from registry.domain.tokens import Scope


class Visibility(Enum):
    """Who can know that a project or group exists."""

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

    def within(self, parent: "Visibility") -> bool:
        """Whether something of this visibility may lie in something of `parent`'s: a child is never more visible (GitLab)."""
        order = list(Visibility)
        return order.index(self) <= order.index(parent)


class RegistryAccess(Enum):
    """A project's `package_registry_access_level`: what its visibility means for packages."""

    DISABLED = "disabled"  # nobody
    PRIVATE = "private"  # members only, even in a public project
    ENABLED = "enabled"  # whoever sees the project
    PUBLIC = "public"  # everybody may pull, whatever the project's visibility


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
    """What a route may ask of a caller; `RULES` says who has it."""

    OPEN = "open"  # asks nothing: health, the front page
    # with a project
    READ_PACKAGE = "read_package"
    CREATE_PACKAGE = "create_package"
    LIST_PACKAGES = "list_packages"  # as READ_PACKAGE, through the REST API
    DESTROY_PACKAGE = "destroy_package"
    CURATE_PACKAGE = "curate_package"  # yank, close, set a status: what people decide, not their jobs
    READ_PROTECTION = "read_protection"
    ADMIN_PROTECTION = "admin_protection"
    READ_UPSTREAM = "read_upstream"  # which names of ours a project may fetch from upstream, too
    ADMIN_UPSTREAM = "admin_upstream"  # administrators only: it is the way around what keeps our names ours
    READ_PROJECT = "read_project"
    ADMIN_PROJECT = "admin_project"
    REMOVE_PROJECT = "remove_project"
    READ_JOB_TOKENS = "read_job_tokens"
    ADMIN_JOB_TOKENS = "admin_job_tokens"
    # with a group
    READ_GROUP_PACKAGE = "read_group_package"
    LIST_GROUP_PACKAGES = "list_group_packages"
    READ_GROUP = "read_group"
    ADMIN_GROUP = "admin_group"
    # with either
    READ_MEMBERS = "read_members"
    ADMIN_MEMBERS = "admin_members"
    LEAVE = "leave"  # a member goes; taking others out is ADMIN_MEMBERS
    READ_ACCESS_TOKENS = "read_access_tokens"
    ADMIN_ACCESS_TOKENS = "admin_access_tokens"
    READ_DEPLOY_TOKENS = "read_deploy_tokens"
    ADMIN_DEPLOY_TOKENS = "admin_deploy_tokens"
    # with no place at all
    BROWSE = "browse"  # anybody; what is shown depends on who asks
    READ_SELF = "read_self"  # any valid token of a user, whatever its scopes
    REVOKE_SELF = "revoke_self"  # likewise: whoever holds a token may end it
    ROTATE_SELF = "rotate_self"  # with or without a place
    READ_USER = "read_user"
    SIGNED_IN = "signed_in"  # to read
    ACT = "act"  # to change something
    READ_JOB = "read_job"
    ADMINISTER = "administer"
    READ_INSTANCE = "read_instance"  # settings and limits: administrators


@frozen(kw_only=True)
class Rule:
    """Who has a permission.

    `scopes`: those of a user's token that do (None: any); `least`: the role it takes in a project, `least_in_group` in a group; `deploy`:
    the scopes of a deploy token that do (empty: deploy tokens are not read here); `job`: CI job tokens are read here; `packages`: the
    project's package registry must be on; `admin`: it takes an administrator.
    """

    scopes: tuple[Scope, ...] | None
    least: Role = Role.NONE
    least_in_group: Role | None = None
    deploy: tuple[Scope, ...] = ()
    job: bool = False
    packages: bool = False
    sign_in: bool = True  # for permissions without a place: nobody in particular is refused
    admin: bool = False


_READ, _WRITE = (Scope.API, Scope.READ_API), (Scope.API,)
_PULL = (Scope.API, Scope.READ_API, Scope.READ_PACKAGE_REGISTRY, Scope.WRITE_PACKAGE_REGISTRY)
_PUSH = (Scope.API, Scope.WRITE_PACKAGE_REGISTRY)
# GitLab: a deploy token that may write packages may read them.
_DEPLOY_PULL = (Scope.READ_PACKAGE_REGISTRY, Scope.WRITE_PACKAGE_REGISTRY)
_DEPLOY_PUSH = (Scope.WRITE_PACKAGE_REGISTRY,)
# A deploy token without any of these is a stranger here.
_PACKAGE_SCOPES = frozenset(scope.value for scope in _DEPLOY_PULL)

# The table. The order of scopes is that of the error's `scope` value.
RULES: Mapping[Permission, Rule] = {
    Permission.READ_PACKAGE: Rule(scopes=_PULL, deploy=_DEPLOY_PULL, job=True, packages=True),
    Permission.CREATE_PACKAGE: Rule(scopes=_PUSH, least=Role.DEVELOPER, deploy=_DEPLOY_PUSH, job=True, packages=True),
    Permission.LIST_PACKAGES: Rule(scopes=_READ, job=True, packages=True),
    Permission.DESTROY_PACKAGE: Rule(scopes=_WRITE, least=Role.MAINTAINER, job=True, packages=True),
    Permission.CURATE_PACKAGE: Rule(scopes=_WRITE, least=Role.MAINTAINER, packages=True),
    Permission.READ_PROTECTION: Rule(scopes=_READ, least=Role.MAINTAINER, packages=True),
    Permission.ADMIN_PROTECTION: Rule(scopes=_WRITE, least=Role.MAINTAINER, packages=True),
    Permission.READ_UPSTREAM: Rule(scopes=_READ, least=Role.MAINTAINER),
    Permission.ADMIN_UPSTREAM: Rule(scopes=_WRITE, least=Role.OWNER, admin=True),
    Permission.READ_PROJECT: Rule(scopes=_READ),
    Permission.ADMIN_PROJECT: Rule(scopes=_WRITE, least=Role.MAINTAINER),
    Permission.REMOVE_PROJECT: Rule(scopes=_WRITE, least=Role.OWNER),
    Permission.READ_JOB_TOKENS: Rule(scopes=_READ, least=Role.MAINTAINER),
    Permission.ADMIN_JOB_TOKENS: Rule(scopes=_WRITE, least=Role.MAINTAINER),
    Permission.READ_GROUP_PACKAGE: Rule(scopes=_PULL, deploy=_DEPLOY_PULL, job=True, packages=True),
    Permission.LIST_GROUP_PACKAGES: Rule(scopes=_READ, packages=True),
    Permission.READ_GROUP: Rule(scopes=_READ),
    Permission.ADMIN_GROUP: Rule(scopes=_WRITE, least=Role.OWNER),
    Permission.READ_MEMBERS: Rule(scopes=_READ),
    Permission.ADMIN_MEMBERS: Rule(scopes=_WRITE, least=Role.MAINTAINER, least_in_group=Role.OWNER),
    Permission.LEAVE: Rule(scopes=_WRITE, least=Role.GUEST),
    Permission.READ_ACCESS_TOKENS: Rule(scopes=_READ, least=Role.MAINTAINER, least_in_group=Role.OWNER),
    Permission.ADMIN_ACCESS_TOKENS: Rule(scopes=_WRITE, least=Role.MAINTAINER, least_in_group=Role.OWNER),
    Permission.READ_DEPLOY_TOKENS: Rule(scopes=_READ, least=Role.MAINTAINER),
    Permission.ADMIN_DEPLOY_TOKENS: Rule(scopes=_WRITE, least=Role.MAINTAINER, least_in_group=Role.OWNER),
    Permission.BROWSE: Rule(scopes=_READ, sign_in=False),
    Permission.READ_SELF: Rule(scopes=None),
    Permission.REVOKE_SELF: Rule(scopes=None),
    Permission.ROTATE_SELF: Rule(scopes=(Scope.API, Scope.SELF_ROTATE), least=Role.GUEST),  # where a place is named: its own bots
    Permission.READ_USER: Rule(scopes=(*_READ, Scope.READ_USER)),
    Permission.SIGNED_IN: Rule(scopes=_READ),
    Permission.ACT: Rule(scopes=_WRITE),
    Permission.READ_JOB: Rule(scopes=None, job=True),  # of users none: `demand_signed_in`
    Permission.ADMINISTER: Rule(scopes=_WRITE, admin=True),
    Permission.READ_INSTANCE: Rule(scopes=_READ, admin=True),
}


@frozen(kw_only=True)
class User:
    """A person or bot that owns tokens."""

    id: int
    username: str
    admin: bool = False
    blocked: bool = False
    name: str = ""
    email: str = ""
    bot: bool = False
    created_at: datetime | None = None


@frozen(kw_only=True)
class Token:
    """A user's token in use. `scopes` are GitLab's names; an unknown one opens nothing."""

    id: int
    name: str
    scopes: frozenset[str]
    expires_at: datetime | None = None


@frozen(kw_only=True)
class DeployToken:
    """A token of a project, or of a group and all projects below it, that acts for nobody."""

    id: int
    name: str
    username: str
    scopes: frozenset[str]
    project_id: int | None = None
    group_id: int | None = None
    expires_at: datetime | None = None


@frozen(kw_only=True)
class Job:
    """A running CI job: the project it runs in, and the commit and pipeline it runs for. Its user is the identity's."""

    id: int  # of its token here
    project_id: int
    ref: str = ""
    sha: str = ""
    pipeline_id: int | None = None
    job_id: int | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None


@frozen(kw_only=True)
class Identity:
    """Who asks. With nothing: anybody. A job has a user too, the one who triggered it; a deploy token has none."""

    user: User | None = None
    token: Token | None = None
    deploy: DeployToken | None = None
    job: Job | None = None

    @property
    def anonymous(self) -> bool:
        """Whether the caller is nobody in particular."""
        return self.user is None and self.deploy is None

    @property
    def expires_at(self) -> datetime | None:
        """When the credential stops to be one."""
        carrier = self.token or self.deploy or self.job
        return None if carrier is None else carrier.expires_at


ANYBODY = Identity()


@frozen(kw_only=True)
class Project:
    """The part of a project that access depends on, and its number, path and display name."""

    id: int
    path: str
    name: str
    visibility: Visibility
    registry: RegistryAccess = RegistryAccess.ENABLED
    packages_enabled: bool = True
    owner_id: int | None = field(default=None)  # the user in whose personal namespace it lies
    lineage: tuple[int, ...] = ()  # ids of the namespaces it lies in, outermost first
    anyone_may_pull: bool = True  # the administrators' switch: where it is off, a registry that is public is merely enabled

    @property
    def open_registry(self) -> bool:
        """Whether everybody may pull from it, whatever the project's visibility."""
        return self.registry is RegistryAccess.PUBLIC and self.anyone_may_pull


@frozen(kw_only=True)
class Group:
    """The part of a group that access depends on, and its number, path and display name."""

    id: int
    path: str
    name: str
    visibility: Visibility
    lineage: tuple[int, ...] = ()  # ids of the namespaces it lies in and its own, outermost first


Place = Project | Group


@frozen(kw_only=True)
class Standing:
    """What the catalog knows of a caller in a place.

    `role`: his highest by membership, there or above; `admits_job`: whether the place's allowlist admits the project his job runs in.
    """

    role: Role = Role.NONE
    admits_job: bool = True
    until: datetime | None = None  # when this may end by itself: a membership or the credential expires

    def not_after(self, moment: datetime | None) -> "Standing":
        """The same, ending at `moment` at the latest."""
        ends = [end for end in (self.until, moment) if end is not None]
        return evolve(self, until=min(ends)) if ends else self


STRANGER = Standing()


def role_in(identity: Identity, place: Place, standing: Standing = STRANGER) -> Role:
    """The highest role that the caller has in `place`: an administrator and the owner of a personal namespace are Owner."""
    user = identity.user
    if user is None or (identity.job is not None and not standing.admits_job):
        return Role.NONE
    if user.admin or (isinstance(place, Project) and user.id == place.owner_id):
        return Role.OWNER
    return standing.role


def covers(token: DeployToken, place: Place) -> bool:
    """Whether a deploy token is for this place: a project's for that project, a group's for it and everything below."""
    if token.group_id is not None:
        return token.group_id in place.lineage
    return isinstance(place, Project) and token.project_id == place.id


def demand_credential(permission: Permission, identity: Identity) -> None:
    """Let pass whose credential may be used for `permission` at all. Raises `InsufficientScope` or `Unauthenticated`."""
    rule = RULES[permission]
    token = identity.token
    if token is not None and rule.scopes is not None and token.scopes.isdisjoint(scope.value for scope in rule.scopes):
        raise InsufficientScope(wanted=tuple(scope.value for scope in rule.scopes))
    if (identity.deploy is not None and not rule.deploy) or (identity.job is not None and not rule.job):
        raise Unauthenticated


def demand_signed_in(permission: Permission, identity: Identity) -> None:
    """Let pass who may do `permission`, which is about no place. Raises `Unauthenticated`, `InsufficientScope` or `Forbidden`."""
    rule = RULES[permission]
    demand_credential(permission, identity)
    if permission is Permission.READ_JOB and identity.job is None:
        raise Unauthenticated
    if rule.sign_in and identity.anonymous:
        raise Unauthenticated
    if rule.admin and (identity.user is None or not identity.user.admin):
        raise Forbidden


def demand(
    permission: Permission, identity: Identity, place: Place | None, standing: Standing = STRANGER, *, challenge: bool = True
) -> None:
    """Let pass who may do `permission` in `place`; None stands for a place that does not exist.

    What the caller may not see is to him as if it did not exist: `UnknownProject` (or `UnknownGroup`), but `Unauthenticated` to an
    anonymous caller where `challenge` says so (PyPI routes: clients then send credentials) or where the permission takes a role. What he
    sees and may not do is `Forbidden`. A token without the scope is refused first, even where anybody may read (GitLab).
    """
    rule = RULES[permission]
    demand_credential(permission, identity)
    must_sign_in = identity.anonymous and (challenge or rule.least > Role.NONE)
    if place is None:
        raise Unauthenticated if must_sign_in else _unknown(permission, place)
    role = role_in(identity, place, standing)
    mine = identity.deploy is not None and covers(identity.deploy, place) and not identity.deploy.scopes.isdisjoint(_PACKAGE_SCOPES)
    if not (mine or _visible(permission, identity, place, role)):
        raise Unauthenticated if must_sign_in else _unknown(permission, place)
    if not _may(permission, identity, place, role, mine=mine):
        raise Unauthenticated if identity.anonymous else Forbidden


def may(permission: Permission, identity: Identity, place: Place, standing: Standing = STRANGER) -> bool:
    """Whether `demand` would let the caller pass: for lists that show only what their reader may see."""
    try:
        demand(permission, identity, place, standing)
    except RegistryError:
        return False
    return True


def _unknown(permission: Permission, place: Place | None) -> RegistryError:
    return UnknownGroup() if isinstance(place, Group) or permission in _OF_GROUPS else UnknownProject()


_OF_GROUPS = {Permission.READ_GROUP, Permission.ADMIN_GROUP, Permission.READ_GROUP_PACKAGE, Permission.LIST_GROUP_PACKAGES}


def _visible(permission: Permission, identity: Identity, place: Place, role: Role) -> bool:
    return (
        role > Role.NONE
        or place.visibility is Visibility.PUBLIC
        or (place.visibility is Visibility.INTERNAL and identity.user is not None)
        or (permission in _PULLING and isinstance(place, Project) and place.packages_enabled and place.open_registry)
    )


_PULLING = {Permission.READ_PACKAGE, Permission.LIST_PACKAGES}


def _may(permission: Permission, identity: Identity, place: Place, role: Role, *, mine: bool) -> bool:
    rule = RULES[permission]
    if rule.admin and (identity.user is None or not identity.user.admin):
        return False
    if isinstance(place, Group):
        least = rule.least if rule.least_in_group is None else rule.least_in_group
        if permission in {Permission.READ_GROUP_PACKAGE, Permission.LIST_GROUP_PACKAGES}:
            # GitLab: a public group's packages are for anybody; else it takes Guest, or a deploy token, even if the group is internal.
            return place.visibility is Visibility.PUBLIC or role >= Role.GUEST or (mine and _has(identity, rule))
        return role >= least
    if rule.packages and (not place.packages_enabled or place.registry is RegistryAccess.DISABLED):
        return False
    if mine and _has(identity, rule):
        return True
    if rule.packages and rule.least is Role.NONE:
        return _pulls(place, role)
    return role >= rule.least


def _pulls(place: Project, role: Role) -> bool:
    if place.open_registry:
        return True
    # GitLab (new): in a private project reading packages takes Guest; elsewhere whoever sees the project reads.
    members_only = place.visibility is Visibility.PRIVATE or place.registry is RegistryAccess.PRIVATE
    return role >= Role.GUEST or not members_only


def _has(identity: Identity, rule: Rule) -> bool:
    return identity.deploy is not None and not identity.deploy.scopes.isdisjoint(scope.value for scope in rule.deploy)
