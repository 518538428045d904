"""Reading ahead: what an installation is about to ask for comes from upstream while the client still reads what it was given."""

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from attrs import Factory, define
from twisted.internet.defer import DeferredSemaphore

from registry.domain.ahead import Wanted, likeliest, wanted_next
from registry.domain.archives.core_metadata import CoreMetadata
from registry.domain.errors import InvalidArchive, RegistryError, UpstreamUnavailable
from registry.domain.filenames import METADATA_ENDING, Kind
from registry.domain.model import File, Page
from registry.domain.negotiation import Representation
from registry.interfaces import IOpenBlob, IThreads
from registry.workflows.arrivals import Elsewhere
from registry.workflows.errands import Errands
from registry.workflows.inquiries import RESPITE
from registry.workflows.library import Library
from registry.workflows.views import View

# Of one file: more names than that are asked for when the client does.
_NAMES = 64
# At once, for all clients together, so that what they ask themselves has the upstream's ear.
_AT_ONCE = 6
# How many questions wait for their turn; what is required beyond is asked for when the client does.
WAITING = 1000
# Wheels up to this size are fetched, too: what is in vain if a resolver chooses another version is little.
SMALL = 256 << 10
# How long the requirements of a file are not followed again, and how many such files are remembered.
AGAIN, _MOST = timedelta(minutes=5), 4096
# A page of this many files takes longer to choose from than the reactor may be kept waiting.
_MANY_FILES = 200


@define(kw_only=True, eq=False)
class Ahead:
    """Asks for pages, core metadata and small wheels that somebody is about to ask for; as he would, and so never more than he may see.

    One step only: what a package requires, and not what that requires in turn. For that, somebody must have asked.
    """

    library: Library
    threads: IThreads
    _read: "OrderedDict[Hashable, datetime]" = Factory(OrderedDict)  # when; the oldest first
    _places: DeferredSemaphore = Factory(lambda: DeferredSemaphore(_AT_ONCE))
    _errands: Errands = Factory(Errands)
    _over: bool = False
    _respite: datetime | None = None  # an upstream failed, and until then nothing is asked that nobody has asked for

    def follow(self, view: View, file: File, metadata: IOpenBlob, base: str) -> None:
        """Somebody is given the core `metadata` of a file, and may want what that requires; `base` is that of the links on his pages.

        What is not in memory is left alone, and so is what was followed a moment ago.
        """
        key, now = (view.scope, file.sha256), self.library.now()
        if metadata.data is None or now - self._read.get(key, now - AGAIN) < AGAIN or not self._may_ask():
            return
        self._read[key] = now
        self._read.move_to_end(key)
        if len(self._read) > _MOST:
            self._read.popitem(last=False)
        self._errands.begin("reading ahead", self._follow(view, bytes(metadata.data), base))

    def stop(self) -> None:
        """Ask nothing more, and wait for no answer."""
        self._over = True
        self._errands.cancel()

    async def _follow(self, view: View, raw: bytes, base: str) -> None:
        with suppress(InvalidArchive):
            for wanted in await self.threads.run(_requirements, raw):
                if len(self._errands) < WAITING:
                    self._errands.begin("reading ahead", self._in_turn(partial(self._ask, view, wanted, base)))

    def _may_ask(self) -> bool:
        return not self._over and (self._respite is None or self._respite <= self.library.now())

    async def _in_turn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await self._places.acquire()
        try:
            if self._may_ask():
                await work()
        except (RegistryError, Elsewhere) as error:
            # Whoever asks for it himself is told what is wrong.
            if isinstance(error, UpstreamUnavailable):
                self._respite = self.library.now() + RESPITE
        finally:
            self._places.release()

    async def _ask(self, view: View, wanted: Wanted, base: str) -> None:
        seen: list[Page] = []
        rendered = await self.library.page(view, wanted.name, Representation.V1_JSON, base, seen=seen.append)
        if seen:
            # To whoever asks for it, it is here already.
            rendered.state = "hit" if rendered.state == "miss" else rendered.state
            await self._fetch(view, seen[0], wanted)

    async def _fetch(self, view: View, page: Page, wanted: Wanted) -> None:
        if len(page.files) > _MANY_FILES:
            file = await self.threads.run(likeliest, page, wanted.versions)
        else:
            file = likeliest(page, wanted.versions)
        beyond = self.library.beyond
        if file is None or not file.sha256 or beyond is None or not beyond.courses.keeps(file.source):
            return
        await self._take(view, file.sha256, file.filename + METADATA_ENDING)
        if file.size is not None and file.size <= SMALL and len(self._errands) < WAITING:
            # After the pages that wait: these are what a resolver asks for first.
            self._errands.begin("reading ahead", self._in_turn(partial(self._take, view, file.sha256, file.filename)))

    async def _take(self, view: View, sha256: str, filename: str) -> None:
        _, blob = await self.library.from_upstream(view, sha256, filename)
        blob.close()


def _requirements(raw: bytes) -> list[Wanted]:
    listed = CoreMetadata.of(raw, Kind.WHEEL).fields.get("requires_dist")
    return wanted_next(map(str, listed), _NAMES) if isinstance(listed, list | tuple) else []
