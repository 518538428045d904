"""What answers of other servers tell about a file."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.fetched import Fetched

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def answer(body: bytes = b"", **headers: str) -> Fetched:
    """An answer with these headers, underscores for hyphens."""
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fetched(status=200, headers=said, body=body, url="http://index.test/a")


@pytest.mark.parametrize(
    ("told", "part"),
    [
        ("bytes 0-2/3", (0, 3)),
        ("bytes 7-9/10", (7, 10)),
        (" bytes 7-9/999999999999999999 ", (7, 999_999_999_999_999_999)),
        ("bytes 7-9/9", None),
        ("bytes 7-10/20", None),
        ("bytes 7-8/20", None),
        ("bytes 9-7/20", None),
        ("bytes 7-9/*", None),
        ("bytes */20", None),
        ("bytes 7-9/1000000000000000000", None),
        ("bytes \u0667-\u0669/\u0662\u0660", None),
        ("7-9/20", None),
        ("", None),
    ],
)
def test_a_part_lies_where_content_range_says_if_it_can(told: str, part: tuple[int, int] | None) -> None:
    """Content-Range is believed if it is of one part, as long as the body, within a whole of known size; else there is none."""
    assert answer(b"abc", content_range=told).part == part


@given(told=st.text(max_size=40))
def test_any_header_is_read_or_nothing(told: str) -> None:
    """Whatever stands in the headers, reading them raises nothing, and what is read makes sense."""
    said = answer(b"abc", content_range=told, content_length=told, last_modified=told)
    assert said.part is None or said.part[0] + 3 <= said.part[1]
    assert said.length is None or said.length >= 0
    assert (at := said.modified(NOW)) is None or at <= NOW


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ({"content_length": "0"}, 0),
        ({"content_length": " 17 "}, 17),
        ({"content_length": "17", "content_encoding": "Identity"}, 17),
        ({"content_length": "17", "content_encoding": "gzip"}, None),
        ({"content_length": "17, 17"}, None),
        ({"content_length": "-1"}, None),
        ({"content_length": "1" * 19}, None),
        ({}, None),
    ],
)
def test_a_length_is_that_of_the_file_itself(headers: dict[str, Any], length: int | None) -> None:
    """Content-Length counts where it is one number and the file is not encoded."""
    assert answer(**headers).length == length


@pytest.mark.parametrize(
    ("at", "found"),
    [
        (NOW, NOW),
        (NOW + timedelta(minutes=5), NOW),
        (NOW + timedelta(minutes=5, seconds=1), None),
        (datetime(1980, 1, 2, tzinfo=UTC), datetime(1980, 1, 2, tzinfo=UTC)),
        (datetime(1980, 1, 1, tzinfo=UTC), None),
        (datetime(1970, 1, 1, tzinfo=UTC), None),
    ],
)
def test_last_modified_is_a_time_that_was(at: datetime, found: datetime | None) -> None:
    """A date is believed unless it is in the future, by more than clocks differ, or the beginning of a calendar."""
    assert answer(last_modified=format_datetime(at, usegmt=True)).modified(NOW) == found


@pytest.mark.parametrize("headers", [{}, {"last_modified": "yesterday"}, {"last_modified": "Tue, 99 Foo 2020 00:00:00 GMT"}])
def test_no_date_is_none(headers: dict[str, Any]) -> None:
    """Where there is no Last-Modified, or none that can be read, nothing is known."""
    assert answer(**headers).modified(NOW) is None
