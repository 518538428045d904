"""The table: what may be asked for, and what it takes."""

from collections.abc import Mapping
from enum import Enum

from attrs import frozen

from registry.domain.access.places import Role
from registry.domain.tokens import Scope


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
PACKAGE_SCOPES = frozenset(scope.value for scope in _DEPLOY_PULL)


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
