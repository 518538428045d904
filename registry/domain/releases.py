"""Whether a name and a version still take files: project status (PEP 792) and closed versions."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import frozen

from registry.domain.errors import NotAccepting, VersionClosed
from registry.domain.model import ProjectStatus
from registry.domain.protection import ProtectionRule
from registry.domain.versions import Version


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
