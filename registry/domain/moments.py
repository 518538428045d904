"""Dates and instants as addresses spell them."""

import re
from datetime import UTC, datetime, timedelta

from registry.domain.errors import InvalidMoment

# RFC 3339, 5.6: ASCII digits, an offset that is never left out. Spelt out, since `fromisoformat` takes week dates and much else.
_DATE = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
_MOMENT = re.compile(rf"{_DATE}(?:[Tt]([0-9]{{2}}):([0-9]{{2}}):([0-9]{{2}})(?:\.([0-9]+))?(?:[Zz]|([+-])([0-9]{{2}}):([0-9]{{2}})))?")
_LONGEST = 100
_LAST_MINUTE, _LAST_SECOND, _MOST_MINUTES, _MOST_HOURS = timedelta(hours=23, minutes=59), 60, 59, 23


def parse_moment(text: str) -> datetime:
    """The last microsecond, in UTC, of what `text` names: a date (all of that day, UTC) or an instant (RFC 3339).

    Of a fraction the microseconds count; a leap second is the end of the second before it. Raises `InvalidMoment`.
    """
    found = _MOMENT.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise InvalidMoment(text=text)
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = found.groups()
    try:
        date = datetime(int(year), int(month), int(day), tzinfo=UTC)
        if hour is None:
            return date.replace(hour=23, minute=59, second=59, microsecond=999_999)
        leap = int(second) == _LAST_SECOND
        microsecond = 999_999 if leap else int((fraction or "")[:6].ljust(6, "0"))
        there = date.replace(hour=int(hour), minute=int(minute), second=59 if leap else int(second), microsecond=microsecond)
    except ValueError:
        raise InvalidMoment(text=text) from None
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    if int(hours or 0) > _MOST_HOURS or int(minutes or 0) > _MOST_MINUTES:
        raise InvalidMoment(text=text)
    try:
        here = there - offset
    except OverflowError:
        # The first or the last hours that a calendar knows: nothing of ours was then, or everything.
        here = datetime.min.replace(tzinfo=UTC) if offset > timedelta() else datetime.max.replace(tzinfo=UTC)
    if leap and timedelta(hours=here.hour, minutes=here.minute) != _LAST_MINUTE:
        raise InvalidMoment(text=text)  # RFC 3339, 5.7: only at 23:59:60 UTC
    return here
