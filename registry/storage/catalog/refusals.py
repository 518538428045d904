"""IRefusals over the database."""

from collections.abc import Sequence

from attrs import frozen
from zope.interface import implementer

from registry.domain.curation.refused import Refusal
from registry.domain.model import Actor
from registry.interfaces import IRefusals
from registry.storage.catalog.database import Database, Writing

# A row may stand for many requests, of different people.
_NOBODY = Actor(user_id=None, username="")


@implementer(IRefusals)
@frozen
class SqlRefusals:
    """What the policy refused, as rows of the journal."""

    _database: Database

    async def record(self, refusals: Sequence[Refusal]) -> None:
        """IRefusals."""

        def work(writing: Writing) -> None:
            for one in refusals:
                place = {} if one.group_id is None else {"group_id": one.group_id}
                writing.record(
                    "policy.refuse",
                    _NOBODY,
                    project_id=one.project_id,
                    name=one.name,
                    filename=one.filename,
                    version=one.version,
                    rule=one.rule,
                    upstream=one.source,
                    count=one.count,
                    since=one.first_at.isoformat(),
                    **place,
                )

        if refusals:
            await self._database.write(work)
