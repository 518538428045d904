"""Names that are not held here: what upstreams say of them, under the policy, and their files. Never a word about a name that is ours."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus

from attrs import define, evolve, frozen

from registry.domain.access import Place
from registry.domain.curation.judging import judge, next_change, permitted
from registry.domain.curation.policy import Policy, is_reserved, unreserved
from registry.domain.errors import PolicyRefused, UnknownFile
from registry.domain.filenames import METADATA_ENDING
from registry.domain.model import File, Page
from registry.domain.names import Name
from registry.domain.simple import BY_NAME
from registry.domain.upstream import KeptFile, Mode, Said, Upstream, completed, merged, names_in
from registry.interfaces import IFetcher, IForwarding, IThreads, IUpstreamCatalog
from registry.workflows.arrivals import Arrival, Arrivals, Elsewhere
from registry.workflows.inquiries import RESPITE, Inquiries

# A file that a lock file names may be newer than what was said of its name: then it is asked again, unless that was just now.
_JUST_NOW = timedelta(seconds=10)
_PROVENANCE_BYTES, _TIMEOUT = 8 << 20, 10.0


@frozen(kw_only=True)
class Offer:
    """What a caller is offered for a name. `state`: "miss" (an upstream was asked for it), "hit" (what it said before holds), "stale".

    `said_at`: when the upstream said so; `until`: for how long it may be offered without asking again.
    """

    page: Page
    state: str
    said_at: datetime
    until: datetime


@frozen(kw_only=True)
class Found:
    """A file of an upstream that the caller may have; `until`: for how long that is settled."""

    arrival: Arrival
    until: datetime


@frozen(kw_only=True)
class _Asked:
    """Who may be asked about a name, in this order, and what is let through."""

    upstreams: tuple[Upstream, ...]
    policy: Policy


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
    on_refused: Callable[[Name, File, str], object] = lambda *_: None  # hears of every file that the policy keeps back at the door

    # --- pages ---

    async def page(self, place: Place | None, projects: Sequence[int], name: Name, ours: Page | None) -> Offer | None:
        """What is offered for `name` in a place whose projects hold `ours`; None where no upstream may be asked, or none has it.

        Raises `Elsewhere`; `UpstreamUnavailable`, `UpstreamBroken` or `UpstreamRefused` where nothing can be known.
        """
        asked = await self._asked(place, projects, name, ours)
        if asked is None:
            return None
        if asked.upstreams[0].mode is Mode.REDIRECT and ours is None:
            raise Elsewhere(url=asked.upstreams[0].page(name.normalized))
        said = await self._first(asked, name)
        if said is None:
            return None
        found, state, upstream = said
        (page, licences), now = await self._complete(found), self.now()
        change = next_change(asked.policy, page, now, licences)
        until = now + RESPITE if state == "stale" else found.fetched_at + upstream.fresh_for
        offered = permitted(asked.policy, page, now, licences)
        return Offer(
            page=merged(ours, [offered]) or offered,
            state=state,
            said_at=found.fetched_at,
            until=until if change is None else min(until, change),
        )

    async def _asked(self, place: Place | None, projects: Sequence[int], name: Name, ours: Page | None) -> "_Asked | None":
        """Who may be asked about a name; nobody (None), if it is ours: then nothing about it leaves this process."""
        serving = [upstream for upstream in self.upstreams if upstream.serves(name.normalized)]
        if not serving or place is None:
            return None
        policy = self.policy()
        claim = await self.catalog.claim(name, projects)
        if claim.shared:
            policy = unreserved(policy)
        elif claim.own or ours is not None or is_reserved(policy, name):
            return None
        if not await self.forwarding.enabled(place):
            return None
        return _Asked(upstreams=tuple([await self._addressed(upstream) for upstream in serving]), policy=policy)

    async def _addressed(self, upstream: Upstream) -> Upstream:
        if upstream.url:
            return upstream
        url = await self.threads.run(self.default_index)
        return evolve(upstream, url=url if url.endswith("/") else f"{url}/")

    async def _first(self, asked: "_Asked", name: Name, *, newer_than: datetime | None = None) -> tuple[Said, str, Upstream] | None:
        for upstream in asked.upstreams:
            said, state = await self.inquiries.ask(upstream, name, newer_than)
            if said.page is not None:
                return said, state, upstream
        return None

    async def _complete(self, said: Said) -> tuple[Page, Mapping[str, str]]:
        """The page that an upstream has told of, with what is known here beside; and the licences that are known, by file name."""
        page = said.page
        assert page is not None, "it has told of one"
        kept: dict[tuple[str, str], KeptFile] = {}
        of_versions: dict[str, str] = {}
        versions = {file.filename: file.version for file in page.files}
        for one in await self.catalog.kept(page.name):
            if one.source == said.source:
                kept[one.filename, one.sha256] = kept[one.filename, ""] = one
                version = versions.get(one.filename.removesuffix(METADATA_ENDING))
                if one.licence is not None and version is not None:
                    of_versions[version] = one.licence
        # All files of a version are under one licence.
        licences = {file.filename: of_versions[file.version] for file in page.files if file.version in of_versions}
        return completed(page, kept), licences

    # --- files ---

    async def file(self, place: Place | None, projects: Sequence[int], sha256: str, filename: str) -> Found:
        """A file of an upstream by its digest (or `BY_NAME`) and name; with `.metadata` behind the name, its core metadata.

        Works though nobody has asked for its page here before. Raises `UnknownFile`, `PolicyRefused`, `Elsewhere` and what `page` raises.
        """
        wanted = filename.removesuffix(METADATA_ENDING)
        for name in names_in(wanted):
            asked = await self._asked(place, projects, name, None)
            listed = await self._listed(asked, name, sha256, wanted) if asked is not None else None
            if asked is None or listed is None:
                continue
            page, file, upstream, until, licence = listed
            if licence is None and file.metadata_sha256 and (asked.policy.licences_allow or asked.policy.licences_deny):
                # Before the first byte of it is given away.
                arrival = await self.arrivals.metadata(upstream, page.name, file)
                arrival.blob.close()
                licence = arrival.licence
            verdict = judge(asked.policy, page.name, page.status, file, self.now(), licence)
            if not verdict.allowed:
                self.on_refused(name, file, verdict.rule)
                raise PolicyRefused(filename=wanted, rule=verdict.rule, reason=verdict.reason)
            if filename.endswith(METADATA_ENDING):
                return Found(arrival=await self.arrivals.metadata(upstream, page.name, file), until=until)
            return Found(arrival=await self.arrivals.bytes(upstream, page.name, file), until=until)
        raise UnknownFile(filename=filename)

    async def provenance(self, place: Place | None, projects: Sequence[int], name: Name, filename: str) -> bytes | None:
        """The provenance object that an upstream serves for a file; None where there is none."""
        offer = await self.page(place, projects, name, None)
        file = next((file for file in offer.page.files if file.filename == filename), None) if offer is not None else None
        if file is None or not file.provenance_url:
            return None
        fetched = await self.fetcher.fetch(file.provenance_url, {"Accept": "application/json"}, limit=_PROVENANCE_BYTES, timeout=_TIMEOUT)
        return fetched.body if fetched.status == HTTPStatus.OK else None

    async def _listed(
        self, asked: "_Asked", name: Name, sha256: str, filename: str
    ) -> tuple[Page, File, Upstream, datetime, str | None] | None:
        newer_than: datetime | None = None
        for _ in range(2):
            said = await self._first(asked, name, newer_than=newer_than)
            if said is not None:
                found, state, upstream = said
                page, licences = await self._complete(found)
                until = self.now() + RESPITE if state == "stale" else found.fetched_at + upstream.fresh_for
                for file in page.files:
                    if file.filename == filename and (file.sha256 == sha256 or (sha256 == BY_NAME and not file.sha256)):
                        return page, file, upstream, until, licences.get(filename)
                if state == "miss":
                    return None
            newer_than = self.now() - _JUST_NOW
        return None
