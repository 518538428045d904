"""Reading: which files a caller is offered for a name, rendered once and kept until something changes."""

import hashlib
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any, TypeVar

from attrs import Factory, define, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from registry.domain.access import Group, Project
from registry.domain.encoding import Encoding, encode
from registry.domain.errors import UnknownFile, UnknownName
from registry.domain.filenames import METADATA_ENDING
from registry.domain.model import Change, File, Index, Page
from registry.domain.names import Name
from registry.domain.negotiation import Representation
from registry.domain.simple import Links, render_index, render_page
from registry.interfaces import IBlobs, IOpenBlob, IPackages, IThreads
from registry.workflows.memory import Kept, Memory

T = TypeVar("T")

# Indexes are kept under this name, which no project can have.
_INDEX = ""
# And this stands for the files of a project, in what changes touch.
_FILES = "/"
# Rendering a page of this many files, or compressing this many bytes, takes longer than the reactor may be kept waiting.
_MANY_FILES, _MANY_BYTES = 200, 1 << 16


@define(eq=False, kw_only=True)
class Rendered(Kept):
    """A page or index as it goes out: its bytes and their strong validator (unquoted), plain and in codings."""

    body: bytes
    etag: str
    encoded: dict[Encoding, bytes] = Factory(dict)


@define(eq=False, kw_only=True)
class Held(Kept):
    """A file that a view holds, or its core metadata. `contents` are its bytes, if it is small and they were read before."""

    file: File
    contents: IOpenBlob | None = None


@frozen(kw_only=True)
class View:
    """What an index shows: the packages of some projects, under one title and one kind of address (see `Links.scope`)."""

    scope: str
    title: str
    projects: tuple[int, ...]

    @classmethod
    def of_project(cls, project: Project) -> "View":
        """One project's own index."""
        return cls(scope=f"projects/{project.id}", title=project.name, projects=(project.id,))

    @classmethod
    def of_group(cls, group: Group, readable: tuple[int, ...]) -> "View":
        """A group's index, for a caller who may read these projects below it."""
        return cls(scope=f"groups/{group.id}/-", title=group.name, projects=readable)


@define(eq=False)
class _Flight:
    """One piece of work under way, and those who wait for it."""

    projects: tuple[int, ...]
    name: str
    overtaken: bool = False  # changed since it began
    landed: bool = False
    result: Any = None
    waiting: "list[Deferred[Any]]" = Factory(list)

    def land(self, result: object) -> None:
        """The work has ended, with a result or a Failure."""
        self.landed, self.result = True, result
        waiting, self.waiting = self.waiting, []
        for waiter in waiting:
            # A wait that was cancelled has had its answer.
            if not waiter.called:
                waiter.callback(result)

    def wait(self) -> "Deferred[Any]":
        """Fires when it has landed. Giving up the wait does not stop the work: others may wait for it, too."""
        waiter: Deferred[Any] = Deferred()
        if self.landed:
            waiter.callback(self.result)
        else:
            self.waiting.append(waiter)
        return waiter


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
    _pages: Memory[Rendered] = field(init=False)
    _files: Memory[Held] = field(init=False)
    _by_name: dict[str, set[Any]] = field(init=False, factory=dict)  # keys of `_pages`, by the normalised name in them
    _flights: dict[Hashable, _Flight] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        """Make the two memories."""
        self._pages = Memory(budget=self.budget, on_gone=self._page_gone)
        self._files = Memory(budget=self.small_budget)

    @property
    def used(self) -> tuple[int, int]:
        """How much of `budget` and of `small_budget` is taken, in bytes."""
        return self._pages.bytes, self._files.bytes

    async def page(self, view: View, name: Name, representation: Representation, base: str) -> Rendered:
        """The page of `name`. Raises `UnknownName` where the view holds no file of it."""
        key = (view.scope, view.projects, name.normalized, representation, base)

        async def render(flight: _Flight) -> Rendered:
            page = await self.packages.page(view.projects, name)
            if page is None:
                raise UnknownName(name=name.normalized)
            links = Links(base=base, scope=view.scope)
            return self._keep(flight, await self._render(key, page, links, representation))

        known = self._pages.find(key)
        return known if known is not None else await self._once(key, view.projects, name.normalized, render)

    async def index(self, view: View, representation: Representation, prefix: str) -> Rendered:
        """The index of the view: every name that holds a file, once; links relative behind `prefix`."""
        # With the title: that of a group changes without a word about any project.
        key = (view.scope, view.projects, _INDEX, representation, prefix, view.title)

        async def render(flight: _Flight) -> Rendered:
            index = Index(title=view.title, names=await self.packages.names(view.projects))
            many = len(index.names) > _MANY_FILES
            return self._keep(flight, await self._rendered(key, lambda: render_index(index, representation, prefix=prefix), many=many))

        known = self._pages.find(key)
        return known if known is not None else await self._once(key, view.projects, _INDEX, render)

    async def encoded(self, rendered: Rendered, encoding: Encoding) -> bytes:
        """The body of `rendered` in a coding; compressed once."""
        known = rendered.body if encoding is Encoding.IDENTITY else rendered.encoded.get(encoding)
        if known is not None:
            return known

        async def compress(_: _Flight) -> bytes:
            if len(rendered.body) < _MANY_BYTES:
                data = encode(rendered.body, encoding)
            else:
                data = await self.threads.run(encode, rendered.body, encoding)
            if rendered.grow(len(data)):
                rendered.encoded[encoding] = data
            return data

        return await self._once((rendered, encoding), (), _INDEX, compress)

    async def file(self, view: View, sha256: str, filename: str) -> Held:
        """The file with exactly this digest and name; with `.metadata` behind the name, its core metadata (PEP 658).

        `sha256` is always that of the file itself. Raises `UnknownFile`, `Quarantined`.
        """
        key = (view.projects, sha256, filename)

        async def look(flight: _Flight) -> Held:
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

        known = self._files.find(key)
        return known if known is not None else await self._once(key, view.projects, _FILES, look)

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
            if change.project_id is not None:
                for name in {change.name, _INDEX}:
                    self._forget(change.project_id, name)
                self._forget(change.project_id, _FILES)
                # A file that is published changes nothing about those that were.
                if change.action != "file.publish":
                    self._files.drop_where(partial(_in_project, change.project_id))

    def _forget(self, project_id: int, name: str) -> None:
        for key, flight in list(self._flights.items()):
            if flight.name == name and project_id in flight.projects:
                # Whoever asks from now on must not be told what it may have read before.
                flight.overtaken = True
                del self._flights[key]
        for key in [key for key in self._by_name.get(name, ()) if project_id in key[1]]:
            self._pages.drop(key)

    def _page_gone(self, key: Any) -> None:
        keys = self._by_name.get(key[2], set())
        keys.discard(key)
        if not keys:
            self._by_name.pop(key[2], None)

    async def _once(self, key: Hashable, projects: tuple[int, ...], name: str, work: Callable[[_Flight], Coroutine[Any, Any, T]]) -> T:
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(projects, name)
            Deferred.fromCoroutine(work(flight)).addBoth(self._land, key, flight)
        result: T = await flight.wait()
        return result

    def _land(self, result: object, key: Hashable, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if isinstance(result, Failure):
            result.cleanFailure()
        flight.land(result)

    async def _render(self, key: Hashable, page: Page, links: Links, representation: Representation) -> Rendered:
        return await self._rendered(key, lambda: render_page(page, links, representation), many=len(page.files) > _MANY_FILES)

    async def _rendered(self, key: Hashable, render: Callable[[], bytes], *, many: bool) -> Rendered:
        def work() -> Rendered:
            body = render()
            return Rendered(key=key, cost=len(body), body=body, etag=hashlib.sha256(body).hexdigest())

        return await self.threads.run(work) if many else work()

    def _keep(self, flight: _Flight, rendered: Rendered) -> Rendered:
        if not flight.overtaken:
            self._pages.keep(rendered)
            if rendered.memory is not None:
                key: Any = rendered.key
                self._by_name.setdefault(key[2], set()).add(key)
        return rendered


def _in_project(project_id: int, key: Any) -> bool:
    return project_id in key[0]
