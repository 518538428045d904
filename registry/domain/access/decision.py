"""The decision: who has a permission in a place, by the table."""

from registry.domain.access.identities import DeployToken, Identity
from registry.domain.access.places import STRANGER, Group, Place, Project, RegistryAccess, Role, Standing, Visibility
from registry.domain.access.rules import PACKAGE_SCOPES, RULES, Permission, Rule
from registry.domain.errors import Forbidden, InsufficientScope, RegistryError, Unauthenticated, UnknownGroup, UnknownProject


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
    mine = identity.deploy is not None and covers(identity.deploy, place) and not identity.deploy.scopes.isdisjoint(PACKAGE_SCOPES)
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
