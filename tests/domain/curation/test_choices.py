"""Lines of lists and exceptions."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.version import Version as Pep440

from registry.domain.curation.choices import Choice, Choices, name_pattern, name_patterns
from registry.domain.curation.waivers import Waiver, waivers
from registry.domain.names import Name
from registry.domain.wildcards import fits
from tests.strategies import names

LINE = "requests ==2.32.0 until 2026-12-01 because of a bug"


@given(names())
def test_every_name_is_a_pattern_of_itself(text: str) -> None:
    """A name in any spelling is a pattern that its normal form fits."""
    assert fits(name_pattern(text), Name(text).normalized)


@given(st.text("aB1-_.* \n/\u212a", max_size=12))
@example("*" * 10_000)
def test_any_text_is_a_pattern_of_names_or_refused(text: str) -> None:
    """A pattern is in normal form, with at least one name that fits it; any other text is a ValueError."""
    try:
        pattern = name_pattern(text)
    except ValueError as error:
        assert "is no pattern of names" in str(error)  # noqa: PT017 - many texts are refused; nothing else may come out
        return
    assert fits(pattern, Name(pattern.replace("*", "a")).normalized)


@given(st.one_of(st.text(max_size=30), st.text("ab*-. <>=!~,01", max_size=20).map("app{}".format)))
@example("a" * 501)
@example("app ===banana")
@example("app <1" + ",<1" * 160)
def test_any_line_is_a_choice_or_refused(line: str) -> None:
    """A line is a choice that can be asked, or a ValueError with a sentence."""
    try:
        choice = Choice.parse(line)
    except ValueError as error:
        assert str(error)  # noqa: PT017
        return
    assert choice.holds(Pep440("1.0")) in {True, False}


@pytest.mark.parametrize(
    "line", ["requests 2.31", "requests 2.31 <3", "requests [extra]", "requests; x", "a b", "/x", "<2", "", "requests <2 # x"]
)
def test_what_is_no_choice(line: str) -> None:
    """A version without an operator, extras, markers and comments are refused rather than taken for something else."""
    with pytest.raises(ValueError, match=r"is no (name with a version specifier|version specifier|pattern of names)"):
        Choice.parse(line)


def test_lines_may_be_long_to_a_point() -> None:
    """A line of five hundred characters can be read, one more is refused."""
    longest = "a" * 500
    assert Choice.parse(longest).pattern == longest
    with pytest.raises(ValueError, match="is no name"):
        Choice.parse(f"{longest}a")


@given(st.lists(st.sampled_from(["app", "a*", "*", "App <2", "other", "o*r"])), st.sampled_from(["app", "other", "b"]))
def test_choices_about_a_name_are_all_that_fit(texts: list[str], name: str) -> None:
    """The choices found for a name are exactly those whose pattern it fits."""
    choices = Choices.parse("\n".join(texts))
    assert sorted(one.text for one in choices.about(name)) == sorted(one.text for one in choices.all if fits(one.pattern, name))


def test_patterns_stand_on_lines_or_with_commas() -> None:
    """Commas and line breaks separate, blanks do not count, and nothing is no pattern."""
    assert name_patterns(" Acme_*,ours\n\n theirs.x , ") == ("acme-*", "ours", "theirs-x")
    assert name_patterns("") == ()


def test_an_exception_has_three_parts() -> None:
    """Name with versions, an end (all of that day, or a moment) and the reason, which may be any words."""
    (one, other) = waivers(f"{LINE}\n\n a-* until 2026-12-01T10:00:00+01:00  because until because until ")
    assert (one.choice.text, one.until, one.reason) == (
        "requests ==2.32.0",
        datetime(2026, 12, 1, 23, 59, 59, 999_999, tzinfo=UTC),
        "of a bug",
    )
    assert (other.choice.pattern, other.until, other.reason) == ("a-*", datetime(2026, 12, 1, 9, tzinfo=UTC), "until because until")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("requests until 2026-12-01", "gives no reason"),
        ("requests until 2026-12-01 because", "gives no reason"),
        ("requests until 2026-12-01 because  ", "gives no reason"),
        ("requests because of me", "is no exception"),
        ("until 2026-12-01 because of me", "is no exception"),
        ("requests until 2026-13-01 because of me", "neither a date"),
        ("requests until forever because of me", "neither a date"),
        ("requests 2 until 2026-12-01 because of me", "is no name with a version specifier"),
        ("requests until 2026-12-01 because \x1b[31m", "without control characters"),
        (f"requests until 2026-12-01 because {'x' * 513}", "at most 512 characters"),
        ("requests until 2026-12-01 becauseofme", "is no exception"),
    ],
)
def test_what_is_no_exception(line: str, problem: str) -> None:
    """Without a name, an end or a reason, or with one that cannot be read, a line is refused with what would be right."""
    with pytest.raises(ValueError, match=problem):
        Waiver.parse(line.strip())


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from([*LINE.split(), "because", "*", "<"]), max_size=8).map(" ".join)))
@example("a " * 5000)
@example("a" + " until" * 300)
def test_any_line_is_an_exception_or_refused(line: str) -> None:
    """A line is an exception with a reason, or a ValueError with a sentence."""
    try:
        assert Waiver.parse(line).reason
    except ValueError as error:
        assert str(error)  # noqa: PT017


def test_the_longest_reason_is_taken() -> None:
    """A reason of 512 characters is kept whole."""
    assert Waiver.parse(f"app until 2026-12-01 because {'x' * 512}").reason == "x" * 512
