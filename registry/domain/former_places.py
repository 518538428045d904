"""Where projects and groups once were, and what they were called: what has become of them since, undone."""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, evolve, frozen

from registry.domain.model import Change


@frozen(kw_only=True)
class FormerPlace:
    """The full path and the display name of a project or group at some time."""

    path: str
    title: str

    def lies_below(self, group: "FormerPlace") -> bool:
        """Whether it is somewhere in that group."""
        return self.path.startswith(f"{group.path}/")


@frozen(kw_only=True)
class FormerGroup:
    """A group at an instant: its title, and those projects below it that still exist; `elsewhere` are those that no longer are below."""

    title: str
    projects: tuple[int, ...]
    elsewhere: frozenset[int]


@define
class FormerPlaces:
    """Projects and groups by their numbers, on the way back from how they are now."""

    projects: dict[int, FormerPlace]
    groups: dict[int, FormerPlace]

    def undo(self, changes: Iterable[Change]) -> None:
        """Go back to before these changes, given by serial: what was made by one of them is gone then, what was removed stays unknown.

        Groups never change their parent; so a path that is undone step by step tells what lay below what, whoever had the path since.
        """
        for change in reversed(list(changes)):
            self._undo(change, change.detail)

    def group(self, group_id: int, now: Mapping[int, FormerPlace], group_now: FormerPlace) -> FormerGroup | None:
        """The group as it was, compared with where projects are `now`; None if it did not exist."""
        then = self.groups.get(group_id)
        if then is None:
            return None
        below = tuple(sorted(number for number, place in self.projects.items() if place.lies_below(then)))
        elsewhere = frozenset(number for number in below if not now[number].lies_below(group_now))
        return FormerGroup(title=then.title, projects=below, elsewhere=elsewhere)

    def _undo(self, change: Change, detail: Mapping[str, Any]) -> None:
        match change.action:
            case "project.create":
                self.projects.pop(change.project_id or 0, None)
            case "group.create":
                self.groups.pop(detail["group_id"], None)
            case "project.transfer" | "project.update":
                project = self.projects.get(change.project_id or 0)
                if project is not None:
                    renamed = "new_name" in detail
                    self.projects[change.project_id or 0] = _as_it_was(project, detail["path"], detail.get("old_name"), renamed=renamed)
            case "group.update":
                if "path" in detail:
                    self._move_back(detail["path"], detail["group"])
                group = self.groups.get(detail["group_id"])
                if group is not None:
                    # Old rows have its new name where others have that of a package.
                    renamed = bool(change.name) or "new_name" in detail
                    self.groups[detail["group_id"]] = _as_it_was(group, detail["group"], detail.get("old_name"), renamed=renamed)

    def _move_back(self, new: str, old: str) -> None:
        for places in (self.projects, self.groups):
            for number, place in places.items():
                if f"{place.path}/".startswith(f"{new}/"):
                    places[number] = evolve(place, path=old + place.path[len(new) :])


def _as_it_was(place: FormerPlace, path: str, title: str | None, *, renamed: bool) -> FormerPlace:
    # Old rows do not tell the former title; the last part of the path is what it mostly is.
    return FormerPlace(path=path, title=(title or path.rpartition("/")[2]) if renamed else place.title)
