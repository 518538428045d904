"""What becomes of names and versions: project status (PEP 792), yanking (PEP 592), closed versions; whether they still take files."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import frozen

from registry.domain.errors import InvalidSetting, NotAccepting, VersionClosed
from registry.domain.model import ProjectStatus
from registry.domain.names import Name
from registry.domain.protection import ProtectionRule
from registry.domain.versions import Version

LONGEST_REASON = 512
# A name is part of its files' names, and those end here.
LONGEST_NAME = 255
# Unicode's line breaks, control characters and surrogates; and what turns the direction of the text that follows, which could make a
# reason read as something else.
_UNSHOWABLE = {"Cc", "Cs", "Zl", "Zp"}
_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@frozen(kw_only=True)
class NameStatus:
    """The status of one (normalised) name; `changed_at` None while it is active, as all names are that nobody has spoken of."""

    name: str
    status: ProjectStatus = ProjectStatus.ACTIVE
    reason: str = ""
    changed_at: datetime | None = None


@frozen(kw_only=True)
class Release:
    """A version that has files. `closed`: by hand, or kept open by hand (False); None leaves it to its age."""

    closed: bool | None
    begun_at: datetime  # of its first file


@frozen(kw_only=True)
class Prospect:
    """What publishing a file will meet. `taken`: the sha256 of the file that has its name already, if there is one."""

    rules: Sequence[ProtectionRule]
    status: ProjectStatus = ProjectStatus.ACTIVE
    status_reason: str = ""
    release: Release | None = None
    taken: str | None = None


def demand_takes_uploads(name: str, status: ProjectStatus, reason: str) -> None:
    """Let pass uploads to a name of this status. Raises `NotAccepting` (PEP 792)."""
    if not status.takes_uploads:
        raise NotAccepting(name=name, status=status.value, reason=reason)


def demand_open(release: Release | None, version: Version, close_after: timedelta | None, now: datetime) -> None:
    """Let pass new files of a version; one closes by hand, or by itself once it is older than `close_after` (None: never).

    Raises `VersionClosed`.
    """
    if release is None or release.closed is False:
        return
    aged = close_after is not None and now - release.begun_at > close_after
    if release.closed or aged:
        raise VersionClosed(version=version.display, since=None if release.closed else release.begun_at)


def check_reason(text: str) -> str:
    """`text` without the blanks around it, if it can be a reason for yanking or for a status; empty stands for none.

    One line of at most `LONGEST_REASON` characters: it goes into pages, status lines and terminals. Raises `InvalidSetting`.
    """
    reason = text.strip(" ")
    if len(reason) > LONGEST_REASON:
        raise InvalidSetting(what="Reason", value=reason, allowed=f"say it in at most {LONGEST_REASON} characters, not in {len(reason)}")
    if any(unicodedata.category(one) in _UNSHOWABLE or unicodedata.bidirectional(one) in _TURNING for one in reason):
        raise InvalidSetting(what="Reason", value=reason, allowed="write one line, without control characters")
    return reason


def check_nameable(name: Name) -> Name:
    """`name`, if a file could ever have it, so that its status can be kept. Raises `InvalidSetting`."""
    if len(name.normalized) > LONGEST_NAME:
        raise InvalidSetting(what="Name", value=name.normalized, allowed=f"no file name has room for more than {LONGEST_NAME} characters")
    return name


def parse_status(text: str) -> ProjectStatus:
    """The status called `text`. Raises `InvalidSetting` with the known ones (PEP 792)."""
    try:
        return ProjectStatus(text)
    except ValueError:
        raise InvalidSetting(what="Status", value=text, allowed="use active, archived, deprecated or quarantined") from None
