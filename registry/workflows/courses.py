"""The course of every question about a name: whether upstreams are asked, which of them, and under which policy."""

from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from attrs import define, evolve, frozen

from registry.domain.access import Place
from registry.domain.curation.course import Course
from registry.domain.curation.policy import Policy, is_reserved, unreserved
from registry.domain.model import Change
from registry.domain.names import Name
from registry.domain.releases import LONGEST_NAME
from registry.domain.upstream import Claim, Dossier, KeptFile, Mode, Upstream
from registry.interfaces import IForwarding, IThreads, IUpstreamCatalog
from registry.workflows.sayings import Sayings

T = TypeVar("T")

# Changes that are only told, after which everything is as it was.
TELLING = "policy."


class OvertakenError(Exception):
    """Something has changed here since it was decided who may be asked."""


@frozen(kw_only=True)
class Asked:
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
class Courses:
    """Decides who may be asked. `upstreams` are those that are configured, in the order in which they are asked."""

    catalog: IUpstreamCatalog
    forwarding: IForwarding
    sayings: Sayings
    upstreams: Sequence[Upstream]  # one without an address is asked at the default's
    default_index: Callable[[], str]  # loads what knows that address: for a thread
    threads: IThreads
    policy: Callable[[], Policy]
    _default: str = ""  # the address of the default index, once it was needed
    _heard: int = 0  # counts what was heard

    # --- one question ---

    async def of(self, projects: Sequence[int], name: Name, *, held: bool) -> tuple[Course, Policy]:
        """What becomes of a question about a name in these projects, which hold it or not, and the policy for it.

        Whether upstreams may be asked in the place is not looked at.
        """
        policy = self.policy()
        if not self.serving(name):
            return Course.UNSERVED, policy
        return _course(await self.catalog.claim(name, projects), policy, name, held=held)

    async def asked(self, place: Place | None, projects: Sequence[int], name: Name, *, held: bool) -> Asked:
        """Who may be asked about a name; nobody, if it is ours: then nothing about it leaves this process."""
        serving, heard = self.serving(name), self._heard
        if not serving:
            return Asked(heard=heard, course=Course.UNSERVED, policy=self.policy())
        dossier = await self.sayings.dossier(name, projects, place, serving)
        course, policy = _course(dossier.claim, self.policy(), name, held=held)
        if not course.asks:
            return Asked(heard=heard, course=course, policy=policy)
        if not dossier.enabled:
            return Asked(heard=heard, course=Course.OFF, policy=policy)
        upstreams = tuple([await self.addressed(one) for one in serving])
        return Asked(heard=heard, course=course, policy=policy, upstreams=upstreams, dossier=dossier)

    async def open(self, place: Place | None) -> bool:
        """Whether upstreams may be asked in a place, or (None) by the instance."""
        return (await self.forwarding.forwarding(None)).enabled if place is None else await self.forwarding.enabled(place)

    # --- whose upstreams ---

    def serving(self, name: Name) -> list[Upstream]:
        """The upstreams that may be asked about a name if it is not ours, in their order."""
        if len(name.normalized) > LONGEST_NAME:
            # No file can be of it.
            return []
        return [upstream for upstream in self.upstreams if upstream.serves(name.normalized)]

    def keeps(self, source: str) -> bool:
        """Whether files of the upstream of this name are kept here."""
        return any(upstream.name == source and upstream.mode is Mode.CACHE for upstream in self.upstreams)

    async def addressed(self, upstream: Upstream) -> Upstream:
        """The upstream with its address, which PyPI's has not in the configuration."""
        if upstream.url:
            return upstream
        if not self._default:
            url = await self.threads.run(self.default_index)
            self._default = url if url.endswith("/") else f"{url}/"
        return evolve(upstream, url=self._default)

    # --- what changes meanwhile ---

    def hear(self, changes: tuple[Change, ...]) -> None:
        """Hear of changes (IJournal listener): a name may be ours now, or a place be one that may not ask any more.

        Who is waiting for an upstream then is not given what it says, and it is asked nothing more, before that was looked at again.
        """
        self._heard += any(not change.action.startswith(TELLING) for change in changes)

    async def settled(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work` says, of a moment in which nothing was heard: it is done again for as long as it raises `OvertakenError`."""
        while True:
            with suppress(OvertakenError):
                return await work()

    def holds(self, asked: Asked) -> bool:
        """Whether nothing was heard since that was decided."""
        return asked.heard == self._heard

    def demand(self, asked: Asked) -> None:
        """Raise `OvertakenError` unless it holds."""
        if not self.holds(asked):
            raise OvertakenError


def _course(claim: Claim, policy: Policy, name: Name, *, held: bool) -> tuple[Course, Policy]:
    if claim.shared:
        return Course.SHARED, unreserved(policy)
    if is_reserved(policy, name):
        return Course.RESERVED, policy
    return Course.OURS if claim.own or held else Course.FORWARDED, policy
