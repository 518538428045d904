"""Reasons and statuses, and which versions take files."""

import unicodedata
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.errors import InvalidSetting, VersionClosed
from registry.domain.model import ProjectStatus
from registry.domain.releases import LONGEST_REASON, Release, check_reason, demand_open, parse_status
from registry.domain.versions import Version
from registry.testing import NOON


@given(st.text(max_size=2 * LONGEST_REASON))
def test_a_reason_is_one_line_or_refused(text: str) -> None:
    """Whatever is taken for a reason is one short line without control characters, and what was meant but for blanks around it."""
    try:
        reason = check_reason(text)
    except InvalidSetting:
        return
    assert reason == text.strip(" ")
    assert len(reason) <= LONGEST_REASON
    assert len(reason.splitlines()) <= 1
    assert not any(unicodedata.category(one) in {"Cc", "Cs"} for one in reason)
    assert check_reason(reason) == reason


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=LONGEST_REASON))
def test_what_people_write_is_a_reason(text: str) -> None:
    """Letters, digits, punctuation and symbols of every script are taken as they are."""
    assert check_reason(text) == text


@pytest.mark.parametrize("length", [0, 1, LONGEST_REASON])
def test_the_longest_reason(length: int) -> None:
    """A reason may be as long as it may be, and not one character longer, wherever there are blanks around it."""
    assert check_reason(f" {'x' * length} ") == "x" * length
    with pytest.raises(InvalidSetting, match="at most 512 characters"):
        check_reason("x" * (LONGEST_REASON + 1))


@pytest.mark.parametrize(
    "text",
    ["a\nb", "a\r\nSet-Cookie: x", "a\n", "\x00", "a\x1b[31m", "a\x85b", "a\u2028b", "a\u2029", "a\u202eb", "\u2067", "a\tb", "\ud800"],
)
def test_a_reason_gives_no_orders(text: str) -> None:
    """What breaks a line, moves a cursor or turns the direction of writing is refused, and not repeated raw (hardening row 3)."""
    with pytest.raises(InvalidSetting, match="one line, without control characters") as caught:
        check_reason(text)
    assert str(caught.value).isascii()


def test_statuses_are_parsed_by_the_peps_words() -> None:
    """Any other word is refused with the four there are."""
    assert [parse_status(word) for word in ("active", "archived", "deprecated", "quarantined")] == list(ProjectStatus)
    for word in ("", "Active", "yanked", "archived ", "\r\n"):
        with pytest.raises(InvalidSetting, match="use active, archived, deprecated or quarantined"):
            parse_status(word)


@pytest.mark.parametrize(
    ("closed", "age", "after", "is_open"),
    [
        (None, 100, None, True),
        (None, 60, 60, True),
        (None, 61, 60, False),
        (True, 0, None, False),
        (True, 0, 60, False),
        (False, 61, 60, True),
        (False, 10**9, 1, True),
    ],
)
def test_a_version_closes_by_hand_or_by_its_age(closed: bool | None, age: int, after: int | None, is_open: bool) -> None:
    """A version past its age is closed, at that age it is not yet; a closed one always is, one kept open by hand never."""
    limit = None if after is None else timedelta(seconds=after)
    release = Release(closed=closed, begun_at=NOON - timedelta(seconds=age))
    if is_open:
        demand_open(release, Version("1.0"), limit, NOON)
    else:
        with pytest.raises(VersionClosed, match="closed"):
            demand_open(release, Version("1.0"), limit, NOON)


def test_a_version_to_be_is_open() -> None:
    """A version without files has no age."""
    demand_open(None, Version("1.0"), timedelta(0), NOON)
