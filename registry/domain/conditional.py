"""Conditional and partial requests (RFC 9110, sections 13 and 14), decided without a socket."""

import re
from datetime import UTC, datetime

from attrs import frozen
from werkzeug.http import parse_etags, parse_if_range_header, parse_range_header

# RFC 9110, 14.1.2: a suffix of no bytes is well-formed and never satisfiable; werkzeug takes it for malformed.
_NOTHING = re.compile(r"[ \t]*bytes[ \t]*=[ \t]*-0+[ \t]*", re.IGNORECASE | re.ASCII)


@frozen(kw_only=True)
class Span:
    """A part of a file: `length` bytes from `start`. `length` is never 0."""

    start: int
    length: int

    def content_range(self, size: int) -> str:
        """The `Content-Range` value for this part of a file of `size` bytes."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size}"


class Unsatisfiable(Exception):
    """The client asked for bytes the file does not have: 416."""


def not_modified(if_none_match: str | None, etag: str) -> bool:
    """Tell whether the client's copy is current (RFC 9110, 13.1.2: weak comparison, `*` matches whatever exists)."""
    if if_none_match is None:
        return False
    return bool(parse_etags(if_none_match).contains_weak(etag))


def requested_span(header: str | None, if_range: str | None, *, etag: str, modified: datetime | None, size: int) -> Span | None:
    """The single part a `Range` header asks for; None means "send it all".

    RFC 9110: an unknown unit, a malformed header, several ranges (which a server may refuse) or an `If-Range` that does not name this very
    file are ignored. Raises `Unsatisfiable` when the range is well-formed and lies outside the file.
    """
    if header is None or not _same_file(if_range, etag, modified):
        return None
    if _NOTHING.fullmatch(header):
        raise Unsatisfiable
    parsed = parse_range_header(header)
    if parsed is None or parsed.units != "bytes" or len(parsed.ranges) != 1:
        return None
    start, stop = parsed.ranges[0]
    if start < 0:
        start, stop = max(0, size + start), size
    if start >= size:
        raise Unsatisfiable
    stop = size if stop is None else min(stop, size)
    return Span(start=start, length=stop - start)


def _same_file(if_range: str | None, etag: str, modified: datetime | None) -> bool:
    if if_range is None:
        return True
    parsed = parse_if_range_header(if_range)
    if parsed.date is not None:
        # RFC 9110, 13.1.5: an HTTP date matches only exactly.
        return modified is not None and bool(parsed.date == modified.astimezone(UTC).replace(microsecond=0))
    # RFC 9110, 13.1.5: strong comparison, so a weak validator never matches.
    return parsed.etag == etag and not if_range.lstrip().startswith(("W/", "w/"))
