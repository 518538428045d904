"""Where projects and groups were: what has become of them, undone."""

from registry.domain.former_places import FormerPlace, FormerPlaces
from registry.domain.model import Change
from registry.testing import NOON, OPERATOR


def change(serial: int, action: str, *, project: int | None = None, name: str = "", **detail: object) -> Change:
    return Change(serial=serial, at=NOON, action=action, actor=OPERATOR, project_id=project, name=name, detail=detail)


def place(path: str, title: str = "title") -> FormerPlace:
    return FormerPlace(path=path, title=title)


def test_a_path_that_others_have_had_is_no_matter() -> None:
    """A project that took the path of one that had moved away, below a group that took another's path, is told apart from it."""
    now = FormerPlaces(projects={1: place("b/one"), 2: place("a/one")}, groups={1: place("c"), 2: place("a")})
    now.undo(
        [
            change(1, "project.transfer", project=1, path="a/one", to="b/one"),
            change(2, "group.update", group_id=1, group="a", path="c"),
            change(3, "group.update", group_id=2, group="x", path="a"),
            change(4, "project.create", project=2, path="a/one"),
        ]
    )
    assert now.projects == {1: place("a/one")}
    assert now.groups == {1: place("a"), 2: place("x")}


def test_a_path_that_only_begins_alike_stays() -> None:
    """Renaming a group moves what lies below it, and nothing whose path begins with the same letters."""
    now = FormerPlaces(projects={1: place("new/sub/one"), 2: place("newer/two")}, groups={1: place("new"), 2: place("new/sub")})
    now.undo([change(1, "group.update", group_id=1, group="old", path="new")])
    assert now.projects == {1: place("old/sub/one"), 2: place("newer/two")}
    assert now.groups == {1: place("old"), 2: place("old/sub")}


def test_titles_go_back() -> None:
    """A display name is what it was before the first change undone; where old rows do not tell it, it is the path's last part."""
    now = FormerPlaces(projects={1: place("a/one", "C"), 2: place("a/two", "Z")}, groups={1: place("a", "D")})
    now.undo(
        [
            change(1, "project.update", project=1, path="a/one", new_name="B", old_name="A"),
            change(2, "project.update", project=1, path="a/one", new_name="C", old_name="B"),
            change(3, "project.update", project=2, path="a/two", new_name="Z"),
            change(4, "group.update", name="D", group_id=1, group="a"),
            change(5, "project.update", project=2, path="a/two", new_visibility="public"),
            change(6, "project.update", project=9, path="gone", new_name="x", old_name="y"),
        ]
    )
    assert now.projects == {1: place("a/one", "A"), 2: place("a/two", "two")}
    assert now.groups == {1: place("a", "a")}


def test_a_group_tells_who_has_left() -> None:
    """Of the projects that were below a group, those that no longer are stand apart; one that was not made yet is none of them."""
    everywhere = {1: place("a/one"), 2: place("b/two"), 3: place("a/three"), 4: place("ab/four")}
    then = FormerPlaces(projects=dict(everywhere), groups={1: place("a", "A")})
    then.undo(
        [change(1, "project.transfer", project=2, path="a/sub/two", to="b/two"), change(2, "project.create", project=3, path="a/three")]
    )
    group = then.group(1, everywhere, place("a", "A"))
    assert group is not None
    assert (group.title, group.projects, group.elsewhere) == ("A", (1, 2), frozenset({2}))
    then.undo([change(0, "group.create", group_id=1, path="a")])
    assert then.group(1, everywhere, place("a", "A")) is None
