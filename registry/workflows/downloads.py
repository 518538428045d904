"""When files were downloaded: noted as it happens, written now and then."""

from collections.abc import Callable
from datetime import datetime

from attrs import Factory, define

from registry.interfaces import IInventory


@define(kw_only=True)
class Downloads:
    """Remembers the last download of each file until `flush`. A crash loses what was not flushed, which is a minute's dates."""

    inventory: IInventory
    now: Callable[[], datetime]
    _moments: dict[int, datetime] = Factory(dict)  # by number of the file

    def note(self, file_id: int) -> None:
        """The file is being downloaded."""
        self._moments[file_id] = self.now()

    async def flush(self) -> None:
        """Write what was noted, in one transaction. What cannot be written is kept for the next time."""
        moments, self._moments = self._moments, {}
        if not moments:
            return
        try:
            await self.inventory.downloaded(moments)
        except BaseException:
            self._moments = {**moments, **self._moments}
            raise
