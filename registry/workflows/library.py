"""Reading: which files a caller is offered for a name, rendered once and kept until something changes."""

from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from attrs import define, evolve, field, frozen

from registry.domain.curation.judging import Rule
from registry.domain.encoding import Encoding, encode
from registry.domain.errors import PolicyRefused, UnknownFile, UnknownName
from registry.domain.filenames import METADATA_ENDING
from registry.domain.model import Change, File, Index, Page
from registry.domain.names import Name
from registry.domain.negotiation import Representation
from registry.domain.simple import BY_NAME, Links, render_index, render_page
from registry.domain.upstream import names_in
from registry.interfaces import IBlobs, IOpenBlob, IPackages, IThreads
from registry.workflows.answers import Held, Rendered
from registry.workflows.courses import TELLING
from registry.workflows.fallback import Fallback
from registry.workflows.flights import Flight, Flights
from registry.workflows.memory import Kept, Memory
from registry.workflows.views import View

_K = TypeVar("_K", bound=Kept)

# Indexes are kept under this name, which no project can have.
_INDEX = ""
# And this stands for the files of a project, in what changes touch.
_FILES = "/"
# Changes after which another place may ask upstreams, or no longer.
_OPENING = ("forwarding.", "settings.", "upstream.", "group.", "project.")
# Rendering a page of this many files, or compressing this many bytes, takes longer than the reactor may be kept waiting.
_MANY_FILES, _MANY_BYTES = 200, 1 << 16
# Whoever insists that upstreams are asked again has them asked unless that was this little time ago.
_JUST_NOW = timedelta(seconds=5)


@frozen
class _About:
    """What is being read: the packages of some projects, under a name."""

    projects: tuple[int, ...]
    name: str


@define(kw_only=True)
class Library:
    """Resolves pages, indexes and files of a view.

    `budget` and `small_budget` bound the memory, in bytes, that rendered pages and files (small ones with their contents) take. However
    many ask for one thing at once, it is read and rendered once. `threads` do what would keep the reactor waiting.
    """

    packages: IPackages
    blobs: IBlobs
    threads: IThreads
    budget: int
    small_budget: int
    now: Callable[[], datetime]
    beyond: Fallback | None = None  # asked for what is not held here
    _pages: Memory[Rendered] = field(init=False)
    _files: Memory[Held] = field(init=False)
    _by_name: dict[str, set[Any]] = field(init=False, factory=dict)  # keys of `_pages`, by the normalised name in them
    _foreign: set[Any] = field(init=False, factory=set)  # those of them that hold what an upstream says
    _foreign_files: dict[str, set[Any]] = field(init=False, factory=dict)  # keys of `_files` that are upstreams', by names they may be of
    _flights: Flights = field(init=False, factory=Flights)
    _heard: int = field(init=False, default=0)  # counts what was heard, so that what was found before is not kept after

    def __attrs_post_init__(self) -> None:
        """Make the two memories."""
        self._pages = Memory(budget=self.budget, on_gone=self._page_gone)
        self._files = Memory(budget=self.small_budget, on_gone=self._file_gone)

    @property
    def used(self) -> tuple[int, int]:
        """How much of `budget` and of `small_budget` is taken, in bytes."""
        return self._pages.bytes, self._files.bytes

    async def page(
        self,
        view: View,
        name: Name,
        representation: Representation,
        base: str,
        *,
        anew: bool = False,
        seen: Callable[[Page], object] = lambda _: None,
    ) -> Rendered:
        """The page of `name`. Raises `UnknownName` where the view holds no file of it.

        `anew`: what upstreams said of it more than five seconds ago, though it be that there is none, will not do. `seen` hears of what the
        page is made of, if it is made for this.
        """
        key = (view.scope, view.projects, name.normalized, representation, base)

        async def render(flight: Flight) -> Rendered:
            page = await self.packages.page(view.projects, name)
            offer = None if self.beyond is None else await self.beyond.page(view.place, view.projects, name, page, newer_than)
            whole = page if offer is None else offer.page
            if flight.overtaken and (offer is not None or whole is None):
                # The name may be ours by now: nobody is told any more what an upstream has under it.
                return await self.page(view, name, representation, base, anew=anew, seen=seen)
            if anew and (whole is None or (offer is not None and offer.state == "miss")):
                # Whatever was made of an older answer has had its day, in every place and representation.
                self._forget_foreign(name.normalized)
                self._forget_foreign_files(name.normalized)
            if whole is None:
                raise UnknownName(name=name.normalized)
            seen(whole)
            rendered = await self._render(key, whole, Links(base=base, scope=view.scope), representation)
            if offer is not None:
                rendered.since = None if offer.said_at is None else offer.said_at.timestamp()
                rendered.state, rendered.until = offer.state, offer.until.timestamp()
            # What is known to those to whom an older answer will do is as good as this, and what is stale to who insists is not to them.
            return rendered if anew and offer is not None else self._keep(flight, rendered)

        known, newer_than = self._current(self._pages, key), self.now() - _JUST_NOW if anew else None
        # What has no end is ours alone.
        if known is not None and (newer_than is None or known.until is None or (known.since or 0.0) >= newer_than.timestamp()):
            return known
        return await self._flights.once((*key, anew), render, _About(view.projects, name.normalized))

    async def holds(self, view: View, name: Name) -> bool:
        """Whether the view holds a file of `name` itself."""
        return await self.packages.page(view.projects, name) is not None

    async def index(self, view: View, representation: Representation, prefix: str) -> Rendered:
        """The index of the view: every name that holds a file, once; links relative behind `prefix`."""
        # With the title: that of a group changes without a word about any project.
        key = (view.scope, view.projects, _INDEX, representation, prefix, view.title)

        async def render(flight: Flight) -> Rendered:
            index = Index(title=view.title, names=await self.packages.names(view.projects))
            many = len(index.names) > _MANY_FILES
            return self._keep(flight, await self._rendered(key, lambda: render_index(index, representation, prefix=prefix), many=many))

        known = self._current(self._pages, key)
        return known if known is not None else await self._flights.once(key, render, _About(view.projects, _INDEX))

    async def encoded(self, rendered: Rendered, encoding: Encoding) -> bytes:
        """The body of `rendered` in a coding; compressed once."""
        known = rendered.body if encoding is Encoding.IDENTITY else rendered.encoded.get(encoding)
        if known is not None:
            return known

        async def compress(_: Flight) -> bytes:
            if rendered.size < _MANY_BYTES:
                data = encode(rendered.body, encoding)
            else:
                data = await self.threads.run(encode, rendered.body, encoding)
            if rendered.grow(len(data)):
                rendered.encoded[encoding] = data
            return data

        return await self._flights.once((rendered, encoding), compress, _About((), _INDEX))

    async def file(self, view: View, sha256: str, filename: str) -> Held:
        """The file with exactly this digest and name; with `.metadata` behind the name, its core metadata (PEP 658).

        `sha256` is always that of the file itself. Raises `UnknownFile`, `Quarantined`.
        """
        # With the scope: what upstreams have is another place's only if they may be asked there, too.
        key = (view.projects, sha256, filename, view.scope)

        async def look(flight: Flight) -> Held:
            file = await self.packages.file(view.projects, sha256, filename)
            if file is None and filename.endswith(METADATA_ENDING):
                beside = await self.packages.file(view.projects, sha256, filename.removesuffix(METADATA_ENDING))
                if beside is not None and beside.metadata_sha256:
                    file = evolve(beside, id=0, filename=filename, sha256=beside.metadata_sha256)
            if file is None:
                raise UnknownFile(filename=filename)
            held = Held(key=key, cost=0, file=file)
            if not flight.overtaken:
                self._files.keep(held)
            return held

        known = self._current(self._files, key)
        return known if known is not None else await self._flights.once(key, look, _About(view.projects, _FILES))

    async def from_upstream(self, view: View, sha256: str, filename: str, *, unread: bool = False) -> tuple[Held, IOpenBlob]:
        """A file that is not held here, and its bytes, which may still be on their way; `unread`: nobody will read them (HEAD).

        Raises `UnknownFile` and what `Fallback.file` raises.
        """
        if self.beyond is None:
            raise UnknownFile(filename=filename)
        heard = self._heard
        try:
            ours = partial(self.packages.page, view.projects)
            found = await self.beyond.file(view.place, view.projects, sha256, filename, ours, unread=unread)
        except PolicyRefused as refused:
            if refused.rule == Rule.LICENCE.value:
                # It may have become known this moment: pages must not go on listing the file.
                for name in names_in(filename.removesuffix(METADATA_ENDING)):
                    self._forget_foreign(name.normalized)
            raise
        arrival, until = found.arrival, found.until.timestamp()
        keep = partial(self._keep_foreign, heard)

        def held(file: File, since: datetime, contents: IOpenBlob | None = None, state: str = "hit") -> Held:
            cost, key = 0 if contents is None else contents.size, (view.projects, sha256, filename, view.scope)
            return Held(key=key, cost=cost, file=file, state=state, since=since.timestamp(), until=until, contents=contents)

        told = held(arrival.file, arrival.since or self.now(), state=arrival.state)
        if arrival.state == "hit":
            keep(told)
        elif found.lasting:
            arrival.when_kept(lambda file, contents: keep(held(file, self.now(), contents)))
        return told, arrival.blob

    def _keep_foreign(self, heard: int, held: Held) -> None:
        """Keep a file of an upstream, unless something has changed since what was `heard` before it was found."""
        if heard == self._heard:
            self._files.keep(held)
            if held.memory is not None:
                for name in _names_of(held.key):
                    self._foreign_files.setdefault(name, set()).add(held.key)

    def _current(self, memory: Memory[_K], key: Hashable) -> _K | None:
        known = memory.find(key)
        if known is not None and known.until is not None and known.until <= self.now().timestamp():
            memory.drop(key)
            return None
        return known

    async def open(self, held: Held) -> IOpenBlob:
        """The bytes of a file. Raises `BlobMissing` if the store has lost them."""
        if held.contents is not None:
            return held.contents
        blob = await self.blobs.open(held.file.sha256)
        # A blob read whole holds nothing but bytes, which never change: it serves any number of readers.
        if blob.data is not None and held.contents is None and held.grow(blob.size):
            held.contents = blob
        return blob

    def forget(self, changes: tuple[Change, ...]) -> None:
        """Hear of changes (IJournal listener): what they touch is rendered anew."""
        for change in changes:
            if change.action.startswith(TELLING):
                continue
            self._heard += 1
            if change.project_id is not None:
                for name in {change.name, _INDEX}:
                    self._forget(change.project_id, name)
                self._forget(change.project_id, _FILES)
                # A file that is published changes nothing about those that were.
                if change.action != "file.publish":
                    self._files.drop_where(partial(_in_project, change.project_id))
                for key in list(self._foreign_files.get(change.name, ())):
                    self._files.drop(key)
            if change.action.startswith(_OPENING):
                self.forget_upstreams()

    def forget_upstreams(self) -> None:
        """What is let in from upstreams, or where they may be asked, has changed."""
        self._heard += 1
        self._flights.overtake(lambda _: True)
        for key in list(self._foreign):
            self._pages.drop(key)
        for key in {key for keys in self._foreign_files.values() for key in keys}:
            self._files.drop(key)

    def forget_page(self, name: Name) -> None:
        """More is known of an upstream's files of this name than its page says."""
        self._forget_foreign(name.normalized)

    def forget_bytes(self, sha256: str) -> None:
        """These bytes were put back on the disk: those in memory may have been read before."""
        self._files.drop_where(lambda key: key[1] in {sha256, BY_NAME})

    def _forget_foreign(self, name: str) -> None:
        """What is let in of one name has changed."""
        self._flights.overtake(lambda about: about.name == name)
        for key in [key for key in self._by_name.get(name, ()) if key in self._foreign]:
            self._pages.drop(key)

    def _forget_foreign_files(self, name: str) -> None:
        """Those that are known by their names alone may be others now."""
        self._heard += 1
        for key in list(self._foreign_files.get(name, ())):
            self._files.drop(key)

    def _forget(self, project_id: int, name: str) -> None:
        self._flights.overtake(lambda about: about.name == name and (project_id in about.projects or self.beyond is not None))
        # What an upstream says of a name depends on whether anybody here has it.
        for key in [key for key in self._by_name.get(name, ()) if project_id in key[1] or key in self._foreign]:
            self._pages.drop(key)

    def _page_gone(self, key: Any) -> None:
        self._foreign.discard(key)
        keys = self._by_name.get(key[2], set())
        keys.discard(key)
        if not keys:
            self._by_name.pop(key[2], None)

    def _file_gone(self, key: Any) -> None:
        for name in _names_of(key) if self._foreign_files else ():
            keys = self._foreign_files.get(name, set())
            keys.discard(key)
            if not keys:
                self._foreign_files.pop(name, None)

    async def _render(self, key: Hashable, page: Page, links: Links, representation: Representation) -> Rendered:
        return await self._rendered(key, lambda: render_page(page, links, representation), many=len(page.files) > _MANY_FILES)

    async def _rendered(self, key: Hashable, render: Callable[[], bytes], *, many: bool) -> Rendered:
        def work() -> Rendered:
            body = render()
            return Rendered.of(key, body)

        return await self.threads.run(work) if many else work()

    def _keep(self, flight: Flight, rendered: Rendered) -> Rendered:
        if not flight.overtaken:
            self._pages.keep(rendered)
            if rendered.memory is not None:
                key: Any = rendered.key
                self._by_name.setdefault(key[2], set()).add(key)
                if rendered.until is not None:
                    self._foreign.add(key)
        return rendered


def _names_of(key: Any) -> list[str]:
    """The names that the file under a key of `_files` may be of."""
    return [name.normalized for name in names_in(key[2].removesuffix(METADATA_ENDING))]


def _in_project(project_id: int, key: Any) -> bool:
    return project_id in key[0]
