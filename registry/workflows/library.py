"""Reading: which files a caller is offered for a name, rendered once and kept until something changes."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import Factory, define, frozen

from registry.domain.access import Group, Project
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


_FileKey = tuple[tuple[int, ...], str, str]  # project ids, sha256, file name
_Key = tuple[str, tuple[int, ...], str]  # a view's scope and projects, and a normalised name
_Shape = tuple[Representation, str]  # and the base of its links, or their prefix and the title


@define(eq=False)
class _Load:
    """One read of some projects and a name, under way."""

    projects: tuple[int, ...]
    name: str
    overtaken: bool = False  # changed since it began


@define(kw_only=True)
class Library:
    """Resolves pages, indexes and files of a view.

    `budget` and `small_budget` bound the memory, in bytes, that rendered pages and the contents of small files take.
    """

    packages: IPackages
    blobs: IBlobs
    budget: int
    small_budget: int
    _rendered: "OrderedDict[_Key, dict[_Shape, Rendered]]" = Factory(OrderedDict)  # least recently used first
    _by_name: dict[str, set[_Key]] = Factory(dict)  # the keys above, by their name
    _bytes: int = 0
    _files: "OrderedDict[_FileKey, File]" = Factory(OrderedDict)  # found before; least recently used first
    _small: "OrderedDict[str, IOpenBlob]" = Factory(OrderedDict)  # small blobs, by sha256; least recently used first
    _small_bytes: int = 0
    _loads: "list[_Load]" = Factory(list)  # reads under way, so that one overtaken by a change is not kept

    async def page(self, view: View, name: Name, representation: Representation, base: str) -> Rendered:
        """The page of `name`. Raises `UnknownName` where the view holds no file of it."""
        key, shape = (view.scope, view.projects, name.normalized), (representation, base)
        known = self._find(key, shape)
        if known is not None:
            return known
        with self._loading(view.projects, name.normalized) as load:
            page = await self.packages.page(view.projects, name)
        if page is None:
            raise UnknownName(name=name.normalized)
        return self._keep(load, key, shape, render_page(page, Links(base=base, scope=view.scope), representation))

    async def index(self, view: View, representation: Representation, prefix: str) -> Rendered:
        """The index of the view: every name that holds a file, once; links relative behind `prefix`."""
        # With the title: that of a group changes without a word about any project.
        key, shape = (view.scope, view.projects, _INDEX), (representation, f"{prefix}\0{view.title}")
        known = self._find(key, shape)
        if known is not None:
            return known
        with self._loading(view.projects, _INDEX) as load:
            index = Index(title=view.title, names=await self.packages.names(view.projects))
        return self._keep(load, key, shape, render_index(index, representation, prefix=prefix))

    async def file(self, view: View, sha256: str, filename: str) -> File:
        """The file with exactly this digest and name. Raises `UnknownFile`."""
        key = (view.projects, sha256, filename)
        file = self._files.get(key)
        if file is None:
            with self._loading(view.projects, _FILES) as load:
                file = await self.packages.file(view.projects, sha256, filename)
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
        for change in changes:
            if change.project_id is not None:
                for name in {change.name, _INDEX}:
                    self._forget(change.project_id, name)
                # A file that is published changes nothing about those that were.
                if change.action != "file.publish":
                    self._forget(change.project_id, _FILES)
                    for key in [key for key in self._files if change.project_id in key[0]]:
                        del self._files[key]

    def _forget(self, project_id: int, name: str) -> None:
        for load in self._loads:
            load.overtaken = load.overtaken or (load.name == name and project_id in load.projects)
        for key in [key for key in self._by_name.get(name, ()) if project_id in key[1]]:
            self._drop(key)

    def _drop(self, key: _Key) -> None:
        for gone in self._rendered.pop(key).values():
            self._bytes -= _cost(gone)
        keys = self._by_name[key[2]]
        keys.discard(key)
        if not keys:
            del self._by_name[key[2]]

    @contextmanager
    def _loading(self, projects: tuple[int, ...], name: str) -> Iterator[_Load]:
        load = _Load(projects, name)
        self._loads.append(load)
        try:
            yield load
        finally:
            self._loads.remove(load)

    def _find(self, key: _Key, shape: _Shape) -> Rendered | None:
        shapes = self._rendered.get(key)
        if shapes is None:
            return None
        self._rendered.move_to_end(key)
        return shapes.get(shape)

    def _keep(self, load: _Load, key: _Key, shape: _Shape, body: bytes) -> Rendered:
        rendered = Rendered(body=body, etag=hashlib.sha256(body).hexdigest())
        if not load.overtaken:
            shapes = self._rendered.setdefault(key, {})
            self._by_name.setdefault(key[2], set()).add(key)
            if shape not in shapes:
                shapes[shape] = rendered
                self._bytes += _cost(rendered)
            self._rendered.move_to_end(key)
            while self._bytes > self.budget:
                self._drop(next(iter(self._rendered)))
        return rendered


def _cost(rendered: Rendered) -> int:
    return len(rendered.body) + _ENTRY_BYTES
