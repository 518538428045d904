"""Which packages are looked at: those of some projects, under one address."""

from attrs import frozen

from registry.domain.access import Group, Place, Project


@frozen(kw_only=True)
class View:
    """What an index shows: the packages of some projects, under one title and one kind of address (see `Links.scope`)."""

    scope: str
    title: str
    projects: tuple[int, ...]
    place: Place | None = None  # whose switches say whether upstreams are asked; None: they are not

    @classmethod
    def of_project(cls, project: Project) -> "View":
        """One project's own index."""
        return cls(scope=f"projects/{project.id}", title=project.name, projects=(project.id,), place=project)

    @classmethod
    def of_group(cls, group: Group, readable: tuple[int, ...]) -> "View":
        """A group's index, for a caller who may read these projects below it."""
        return cls(scope=f"groups/{group.id}/-", title=group.name, projects=readable, place=group)
