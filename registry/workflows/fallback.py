"""Names that are not held here: what upstreams say of them, under the policy, and their files. Never a word about a name that is ours."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from functools import wraps
from http import HTTPStatus
from typing import Any, Concatenate, ParamSpec, TypeVar

from attrs import define, frozen

from registry.domain.access import Place
from registry.domain.curation.course import Course, ours_first
from registry.domain.curation.judging import judge, next_change, permitted
from registry.domain.errors import PolicyRefused, UnknownFile, UpstreamBroken, UpstreamRefused, UpstreamUnavailable
from registry.domain.filenames import METADATA_ENDING
from registry.domain.model import File, Page
from registry.domain.names import Name
from registry.domain.simple import BY_NAME
from registry.domain.upstream import KeptFile, Mode, Said, Upstream, completed_of, merged, names_in
from registry.interfaces import IFetcher, IUpstreamCatalog
from registry.workflows.arrivals import Arrival, Arrivals, Elsewhere
from registry.workflows.courses import Asked, Courses
from registry.workflows.inquiries import RESPITE, Inquiries

P = ParamSpec("P")
T = TypeVar("T")

# A file that a lock file names may be newer than what was said of its name: then it is asked again, unless that was just now.
_JUST_NOW = timedelta(seconds=10)
_PROVENANCE, _PROVENANCE_BYTES, _TIMEOUT = "application/vnd.pypi.integrity.v1+json, application/json;q=0.5", 8 << 20, 10.0
# How long a page that might have files of upstreams, and has none now, is believed to have none.
_NONE_FOR = timedelta(seconds=60)


@frozen(kw_only=True)
class Offer:
    """What a caller is offered for a name. `state`: "miss" (an upstream was asked for it), "hit" (what it said before holds), "stale".

    Or "local" where an upstream might have more of the name, and has not. `said_at`: when the upstream said so (None: "local"); `until`:
    for how long it may be offered without asking again.
    """

    page: Page
    state: str
    said_at: datetime | None
    until: datetime


@frozen(kw_only=True)
class Found:
    """A file of an upstream that the caller may have; `until`: for how long that is settled.

    `lasting`: nothing that will be known of the file once it is here can change that.
    """

    arrival: Arrival
    until: datetime
    lasting: bool


def _settled(work: "Callable[Concatenate[Fallback, P], Coroutine[Any, Any, T]]") -> "Callable[Concatenate[Fallback, P], Awaitable[T]]":
    """What `work` says, of a moment in which nothing was heard (`Courses.settled`)."""

    @wraps(work)
    async def settled(fallback: "Fallback", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await fallback.courses.settled(lambda: work(fallback, *args, **kwargs))

    return settled


@define(kw_only=True, eq=False)
class Fallback:
    """Asks upstreams for what is not held here: in their order, and the first that has a name is the only one that counts for it."""

    catalog: IUpstreamCatalog
    courses: Courses
    fetcher: IFetcher
    inquiries: Inquiries
    arrivals: Arrivals
    now: Callable[[], datetime]
    # Hears of every file that is kept back at a door: where, of which name, and by which rule.
    on_refused: Callable[[Place | None, Name, File, str], object] = lambda *_: None
    # Hears of every page that an upstream sent or confirmed a moment ago, if it may still be asked about the name.
    on_news: Callable[[Upstream, Said], object] = lambda *_: None

    # --- pages ---

    @_settled
    async def page(
        self, place: Place | None, projects: Sequence[int], name: Name, ours: Page | None, newer_than: datetime | None = None
    ) -> Offer | None:
        """What is offered for `name` in a place whose projects hold `ours`; None where no upstream may be asked, or none has it.

        What an upstream said before `newer_than` will not do, however fresh; where there is nothing else it is "stale".
        Raises `Elsewhere`; `UpstreamUnavailable`, `UpstreamBroken` or `UpstreamRefused` where nothing can be known.
        """
        asked = await self.courses.asked(place, projects, name, held=ours is not None)
        try:
            said, now = await self._first(asked, name, newer_than=newer_than, sending=ours is None), self.now()
        except (UpstreamUnavailable, UpstreamBroken, UpstreamRefused):
            if ours is None:
                raise
            # What is ours does not stop being so while others are down; that more may be missing is told as "stale".
            now = self.now()
            return Offer(page=ours, state="stale", said_at=now, until=now + RESPITE)
        if said is None:
            if ours is None or asked.course not in {Course.SHARED, Course.OFF}:
                return None
            # Without an end it would be given until the name changes here, whatever upstreams have by then.
            return Offer(page=ours, state="local", said_at=None, until=now + _NONE_FOR)
        found, state, upstream = said
        page, licences = completed_of(found, asked.kept)
        now = self.now()
        change = next_change(asked.policy, page, now, licences)
        until = now + RESPITE if state == "stale" else found.fetched_at + upstream.fresh_for
        offered = permitted(asked.policy, page, now, licences)
        return Offer(
            page=merged(ours, [offered]) or offered,
            state=state,
            said_at=found.fetched_at,
            until=until if change is None else min(until, change),
        )

    async def _first(
        self, asked: Asked, name: Name, *, newer_than: datetime | None = None, by: float | None = None, sending: bool = False
    ) -> tuple[Said, str, Upstream] | None:
        """What the first that has a name says of it. With `sending` the client is sent on to one that is redirected to (`Elsewhere`)."""
        by = self.inquiries.deadline() if by is None else by
        for upstream in asked.upstreams:
            self.courses.demand(asked)
            if sending and upstream.mode is Mode.REDIRECT:
                raise Elsewhere(url=upstream.page(name.normalized))
            said, state = await self.inquiries.ask(upstream, name, newer_than, by, asked.dossier)
            self.courses.demand(asked)
            if said.page is not None:
                if state == "miss" or self.now() - said.fetched_at < _JUST_NOW:
                    self.on_news(upstream, said)
                return said, state, upstream
        return None

    async def completed(self, said: Said) -> tuple[Page, Mapping[str, str]]:
        """The page that an upstream has told of, with what is known here beside; and the licences that are known, by file name."""
        return completed_of(said, await self.catalog.kept(said.name))

    # --- files ---

    @_settled
    async def file(
        self,
        place: Place | None,
        projects: Sequence[int],
        sha256: str,
        filename: str,
        held: Callable[[Name], Awaitable[Page | None]],
        *,
        unread: bool = False,
    ) -> Found:
        """A file of an upstream by its digest (or `BY_NAME`) and name; with `.metadata` behind the name, its core metadata.

        Works though nobody has asked for its page here before. `held` tells what those projects hold of a name. `unread`: nobody will read
        the bytes, which need not come for that. Raises `UnknownFile`, `PolicyRefused`, `Elsewhere` and what `page` raises.
        """
        wanted = filename.removesuffix(METADATA_ENDING)
        candidates = [(name, await self.courses.asked(place, projects, name, held=False)) for name in names_in(wanted)]
        if any(asked.course in {Course.OURS, Course.RESERVED} for _, asked in candidates):
            # It may be of a name that is ours, spelt in an old way: then nobody is asked about its other readings.
            raise UnknownFile(filename=filename)
        for name, asked in candidates:
            listed = await self._listed(asked, name, sha256, wanted) if asked.upstreams else None
            if listed is None:
                continue
            page, file, upstream, until, licence, kept = listed
            ours = await held(name) if asked.course is Course.SHARED else None
            self.courses.demand(asked)
            licensed = bool(asked.policy.licences_allow or asked.policy.licences_deny)
            if licence is None and file.metadata_sha256 and licensed:
                # Before the first byte of it is given away.
                arrival = await self.arrivals.metadata(upstream, page.name, file, kept)
                arrival.blob.close()
                self.courses.demand(asked)
                licence = arrival.licence
            ends = self._admit(place, asked, page, file, licence, ours)
            until = until if ends is None else min(until, ends)
            if filename.endswith(METADATA_ENDING):
                arrival = await self.arrivals.metadata(upstream, page.name, file, kept)
            else:
                arrival = await self.arrivals.bytes(upstream, page.name, file, kept, unread=unread)
            if not all(self.courses.holds(candidate) for _, candidate in candidates):
                try:
                    # Whoever may still have it joins this transfer, which goes on as long as somebody reads it.
                    return await self.file(place, projects, sha256, filename, held, unread=unread)
                finally:
                    arrival.blob.close()
            return Found(arrival=arrival, until=until, lasting=licence is not None or not licensed)
        raise UnknownFile(filename=filename)

    @_settled
    async def provenance(  # noqa: PLR0917 - what the address of a provenance object says, and where
        self, place: Place | None, projects: Sequence[int], name: Name, version: str, filename: str, ours: Page | None
    ) -> tuple[bytes, str] | None:
        """What an upstream serves as the provenance object of a file, and that upstream's name; None where there is none.

        Raises `PolicyRefused`, `Elsewhere` and what `page` raises.
        """
        asked = await self.courses.asked(place, projects, name, held=ours is not None)
        said = await self._first(asked, name)
        if said is None:
            return None
        found, _, upstream = said
        page, licences = completed_of(found, asked.kept)
        file = next((file for file in page.files if (file.filename, file.version) == (filename, version)), None)
        if file is None:
            return None
        self._admit(place, asked, page, file, licences.get(filename), ours)
        if not file.provenance_url or upstream.mode is Mode.OFFLINE:
            return None
        if upstream.mode is Mode.REDIRECT:
            raise Elsewhere(url=file.provenance_url)
        fetched = await self.fetcher.fetch(file.provenance_url, {"Accept": _PROVENANCE}, limit=_PROVENANCE_BYTES, timeout=_TIMEOUT)
        self.courses.demand(asked)
        if fetched.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return None
        if fetched.status != HTTPStatus.OK:
            raise UpstreamBroken(source=upstream.name, problem=f"it answers {fetched.status} for the provenance of {filename}")
        return fetched.body, upstream.name

    def _admit(  # noqa: PLR0917 - the facts of one question
        self, place: Place | None, asked: Asked, page: Page, file: File, licence: str | None, ours: Page | None
    ) -> datetime | None:
        """Until when the file may be given, as far as the policy says. Raises `PolicyRefused`."""
        verdict = ours_first(ours, file) or judge(asked.policy, page.name, page.status, file, self.now(), licence)
        if not verdict.allowed:
            self.on_refused(place, page.name, file, verdict.rule)
            raise PolicyRefused(filename=file.filename, rule=verdict.rule, reason=verdict.reason)
        return verdict.until

    async def _listed(
        self, asked: Asked, name: Name, sha256: str, filename: str
    ) -> tuple[Page, File, Upstream, datetime, str | None, Sequence[KeptFile]] | None:
        """What upstream lists of a file, until when that holds, its licence if that is known, and what is kept of the name by then."""
        newer_than: datetime | None = None
        by = self.inquiries.deadline()
        for last in (False, True):
            said = await self._first(asked, name, newer_than=newer_than, by=by)
            if said is not None:
                found, state, upstream = said
                # While the upstream was asked the file may have come for somebody else.
                kept = await self.catalog.kept(name) if state == "miss" else asked.kept
                page, licences = completed_of(found, kept)
                until = self.now() + RESPITE if state == "stale" else found.fetched_at + upstream.fresh_for
                for file in page.files:
                    if file.filename == filename and (file.sha256 == sha256 or (sha256 == BY_NAME and file.by_name)):
                        return page, file, upstream, until, licences.get(filename), kept
                if state == "miss":
                    return None
                if last and state == "stale" and upstream.mode is not Mode.OFFLINE:
                    # It may have the file by now: that there is none, nobody knows.
                    raise UpstreamUnavailable(source=upstream.name, problem=f"whether it has {filename} cannot be found out")
            newer_than = self.now() - _JUST_NOW
        return None
