"""Conditional and partial requests, against the plainest model of them: slices."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from registry.domain.conditional import Span, Unsatisfiable, not_modified, requested_span

ETAG = "5f" * 32
MODIFIED = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
HTTP_DATE = "Sun, 01 Mar 2026 12:30:15 GMT"


def ask(header: str | None, size: int, if_range: str | None = None) -> Span | None:
    """The span for a file of `size` bytes."""
    return requested_span(header, if_range, etag=ETAG, modified=MODIFIED, size=size)


def served(header: str, content: bytes) -> bytes | None:
    """What a client gets; None for a refusal."""
    try:
        span = ask(header, len(content))
    except Unsatisfiable:
        return None
    return content if span is None else content[span.start : span.start + span.length]


contents = st.binary(max_size=40)
positions = st.integers(0, 50)
zeros = st.sampled_from(["", "0", "000"])


@given(contents, positions, positions, zeros)
def test_a_closed_range_is_a_slice(content: bytes, first: int, last: int, zero: str) -> None:
    """`first-last` serves content[first:last+1]; beyond the end it is refused; backwards it is ignored (RFC 9110, 14.1.1)."""
    answer = served(f"bytes={zero}{first}-{zero}{last}", content)
    if first > last:
        assert answer == content
    elif first >= len(content):
        assert answer is None
    else:
        assert answer == content[first : last + 1]


@given(contents, positions, zeros)
def test_an_open_range_is_a_slice(content: bytes, first: int, zero: str) -> None:
    """`first-` serves content[first:] and is refused beyond the end."""
    assert served(f"bytes={zero}{first}-", content) == (content[first:] if first < len(content) else None)


@given(contents, positions, zeros)
@example(b"abc", 0, "")
@example(b"abc", 0, "0")
def test_a_suffix_range_is_a_slice(content: bytes, length: int, zero: str) -> None:
    """`-length` serves the last bytes, all of them if there are fewer; a suffix of nothing, or of nothing there is, is refused."""
    expected = content[max(0, len(content) - length) :] if length and content else None
    assert served(f"bytes=-{zero}{length}", content) == expected


@given(st.integers(1, 10**12), st.data())
def test_the_content_range_names_what_is_sent(size: int, data: st.DataObject) -> None:
    """Content-Range gives the first and last byte, inclusive, and the size of the whole; a span is never empty and never beyond the end."""
    first = data.draw(st.integers(0, size - 1))
    last = data.draw(st.integers(first, size + 10))
    span = ask(f"bytes={first}-{last}", size)
    assert span is not None
    assert 0 < span.length <= size - span.start
    assert span.content_range(size) == f"bytes {first}-{min(last, size - 1)}/{size}"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=--1",
        "bytes=1-2-3",
        "bytes=+1-2",
        "bytes=1.0-2",
        "bytes=\u0661-\u0662",
        "items=0-1",
        "0-1",
        "bytes=0-1,3-4",
        "bytes=0-0,-1",
        "bytes=5-2",
        "bytes 0-1",
    ],
)
def test_what_cannot_be_understood_is_ignored(header: str) -> None:
    """An unknown unit, a malformed range and several ranges get the whole file, not an error."""
    assert ask(header, 10) is None


@pytest.mark.parametrize("header", ["bytes=2-3", "Bytes=2-3", "BYTES = 2 - 3", " bytes=2-3 "])
def test_the_unit_is_read_in_any_case_and_spacing(header: str) -> None:
    """Range units ignore case (RFC 9110, 14.1), and blanks do no harm."""
    assert ask(header, 10) == Span(start=2, length=2)


@given(
    st.one_of(st.text(max_size=40), st.text("bytes=0123-, \t", max_size=30).map("bytes={}".format)),
    st.one_of(st.none(), st.text(max_size=40)),
)
def test_hostile_headers_get_a_span_or_a_refusal(header: str, if_range: str | None) -> None:
    """Whatever the headers hold, the answer is a span inside the file, the whole file, or 416."""
    try:
        span = ask(header, 10, if_range)
    except Unsatisfiable:
        return
    assert span is None or (span.start >= 0 and 0 < span.length <= 10 - span.start)


@pytest.mark.parametrize(
    ("if_range", "partial"),
    [
        (None, True),
        (f'"{ETAG}"', True),
        (HTTP_DATE, True),
        (f'W/"{ETAG}"', False),
        (f' W/"{ETAG}"', False),
        ('"other"', False),
        ("Sun, 01 Mar 2026 12:30:14 GMT", False),
        ("Sun, 01 Mar 2026 12:30:16 GMT", False),
        ("*", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_if_range_compares_strongly(if_range: str | None, partial: bool) -> None:
    """Only the file's own strong tag, or its exact time, keeps the range; anything else gets the whole file (RFC 9110, 13.1.5)."""
    assert (ask("bytes=2-3", 10, if_range) == Span(start=2, length=2)) is partial
    assert (ask("bytes=2-3", 10, if_range) is None) is not partial


def test_if_range_that_fails_hides_an_impossible_range() -> None:
    """A range of another version of the file is not held against the client: it gets all of this one."""
    assert ask("bytes=100-", 10, '"other"') is None
    with pytest.raises(Unsatisfiable):
        ask("bytes=100-", 10, f'"{ETAG}"')


def test_if_range_dates_mean_the_moment_whatever_the_zone() -> None:
    """A file's time is compared in UTC, to the second."""
    elsewhere = (MODIFIED + timedelta(microseconds=5)).astimezone(tz=None)
    assert requested_span("bytes=0-0", HTTP_DATE, etag=ETAG, modified=elsewhere, size=1) == Span(start=0, length=1)


@pytest.mark.parametrize(
    ("if_none_match", "current"),
    [
        (None, False),
        ("", False),
        ("*", True),
        (f'"{ETAG}"', True),
        (f'W/"{ETAG}"', True),
        (f'"a", "{ETAG}"', True),
        (f'"a",W/"{ETAG}" , "b"', True),
        ('"a"', False),
        (f'"{ETAG[:-1]}"', False),
        (f'"{ETAG}x"', False),
        (f'"{ETAG.upper()}"', False),
        (",,,", False),
    ],
)
def test_if_none_match_compares_weakly(if_none_match: str | None, current: bool) -> None:
    """A client's copy is current when any of its tags, weak or strong, is ours (RFC 9110, 13.1.2)."""
    assert not_modified(if_none_match, ETAG) is current


@given(st.one_of(st.text(max_size=40), st.text('W/"*, abc\\\0', max_size=40)))
def test_a_hostile_if_none_match_never_raises(if_none_match: str) -> None:
    """Any header is an answer, and a tag that is nowhere in it is never taken for current."""
    assert not_modified(if_none_match, ETAG) is (if_none_match == "*")
