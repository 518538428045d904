"""Reading: what is rendered once, when it is rendered anew, and how much is kept."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve
from twisted.internet.defer import Deferred

from registry.domain.access import Group, Project, Visibility
from registry.domain.encoding import Encoding, encode
from registry.domain.errors import BlobMissing, Unavailable, UnknownFile, UnknownName
from registry.domain.model import Change, Digests, File, NewFile, Page
from registry.domain.names import Name
from registry.domain.negotiation import Representation
from registry.domain.versions import Version
from registry.storage.threads import InlineThreads
from registry.testing import (
    NOON,
    OPERATOR,
    HeldThreads,
    MemoryBlobs,
    MemoryPackages,
    MemoryRegistry,
    done,
    registry_in_memory,
    wheel,
)
from registry.workflows.answers import Held, Rendered
from registry.workflows.in_hand import Contents
from registry.workflows.library import Library
from registry.workflows.memory import ENTRY_BYTES
from registry.workflows.views import View

HTML, JSON = Representation.HTML, Representation.V1_JSON
BASE = "https://packages.example.com"
DEMO = Name("demo")
PROJECT = Project(id=1, path="root/packages", name="packages", visibility=Visibility.PRIVATE)
VIEW = View.of_project(PROJECT)


@define(eq=False)
class Watched(MemoryPackages):
    """A catalog that counts what it is asked."""

    asked: int = 0

    async def page(self, project_ids: Sequence[int], name: Name) -> Page | None:
        """IPackages."""
        self.asked += 1
        return await super().page(project_ids, name)

    async def names(self, project_ids: Sequence[int]) -> tuple[str, ...]:
        """IPackages."""
        self.asked += 1
        return await super().names(project_ids)

    async def file(self, project_ids: Sequence[int], sha256: str, filename: str) -> File | None:
        """IPackages."""
        self.asked += 1
        return await super().file(project_ids, sha256, filename)


@define(eq=False)
class WatchedBlobs(MemoryBlobs):
    """A store that counts what is opened."""

    opened: int = 0

    async def open(self, sha256: str) -> Contents:
        """IBlobs."""
        self.opened += 1
        return await super().open(sha256)


@define
class Room:
    """A library over one catalog with two projects."""

    catalog: Watched
    blobs: WatchedBlobs
    library: Library
    one: View
    two: View

    def add(self, view: View, name: str = "demo", version: str = "1.0", content: bytes = b"") -> File:
        """Publish into a view's only project, as far as a library can see."""
        (project_id,) = view.projects
        data = content or f"{name} {version}".encode()
        staged = self.blobs.stage(lambda: None, lambda: None)
        staged.write(data)
        done(staged.finish())
        done(staged.keep())
        staged.discard()
        new = NewFile(
            name=Name(name),
            version=Version(version),
            filename=f"{name}-{version}.tar.gz",
            digests=Digests(size=len(data), sha256=hashlib.sha256(data).hexdigest(), others={}),
            requires_python="",
            metadata={},
        )
        return done(self.catalog.add_file(project_id, new, OPERATOR))

    def page(self, view: View, name: str = "demo", representation: Representation = HTML, base: str = BASE) -> Rendered:
        """A page."""
        return done(self.library.page(view, Name(name), representation, base))

    def held(self, file: File) -> Held:
        """A file of the first project, as the library holds it."""
        return done(self.library.file(self.one, file.sha256, file.filename))

    def index(self, view: View, representation: Representation = HTML, prefix: str = "") -> Rendered:
        """An index."""
        return done(self.library.index(view, representation, prefix))


def room(budget: int = 1 << 20, small_budget: int = 1 << 20) -> Room:
    catalog, blobs = Watched(), WatchedBlobs()
    library = Library(packages=catalog, blobs=blobs, threads=InlineThreads(), now=lambda: NOON, budget=budget, small_budget=small_budget)
    catalog.subscribe(library.forget)
    return Room(catalog=catalog, blobs=blobs, library=library, one=VIEW, two=View.of_project(evolve(PROJECT, id=2)))


# --- rendered once --------------------------------------------------------------------------------------------------------------------


def test_a_page_is_read_once(tmp_path: Path) -> None:
    """A page that was rendered is not read again, under any spelling of its name."""
    here = room()
    here.add(here.one, "My.Demo")
    first = here.page(here.one, "my-demo")
    assert here.page(here.one, "MY_demo") is first
    assert here.catalog.asked == 1


def test_each_shape_is_rendered_for_itself() -> None:
    """Representations and link bases never mix, and each has its own validator."""
    here = room()
    here.add(here.one)
    shapes = [(HTML, BASE), (JSON, BASE), (HTML, ""), (JSON, "/tools")]
    pages = [here.page(here.one, representation=representation, base=base) for representation, base in shapes]
    assert len({page.body for page in pages}) == len({page.etag for page in pages}) == 4
    assert here.catalog.asked == 4
    assert [here.page(here.one, representation=representation, base=base) for representation, base in shapes] == pages
    assert here.catalog.asked == 4
    assert all(page.etag == hashlib.sha256(page.body).hexdigest() for page in pages)


def test_projects_do_not_share_pages() -> None:
    """A page of one project is never another's, though the names be the same (hardening row 27)."""
    here = room()
    here.add(here.one, version="1.0")
    here.add(here.two, version="2.0")
    assert b"demo-1.0" in here.page(here.one).body
    assert b"demo-1.0" not in here.page(here.two).body
    assert b"demo-2.0" in here.page(here.two).body


def test_what_is_not_there_is_asked_for_each_time() -> None:
    """A name without files is unknown and not remembered as such: a publish is seen at once, told or not."""
    here = room()
    for _ in range(2):
        with pytest.raises(UnknownName):
            here.page(here.one)
    assert here.catalog.asked == 2


GROUP = Group(id=7, path="team", name="team", visibility=Visibility.PUBLIC)


def test_a_group_shows_what_its_reader_may_see() -> None:
    """A group's pages hold the files of exactly the projects their reader may read; two readers never share one (hardening row 27)."""
    here = room()
    here.add(here.one, version="1.0")
    here.add(here.two, version="2.0")
    here.add(here.two, "secret")
    everything, part = View.of_group(GROUP, (1, 2)), View.of_group(GROUP, (1,))
    for _ in range(2):
        assert [release in here.page(everything).body for release in (b"demo-1.0", b"demo-2.0")] == [True, True]
        assert [release in here.page(part).body for release in (b"demo-1.0", b"demo-2.0")] == [True, False]
        assert [b"secret" in here.index(view).body for view in (everything, part)] == [True, False]
    with pytest.raises(UnknownName):
        here.page(part, "secret")
    assert b"/groups/7/-/packages/pypi/files/" in here.page(part).body


def test_the_first_published_stands_for_all() -> None:
    """Of files of one name in several projects a group shows the first that was published, on its page and for download."""
    here = room()
    group = View.of_group(GROUP, (2, 1))
    first = here.add(here.two, content=b"first")
    second = here.add(here.one, content=b"second")
    assert first.filename == second.filename
    body = here.page(group).body
    assert (first.sha256.encode() in body, second.sha256.encode() in body) == (True, False)
    assert done(here.library.file(group, first.sha256, first.filename)).file == first


def test_nothing_is_held_for_who_may_read_nothing() -> None:
    """A group none of whose projects its reader may read is an empty index without a page."""
    here = room()
    here.add(here.one)
    nothing = View.of_group(GROUP, ())
    assert b"demo" not in here.index(nothing).body
    with pytest.raises(UnknownName):
        here.page(nothing)
    with pytest.raises(UnknownFile):
        done(here.library.file(nothing, "a" * 64, "demo-1.0.tar.gz"))


# --- rendered anew --------------------------------------------------------------------------------------------------------------------


def test_a_publish_changes_its_page_and_index_only() -> None:
    """After a publish the page of that name and the index of that project are new; all others are still the ones rendered before."""
    here = room()
    for view in (here.one, here.two):
        here.add(view)
        here.add(view, "other")
    shapes = [(view, name) for view in (here.one, here.two) for name in ("demo", "other")]
    pages = {(view, name): here.page(view, name) for view, name in shapes}
    indexes = {view: here.index(view) for view in (here.one, here.two)}
    asked = here.catalog.asked
    here.add(here.one, "demo", "2.0")
    here.add(here.one, "new")
    assert b"demo-2.0" in here.page(here.one).body
    assert b"new" in here.index(here.one).body
    assert here.catalog.asked == asked + 2
    assert here.page(here.one, "other") is pages[here.one, "other"]
    assert here.page(here.two) is pages[here.two, "demo"]
    assert here.index(here.two) is indexes[here.two]
    assert here.catalog.asked == asked + 2


def test_a_publish_changes_the_groups_above_it() -> None:
    """After a publish every group page and index that shows its project is new, and those that do not are still the same."""
    here = room()
    for view in (here.one, here.two):
        here.add(view)
    above, beside = View.of_group(GROUP, (1, 2)), View.of_group(GROUP, (2,))
    page, index = here.page(beside), here.index(beside)
    here.page(above)
    here.index(above)
    here.add(here.one, version="2.0")
    here.add(here.one, "new")
    assert b"demo-2.0" in here.page(above).body
    assert b"new" in here.index(above).body
    assert (here.page(beside), here.index(beside)) == (page, index)
    assert here.page(beside) is page


def test_both_representations_change_together() -> None:
    """One change drops HTML and JSON alike (hardening row 14)."""
    here = room()
    here.add(here.one)
    for representation in (HTML, JSON):
        here.page(here.one, representation=representation)
        here.index(here.one, representation)
    here.add(here.one, version="2.0")
    for representation in (HTML, JSON):
        assert b"demo-2.0" in here.page(here.one, representation=representation).body


def test_a_change_of_nothing_here_drops_nothing() -> None:
    """A change of a token or user leaves pages alone."""
    here = room()
    here.add(here.one)
    page = here.page(here.one)
    here.library.forget((Change(serial=99, at=NOON, action="user.create", actor=OPERATOR, detail={}),))
    assert here.page(here.one) is page


def test_a_change_may_be_told_twice() -> None:
    """Hearing of a change again only renders again: the sizes that are counted stay true."""
    here = room()
    here.add(here.one)
    for _ in range(3):
        here.page(here.one)
        here.library.forget(tuple(here.catalog.changes))
    assert here.library.used[0] == 0


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[MemoryRegistry, HeldThreads]]:
    """A registry that holds demo 1.0 and whose catalog is read when told."""
    readers = HeldThreads()
    registry = registry_in_memory(tmp_path / "data", readers=readers)
    new = new_file("1.0")
    done(registry.store.packages.add_file(1, new, OPERATOR))
    yield registry, readers
    registry.close()


def new_file(version: str) -> NewFile:
    built = wheel(version=version)
    return NewFile(
        name=DEMO,
        version=Version(version),
        filename=built.filename,
        digests=Digests(size=1, sha256=built.sha256, others={}),
        requires_python="",
        metadata={},
    )


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.parametrize("what", ["page", "index"])
def test_a_load_overtaken_by_a_change_is_not_kept(slow: tuple[MemoryRegistry, HeldThreads], what: str, *, read: bool) -> None:
    """What was read before a change and would be kept after it is answered once, and read again by the next who asks."""
    registry, readers = slow

    def ask() -> "Deferred[Rendered]":
        if what == "page":
            return Deferred.fromCoroutine(registry.library.page(VIEW, DEMO, HTML, BASE))
        return Deferred.fromCoroutine(registry.library.index(VIEW, HTML, ""))

    first = ask()
    if read:
        # The catalog has answered, but the answer has not reached the reactor: the change is told in between.
        outcome, work, args = readers._work.pop()
        result = work(*args)
        done(registry.store.packages.add_file(1, new_file("2.0"), OPERATOR))
        outcome.callback(result)
        assert (b"demo-2.0" in done(first).body) is False
    else:
        done(registry.store.packages.add_file(1, new_file("2.0"), OPERATOR))
        readers.let_all()
    second = ask()
    readers.let_all()
    assert what == "index" or b"demo-2.0" in done(second).body
    assert done(second) is not done(first)
    third = ask()
    assert done(third) is done(second)


def test_a_change_elsewhere_does_not_overtake(slow: tuple[MemoryRegistry, HeldThreads]) -> None:
    """A page that is being read while another name changes is kept."""
    registry, readers = slow
    first = Deferred.fromCoroutine(registry.library.page(VIEW, DEMO, HTML, BASE))
    registry.library.forget((Change(serial=99, at=NOON, action="file.publish", actor=OPERATOR, project_id=1, name="other", detail={}),))
    readers.let_all()
    assert done(registry.library.page(VIEW, DEMO, HTML, BASE)) is done(first)


def test_a_file_is_read_again_after_a_deletion(slow: tuple[MemoryRegistry, HeldThreads]) -> None:
    """A file that was found is found without the catalog until something but a publish happens in its project."""
    registry, readers = slow
    built = wheel(version="1.0")
    first = Deferred.fromCoroutine(registry.library.file(VIEW, built.sha256, built.filename))
    readers.let_all()
    for action, again in (("file.publish", False), ("file.delete", True)):
        registry.library.forget((Change(serial=99, at=NOON, action=action, actor=OPERATOR, project_id=1, name="demo", detail={}),))
        asking = Deferred.fromCoroutine(registry.library.file(VIEW, built.sha256, built.filename))
        assert (readers.waiting > 0) is again
        readers.let_all()
        assert done(asking).file == done(first).file
        assert (done(asking) is done(first)) is not again


# --- once for all who ask ---------------------------------------------------------------------------------------------------------------


def ask(registry: MemoryRegistry, what: str = "page") -> "Deferred[Any]":
    """Ask for a page, an index or a file of the project."""
    built = wheel(version="1.0")
    library = registry.library
    asking = {
        "page": lambda: library.page(VIEW, DEMO, HTML, BASE),
        "index": lambda: library.index(VIEW, HTML, ""),
        "file": lambda: library.file(VIEW, built.sha256, built.filename),
    }
    return Deferred.fromCoroutine(asking[what]())


@pytest.mark.parametrize("what", ["page", "index", "file"])
def test_many_who_ask_at_once_are_one(slow: tuple[MemoryRegistry, HeldThreads], what: str) -> None:
    """Fifty who ask for what nobody has read yet get one and the same, read once (hardening row 52)."""
    registry, readers = slow
    waiting = [ask(registry, what) for _ in range(50)]
    assert readers.waiting == 1
    readers.let_all()
    first = done(waiting[0])
    assert all(done(one) is first for one in waiting)
    assert done(ask(registry, what)) is first
    assert readers.waiting == 0


def test_many_who_ask_at_once_have_one_rendering(slow: tuple[MemoryRegistry, HeldThreads]) -> None:
    """A page that is rendered in a thread is rendered once, for those, too, who ask while it is (hardening row 52)."""
    registry, readers = slow
    for number in range(300):
        done(registry.store.packages.add_file(1, new_file(f"{number}.5"), OPERATOR))
    registry.library.threads = work = HeldThreads()
    waiting = [ask(registry)]
    readers.let_all()
    waiting += [ask(registry) for _ in range(9)]
    assert (readers.waiting, work.waiting) == (0, 1)
    work.let_all()
    assert len({id(done(one)) for one in waiting}) == 1


@pytest.mark.parametrize("what", ["page", "index", "file"])
def test_a_failure_is_told_to_all(slow: tuple[MemoryRegistry, HeldThreads], what: str) -> None:
    """When what many wait for cannot be read, each of them is told so; the next who asks has it tried again (hardening row 52)."""
    registry, readers = slow
    waiting = [ask(registry, what) for _ in range(3)]
    readers.fail(Unavailable(part="storage"))
    for one in waiting:
        with pytest.raises(Unavailable):
            done(one)
    again = ask(registry, what)
    assert readers.waiting == 1
    readers.let_all()
    assert done(again) is not None


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_who_goes_does_not_disturb_the_others(slow: tuple[MemoryRegistry, HeldThreads], gone: int) -> None:
    """One of those who wait goes, be it the first: the others get what they asked for, from the same reading (hardening row 53)."""
    registry, readers = slow
    waiting = [ask(registry) for _ in range(3)]
    errors: list[object] = []
    waiting[gone].addErrback(errors.append)
    waiting[gone].cancel()
    assert len(errors) == 1
    readers.let_all()
    others = [done(one) for number, one in enumerate(waiting) if number != gone]
    assert others[0] is others[1] is done(ask(registry))


def test_what_all_have_left_is_kept_for_the_next(slow: tuple[MemoryRegistry, HeldThreads]) -> None:
    """What everybody who asked has stopped waiting for is read to its end, and serves the next."""
    registry, readers = slow
    asking = ask(registry)
    asking.addErrback(lambda _: None)
    asking.cancel()
    readers.let_all()
    done(ask(registry))
    assert readers.waiting == 0


@pytest.mark.parametrize("what", ["page", "index", "file"])
@pytest.mark.parametrize("action", ["file.publish", "file.delete", "package.status", "project.update"])
def test_who_asks_after_a_change_does_not_join_those_before_it(slow: tuple[MemoryRegistry, HeldThreads], what: str, action: str) -> None:
    """Whoever asks after a change has it read anew, though the same is being read already, since before the change."""
    registry, readers = slow
    before = [ask(registry, what) for _ in range(2)]
    registry.library.forget((Change(serial=99, at=NOON, action=action, actor=OPERATOR, project_id=1, name="demo", detail={}),))
    after = [ask(registry, what) for _ in range(2)]
    assert readers.waiting == 2
    readers.let_all()
    assert done(before[0]) is done(before[1]) is not done(after[0])
    assert done(after[0]) is done(after[1]) is done(ask(registry, what))


@pytest.mark.parametrize("what", ["page", "index", "file"])
def test_what_was_overtaken_is_not_there_for_the_next(slow: tuple[MemoryRegistry, HeldThreads], what: str) -> None:
    """What was read before a change is given to who asked before it, and kept for nobody."""
    registry, readers = slow
    early = ask(registry, what)
    registry.library.forget((Change(serial=99, at=NOON, action="file.delete", actor=OPERATOR, project_id=1, name="demo", detail={}),))
    readers.let_all()
    assert done(early).memory is None
    ask(registry, what)
    assert readers.waiting == 1
    readers.let_all()


def test_a_file_that_is_published_while_it_is_looked_for_is_found_by_the_next(slow: tuple[MemoryRegistry, HeldThreads]) -> None:
    """Who looks for a file too early is told that there is none; who looks for it once it is published is not told the same."""
    registry, readers = slow
    built = wheel(version="2.0")

    def look() -> "Deferred[Held]":
        return Deferred.fromCoroutine(registry.library.file(VIEW, built.sha256, built.filename))

    early = look()
    # The catalog has answered, but the answer has not reached the reactor.
    outcome, work, args = readers._work.pop()
    result = work(*args)
    done(registry.store.packages.add_file(1, new_file("2.0"), OPERATOR))
    late = look()
    outcome.callback(result)
    readers.let_all()
    with pytest.raises(UnknownFile):
        done(early)
    assert done(late).file.filename == built.filename


@pytest.mark.parametrize("encoding", [Encoding.GZIP, Encoding.ZSTD])
def test_a_page_is_compressed_once(encoding: Encoding) -> None:
    """A page in a coding is compressed the first time it is asked for; in none it is the page itself."""
    here = room()
    here.add(here.one)
    page = here.page(here.one)
    coded = done(here.library.encoded(page, encoding))
    assert done(here.library.encoded(page, encoding)) is coded
    assert coded == encode(page.body, encoding)
    assert done(here.library.encoded(page, Encoding.IDENTITY)) == page.body
    assert here.library.used[0] == page.cost == ENTRY_BYTES + len(page.body) + len(coded)


def test_a_coding_that_does_not_fit_is_not_kept() -> None:
    """Where a page and its coding do not fit the budget together, the page stays, and is compressed each time."""
    probe = room()
    probe.add(probe.one)
    size = len(probe.page(probe.one).body)
    here = room(budget=ENTRY_BYTES + size + 10)
    here.add(here.one)
    page = here.page(here.one)
    coded = [done(here.library.encoded(page, Encoding.GZIP)) for _ in range(2)]
    assert coded[0] == coded[1] == encode(page.body, Encoding.GZIP)
    assert page.encoded == {}
    assert here.page(here.one) is page


# --- how much is kept -----------------------------------------------------------------------------------------------------------------


def test_pages_stay_within_their_budget() -> None:
    """However many pages are read, those kept never take more than the budget; the least recently used go first."""
    probe = room()
    probe.add(probe.one, "p00")
    cost = len(probe.page(probe.one, "p00").body) + ENTRY_BYTES
    here = room(budget=3 * cost)
    names = [f"p{number:02}" for number in range(6)]
    for name in names:
        here.add(here.one, name)
    first = here.page(here.one, names[0])
    for name in names[1:3]:
        here.page(here.one, name)
    assert here.page(here.one, names[0]) is first
    here.page(here.one, names[3])
    assert here.page(here.one, names[0]) is first
    asked = here.catalog.asked
    here.page(here.one, names[1])
    assert here.catalog.asked == asked + 1
    for name in names:
        here.page(here.one, name)
        assert here.library.used[0] <= 3 * cost


@pytest.mark.parametrize("budget", [0, 1])
def test_without_a_budget_everything_is_read_anew(budget: int) -> None:
    """A registry that may keep nothing answers all the same."""
    here = room(budget=budget, small_budget=budget)
    file = here.add(here.one)
    for _ in range(2):
        assert b"demo-1.0" in here.page(here.one).body
        assert done(here.library.open(here.held(file))).data == b"demo 1.0"
    assert here.library.used == (0, 0)
    assert here.blobs.opened == 2


def test_small_files_are_read_once() -> None:
    """The contents of a small file serve any number of readers, within their budget."""
    here = room(small_budget=2 * (ENTRY_BYTES + 100))
    files = [here.add(here.one, version=f"{number}.0", content=bytes([number]) * 100) for number in range(3)]
    for _ in range(3):
        assert done(here.library.open(here.held(files[0]))).data == b"\0" * 100
    assert here.blobs.opened == 1
    done(here.library.open(here.held(files[1])))
    done(here.library.open(here.held(files[0])))
    done(here.library.open(here.held(files[2])))
    assert here.library.used[1] <= 2 * (ENTRY_BYTES + 100)
    opened = here.blobs.opened
    done(here.library.open(here.held(files[0])))
    assert here.blobs.opened == opened
    done(here.library.open(here.held(files[1])))
    assert here.blobs.opened == opened + 1


def test_a_file_is_looked_up_once() -> None:
    """A file that was found is found again without the catalog; what was not found is asked for each time."""
    here = room()
    file = here.add(here.one)
    for _ in range(3):
        assert done(here.library.file(here.one, file.sha256, file.filename)).file == file
    assert here.catalog.asked == 1
    for _ in range(2):
        with pytest.raises(UnknownFile):
            done(here.library.file(here.two, file.sha256, file.filename))
    assert here.catalog.asked == 3


def test_bytes_that_are_gone_are_missing() -> None:
    """A file whose blob is lost says so, and is not remembered as lost."""
    here = room()
    file = here.add(here.one)
    here.blobs.spoil(file.sha256, None)
    with pytest.raises(BlobMissing):
        done(here.library.open(here.held(file)))
    here.blobs.place(file.sha256, b"demo 1.0")
    assert done(here.library.open(here.held(file))).data == b"demo 1.0"
