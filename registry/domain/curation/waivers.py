"""Break-glass: packages that are let in for a while though a rule would keep them out, with the reason that somebody gave."""

import re
from datetime import datetime
from typing import Self

from attrs import frozen

from registry.domain.curation.choices import Choice
from registry.domain.errors import InvalidMoment, InvalidSetting, shown
from registry.domain.moments import parse_moment
from registry.domain.releases import check_reason

_LINE = re.compile(r"(\S.*?)\s+until\s+(\S+)(?:\s+because\b\s*(.*))?")
_LONGEST = 2000
_HELP = "write one a line, such as requests ==2.32.0 until 2026-12-01 because CVE-2026-1 is fixed there"


@frozen(kw_only=True)
class Waiver:
    """One line of `[curation] exceptions`. It is in force up to and including the moment `until`."""

    choice: Choice
    until: datetime
    reason: str

    @classmethod
    def parse(cls, line: str) -> Self:
        """A line `NAME[SPECIFIER] until DATE because REASON`; a date is all of that day (UTC). Raises ValueError."""
        found = _LINE.fullmatch(line) if len(line) <= _LONGEST else None
        if found is None:
            raise ValueError(f"{shown(line)} is no exception; {_HELP}")
        if not found[3]:
            raise ValueError(f"the exception {shown(line)} gives no reason; {_HELP}")
        try:
            return cls(choice=Choice.parse(found[1]), until=parse_moment(found[2]), reason=check_reason(found[3]))
        except (InvalidMoment, InvalidSetting) as error:
            raise ValueError(f"{error}; {_HELP}") from None


def waivers(text: str) -> tuple[Waiver, ...]:
    """One exception a line. Raises ValueError."""
    return tuple(map(Waiver.parse, filter(None, map(str.strip, text.splitlines()))))
