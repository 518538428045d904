"""Where something is asked for, and how a caller stands there."""

from datetime import datetime
from enum import Enum, IntEnum

from attrs import evolve, field, frozen

from registry.domain.errors import InvalidSetting


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
