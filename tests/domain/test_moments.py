"""Dates and instants in addresses."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.errors import InvalidMoment
from registry.domain.moments import parse_moment

MICROSECOND = timedelta(microseconds=1)
offsets = st.integers(-24 * 60 + 1, 24 * 60 - 1).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# Far enough from both ends of the calendar for any offset.
instants = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=offsets)  # noqa: DTZ001 - the zone is drawn beside


@given(st.dates())
def test_a_date_is_the_end_of_its_day(date: datetime) -> None:
    """A bare date means the last microsecond of that day, UTC."""
    end = parse_moment(date.isoformat())
    assert (end.date(), end.tzinfo) == (date, UTC)
    assert end.time().isoformat() == "23:59:59.999999"


@given(instants, st.sampled_from(["T", "t"]))
def test_an_instant_is_itself(instant: datetime, mark: str) -> None:
    """What is written with any offset, to the microsecond, is the same instant in UTC."""
    found = parse_moment(instant.isoformat().replace("T", mark))
    assert (found, found.utcoffset()) == (instant, timedelta())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21T09:30:00+02:00", datetime(2026, 11, 21, 7, 30, tzinfo=UTC)),
        ("2026-11-21T09:30:00-00:30", datetime(2026, 11, 21, 10, 0, tzinfo=UTC)),
        ("2026-11-21T09:30:00-00:00", datetime(2026, 11, 21, 9, 30, tzinfo=UTC)),
        ("2026-11-21T09:30:00Z", datetime(2026, 11, 21, 9, 30, tzinfo=UTC)),
        ("2026-11-21t09:30:00z", datetime(2026, 11, 21, 9, 30, tzinfo=UTC)),
        ("2026-11-21T09:30:00.5Z", datetime(2026, 11, 21, 9, 30, 0, 500_000, tzinfo=UTC)),
        ("2026-11-21T09:30:00.1234569Z", datetime(2026, 11, 21, 9, 30, 0, 123_456, tzinfo=UTC)),
        ("2026-11-21T23:59:59.999999+23:59", datetime(2026, 11, 21, 0, 0, 59, 999_999, tzinfo=UTC)),
        ("2024-02-29", datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("2017-01-01T00:59:60.7+01:00", datetime(2016, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("0001-01-01", datetime(1, 1, 1, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("9999-12-31", datetime.max.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00+00:01", datetime.min.replace(tzinfo=UTC)),
        ("9999-12-31T23:59:59-23:59", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_instants_of_every_form(text: str, expected: datetime) -> None:
    """Offsets, Z in either case, fractions, leap seconds and both ends of the calendar are understood."""
    assert parse_moment(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "now",
        "2026-13-01",
        "2026-00-01",
        "2026-02-30",
        "2023-02-29",
        "2026-1-1",
        "20261121",
        "20261121T093000Z",
        "2026-11",
        "2026",
        "2026-W47-6",
        "2026-325",
        "0000-01-01",
        "10000-01-01",
        "-2026-01-01",
        "+2026-01-01",
        "2026-11-21T09:30",
        "2026-11-21T09:30Z",
        "2026-11-21T09:30:00",
        "2026-11-21T09:30:00+02",
        "2026-11-21T09:30:00+0200",
        "2026-11-21T09:30:00 02:00",
        "2026-11-21 09:30:00Z",
        "2026-11-21T09:30:00,5Z",
        "2026-11-21T09:30:00.Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T09:60:00Z",
        "2026-11-21T09:30:61Z",
        "2026-11-21T09:30:60Z",
        "2026-11-21T09:30:00+24:00",
        "2026-11-21T09:30:00+00:60",
        "2026-11-21Z",
        " 2026-11-21",
        "2026-11-21 ",
        "2026-11-21\n",
        "\uff12\uff10\uff12\uff16-11-21",
        "2026-11-2\u0661",
        "2026\u201311\u201321",
        "1700000000",
        "2026-11-21T09:30:00." + "0" * 10_000 + "Z",
        "9" * 10_000,
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    """Nothing but RFC 3339 is understood, and the refusal says what would be, in one line."""
    with pytest.raises(InvalidMoment, match=r"2026-11-21T09:30:00Z \(RFC 3339\)") as caught:
        parse_moment(text)
    assert len(str(caught.value)) < 250
    assert str(caught.value).isprintable()


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{1,5}-[0-9]{1,3}-[0-9]{1,3}(T[0-9]{1,3}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?[Zz+-]?[0-9:]*)?"))
def test_any_text_is_an_instant_or_refused(text: str) -> None:
    """Whatever stands in the address, it is an instant with a zone or `InvalidMoment`, never another error."""
    try:
        found = parse_moment(text)
    except InvalidMoment:
        return
    assert found.tzinfo is UTC
    assert text.isascii()
