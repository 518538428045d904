"""What upstreams said about names: in the catalog, on its way there, or at hand."""

from collections.abc import Sequence

from attrs import Factory, define, evolve

from registry.domain.access import Place
from registry.domain.model import Page
from registry.domain.names import Name
from registry.domain.upstream import Dossier, Said, Upstream
from registry.interfaces import IUpstreamCatalog
from registry.workflows.errands import Errands
from registry.workflows.memory import Kept, Memory

# How much of what was said is at hand without being read from the catalog and unpacked, and what one file of it takes, roughly.
_AT_HAND, _FILE_BYTES = 4 << 20, 1000


@define(eq=False, kw_only=True)
class _AtHand(Kept):
    """What an upstream said, the `number`th time that any said something."""

    said: Said
    number: int


@define(kw_only=True, eq=False)
class Sayings:
    """Keeps what upstreams say in the catalog, so that a restart forgets nothing, and has nobody wait for that."""

    catalog: IUpstreamCatalog
    _errands: Errands = Factory(Errands)
    _unkept: dict[tuple[str, str], Said] = Factory(dict)  # what was said and is being written, by upstream and name
    _at_hand: Memory[_AtHand] = Factory(lambda: Memory(budget=_AT_HAND))
    _number: int = 0  # how often anybody said anything

    async def dossier(self, name: Name, projects: Sequence[int], place: Place | None, upstreams: Sequence[Upstream]) -> Dossier:
        """What is on file about a name (see `IUpstreamCatalog.dossier`), what is only being written included."""
        keys = {upstream.name: (upstream.name, name.normalized) for upstream in upstreams}
        at_hand = {source: found.said for source, key in keys.items() if (found := self._at_hand.find(key)) is not None}
        # What is read may be from before these were written, which they may be by the time that it is known.
        before, writing = self._number, {source: self._unkept[key] for source, key in keys.items() if key in self._unkept}
        dossier = await self.catalog.dossier(name, projects, place, tuple(keys), at_hand)
        if not dossier.enabled:
            return dossier
        said = dict(dossier.said)
        for source, key in keys.items():
            found = self._at_hand.find(key)
            if key in self._unkept:
                said[source] = self._unkept[key]
            elif found is not None and found.number > before:
                # It was said while the catalog was being read.
                said[source] = found.said
            elif source in writing and (source not in said or said[source].fetched_at < writing[source].fetched_at):
                said[source] = writing[source]
            elif source in said and said[source] is not at_hand.get(source):
                self._take_to_hand(said[source])
        return evolve(dossier, said=said)

    async def latest(self, source: str, name: Name) -> Said | None:
        """What it said last, of all that was said by the time that this is known."""
        key, before = (source, name.normalized), self._number
        if key in self._unkept:
            return self._unkept[key]
        said = await self.catalog.said(source, name)
        found = self._at_hand.find(key)
        return self._unkept.get(key) or (found.said if found is not None and found.number > before else said)

    def by_now(self, source: str, name: Name, known: Said | None) -> Said | None:
        """What is known by now of what was `known`: more may have been found out meanwhile."""
        found = self._at_hand.find((source, name.normalized))
        return found.said if found is not None and (known is None or found.said.fetched_at >= known.fetched_at) else known

    def note(self, said: Said, *, confirmed: bool = False) -> None:
        """Have it written. Nobody waits for the disk: until it is, it is known from here, and if it cannot be, it is asked again."""
        key = (said.source, said.name.normalized)

        async def keep() -> None:
            try:
                await self.catalog.keep_page(said, confirmed=confirmed)
            finally:
                if self._unkept.get(key) is said:
                    del self._unkept[key]

        self._unkept[key] = said
        self._number += 1
        self._take_to_hand(said)
        self._errands.begin("keeping what an upstream said", keep())

    async def amend(self, said: Said, page: Page) -> bool:
        """Keep `page`, which tells more about the files of what was said; not if something else was said since (False)."""
        known = await self.latest(said.source, said.name)
        if known is None or known.page != said.page:
            return False
        self.note(evolve(known, page=page))
        return True

    async def settled(self) -> None:
        """Return when all that was said is kept."""
        await self._errands.settled()

    def _take_to_hand(self, said: Said) -> None:
        files = 1 if said.page is None else len(said.page.files)
        key = (said.source, said.name.normalized)
        self._at_hand.keep(_AtHand(key=key, cost=files * _FILE_BYTES, said=said, number=self._number))
