"""Reading: which files a caller is offered for a name, rendered once and kept until something changes."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import Factory, define, frozen

from registry.domain.access import Project
from registry.domain.errors import UnknownFile, UnknownName
from registry.domain.model import Change, File, Index
from registry.domain.names import Name
from registry.domain.negotiation import Representation
from registry.domain.simple import Links, render_index, render_page
from registry.interfaces import IBlobs, IOpenBlob, IPackages

# An entry's bookkeeping, roughly, so that many tiny pages do not outgrow the budget.
_ENTRY_BYTES = 600
# Indexes are kept under this name, which no project can have.
_INDEX = ""
# And this stands for the files of a project, in what changes touch.
_FILES = "/"
_FILES_KEPT = 20_000


@frozen(kw_only=True)
class Rendered:
    """A page or index as it goes out: its bytes and their strong validator (unquoted)."""

    body: bytes
    etag: str


_FileKey = tuple[int, str, str]  # project id, sha256, file name
_Scope = tuple[int, str]  # project id and normalised name
_Shape = tuple[Representation, str]  # and the base or prefix of its links


@define(eq=False)
class _Load:
    """One read of a scope, under way."""

    scope: _Scope
    overtaken: bool = False  # the scope changed since it began


@define(kw_only=True)
class Library:
    """Resolves pages, indexes and files of a project.

    `budget` and `small_budget` bound the memory, in bytes, that rendered pages and the contents of small files take.
    """

    packages: IPackages
    blobs: IBlobs
    budget: int
    small_budget: int
    _rendered: "OrderedDict[_Scope, dict[_Shape, Rendered]]" = Factory(OrderedDict)  # least recently used first
    _bytes: int = 0
    _files: "OrderedDict[_FileKey, File]" = Factory(OrderedDict)  # found before; least recently used first
    _small: "OrderedDict[str, IOpenBlob]" = Factory(OrderedDict)  # small blobs, by sha256; least recently used first
    _small_bytes: int = 0
    _loads: "list[_Load]" = Factory(list)  # reads under way, so that one overtaken by a change is not kept

    async def page(self, project: Project, name: Name, representation: Representation, base: str) -> Rendered:
        """The page of `name`. Raises `UnknownName` where the project holds no file of it."""
        scope, shape = (project.id, name.normalized), (representation, base)
        known = self._find(scope, shape)
        if known is not None:
            return known
        with self._loading(scope) as load:
            page = await self.packages.page(project.id, name)
        if page is None:
            raise UnknownName(name=name.normalized)
        return self._keep(load, shape, render_page(page, Links(base=base, project_id=project.id), representation))

    async def index(self, project: Project, representation: Representation, prefix: str) -> Rendered:
        """The index of the project: every name that holds a file, once; links relative behind `prefix`."""
        scope, shape = (project.id, _INDEX), (representation, prefix)
        known = self._find(scope, shape)
        if known is not None:
            return known
        with self._loading(scope) as load:
            index = Index(title=project.name, names=await self.packages.names(project.id))
        return self._keep(load, shape, render_index(index, representation, prefix=prefix))

    async def file(self, project: Project, sha256: str, filename: str) -> File:
        """The file with exactly this digest and name. Raises `UnknownFile`."""
        key = (project.id, sha256, filename)
        file = self._files.get(key)
        if file is None:
            with self._loading((project.id, _FILES)) as load:
                file = await self.packages.file(project.id, sha256, filename)
            if file is None:
                raise UnknownFile(filename=filename)
            if not load.overtaken:
                self._files[key] = file
                if len(self._files) > _FILES_KEPT:
                    self._files.popitem(last=False)
        else:
            self._files.move_to_end(key)
        return file

    async def open(self, file: File) -> IOpenBlob:
        """The bytes of `file`. Raises `BlobMissing` if the store has lost them."""
        blob = self._small.get(file.sha256)
        if blob is not None:
            self._small.move_to_end(file.sha256)
            return blob
        blob = await self.blobs.open(file.sha256)
        # A blob read whole holds nothing but bytes, which never change: it serves any number of readers.
        if blob.data is not None and file.sha256 not in self._small:
            self._small[file.sha256] = blob
            self._small_bytes += blob.size + _ENTRY_BYTES
            while self._small_bytes > self.small_budget:
                _, gone = self._small.popitem(last=False)
                self._small_bytes -= gone.size + _ENTRY_BYTES
        return blob

    def forget(self, changes: tuple[Change, ...]) -> None:
        """Hear of changes (IJournal listener): what they touch is rendered anew."""
        touched: set[_Scope] = set()
        for change in changes:
            if change.project_id is not None:
                touched |= {(change.project_id, change.name), (change.project_id, _INDEX)}
                # A file that is published changes nothing about those that were.
                if change.action != "file.publish":
                    touched.add((change.project_id, _FILES))
        for project_id, name in touched:
            if name == _FILES:
                for key in [key for key in self._files if key[0] == project_id]:
                    del self._files[key]
        for load in self._loads:
            load.overtaken = load.overtaken or load.scope in touched
        for scope in touched:
            for gone in self._rendered.pop(scope, {}).values():
                self._bytes -= _cost(gone)

    @contextmanager
    def _loading(self, scope: _Scope) -> Iterator[_Load]:
        load = _Load(scope)
        self._loads.append(load)
        try:
            yield load
        finally:
            self._loads.remove(load)

    def _find(self, scope: _Scope, shape: _Shape) -> Rendered | None:
        shapes = self._rendered.get(scope)
        if shapes is None:
            return None
        self._rendered.move_to_end(scope)
        return shapes.get(shape)

    def _keep(self, load: _Load, shape: _Shape, body: bytes) -> Rendered:
        rendered = Rendered(body=body, etag=hashlib.sha256(body).hexdigest())
        if not load.overtaken:
            shapes = self._rendered.setdefault(load.scope, {})
            if shape not in shapes:
                shapes[shape] = rendered
                self._bytes += _cost(rendered)
            self._rendered.move_to_end(load.scope)
            while self._bytes > self.budget:
                _, gone = self._rendered.popitem(last=False)
                self._bytes -= sum(map(_cost, gone.values()))
        return rendered


def _cost(rendered: Rendered) -> int:
    return len(rendered.body) + _ENTRY_BYTES
