"""Names that are not held here: what upstreams say of them, under the policy, and their files. Never a word about a name that is ours."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar

from attrs import define, evolve, frozen

from registry.domain.access import Place
from registry.domain.curation.course import Course, ours_first
from registry.domain.curation.judging import judge, next_change, permitted
from registry.domain.curation.policy import Policy, is_reserved, unreserved
from registry.domain.errors import PolicyRefused, UnknownFile, UpstreamBroken, UpstreamRefused, UpstreamUnavailable
from registry.domain.filenames import METADATA_ENDING
from registry.domain.model import Change, File, Page
from registry.domain.names import Name
from registry.domain.releases import LONGEST_NAME
from registry.domain.simple import BY_NAME
from registry.domain.upstream import Claim, Dossier, KeptFile, Mode, Said, Upstream, completed, merged, names_in, stands_for
from registry.interfaces import IFetcher, IForwarding, IThreads, IUpstreamCatalog
from registry.workflows.arrivals import Arrival, Arrivals, Elsewhere
from registry.workflows.inquiries import RESPITE, Inquiries

T = TypeVar("T")

# Changes that are only told, after which everything is as it was.
TELLING = "policy."
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


class _OvertakenError(Exception):
    """Something has changed here since it was decided who may be asked."""


@frozen(kw_only=True)
class _Asked:
    """Who may be asked about a name, in this order (nobody, if its course is another), what is let through, and what is on file.

    `heard`: how much had been heard when that was begun to be found out.
    """

    heard: int
    course: Course
    policy: Policy
    upstreams: tuple[Upstream, ...] = ()
    dossier: Dossier | None = None

    @property
    def kept(self) -> Sequence[KeptFile]:
        """What of upstreams' files is kept."""
        return () if self.dossier is None else self.dossier.kept


@define(kw_only=True, eq=False)
class Fallback:
    """Asks upstreams for what is not held here.

    `policy` decides about every page and file. `upstreams` are asked in their order, and the first that has a name is the only one that
    counts for it.
    """

    catalog: IUpstreamCatalog
    forwarding: IForwarding
    fetcher: IFetcher
    inquiries: Inquiries
    arrivals: Arrivals
    upstreams: Sequence[Upstream]  # one without an address is asked at the default's
    default_index: Callable[[], str]  # loads what knows that address: for a thread
    threads: IThreads
    policy: Callable[[], Policy]
    now: Callable[[], datetime]
    # Hears of every file that is kept back at a door: where, of which name, and by which rule.
    on_refused: Callable[[Place | None, Name, File, str], object] = lambda *_: None
    # Hears of every page that an upstream sent or confirmed a moment ago, if it may still be asked about the name.
    on_news: Callable[[Upstream, Said], object] = lambda *_: None
    _default: str = ""  # the address of the default index, once it was needed
    _heard: int = 0  # counts what was heard

    def hear(self, changes: tuple[Change, ...]) -> None:
        """Hear of changes (IJournal listener): a name may be ours now, or a place be one that may not ask any more.

        Who is waiting for an upstream then is not given what it says, and it is asked nothing more, before that was looked at again.
        """
        self._heard += any(not change.action.startswith(TELLING) for change in changes)

    async def _settled(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work` says, of a moment in which nothing was heard."""
        while True:
            with suppress(_OvertakenError):
                return await work()

    def _demand_settled(self, asked: "_Asked") -> None:
        if asked.heard != self._heard:
            raise _OvertakenError

    # --- pages ---

    async def page(
        self, place: Place | None, projects: Sequence[int], name: Name, ours: Page | None, newer_than: datetime | None = None
    ) -> Offer | None:
        """What is offered for `name` in a place whose projects hold `ours`; None where no upstream may be asked, or none has it.

        What an upstream said before `newer_than` will not do, however fresh; where there is nothing else it is "stale".
        Raises `Elsewhere`; `UpstreamUnavailable`, `UpstreamBroken` or `UpstreamRefused` where nothing can be known.
        """
        return await self._settled(lambda: self._page(place, projects, name, ours, newer_than))

    async def _page(
        self, place: Place | None, projects: Sequence[int], name: Name, ours: Page | None, newer_than: datetime | None
    ) -> Offer | None:
        asked = await self._asked(place, projects, name, held=ours is not None)
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

    def serving(self, name: Name) -> list[Upstream]:
        """The upstreams that may be asked about a name if it is not ours, in their order."""
        if len(name.normalized) > LONGEST_NAME:
            # No file can be of it.
            return []
        return [upstream for upstream in self.upstreams if upstream.serves(name.normalized)]

    def keeps(self, source: str) -> bool:
        """Whether files of the upstream of this name are kept here."""
        return any(upstream.name == source and upstream.mode is Mode.CACHE for upstream in self.upstreams)

    async def course(self, projects: Sequence[int], name: Name, *, held: bool) -> tuple[Course, Policy]:
        """What becomes of a question about a name in these projects, which hold it or not, and the policy for it.

        Whether upstreams may be asked in the place is not looked at.
        """
        policy = self.policy()
        if not self.serving(name):
            return Course.UNSERVED, policy
        return _course(await self.catalog.claim(name, projects), policy, name, held=held)

    async def _asked(self, place: Place | None, projects: Sequence[int], name: Name, *, held: bool) -> "_Asked":
        """Who may be asked about a name; nobody, if it is ours: then nothing about it leaves this process."""
        serving, heard = self.serving(name), self._heard
        if not serving:
            return _Asked(heard=heard, course=Course.UNSERVED, policy=self.policy())
        dossier = await self.inquiries.dossier(name, projects, place, serving)
        course, policy = _course(dossier.claim, self.policy(), name, held=held)
        if not course.asks:
            return _Asked(heard=heard, course=course, policy=policy)
        if not dossier.enabled:
            return _Asked(heard=heard, course=Course.OFF, policy=policy)
        upstreams = tuple([await self.addressed(one) for one in serving])
        return _Asked(heard=heard, course=course, policy=policy, upstreams=upstreams, dossier=dossier)

    async def addressed(self, upstream: Upstream) -> Upstream:
        """The upstream with its address, which PyPI's has not in the configuration."""
        if upstream.url:
            return upstream
        if not self._default:
            url = await self.threads.run(self.default_index)
            self._default = url if url.endswith("/") else f"{url}/"
        return evolve(upstream, url=self._default)

    async def _first(
        self, asked: "_Asked", name: Name, *, newer_than: datetime | None = None, by: float | None = None, sending: bool = False
    ) -> tuple[Said, str, Upstream] | None:
        """What the first that has a name says of it. With `sending` the client is sent on to one that is redirected to (`Elsewhere`)."""
        by = self.inquiries.deadline() if by is None else by
        for upstream in asked.upstreams:
            self._demand_settled(asked)
            if sending and upstream.mode is Mode.REDIRECT:
                raise Elsewhere(url=upstream.page(name.normalized))
            said, state = await self.inquiries.ask(upstream, name, newer_than, by, asked.dossier)
            self._demand_settled(asked)
            if said.page is not None:
                if state == "miss" or self.now() - said.fetched_at < _JUST_NOW:
                    self.on_news(upstream, said)
                return said, state, upstream
        return None

    async def completed(self, said: Said) -> tuple[Page, Mapping[str, str]]:
        """The page that an upstream has told of, with what is known here beside; and the licences that are known, by file name."""
        return completed_of(said, await self.catalog.kept(said.name))

    # --- files ---

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
        the bytes, which need not come for that. Raises `UnknownFile`,
        `PolicyRefused`, `Elsewhere` and what `page` raises.
        """
        return await self._settled(lambda: self._file(place, projects, sha256, filename, held, unread=unread))

    async def _file(
        self,
        place: Place | None,
        projects: Sequence[int],
        sha256: str,
        filename: str,
        held: Callable[[Name], Awaitable[Page | None]],
        *,
        unread: bool,
    ) -> Found:
        wanted = filename.removesuffix(METADATA_ENDING)
        candidates = [(name, await self._asked(place, projects, name, held=False)) for name in names_in(wanted)]
        if any(asked.course in {Course.OURS, Course.RESERVED} for _, asked in candidates):
            # It may be of a name that is ours, spelt in an old way: then nobody is asked about its other readings.
            raise UnknownFile(filename=filename)
        for name, asked in candidates:
            listed = await self._listed(asked, name, sha256, wanted) if asked.upstreams else None
            if listed is None:
                continue
            page, file, upstream, until, licence, kept = listed
            ours = await held(name) if asked.course is Course.SHARED else None
            self._demand_settled(asked)
            licensed = bool(asked.policy.licences_allow or asked.policy.licences_deny)
            if licence is None and file.metadata_sha256 and licensed:
                # Before the first byte of it is given away.
                arrival = await self.arrivals.metadata(upstream, page.name, file, kept)
                arrival.blob.close()
                self._demand_settled(asked)
                licence = arrival.licence
            ends = self._admit(place, asked, page, file, licence, ours)
            until = until if ends is None else min(until, ends)
            if filename.endswith(METADATA_ENDING):
                arrival = await self.arrivals.metadata(upstream, page.name, file, kept)
            else:
                arrival = await self.arrivals.bytes(upstream, page.name, file, kept, unread=unread)
            if any(candidate.heard != self._heard for _, candidate in candidates):
                try:
                    # Whoever may still have it joins this transfer, which goes on as long as somebody reads it.
                    return await self.file(place, projects, sha256, filename, held, unread=unread)
                finally:
                    arrival.blob.close()
            return Found(arrival=arrival, until=until, lasting=licence is not None or not licensed)
        raise UnknownFile(filename=filename)

    async def provenance(  # noqa: PLR0917 - what the address of a provenance object says, and where
        self, place: Place | None, projects: Sequence[int], name: Name, version: str, filename: str, ours: Page | None
    ) -> tuple[bytes, str] | None:
        """What an upstream serves as the provenance object of a file, and that upstream's name; None where there is none.

        Raises `PolicyRefused`, `Elsewhere` and what `page` raises.
        """
        return await self._settled(lambda: self._provenance(place, projects, name, version, filename, ours))

    async def _provenance(  # noqa: PLR0917 - as above
        self, place: Place | None, projects: Sequence[int], name: Name, version: str, filename: str, ours: Page | None
    ) -> tuple[bytes, str] | None:
        asked = await self._asked(place, projects, name, held=ours is not None)
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
        self._demand_settled(asked)
        if fetched.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return None
        if fetched.status != HTTPStatus.OK:
            raise UpstreamBroken(source=upstream.name, problem=f"it answers {fetched.status} for the provenance of {filename}")
        return fetched.body, upstream.name

    def _admit(  # noqa: PLR0917 - the facts of one question
        self, place: Place | None, asked: "_Asked", page: Page, file: File, licence: str | None, ours: Page | None
    ) -> datetime | None:
        """Until when the file may be given, as far as the policy says. Raises `PolicyRefused`."""
        verdict = ours_first(ours, file) or judge(asked.policy, page.name, page.status, file, self.now(), licence)
        if not verdict.allowed:
            self.on_refused(place, page.name, file, verdict.rule)
            raise PolicyRefused(filename=file.filename, rule=verdict.rule, reason=verdict.reason)
        return verdict.until

    async def _listed(
        self, asked: "_Asked", name: Name, sha256: str, filename: str
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


def _course(claim: Claim, policy: Policy, name: Name, *, held: bool) -> tuple[Course, Policy]:
    if claim.shared:
        return Course.SHARED, unreserved(policy)
    if is_reserved(policy, name):
        return Course.RESERVED, policy
    return Course.OURS if claim.own or held else Course.FORWARDED, policy


def completed_of(said: Said, files: Sequence[KeptFile]) -> tuple[Page, Mapping[str, str]]:
    """The page that an upstream has told of, completed by the kept files of its name; and the licences that are known, by file name."""
    page = said.page
    assert page is not None, "it has told of one"
    of_versions: dict[str, str] = {}
    files = [one for one in files if one.source == said.source]
    listed = {file.filename: file for file in page.files} if files else {}
    for one in files:
        file = listed.get(one.filename.removesuffix(METADATA_ENDING))
        if one.licence is not None and file is not None and _speaks_of(one, file):
            of_versions[file.version] = one.licence
    # All files of a version are under one licence.
    licences = {file.filename: of_versions[file.version] for file in page.files if file.version in of_versions} if of_versions else {}
    return completed(page, files), licences


def _speaks_of(kept: KeptFile, file: File) -> bool:
    """Whether a kept file is the one that is listed, or its core metadata: not those of a file that was there before."""
    return kept.sha256 == file.metadata_sha256 if kept.filename.endswith(METADATA_ENDING) else stands_for(kept, file)
