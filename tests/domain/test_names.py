"""Names: every spelling of a name is one name, and nothing else is a name."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from registry.domain.errors import InvalidName
from registry.domain.names import Name
from tests.strategies import spellings, word_lists


@given(st.data(), word_lists)
def test_spellings_are_equal(data: st.DataObject, parts: list[str]) -> None:
    """Any case and any run of separators names the same project, and each spelling keeps its own look."""
    one, other = data.draw(spellings(parts)), data.draw(spellings(parts))
    assert Name(one) == Name(other)
    assert hash(Name(one)) == hash(Name(other))
    assert Name(one).display == one
    assert Name(one).normalized == "-".join(parts).lower() == canonicalize_name(other)


@given(word_lists, word_lists)
def test_different_words_are_different_names(one: list[str], other: list[str]) -> None:
    """Names of different words are different, and sort by their normal form."""
    left, right = Name(".".join(one)), Name("_".join(other))
    assert (left == right) == ("-".join(one).lower() == "-".join(other).lower())
    assert (left < right) == (left.normalized < right.normalized)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_x",
        "x-",
        "x.",
        "-x",
        "---",
        ".",
        "..",
        "a b",
        " a",
        "a ",
        "a\n",
        "a\0",
        "a/b",
        "a\\b",
        "@scope/x",
        "a+b",
        "\u212aelvin",  # KELVIN SIGN, which lower() makes a k
        "kelvi\u0130",
        "\uff41\uff42",  # full-width letters
        "\u0661\u0662",  # digits, but not ASCII's
        "caf\u00e9",
        "a\u2010b",  # HYPHEN
        "a\u2024b",  # ONE DOT LEADER
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    """What PEP 508 does not allow is refused with the rule in the message (hardening row 1)."""
    with pytest.raises(InvalidName, match=r"Name is invalid: .* is not a Python project name.*PEP 508") as refused:
        Name(text)
    assert str(refused.value).isascii()
    assert str(refused.value).isprintable()


# PEP 508: "^([A-Z0-9]|[A-Z0-9][A-Z0-9._-]*[A-Z0-9])$" with re.IGNORECASE, which in Python has to be told that it means ASCII.
_PEP_508 = re.compile(r"([A-Z0-9]|[A-Z0-9][A-Z0-9._-]*[A-Z0-9])", re.IGNORECASE | re.ASCII)


@given(st.one_of(st.text(max_size=12), st.text("aZ0-_. \u212a\u017f\n", max_size=6)))
def test_exactly_pep_508_is_accepted(text: str) -> None:
    """A text is a name if and only if PEP 508's expression matches all of it (hardening row 1)."""
    try:
        Name(text)
    except InvalidName:
        assert not _PEP_508.fullmatch(text)
    else:
        assert _PEP_508.fullmatch(text)


def test_a_long_refused_name_does_not_flood_the_message() -> None:
    """The message shows the beginning of a name, however long the name is (hardening row 1)."""
    with pytest.raises(InvalidName) as refused:
        Name("!" * 100_000)
    assert len(str(refused.value)) < 400
