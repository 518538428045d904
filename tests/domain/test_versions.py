"""Versions: PEP 440, as GitLab's expression spells it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version as Pep440

from registry.domain.errors import InvalidVersion
from registry.domain.versions import Version
from tests.strategies import versions


@given(versions(), versions())
def test_equality_and_order_are_those_of_packaging(one: str, other: str) -> None:
    """Two versions are equal, and ordered, exactly as packaging says."""
    left, right = Version(one), Version(other)
    assert (left == right) == (Pep440(one) == Pep440(other))
    assert (left.order < right.order) == (Pep440(one) < Pep440(other))
    assert left.display == one


@given(versions(), st.integers(0, 3))
def test_trailing_zeros_do_not_make_another_version(text: str, zeros: int) -> None:
    """The normal form of a version equals every spelling of it; a release may grow zeros."""
    assert Version(str(Pep440(text))) == Version(text)
    assert hash(Version(str(Pep440(text)))) == hash(Version(text))
    assert Version("1.5" + ".0" * zeros) == Version("1.5")


@pytest.mark.parametrize(
    "text", ["1.0", "v1.0", "1!2.0", "1.0.RC.1", "1.0-1", "2024.01.05", "1.0+a_b", "0", "1.0.dev0", "1.0.post2.dev3+x.1"]
)
def test_gitlabs_examples_are_accepted(text: str) -> None:
    """What GitLab's expression accepts is accepted."""
    assert Version(text).order == Pep440(text)


@pytest.mark.parametrize(
    "text",
    [
        "1.0-SNAPSHOT",
        "latest",
        "1..0",
        "1.0+",
        "",
        ".",
        "..",
        "1.0/2",
        "1.0\\2",
        "1.0\0",
        "1.0+\u00e9",
        "\u0661.0",
        "1.0\u212a",
        "1.0-\u017fev1",
    ],
)
def test_gitlabs_counterexamples_are_refused(text: str) -> None:
    """What GitLab's expression refuses is refused, in a message that says what a version is (hardening row 1)."""
    with pytest.raises(InvalidVersion, match=r"Version is invalid: .* is not a PEP 440 version"):
        Version(text)


@given(st.sampled_from([" ", "\t", "\n", "\r\n", "\v", "\f", "\x1c", "\x85", "\u00a0", "\u2003"]), st.booleans())
def test_surrounding_blanks_are_refused(blank: str, leading: bool) -> None:
    """A blank before or after a version is not trimmed: GitLab refuses it."""
    with pytest.raises(InvalidVersion):
        Version(f"{blank}1.0" if leading else f"1.0{blank}")


@pytest.mark.parametrize("digits", [255])
def test_the_longest_version_is_accepted_and_one_more_is_not(digits: int) -> None:
    """255 characters are a version, 256 are not, and a hundred thousand cost nothing."""
    assert Version("1" * digits).display == "1" * digits
    for length in (digits + 1, 100_000):
        with pytest.raises(InvalidVersion) as refused:
            Version("1" * length)
        assert len(str(refused.value)) < 400


@given(st.one_of(st.text(max_size=20), st.text("0123456789.!+-_abcrdevpost v\n", max_size=14)))
def test_nothing_but_an_invalid_version_is_ever_raised(text: str) -> None:
    """Any text is either a version that packaging reads the same, or an InvalidVersion."""
    try:
        version = Version(text)
    except InvalidVersion:
        return
    assert version.order == Pep440(text)
    assert text == text.strip()
