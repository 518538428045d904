"""Which of our projects a project of a GitLab instance stands for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.job_projects import our_project

SEGMENT = st.from_regex(r"\A[a-z][a-z0-9_-]{0,8}\Z")


@pytest.mark.parametrize(
    ("patterns", "theirs", "ours"),
    [
        ([("group/app", "team/app")], "group/app", "team/app"),
        ([("group/app", "team/app")], "Group/App", "team/app"),
        ([("group/app", "team/app")], "group/app2", None),
        ([("group/*", "team/*")], "group/app", "team/app"),
        ([("group/*", "team/*")], "group/sub/app", "team/sub/app"),
        ([("group/*", "team/*")], "group/", None),
        ([("group/*", "team/*")], "group2/app", None),
        ([("*", "*")], "any/where", "any/where"),
        ([("*/lib", "team/*-lib")], "a/lib", "team/a-lib"),
        ([("group/*", "team/*")], "group/../x", None),
        ([("group/*", "team/*")], "group/a b", None),
        ([("group/*", "*")], "group/app", None),
        ([("group/app", "special/one"), ("group/*", "team/*")], "group/app", "special/one"),
        ([("group/*", "team/*"), ("group/app", "special/one")], "group/app", "team/app"),
        ([], "group/app", None),
    ],
)
def test_patterns(patterns: list[tuple[str, str]], theirs: str, ours: str | None) -> None:
    """The first pattern that fits counts; a star stands for the same text on both sides; what is no path of ours is none."""
    assert our_project(patterns, theirs) == ours


@given(before=SEGMENT, inner=st.lists(SEGMENT, min_size=1, max_size=4))
def test_a_star_keeps_what_it_stands_for(before: str, inner: list[str]) -> None:
    """Whatever lies below a group there lies below ours, under the same name."""
    rest = "/".join(inner)
    assert our_project([(f"{before}/*", "ours/*")], f"{before}/{rest}") == f"ours/{rest}"


@given(st.text(max_size=40))
def test_no_text_makes_trouble(theirs: str) -> None:
    """Whatever the instance calls a project, the answer is a path or none."""
    found = our_project([("group/*", "team/*"), ("*", "rest/*")], theirs)
    assert found is None or found.startswith(("team/", "rest/"))
