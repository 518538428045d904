"""What was changed: told, kept, searched, and read as the past."""

from collections.abc import Callable, Sequence
from datetime import datetime

from zope.interface import Interface

from registry.domain.audit import Entry, Search
from registry.domain.curation.refused import Refusal
from registry.domain.former_places import FormerGroup
from registry.domain.model import Change, Page
from registry.domain.names import Name


class IJournal(Interface):
    """What was changed, as it is committed."""

    def subscribe(listener: Callable[[tuple[Change, ...]], None]) -> None:
        """Call `listener(changes)` in the reactor thread after each commit, here or in another process.

        A change may be told twice (when it is made, when it is read back); listeners must not mind.
        """

    async def poll() -> None:
        """Read what other processes have committed since the last poll, and tell the listeners."""


class IAudit(Interface):
    """The journal, for reading."""

    async def entries(search: Search, limit: int) -> list[Entry]:
        """The newest `limit` entries that match, oldest first."""


class IHistory(Interface):
    """What was so at an instant, read off the journal.

    Of each name, and of all places together, what counts are the changes up to the last that is not after the instant, in the order of
    their serials. An instant to come is now.
    """

    async def page(project_ids: Sequence[int], name: Name, at: datetime) -> Page | None:
        """What `IPackages.page` told then."""

    async def names(project_ids: Sequence[int], at: datetime) -> tuple[str, ...]:
        """What `IPackages.names` told then."""

    async def deleted(project_ids: Sequence[int], sha256: str, filename: str) -> datetime | None:
        """When the last file of this digest and name in these projects was deleted; None if there never was one, or one is held.

        `filename` may be that of its core metadata (PEP 658).
        """

    async def project_title(project_id: int, at: datetime) -> str | None:
        """The display name that a project had; None if it did not exist."""

    async def group(group_id: int, at: datetime) -> FormerGroup | None:
        """The `FormerGroup` of a group that is there now; None if it did not exist. Projects removed since are left out."""


class IRefusals(Interface):
    """What the policy refused, for the journal."""

    async def record(refusals: Sequence[Refusal]) -> None:
        """Write a journal row `policy.refuse` for each, all in one transaction; for none of them nothing."""
