"""What to look for in the journal."""

import re
from datetime import UTC, datetime

from attrs import frozen

from registry.domain.errors import InvalidSetting
from registry.domain.model import Change

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@frozen(kw_only=True)
class Search:
    """Which changes are wanted; what is None or empty asks for nothing. `action` is one ("package.delete") or a kind ("package").

    `after` is a serial; `since` is included, `until` is not; `user` and `package` (normalised) are exact.
    """

    project_id: int | None = None
    package: str = ""
    user: str | None = None
    action: str = ""
    since: datetime | None = None
    until: datetime | None = None
    after: int = 0


@frozen(kw_only=True)
class Entry:
    """A change, with the path its project has now; None if it has none any more."""

    change: Change
    project_path: str | None


def parse_moment(text: str) -> datetime:
    """A date (00:00 UTC of that day) or an ISO 8601 time with a zone. Raises `InvalidSetting`."""
    allowed = "use a date such as 2030-01-31 or a time such as 2030-01-31T12:00:00Z"
    try:
        moment = datetime.fromisoformat(text)
        if _DATE.fullmatch(text):
            moment = moment.replace(tzinfo=UTC)
        if moment.tzinfo is None:
            raise InvalidSetting(what="Time", value=text, allowed=f"it has no time zone; {allowed}")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidSetting(what="Time", value=text, allowed=allowed) from None
