"""Paths and numbers of users, groups and projects."""

import pytest

from registry.domain.errors import InvalidSetting
from registry.domain.paths import LARGEST_ID, ProjectPath, id_in


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), (str(LARGEST_ID), LARGEST_ID)])
def test_digits_are_an_id(text: str, number: int) -> None:
    """ASCII digits up to what the catalog can hold are a number."""
    assert id_in(text) == number


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", " 1", "1_0", "\u0661", "\u00b2", "a", str(LARGEST_ID + 1), "9" * 5000])
def test_anything_else_is_none(text: str) -> None:
    """Signs, blanks, other scripts' digits and larger numbers are no id, however long the text is."""
    assert id_in(text) is None


@pytest.mark.parametrize("text", ["root/packages", "a/b/c.d-e_f", "_x/1a"])
def test_a_project_path_is_its_parts(text: str) -> None:
    """A path is split at its last slash and written back as it was."""
    assert str(ProjectPath.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["packages", "", "/", "a/", "/b", "a//b", "a/..", "a/.b", "a/-b", "a/b.", "a/b.git", "a/7", "a/b c", "a/\u00e9"]
)
def test_other_paths_are_refused(text: str) -> None:
    """What GitLab takes for no path, and what could be mistaken for a number, is refused (hardening row 2)."""
    with pytest.raises(InvalidSetting):
        ProjectPath.parse(text)
