"""What to look for in the journal."""

from datetime import datetime

from attrs import frozen

from registry.domain.model import Change


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
