"""Asking upstreams about names: each as seldom as it asks to be, once for however many want to know, and never in vain for long."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from attrs import Factory, define, evolve
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.defer import TimeoutError as TooLate
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from registry.domain.access import Place
from registry.domain.errors import UpstreamBroken, UpstreamRefused, UpstreamUnavailable
from registry.domain.fetched import Fetched
from registry.domain.model import Page
from registry.domain.names import Name
from registry.domain.upstream import Dossier, KeptFile, Mode, Said, Upstream, available, carried, page_candidates
from registry.interfaces import IFetcher, IThreads, IUpstreamCatalog
from registry.workflows.errands import Errands
from registry.workflows.flights import Flight, Flights
from registry.workflows.memory import Kept, Memory

_log = Logger()

# PEP 691: what pip asks with.
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
# How long "there is no such name" is believed.
_NEGATIVE = timedelta(seconds=60)
# How long an upstream that failed is left alone where an older answer will do.
RESPITE = timedelta(seconds=30)
# Clients give up after 15 seconds: an answer, or an older one, must be on its way before that. What was asked goes on, and is kept.
PATIENCE = 10.0
# How many respites are remembered.
_MOST = 1000
_PAGE_BYTES = 24 << 20
# JSON up to this size is read in less time than a visit to a thread takes.
_FEW_BYTES = 8 << 10
# Pages that are larger are read one after the other: several at once would be read no sooner, and keep the reactor from its turn.
_MANY_BYTES = 256 << 10
# How much of what was said is at hand without being read from the catalog and unpacked, and what one file of it takes, roughly.
_AT_HAND, _FILE_BYTES = 4 << 20, 1000


@define(eq=False, kw_only=True)
class _AtHand(Kept):
    """What an upstream said, the `number`th time that any said something."""

    said: Said
    number: int


@define(kw_only=True, eq=False)
class Inquiries:
    """What upstreams say about names, kept in the catalog, so that a restart forgets nothing."""

    catalog: IUpstreamCatalog
    fetcher: IFetcher
    reader: Callable[[bytes, str, str, Name, str], Any]  # body, its type, its address, name, upstream: the page, and what was dropped
    threads: IThreads
    clock: IReactorTime
    now: Callable[[], datetime]
    _asking: Flights = Factory(Flights)
    _errands: Errands = Factory(Errands)
    _unkept: dict[tuple[str, str], Said] = Factory(dict)  # what was said and is being written, by upstream and name
    _at_hand: Memory[_AtHand] = Factory(lambda: Memory(budget=_AT_HAND))
    _said: int = 0  # how often anybody said anything
    _large: DeferredLock = Factory(DeferredLock)  # held by who reads a large page
    _begun: int = 0  # how many questions were begun
    # Of upstreams and names that are asked about: the latest question and when it was begun, for whom it will do joins it; which questions
    # are under way, and the latest that was answered.
    _latest: dict[tuple[str, str], tuple[int, datetime]] = Factory(dict)
    _under_way: dict[tuple[str, str], set[int]] = Factory(dict)
    _answered: dict[tuple[str, str], int] = Factory(dict)
    # Upstreams that failed, and (with a name) pages of theirs that did, until when they are left alone.
    _respite: dict[tuple[str, str], datetime] = Factory(dict)

    def deadline(self) -> float:
        """When whoever asks now must have his answer, by the clock."""
        return self.clock.seconds() + PATIENCE

    async def dossier(self, name: Name, projects: Sequence[int], place: Place | None, upstreams: Sequence[Upstream]) -> Dossier:
        """What is on file about a name (see `IUpstreamCatalog.dossier`), what is only being written included."""
        keys = {upstream.name: (upstream.name, name.normalized) for upstream in upstreams}
        at_hand = {source: found.said for source, key in keys.items() if (found := self._at_hand.find(key)) is not None}
        # What is read may be from before these were written, which they may be by the time that it is known.
        before, writing = self._said, {source: self._unkept[key] for source, key in keys.items() if key in self._unkept}
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

    async def ask(
        self, upstream: Upstream, name: Name, newer_than: datetime | None, by: float | None = None, dossier: Dossier | None = None
    ) -> tuple[Said, str]:
        """What an upstream says of a name, and how that is known: "miss" (it was asked now), "hit", or "stale".

        An answer from before `newer_than` will not do, however fresh. `by`: a `deadline` from before, where several are asked in turn.
        `dossier`: what the caller has read of it a moment ago.
        Raises `UpstreamUnavailable`, `UpstreamBroken` or `UpstreamRefused` where there is nothing older to fall back on.
        """
        known = await self._known(upstream, name) if dossier is None else dossier.said.get(upstream.name)
        if known is not None and upstream.mode is not Mode.OFFLINE and self._will_do(upstream, known, newer_than):
            return known, "hit"

        async def ask(_: Flight) -> tuple[Said, str]:
            try:
                return await self._do_ask(upstream, name, number, known, None if dossier is None else dossier.kept)
            finally:
                if self._latest.get(key, (0, None))[0] == number:
                    del self._latest[key]

        if known is not None and self._resting(upstream, name) and self._usable(upstream, known):
            # It may be being asked, and take its time.
            return self._as_is(upstream, known, newer_than)
        if known is not None and known.page is None and newer_than is not None and self._resting(upstream, name):
            # There was no such name. Whoever insists that there may be one by now is told that nobody knows, and does not make it worse.
            raise UpstreamUnavailable(source=upstream.name, problem="it has just failed, and is left alone for a while")
        key = (upstream.name, name.normalized)
        number, begun = self._latest.get(key, (0, self.now()))
        if not number or (newer_than is not None and begun < newer_than):
            self._begun += 1
            number = self._begun
            self._latest[key] = number, self.now()
        asking: Deferred[tuple[Said, str]] = Deferred.fromCoroutine(self._asking.once((*key, number), ask))
        asking.addTimeout(max(0.0, (self.deadline() if by is None else by) - self.clock.seconds()), self.clock)
        try:
            return await asking
        except TooLate:
            known = await self._known(upstream, name)
            if known is not None and self._usable(upstream, known):
                self._rest(upstream, name.normalized)
                return self._as_is(upstream, known, newer_than)
            raise UpstreamUnavailable(source=upstream.name, problem=f"no page within {PATIENCE:.0f} seconds") from None

    def _as_is(self, upstream: Upstream, known: Said, newer_than: datetime | None) -> tuple[Said, str]:
        return known, "hit" if self._will_do(upstream, known, newer_than) else "stale"

    def _usable(self, upstream: Upstream, known: Said) -> bool:
        """Whether it may be given where nothing newer is to be had."""
        return known.page is not None and self.now() - known.fetched_at < upstream.stale_for

    def _resting(self, upstream: Upstream, name: Name) -> bool:
        now = self.now()
        return any(self._respite.get((upstream.name, which), now) > now for which in ("", name.normalized))

    def _rest(self, upstream: Upstream, name: str) -> None:
        """Leave an upstream alone for a while, or only its page of `name`."""
        now = self.now()
        if len(self._respite) >= _MOST:
            self._respite = {key: until for key, until in self._respite.items() if until > now}
        if len(self._respite) < _MOST or not name:
            self._respite[upstream.name, name] = now + RESPITE

    def _wake(self, upstream: Upstream, name: Name) -> None:
        """It has answered."""
        for which in ("", name.normalized):
            self._respite.pop((upstream.name, which), None)

    def _will_do(self, upstream: Upstream, known: Said, newer_than: datetime | None) -> bool:
        """Whether it is new enough that nobody need be asked."""
        age = self.now() - known.fetched_at
        # A clock that was set back makes ages negative; then nobody knows how old it is.
        fresh = timedelta(0) <= age < (upstream.fresh_for if known.page is not None else _NEGATIVE)
        return fresh and (newer_than is None or known.fetched_at >= newer_than)

    async def _do_ask(
        self, upstream: Upstream, name: Name, number: int, known: Said | None, kept: Sequence[KeptFile] | None
    ) -> tuple[Said, str]:
        if upstream.mode is Mode.OFFLINE:
            return self._kept(upstream, name, known, await self.catalog.kept(name) if kept is None else kept)
        if known is not None and self._resting(upstream, name) and self._usable(upstream, known):
            return known, "stale"
        try:
            return await self._fetch(upstream, name, number, known), "miss"
        except (UpstreamUnavailable, UpstreamBroken, UpstreamRefused) as error:
            # One page that cannot be read says nothing about the others.
            self._rest(upstream, "" if isinstance(error, UpstreamUnavailable) else name.normalized)
            if known is not None and self._usable(upstream, known):
                _log.warn("{source} cannot be asked about a name, what it said before is given: {error}", source=upstream.name, error=error)
                return known, "stale"
            raise

    async def _known(self, upstream: Upstream, name: Name) -> Said | None:
        return await self._latest_of(upstream.name, name)

    async def _latest_of(self, source: str, name: Name) -> Said | None:
        """What it said last, of all that was said by the time that this is known."""
        key, before = (source, name.normalized), self._said
        if key in self._unkept:
            return self._unkept[key]
        said = await self.catalog.said(source, name)
        found = self._at_hand.find(key)
        return self._unkept.get(key) or (found.said if found is not None and found.number > before else said)

    def _by_now(self, upstream: Upstream, name: Name, known: Said | None) -> Said | None:
        """What is known by now of what was `known`: more may have been found out meanwhile."""
        found = self._at_hand.find((upstream.name, name.normalized))
        return found.said if found is not None and (known is None or found.said.fetched_at >= known.fetched_at) else known

    async def amend(self, said: Said, page: Page) -> bool:
        """Keep `page`, which tells more about the files of what was said; not if something else was said since (False)."""
        known = await self._latest_of(said.source, said.name)
        if known is None or known.page != said.page:
            return False
        self._note(evolve(known, page=page))
        return True

    def _note(self, said: Said, *, confirmed: bool = False) -> Said:
        """Have it written. Nobody waits for the disk: until it is, it is known from here, and if it cannot be, it is asked again."""
        key = (said.source, said.name.normalized)

        async def keep() -> None:
            try:
                await self.catalog.keep_page(said, confirmed=confirmed)
            finally:
                if self._unkept.get(key) is said:
                    del self._unkept[key]

        self._unkept[key] = said
        self._said += 1
        self._take_to_hand(said)
        self._errands.begin("keeping what an upstream said", keep())
        return said

    def _take_to_hand(self, said: Said) -> None:
        files = 1 if said.page is None else len(said.page.files)
        key = (said.source, said.name.normalized)
        self._at_hand.keep(_AtHand(key=key, cost=files * _FILE_BYTES, said=said, number=self._said))

    async def settled(self) -> None:
        """Return when all that was said is kept."""
        await self._errands.settled()

    def _kept(self, upstream: Upstream, name: Name, known: Said | None, kept: Sequence[KeptFile]) -> tuple[Said, str]:
        """What is known of a name for ever, for want of anybody to ask: of its files those that are here."""
        if known is None or known.page is None:
            return Said(source=upstream.name, name=name, page=None, etag="", fetched_at=self.now()), "hit"
        fresh = timedelta(0) <= self.now() - known.fetched_at < upstream.fresh_for
        page = available(known.page, kept)
        return evolve(known, page=page if page.files else None), "hit" if fresh else "stale"

    async def _fetch(self, upstream: Upstream, name: Name, number: int, known: Said | None) -> Said:
        """What it says; or what it has said to who asked later, if that is here by then: the older answer does not come after the newer."""
        key = (upstream.name, name.normalized)
        under_way = self._under_way.setdefault(key, set())
        under_way.add(number)
        try:
            said, confirmed = await self._answer(upstream, name, known)
            if self._answered.get(key, 0) > number and (newer := await self._known(upstream, name)) is not None:
                return newer
            self._answered[key] = number
            self._note(said, confirmed=confirmed)
            return said
        finally:
            under_way.discard(number)
            if not under_way:
                del self._under_way[key]
                self._answered.pop(key, None)

    async def _answer(self, upstream: Upstream, name: Name, known: Said | None) -> tuple[Said, bool]:
        """What it says, and whether that is only that nothing has changed."""
        headers = {"Accept": _ACCEPT}
        if known is not None and known.etag:
            headers["If-None-Match"] = known.etag
        page, etag = None, ""
        for number, address in enumerate(page_candidates(upstream.url, name.normalized)):
            fetched = await self.fetcher.fetch(address, headers, limit=_PAGE_BYTES, timeout=PATIENCE)
            self._wake(upstream, name)
            if fetched.status == HTTPStatus.NOT_MODIFIED and known is not None and known.etag:
                return evolve(self._by_now(upstream, name, known) or known, fetched_at=self.now()), True
            if fetched.status == HTTPStatus.OK:
                page, etag = await self._read(upstream, name, fetched, whole=number == 0), fetched.headers.get("etag", "")
                break
            if fetched.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
                raise UpstreamBroken(source=upstream.name, problem=f"it answers {fetched.status} when asked for a page")
        if page is not None:
            before = self._by_now(upstream, name, known)
            page = carried(page, None if before is None else before.page)
        else:
            etag = ""
        return Said(source=upstream.name, name=name, page=page, etag=etag, fetched_at=self.now()), False

    async def _read(self, upstream: Upstream, name: Name, fetched: Fetched, *, whole: bool) -> Page | None:
        """The page that was fetched. Unless it is the name's own (`whole`), it may be a list of many, or of nothing that we know."""
        try:
            facts = (fetched.body, fetched.headers.get("content-type", ""), fetched.url, name, upstream.name)
            if len(fetched.body) <= _FEW_BYTES and fetched.body.startswith(b"{"):
                read = self.reader(*facts)
            elif len(fetched.body) > _MANY_BYTES:
                read = await self._large.run(lambda: self.threads.run(self.reader, *facts))
            else:
                read = await self.threads.run(self.reader, *facts)
        except UpstreamBroken:
            if whole:
                raise
            return None
        if read.dropped:
            _log.info(
                "{source}: {count} entries of a page were dropped, the first: {first}",
                source=upstream.name,
                count=len(read.dropped),
                first=read.dropped[0],
            )
        page: Page = read.page
        return page if whole or page.files else None
