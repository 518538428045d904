"""GitLab's JSON for users, namespaces, groups, projects and members. `base` is the external URL of the registry, or its mount path."""

from typing import Any

from registry.domain.access import Role, User
from registry.domain.members import Member
from registry.domain.places import NamespaceInfo, ProjectDetails
from registry.web.rest.answers import day, iso

_NOTIFY = 3  # GitLab: the level "global"; nothing here notifies anybody


def person(user: User, base: str) -> dict[str, Any]:
    """A user as he stands beside something else."""
    return {
        "id": user.id,
        "username": user.username,
        "name": user.name or user.username,
        "state": "blocked" if user.blocked else "active",
        "locked": False,
        "avatar_url": None,
        "web_url": f"{base}/{user.username}",
    }


def account(user: User, base: str, *, private: bool, admin: bool) -> dict[str, Any]:
    """A user for himself. `private`: with his email, for administrators and himself; `admin`: the reader is an administrator."""
    shown = {**person(user, base), "created_at": iso(user.created_at), "bot": user.bot, "public_email": None}
    if private:
        shown["email"] = user.email
    if admin:
        shown["is_admin"] = user.admin
    return shown


def namespace(found: NamespaceInfo, base: str) -> dict[str, Any]:
    """A namespace, where a project lies or by itself."""
    return {
        "id": found.id,
        "name": found.name,
        "path": found.path,
        "kind": found.kind,
        "full_path": found.full_path,
        "parent_id": found.parent_id,
        "avatar_url": None,
        "web_url": f"{base}/{'groups/' if found.kind == 'group' else ''}{found.full_path}",
    }


def group(found: NamespaceInfo, base: str) -> dict[str, Any]:
    """A group."""
    return {
        "id": found.id,
        "web_url": f"{base}/groups/{found.full_path}",
        "name": found.name,
        "path": found.path,
        "description": found.description,
        "visibility": found.visibility.value,
        "full_name": found.full_name,
        "full_path": found.full_path,
        "created_at": iso(found.created_at),
        "parent_id": found.parent_id,
        "avatar_url": None,
    }


def project(found: ProjectDetails, base: str, *, simple: bool = False, permissions: bool = False) -> dict[str, Any]:
    """A project. `simple`: GitLab's short form; `permissions`: with the reader's roles."""
    shown: dict[str, Any] = {
        "id": found.id,
        "description": found.description,
        "name": found.name,
        "name_with_namespace": f"{found.namespace.full_name} / {found.name}",
        "path": found.path,
        "path_with_namespace": found.full_path,
        "created_at": iso(found.created_at),
        "default_branch": "main",
        "topics": [],
        "web_url": f"{base}/{found.full_path}",
        "avatar_url": None,
        "namespace": namespace(found.namespace, base),
    }
    if simple:
        return shown
    api = f"{base}/api/v4/projects/{found.id}"
    shown |= {
        "_links": {"self": api, "members": f"{api}/members"},
        "visibility": found.visibility.value,
        "creator_id": found.creator_id,
        "archived": False,
        "packages_enabled": found.packages_enabled,
        "package_registry_access_level": found.registry.value,
    }
    if permissions:
        shown["permissions"] = {"project_access": _access(found.project_role), "group_access": _access(found.group_role)}
    return shown


def member(found: Member, base: str) -> dict[str, Any]:
    """A member of a project or group."""
    return {
        **person(found.user, base),
        "access_level": found.role.value,
        "created_at": iso(found.created_at),
        "expires_at": day(found.expires_at),
        "membership_state": "active",
    }


def _access(role: Role) -> dict[str, int] | None:
    return {"access_level": role.value, "notification_level": _NOTIFY} if role > Role.NONE else None
