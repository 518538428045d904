"""Protection rules: what a pattern means, and whom it keeps out."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.access import DeployToken, Identity, Job, Project, Role, Standing, User, Visibility
from registry.domain.errors import Forbidden, Unprocessable
from registry.domain.names import Name
from registry.domain.protection import (
    ADMIN,
    DELETE_LEVELS,
    PUSH_LEVELS,
    ProtectionRule,
    check_levels,
    check_pattern,
    demand_delete,
    demand_push,
    level_of,
    matches,
    normalize_pattern,
)

ANN = User(id=7, username="ann")
PLACE = Project(id=1, path="team/one", name="one", visibility=Visibility.PRIVATE, owner_id=9)
NAMES = st.from_regex(r"[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){0,12}", fullmatch=True)
PATTERNS = st.text(alphabet="ab1-._*A", min_size=1, max_size=12)


def rule(pattern: str, push: int | None = None, delete: int | None = None) -> ProtectionRule:
    return ProtectionRule(id=1, project_id=1, pattern=pattern, least_for_push=push, least_for_delete=delete)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("my-*", "My.Thing", True),
        ("my_*", "my-thing", True),
        ("MY.*", "my-thing", True),
        ("my--*", "my-thing", True),
        ("my-*", "my", False),
        ("my*", "my", True),
        ("*", "anything", True),
        ("**", "anything", True),
        ("*-internal", "a-internal", True),
        ("*-internal", "a-internals", False),
        ("a*b*c", "a-c-b-c", True),
        ("a*b*c", "a-c", False),
        ("ab*ba", "aba", False),
        ("a*a", "a", False),
        ("thing", "Thing", True),
        ("thing", "things", False),
        ("*x*", "abc", False),
    ],
)
def test_patterns_match_every_spelling_of_a_name(pattern: str, name: str, *, expected: bool) -> None:
    """A pattern and a name mean the same in any spelling, and the pattern is the whole name with stars for any text."""
    assert matches(pattern, Name(name).normalized) is expected


@given(PATTERNS, NAMES)
def test_matching_is_that_of_a_regular_expression(pattern: str, name: str) -> None:
    """Without a regular expression's backtracking, a pattern matches exactly what the plain one would."""
    expected = re.fullmatch(".*".join(re.escape(piece) for piece in re.split(r"\*+", normalize_pattern(pattern))), name)
    assert matches(pattern, name) is (expected is not None)


@given(PATTERNS)
def test_a_normalised_pattern_stays_as_it_is(pattern: str) -> None:
    """Normalising twice is normalising once."""
    assert normalize_pattern(normalize_pattern(pattern)) == normalize_pattern(pattern)


def test_no_pattern_is_slow() -> None:
    """The pattern that makes backtracking matchers take for ever is answered like any other (row 42)."""
    assert not matches("a*" * 127 + "b", "a" * 255)
    assert matches("a*" * 127 + "a", "a" * 255)


@pytest.mark.parametrize("text", ["", "   ", "a" * 256, "a b", "a/b", "caf\u00e9", "a%", "a\n", "[ab]", "a?"])
def test_what_no_name_can_be_is_no_pattern(text: str) -> None:
    """A pattern holds the characters of names and stars, and at most 255 of them."""
    with pytest.raises(Unprocessable):
        check_pattern(text)


@pytest.mark.parametrize("text", ["a", "*", "A.b_c-*", "a" * 255])
def test_patterns_of_name_characters_are_taken(text: str) -> None:
    """Both ends of the limit, and every character, are allowed."""
    assert check_pattern(text) == text


def test_a_rule_protects_from_something() -> None:
    """A rule without a level for pushing or deleting is refused in GitLab's words."""
    check_levels(40, None)
    check_levels(None, 50)
    with pytest.raises(Unprocessable, match="at least a minimum access role"):
        check_levels(None, None)


@pytest.mark.parametrize("least", PUSH_LEVELS.values())
@pytest.mark.parametrize("level", [0, 10, 30, 40, 50, ADMIN])
def test_pushing_takes_the_level_of_the_rule(least: int, level: int) -> None:
    """Whoever stands at least as high as a matching rule asks may publish, and nobody else."""
    rules = [rule("other", push=ADMIN), rule("my-*", push=least)]
    if level >= least:
        demand_push(rules, Name("My.Thing"), level)
    else:
        with pytest.raises(Forbidden, match=r"Forbidden - Package protected\."):
            demand_push(rules, Name("My.Thing"), level)
    demand_push(rules, Name("unprotected"), 0)


@pytest.mark.parametrize("least", DELETE_LEVELS.values())
@pytest.mark.parametrize("level", [40, 50, ADMIN])
def test_deleting_takes_the_level_of_the_rule(least: int, level: int) -> None:
    """A rule for deleting says nothing about pushing, and the highest of several matching rules counts."""
    rules = [rule("*", delete=50), rule("my-*", delete=least)]
    demand_push(rules, Name("my-thing"), 0)
    if level >= max(50, least):
        demand_delete(rules, "my-thing", level)
    else:
        with pytest.raises(Forbidden, match=r"Package is deletion protected\."):
            demand_delete(rules, "my-thing", level)


def test_a_deploy_token_stands_nowhere() -> None:
    """A deploy token acts for nobody, so it never publishes what is protected."""
    token = DeployToken(id=1, name="d", username="d", scopes=frozenset({"write_package_registry"}), project_id=1)
    assert level_of(Identity(deploy=token), PLACE, Standing(role=Role.OWNER)) == 0


def test_a_job_stands_where_its_user_does() -> None:
    """A job token has the role of who triggered the job, if the project admits the job at all."""
    identity = Identity(user=ANN, job=Job(id=1, project_id=2))
    assert level_of(identity, PLACE, Standing(role=Role.MAINTAINER)) == Role.MAINTAINER
    assert level_of(identity, PLACE, Standing(role=Role.MAINTAINER, admits_job=False)) == 0


def test_administrators_stand_above_owners() -> None:
    """An administrator passes every rule; the owner of a personal namespace is an Owner."""
    assert level_of(Identity(user=User(id=1, username="root", admin=True)), PLACE, Standing()) == ADMIN
    assert level_of(Identity(user=User(id=9, username="own")), PLACE, Standing()) == Role.OWNER
