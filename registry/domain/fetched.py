"""What another server answered."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from attrs import frozen
from werkzeug.http import parse_date

# RFC 9110, 14.4: of a single part, whose whole is known. Eighteen digits are more than any file has.
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", re.ASCII)
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)
# What is said to be older is no date but the beginning of some server's calendar.
_EARLIEST = datetime(1980, 1, 2, tzinfo=UTC)
_CLOCKS_DIFFER = timedelta(minutes=5)


@frozen(kw_only=True)
class Fetched:
    """A whole answer. `headers` by lower-case name, `body` decoded, `url` where it came from after redirects (without credentials)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    @property
    def part(self) -> tuple[int, int] | None:
        """Where `body` begins in the whole, and how long that is, by Content-Range; None where it does not fit the body or says nothing."""
        found = _CONTENT_RANGE.fullmatch(self.headers.get("content-range", "").strip())
        if found is None:
            return None
        start, last, size = map(int, found.groups())
        return (start, size) if start <= last < size and len(self.body) == last - start + 1 else None

    @property
    def length(self) -> int | None:
        """How long the file is that was asked about by HEAD; None where nothing tells, or what tells is an encoded form of it."""
        said = self.headers.get("content-length", "").strip()
        plain = self.headers.get("content-encoding", "").strip().lower() in {"", "identity"}
        return int(said) if plain and _LENGTH.fullmatch(said) else None

    def modified(self, now: datetime) -> datetime | None:
        """Last-Modified (RFC 9110, 8.8.2); None where it is not told, no date, in the future, or the beginning of a calendar."""
        found = parse_date(self.headers.get("last-modified"))
        return min(found, now) if found is not None and _EARLIEST <= found <= now + _CLOCKS_DIFFER else None

    @property
    def state(self) -> tuple[str, str]:
        """What differs between two answers if the file was changed between them: its ETag and Last-Modified, as they were sent."""
        return self.headers.get("etag", ""), self.headers.get("last-modified", "")
