"""Groups, projects and namespaces as their owners see and change them, and what may be said of them."""

import re
from datetime import datetime

from attrs import frozen

from registry.domain.access import RegistryAccess, Role, Visibility
from registry.domain.errors import InvalidSetting, Refused
from registry.domain.forwarding import Turn
from registry.domain.paths import check_segment

TAKEN = "has already been taken"
_NAME_LIMIT = 255
_DESCRIPTION_LIMIT = 2000
# GitLab's limit; the catalog's is the length.
_DEPTH, _PATH_LIMIT = 20, 1024
_PATH_RULE = (
    "can contain only letters, digits, '_', '-' and '.'. Cannot start with '-' or '.', end in '.', '.git' or '.atom', or be only digits"
)
# GitLab: first segments that its routes, or ours, use themselves.
_RESERVED = frozenset(
    {"admin", "api", "dashboard", "explore", "files", "groups", "health", "help", "metrics", "oauth", "profile", "search", "users"}
)


@frozen(kw_only=True)
class NamespaceInfo:
    """A group or a user's own namespace. `full_name` is made of display names, `path` is the last segment of `full_path`."""

    id: int
    kind: str
    full_path: str
    name: str
    full_name: str
    visibility: Visibility
    description: str
    parent_id: int | None
    owner_id: int | None
    created_at: datetime
    lineage: tuple[int, ...]

    @property
    def path(self) -> str:
        """Its own segment."""
        return self.full_path.rpartition("/")[2]


@frozen(kw_only=True)
class ProjectDetails:
    """A project and where it lies. `project_role` and `group_role`: what the reader is here and above, `Role.NONE` if nothing."""

    id: int
    full_path: str
    name: str
    description: str
    visibility: Visibility
    packages_enabled: bool
    registry: RegistryAccess
    creator_id: int | None
    created_at: datetime
    namespace: NamespaceInfo
    project_role: Role = Role.NONE
    group_role: Role = Role.NONE

    @property
    def path(self) -> str:
        """Its own segment."""
        return self.full_path.rpartition("/")[2]


@frozen(kw_only=True)
class Wishes:
    """What shall become of a group or project; None leaves as it is, or takes the default in something new."""

    name: str | None = None
    path: str | None = None
    description: str | None = None
    visibility: Visibility | None = None
    packages_enabled: bool | None = None
    registry: RegistryAccess | None = None
    forwarding: Turn | None = None  # of what exists already

    def __attrs_post_init__(self) -> None:
        """Raises `Refused` for a name, path or description that none can have."""
        problems: dict[str, tuple[str, ...]] = {}
        if self.name is not None:
            problems |= _name_problems(self.name)
        if self.path is not None:
            try:
                check_segment("Path", self.path)
            except InvalidSetting:
                problems["path"] = (_PATH_RULE,)
        if self.description is not None and len(self.description) > _DESCRIPTION_LIMIT:
            problems["description"] = (f"is too long (maximum is {_DESCRIPTION_LIMIT} characters)",)
        if problems:
            raise Refused(problems=problems)

    def switches(self) -> "tuple[bool, RegistryAccess] | None":
        """The package registry's two switches, which always agree; None if neither is touched. The level wins over the older flag."""
        if self.registry is not None:
            return self.registry is not RegistryAccess.DISABLED, self.registry
        if self.packages_enabled is None:
            return None
        return self.packages_enabled, RegistryAccess.ENABLED if self.packages_enabled else RegistryAccess.DISABLED


@frozen(kw_only=True)
class Listing:
    """Which places a list shows, beyond what its reader may see, and in which order. `least`: where the reader has at least this role."""

    search: str = ""
    least: Role | None = None
    visibility: Visibility | None = None
    order_by: str = "id"
    descending: bool = False
    top_level_only: bool = False
    inside: tuple[int, ...] | None = None  # the lineage of a namespace
    deep: bool = False  # below subgroups of it, too


def slug(name: str) -> str:
    """The path of a project that was given only a name (GitLab): lower case, every run of what a path cannot hold a hyphen."""
    return re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")


def check_top_level(path: str) -> None:
    """Raises `Refused` for a first segment that is an address of the registry's own."""
    if path.lower() in _RESERVED:
        raise Refused(problems={"path": (f"{path} is a reserved name",)})


def check_full_path(path: str, *, groups: int = 0) -> None:
    """Raises `Refused` for a path that is too long, or that lies in, or is itself, more than so many `groups`."""
    if groups > _DEPTH or len(path) > _PATH_LIMIT:
        raise Refused(problems={"path": (f"is too long or too deep (maximum is {_PATH_LIMIT} characters and {_DEPTH} groups)",)})


def check_within(child: Visibility, parent: Visibility, *, parent_kind: str = "parent group") -> None:
    """Raises `Refused` when a child would be more visible than what it lies in."""
    if not child.within(parent):
        problem = f"{child.value} is not allowed since the {parent_kind} has {_article(parent)} visibility."
        raise Refused(problems={"visibility_level": (problem,)})


def check_contains(parent: Visibility, children: "list[Visibility]", *, what: str) -> None:
    """Raises `Refused` when a group would be less visible than something in it. `what`: "projects" or "sub-groups"."""
    if any(not child.within(parent) for child in children):
        problem = f"{parent.value} is not allowed since this group contains {what} with higher visibility."
        raise Refused(problems={"visibility_level": (problem,)})


def _article(visibility: Visibility) -> str:
    return f"{'an' if visibility is Visibility.INTERNAL else 'a'} {visibility.value}"


def check_name(name: str) -> None:
    """Raises `Refused` for a display name that nothing can have."""
    problems = _name_problems(name)
    if problems:
        raise Refused(problems=problems)


def _name_problems(name: str) -> dict[str, tuple[str, ...]]:
    if not name.strip():
        return {"name": ("can't be blank",)}
    if len(name) > _NAME_LIMIT:
        return {"name": (f"is too long (maximum is {_NAME_LIMIT} characters)",)}
    if not name.isprintable():
        return {"name": ("can contain only printable characters",)}
    return {}
