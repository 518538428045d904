"""Explaining what a name offers in a place, and why: by the same decisions that make its page, and with no word more than that tells."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from attrs import evolve, frozen

from registry.domain.access import Place
from registry.domain.curation.course import Course, ours_first
from registry.domain.curation.explanation import LOCAL, Asking, Candidate, Explanation
from registry.domain.curation.judging import Rule, Verdict, explain
from registry.domain.curation.policy import Policy
from registry.domain.errors import UpstreamBroken, UpstreamRefused, UpstreamUnavailable
from registry.domain.model import Page
from registry.domain.names import Name
from registry.domain.upstream import Mode, Said, Upstream
from registry.interfaces import IPackages, IThreads, IUpstreamCatalog
from registry.workflows.fallback import Fallback
from registry.workflows.views import View

Ask = Callable[[Upstream, Name, None], Awaitable[tuple[Said | None, str]]]  # as Inquiries.ask


@frozen(kw_only=True)
class Remembered:
    """Answers for upstreams without asking them: with what they said before."""

    catalog: IUpstreamCatalog
    now: Callable[[], datetime]

    async def ask(self, upstream: Upstream, name: Name, _: None) -> tuple[Said | None, str]:
        """What an upstream said of a name: a "hit" while that holds, "stale" after; None and "unasked" where it was never asked."""
        said = await self.catalog.said(upstream.name, name)
        if said is None:
            return None, "unasked"
        holds = timedelta(0) <= self.now() - said.fetched_at < upstream.fresh_for
        return said, "hit" if holds else "stale"


@frozen(kw_only=True)
class Explaining:
    """Explains names. `ask` says what an upstream has of a name (None: nobody knows), and how that is known. `threads` judge."""

    packages: IPackages
    beyond: Fallback
    threads: IThreads
    ask: Ask

    async def explain(self, view: View, name: Name) -> Explanation:
        """What a caller who may see `view` may be told: nothing about a name of ours that is published where he may not read.

        For him there is no difference between that and a name that nobody has, as there is none on the page (404). `[names] reserved` and
        the switches are settings, and told whether or not anything was published under the name.
        """
        found = await self.in_full(view.place, view.projects, name)
        held = any(candidate.source == LOCAL for candidate in found.candidates)
        if held or found.course in {Course.RESERVED, Course.OFF, Course.UNSERVED}:
            return found
        if found.course is Course.OURS:
            # Where nothing may be asked, that is the answer about every name.
            return Explanation(name=name, course=Course.NOTHING if await self.beyond.courses.open(view.place) else Course.OFF)
        found = evolve(found, course=Course.FORWARDED)
        nobody = all(asking.found is False for asking in found.askings)
        return Explanation(name=name, course=Course.NOTHING) if nobody else found

    async def in_full(self, place: Place | None, projects: Sequence[int], name: Name) -> Explanation:
        """All there is to say, for an operator. Without a place: as the instance has it, and what all the given projects hold."""
        ours = await self.packages.page(projects, name)
        decided, policy = await self.beyond.courses.of(projects, name, held=ours is not None)
        course = Course.OFF if decided.asks and not await self.beyond.courses.open(place) else decided
        askings: tuple[Asking, ...] = ()
        said: Said | None = None
        if course.asks:
            askings, said = await self._ask(name, redirects=ours is None)
            if (await self.beyond.courses.of(projects, name, held=ours is not None))[0] is not decided:
                # It became ours while upstreams were asked: what they said of it is nobody's business any more.
                return await self.in_full(place, projects, name)
        candidates = await self._judged(policy, ours, said)
        return Explanation(name=name, course=course, askings=askings, candidates=candidates)

    async def _ask(self, name: Name, *, redirects: bool) -> tuple[tuple[Asking, ...], Said | None]:
        """Ask upstreams in their order up to the first that has the name, or of which nobody can say."""
        askings: list[Asking] = []
        for configured in self.beyond.courses.serving(name):
            upstream = await self.beyond.courses.addressed(configured)
            if upstream.mode is Mode.REDIRECT and redirects:
                return (*askings, Asking(upstream=upstream.name, outcome="redirect")), None
            try:
                said, state = await self.ask(upstream, name, None)
            except (UpstreamBroken, UpstreamRefused, UpstreamUnavailable) as error:
                return (*askings, Asking(upstream=upstream.name, outcome="failed", error=str(error))), None
            if said is None:
                return (*askings, Asking(upstream=upstream.name, outcome=state)), None
            found = said.page is not None
            askings.append(Asking(upstream=upstream.name, outcome=state, found=found, fetched_at=said.fetched_at))
            if found:
                return tuple(askings), said
        return tuple(askings), None

    async def _judged(self, policy: Policy, ours: Page | None, said: Said | None) -> tuple[Candidate, ...]:
        theirs, licences = await self.beyond.completed(said) if said is not None else (None, {})
        now = self.beyond.now()

        def judge() -> tuple[Candidate, ...]:
            local = () if ours is None else tuple(Candidate(file=file, source=LOCAL, verdict=_own(ours)) for file in ours.files)
            if theirs is None:
                return local
            # Looked at for these only: both pages may have thousands of files.
            names = {one.file.filename for one in local}
            hidden = ours is not None and not ours.status.offers_files
            return (
                *local,
                *(
                    Candidate(
                        file=file,
                        source=file.source,
                        verdict=(ours_first(ours, file) if hidden or file.filename in names else None) or verdict,
                    )
                    for file, verdict in explain(policy, theirs, now, licences)
                ),
            )

        return await self.threads.run(judge)


def _own(page: Page) -> Verdict:
    if page.status.offers_files:
        return Verdict(True, LOCAL)
    why = f" ({page.status_reason})" if page.status_reason else ""
    return Verdict(False, Rule.QUARANTINE.value, f"Blocked by quarantine: {page.name.normalized} is quarantined in this registry{why}")
