"""What the policy refused at the door: counted as it happens, and told to the journal now and then, within bounds."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from attrs import Factory, define, evolve
from twisted.logger import Logger

from registry.domain.access import Place
from registry.domain.curation.refused import Refusal
from registry.domain.model import File
from registry.domain.names import Name
from registry.interfaces import IRefusals

_log = Logger()
_HOUR = timedelta(hours=1)
_Key = tuple[str, str, str]


@define(kw_only=True, eq=False)
class Refusals:
    """Counts refusals, and writes them at `flush`: of one file by one rule one row an hour at most, and `per_hour` rows in all.

    A row tells how often since when; what found no room is told in a later hour, as far as it fits into twice `per_hour`, and only counted
    beyond that. A crash loses what was not flushed, which is a minute's.
    """

    journal: IRefusals
    now: Callable[[], datetime]
    per_hour: int = 200
    counts: Counter[str] = Factory(Counter)  # all refusals since the start, by rule
    untold: int = 0  # those among them that no row will ever tell of
    _pending: dict[_Key, Refusal] = Factory(dict)  # oldest first
    _told: dict[_Key, datetime] = Factory(dict)  # when rows were written that are not an hour old; oldest first
    _warned: int = 0  # how many untold ones have been complained about

    def note(self, place: Place | None, name: Name, file: File, rule: str) -> None:
        """A file is being refused. Never waits."""
        self.counts[rule] += 1
        refusal = Refusal.of(place, name, file, rule, self.now())
        known = self._pending.get(refusal.key)
        if known is not None:
            self._pending[refusal.key] = evolve(known, count=known.count + 1)
        elif len(self._pending) < 2 * self.per_hour:
            self._pending[refusal.key] = refusal
        else:
            self.untold += 1

    async def flush(self) -> None:
        """Write what is due, in one transaction. What cannot be written is kept for the next time."""
        now = self.now()
        # A clock that was set back must not open another hour with every step.
        self._told = {key: at for key, at in self._told.items() if abs(now - at) < _HOUR}
        room = self.per_hour - len(self._told)
        due = [refusal for key, refusal in self._pending.items() if key not in self._told][:room]
        if self.untold > self._warned:
            _log.warn(
                "{count} refusals by the policy are not in the journal, which takes {most} an hour",
                count=self.untold - self._warned,
                most=self.per_hour,
            )
            self._warned = self.untold
        if not due:
            return
        for refusal in due:
            del self._pending[refusal.key]
            self._told[refusal.key] = now
        try:
            await self.journal.record(due)
        except BaseException:
            for refusal in due:
                self._told.pop(refusal.key, None)
                later = self._pending.get(refusal.key)
                self._pending[refusal.key] = refusal if later is None else evolve(refusal, count=refusal.count + later.count)
            raise
