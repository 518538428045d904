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

from registry.domain.errors import UpstreamBroken, UpstreamRefused, UpstreamUnavailable
from registry.domain.fetched import Fetched
from registry.domain.model import Page
from registry.domain.names import Name
from registry.domain.upstream import Dossier, KeptFile, Mode, Said, Upstream, available, carried, page_candidates
from registry.interfaces import IFetcher, IThreads, IUpstreamCatalog
from registry.workflows.flights import Flight, Flights
from registry.workflows.sayings import Sayings

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


@define(kw_only=True, eq=False)
class Inquiries:
    """Asks upstreams about names."""

    catalog: IUpstreamCatalog
    sayings: Sayings
    fetcher: IFetcher
    reader: Callable[[bytes, str, str, Name, str], Any]  # body, its type, its address, name, upstream: the page, and what was dropped
    threads: IThreads
    clock: IReactorTime
    now: Callable[[], datetime]
    _asking: Flights = Factory(Flights)
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

    async def ask(
        self, upstream: Upstream, name: Name, newer_than: datetime | None, by: float | None = None, dossier: Dossier | None = None
    ) -> tuple[Said, str]:
        """What an upstream says of a name, and how that is known: "miss" (it was asked now), "hit", or "stale".

        An answer from before `newer_than` will not do, however fresh. `by`: a `deadline` from before, where several are asked in turn.
        `dossier`: what the caller has read of it a moment ago.
        Raises `UpstreamUnavailable`, `UpstreamBroken` or `UpstreamRefused` where there is nothing older to fall back on.
        """
        known = await self.sayings.latest(upstream.name, name) if dossier is None else dossier.said.get(upstream.name)
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
            known = await self.sayings.latest(upstream.name, name)
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
            if self._answered.get(key, 0) > number and (newer := await self.sayings.latest(upstream.name, name)) is not None:
                return newer
            self._answered[key] = number
            self.sayings.note(said, confirmed=confirmed)
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
                return evolve(self.sayings.by_now(upstream.name, name, known) or known, fetched_at=self.now()), True
            if fetched.status == HTTPStatus.OK:
                page, etag = await self._read(upstream, name, fetched, whole=number == 0), fetched.headers.get("etag", "")
                break
            if fetched.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
                raise UpstreamBroken(source=upstream.name, problem=f"it answers {fetched.status} when asked for a page")
        if page is not None:
            before = self.sayings.by_now(upstream.name, name, known)
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
