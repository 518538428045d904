"""Filling in what an upstream's index does not tell of its files: found out when the page has been given, and named as found out."""

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta

from attrs import Factory, define, evolve, field
from packaging.version import Version as Pep440
from twisted.internet.defer import Deferred, DeferredList, DeferredSemaphore
from twisted.logger import Logger
from twisted.python.failure import Failure

from registry.domain.errors import InvalidVersion, UpstreamBroken, UpstreamRefused, UpstreamUnavailable
from registry.domain.facts import CORE_METADATA, SIZE, UPLOAD_TIME, Fact, found_out
from registry.domain.model import Change, File, Page
from registry.domain.names import Name
from registry.domain.upstream import Mode, Said, Upstream
from registry.domain.versions import Version
from registry.interfaces import IThreads
from registry.workflows.errands import Errands
from registry.workflows.glimpses import Glimpses
from registry.workflows.inquiries import RESPITE

_log = Logger()
# Files of a page that are asked about when it was fetched; how many of them at once, and of all pages together.
MOST, AT_ONCE, AT_ONCE_IN_ALL = 100, 4, 8
# Changes after which upstreams may be asked no more in some place, and maybe in none.
_CLOSING = ("forwarding.", "settings.", "upstream.purge")
# How long a file of which not everything could be found out is left alone, and how many of those are remembered.
LEFT_ALONE, _REMEMBERED = timedelta(hours=1), 20_000


@define(kw_only=True, eq=False)
class Filling:
    """Hears of pages that upstreams have sent, and finds out what they lack: the newest versions first."""

    glimpses: Glimpses
    threads: IThreads
    now: Callable[[], datetime]
    amend: Callable[[Said, Page], Awaitable[bool]]  # keep a page with more facts, unless something else was said since
    keep_metadata: Callable[[Upstream, Name, File, bytes], Awaitable[object]]  # keep a wheel's core metadata
    on_filled: Callable[[Name], object] = lambda _: None  # hears of every name whose page has more facts now
    _errands: Errands = Factory(Errands)
    _places: DeferredSemaphore = field(init=False, factory=lambda: DeferredSemaphore(AT_ONCE_IN_ALL))
    _under_way: "dict[tuple[str, str], list[Deferred[None]]]" = Factory(dict)  # by upstreams and names, what is being looked at
    _left_alone: "dict[_Key, datetime]" = Factory(dict)  # files, in the order in which they were asked about, until when
    _respite: dict[str, datetime] = Factory(dict)  # upstreams that failed, until when they are left alone
    _over: bool = False  # nothing is asked any more

    def hear(self, upstream: Upstream, said: Said) -> None:
        """A page was fetched: begin to find out what it lacks."""
        key = (upstream.name, said.name.normalized)
        if self._over or upstream.mode not in {Mode.CACHE, Mode.STREAM} or said.page is None or key in self._under_way:
            return
        if not said.page.status.offers_files or self._respite.get(upstream.name, self.now()) > self.now():
            return
        lacking = [file for file in said.page.files if _lacks(upstream, file) and not self._is_left_alone(upstream, file)]
        if lacking:
            looking = self._under_way[key] = []
            self._errands.begin(
                f"finding out what {upstream.name} does not tell of {said.name.normalized}", self._fill(upstream, said, lacking, looking)
            )

    def forget(self, changes: tuple[Change, ...]) -> None:
        """Hear of changes (IJournal listener): nothing more is asked about a name that may be ours now, or that nobody may ask about.

        What was found out of it so far is lost. What may still be asked is begun again with the next page.
        """
        for change in changes:
            everything = change.action.startswith(_CLOSING)
            for key in [key for key in self._under_way if everything or key[1] == change.name]:
                self._end(key)

    async def settled(self) -> None:
        """Return when nothing is being found out any more."""
        await self._errands.settled()

    def stop(self) -> None:
        """Ask nothing more, and wait for no answer."""
        self._over = True
        for key in list(self._under_way):
            self._end(key)

    def _end(self, key: tuple[str, str]) -> None:
        # To end one may let another go on, and come to its own end.
        for looking in self._under_way.pop(key, ()):
            looking.cancel()

    async def _fill(self, upstream: Upstream, said: Said, lacking: Sequence[File], looking: "list[Deferred[None]]") -> None:
        assert said.page is not None, "files of it lack something"
        key = (upstream.name, said.name.normalized)
        try:
            newest = iter(await self.threads.run(_newest, lacking))
            if self._under_way.get(key) is not looking:
                return
            found: dict[_Key, File] = {}
            problems: list[str] = []
            for _ in range(AT_ONCE):
                looking.append(Deferred.fromCoroutine(self._look_at(upstream, said.name, newest, found, problems)))
            results = await DeferredList(looking, consumeErrors=True)
            if self._under_way.get(key) is not looking:
                return
            for _, result in results:
                if isinstance(result, Failure):
                    result.raiseException()
            if problems:
                _log.info(
                    "{source}: {count} files of {name} were not looked at to the end, the first because {problem}",
                    source=upstream.name,
                    count=len(problems),
                    name=said.name.normalized,
                    problem=problems[0],
                )
            incomplete = [file for file in found.values() if _lacks(upstream, file)]
            page = evolve(said.page, files=tuple(found.get(_key(upstream, file), file) for file in said.page.files))
            if found and await self.amend(said, page):
                for file in incomplete:
                    self._leave_alone(upstream, file)
                self.on_filled(said.name)
        finally:
            if self._under_way.get(key) is looking:
                del self._under_way[key]

    async def _look_at(self, upstream: Upstream, name: Name, files: Iterator[File], found: "dict[_Key, File]", problems: list[str]) -> None:
        """Take one file after another, as long as the upstream answers."""
        for file in files:
            await self._places.acquire()
            try:
                if self._over or self._respite.get(upstream.name, self.now()) > self.now():
                    return
                filled = await self._filled(upstream, name, file)
            except UpstreamUnavailable as error:
                problems.append(str(error))
                self._leave_alone(upstream, file)
                self._respite[upstream.name] = self.now() + RESPITE
                for _ in files:
                    pass  # nobody else of the round asks it, either
                return
            except (UpstreamBroken, UpstreamRefused) as error:
                problems.append(str(error))
                self._leave_alone(upstream, file)
                continue
            finally:
                self._places.release()
            if filled is file:
                self._leave_alone(upstream, file)
            else:
                found[_key(upstream, file)] = filled

    async def _filled(self, upstream: Upstream, name: Name, file: File) -> File:
        """The file with what its server tells."""
        seen = await self.glimpses.of(upstream, file, metadata=_lacks_metadata(upstream, file))
        facts: dict[str, Fact] = {SIZE: seen.size, UPLOAD_TIME: seen.modified}
        if seen.metadata is not None:
            await self.keep_metadata(upstream, name, file, seen.metadata)
            facts[CORE_METADATA] = hashlib.sha256(seen.metadata).hexdigest()
        return found_out(file, facts)

    def _is_left_alone(self, upstream: Upstream, file: File) -> bool:
        until = self._left_alone.get(_key(upstream, file))
        return until is not None and self.now() < until

    def _leave_alone(self, upstream: Upstream, file: File) -> None:
        key = _key(upstream, file)
        self._left_alone.pop(key, None)
        if len(self._left_alone) >= _REMEMBERED:
            del self._left_alone[next(iter(self._left_alone))]
        self._left_alone[key] = self.now() + LEFT_ALONE


_Key = tuple[str, str, str]


def _key(upstream: Upstream, file: File) -> _Key:
    """What a file is, though its address be signed anew with every page."""
    return upstream.name, file.filename, file.sha256 or file.url


def _lacks(upstream: Upstream, file: File) -> bool:
    return file.size is None or file.uploaded_at is None or _lacks_metadata(upstream, file)


def _lacks_metadata(upstream: Upstream, file: File) -> bool:
    """Whether it is a wheel whose core metadata might be served beside it. What is not kept cannot be."""
    return upstream.mode is Mode.CACHE and file.filename.endswith(".whl") and not file.metadata_sha256


def _newest(files: Sequence[File]) -> list[File]:
    """At most `MOST` of them, of the newest versions. For a thread: versions take their time."""
    return sorted(files, key=lambda file: _order(file.version), reverse=True)[:MOST]


def _order(text: str) -> tuple[bool, Pep440 | str]:
    """What is no version comes before all."""
    try:
        return True, Version(text).order
    except InvalidVersion:
        return False, text
