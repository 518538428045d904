"""What every IPackages promises, and the IJournal that tells of it."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from registry.domain.access import Visibility
from registry.domain.errors import FileExists
from registry.domain.model import Actor, Change, Digests, File, NewFile, Page
from registry.domain.names import Name
from registry.domain.paths import ProjectPath
from registry.domain.versions import Version
from registry.interfaces import IJournal, IPackages
from registry.storage.catalog.database import Database
from registry.storage.catalog.packages import SqlPackages
from registry.storage.catalog.places import SqlPlaces
from registry.storage.catalog.users import SqlUsers
from registry.storage.threads import InlineThreads
from registry.testing import NOON, OPERATOR, MemoryPackages, done, gathered
from tests.conformance.clock import Clock

ACTOR = Actor(user_id=1, username="ann", token_id=3, token_name="laptop", address="192.0.2.7")


@define
class Catalog:
    """What projects hold, and what listeners were told of it. Project 1 is there; `project` makes more."""

    packages: IPackages
    journal: IJournal
    clock: Clock
    project: Callable[[], int]
    told: list[Change] = field(factory=list)

    def add(self, project_id: int, filename: str, **changes: Any) -> File:
        """A new file, of demo 1.0 unless said otherwise."""
        return done(self.packages.add_file(project_id, new_file(filename, **changes), ACTOR))

    def page(self, *project_ids: int, name: str = "demo") -> Page | None:
        """A page."""
        return done(self.packages.page(project_ids, Name(name)))


def new_file(
    filename: str, *, name: str = "demo", version: str = "1.0", sha256: str = "a" * 64, size: int = 10, requires: str = ""
) -> NewFile:
    return NewFile(
        name=Name(name),
        version=Version(version),
        filename=filename,
        digests=Digests(size=size, sha256=sha256, others={"md5": "0" * 32, "blake2b": "1" * 64}),
        requires_python=requires,
        metadata={"summary": "for tests", "classifiers": ("A :: B",)},
    )


@pytest.fixture(params=["memory", "sqlite"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    """Projects that hold nothing yet."""
    clock = Clock()
    if request.param == "memory":
        memory = MemoryPackages(now=clock)
        numbers = iter(range(2, 100))
        catalog = Catalog(packages=memory, journal=memory, clock=clock, project=lambda: next(numbers))
        memory.subscribe(catalog.told.extend)
        yield catalog
        return
    threads = InlineThreads()
    database = Database(path=tmp_path / "catalog.sqlite", readers=threads, writer=threads, now=clock)
    database.open()
    done(SqlUsers(database).create_user("ann", "ann@example.com", OPERATOR))

    def project() -> int:
        count = len(done(SqlPlaces(database).projects()))
        return done(SqlPlaces(database).create_project(ProjectPath.parse(f"ann/demo{count}"), Visibility.PRIVATE, OPERATOR)).id

    assert project() == 1
    catalog = Catalog(packages=SqlPackages(database), journal=database, clock=clock, project=project)
    database.subscribe(catalog.told.extend)
    yield catalog
    database.close()


# --- one project ----------------------------------------------------------------------------------------------------------------------


def test_a_file_comes_back_as_it_was_added(catalog: Catalog) -> None:
    """What is recorded is what is found, by page and by digest and name together."""
    catalog.clock.now += timedelta(microseconds=123_456)
    file = catalog.add(1, "demo-1.0.tar.gz", requires=">=3.8,<4", size=5 << 30)
    assert (file.filename, file.version, file.sha256, file.size, file.requires_python, file.uploaded_at) == (
        "demo-1.0.tar.gz",
        "1.0",
        "a" * 64,
        5 << 30,
        ">=3.8,<4",
        NOON + timedelta(microseconds=123_456),
    )
    page = catalog.page(1)
    assert page is not None
    assert page.files == (file,)
    assert done(catalog.packages.file((1,), "a" * 64, "demo-1.0.tar.gz")) == file
    for project_id, sha256, filename in (
        (2, "a" * 64, "demo-1.0.tar.gz"),
        (1, "b" * 64, "demo-1.0.tar.gz"),
        (1, "a" * 64, "DEMO-1.0.tar.gz"),
        (1, "A" * 64, "demo-1.0.tar.gz"),
        (1, "a" * 64, "demo-1.0.tar.g_"),
    ):
        assert done(catalog.packages.file((project_id,), sha256, filename)) is None


def test_a_page_is_in_the_order_of_publishing(catalog: Catalog) -> None:
    """All files of a name, under every spelling of it, oldest first, titled with the first spelling."""
    catalog.add(1, "c-2.tar.gz", name="My.Demo", version="2.0")
    catalog.add(1, "a-1.tar.gz", name="my-demo", version="1.0", sha256="b" * 64)
    catalog.add(1, "b-2.tar.gz", name="MY_demo", version="2", sha256="c" * 64)
    catalog.add(1, "d-3.tar.gz", name="MY-DEMO", version="3.0", sha256="e" * 64)
    catalog.add(1, "x-1.tar.gz", name="other", sha256="d" * 64)
    page = catalog.page(1, name="my__demo")
    assert page is not None
    assert [file.filename for file in page.files] == ["c-2.tar.gz", "a-1.tar.gz", "b-2.tar.gz", "d-3.tar.gz"]
    assert [file.version for file in page.files] == ["2.0", "1.0", "2.0", "3.0"]
    assert page.display == "My.Demo"
    assert page.name == Name("my-demo")
    assert catalog.page(1, name="nothing") is None
    assert catalog.page(2, name="my-demo") is None


def test_names_are_sorted_and_normal(catalog: Catalog) -> None:
    """Every name that holds a file comes once, in its normal form, in order, of one project only."""
    other = catalog.project()
    assert done(catalog.packages.names((1,))) == ()
    for number, name in enumerate(("Zeta", "alpha", "My.Demo", "my_demo", "B-2")):
        catalog.add(1, f"{number}.tar.gz", name=name, sha256=f"{number:064d}")
    catalog.add(other, "o.tar.gz", name="other")
    assert done(catalog.packages.names((1,))) == ("alpha", "b-2", "my-demo", "zeta")


@pytest.mark.parametrize(("sha256", "identical"), [("a" * 64, True), ("b" * 64, False)])
@pytest.mark.parametrize("version", ["1.0", "1", "v1.0.0"])
@pytest.mark.parametrize("name", ["demo", "DEMO"])
def test_a_file_name_is_taken_once_in_a_package(catalog: Catalog, name: str, version: str, sha256: str, *, identical: bool) -> None:
    """The same name again, in any spelling, is refused and told whether it has the same bytes; nothing changes (hardening row 48)."""
    catalog.add(1, "demo-1.0.tar.gz")
    catalog.told.clear()
    with pytest.raises(FileExists) as caught:
        catalog.add(1, "demo-1.0.tar.gz", name=name, version=version, sha256=sha256)
    assert (caught.value.filename, caught.value.identical) == ("demo-1.0.tar.gz", identical)
    page = catalog.page(1)
    assert page is not None
    assert len(page.files) == 1
    assert done(catalog.packages.named(["a" * 64, "b" * 64])) == {"a" * 64}
    assert catalog.told == []


def test_the_same_file_may_be_elsewhere(catalog: Catalog) -> None:
    """One name and one blob may be held by many projects and releases."""
    other = catalog.project()
    files = [catalog.add(1, "x.tar.gz"), catalog.add(other, "x.tar.gz"), catalog.add(1, "x.tar.gz", version="2.0")]
    assert len({file.id for file in files}) == 3
    assert done(catalog.packages.named(["a" * 64])) == {"a" * 64}
    assert gathered(catalog.packages.blobs()) == [[("a" * 64, 10, "x.tar.gz")]]


def test_blobs_are_named_by_files(catalog: Catalog) -> None:
    """Of any number of digests those that a file names are told, and all of those are listed once, with their size."""
    assert gathered(catalog.packages.blobs()) == []
    for number in range(3):
        catalog.add(1, f"demo-{number}.tar.gz", version=str(number), sha256=f"{number:064d}", size=number)
    asked = [f"{number:064d}" for number in range(2500)]
    assert done(catalog.packages.named(asked)) == set(asked[:3])
    assert done(catalog.packages.named([])) == set()
    assert [blob for batch in gathered(catalog.packages.blobs()) for blob in batch] == [
        (f"{number:064d}", number, f"demo-{number}.tar.gz") for number in range(3)
    ]


# --- several projects together --------------------------------------------------------------------------------------------------------


def test_of_several_projects_the_first_published_stands(catalog: Catalog) -> None:
    """Asked for several projects, a page has each file name once: the first that was published, in whichever of them."""
    other, third = catalog.project(), catalog.project()
    catalog.add(third, "demo-1.0.tar.gz", sha256="c" * 64)
    first = catalog.add(other, "demo-1.0.tar.gz", sha256="b" * 64, name="DeMo")
    catalog.add(1, "demo-1.0.tar.gz")
    second = catalog.add(1, "demo-2.0.tar.gz", version="2.0")
    for projects in ((1, other), (other, 1)):
        page = catalog.page(*projects)
        assert page is not None
        assert (page.files, page.display) == ((first, second), "DeMo")
        assert done(catalog.packages.file(projects, "b" * 64, "demo-1.0.tar.gz")) == first
        assert done(catalog.packages.file(projects, "c" * 64, "demo-1.0.tar.gz")) is None
    same = catalog.add(third, "demo-2.0.tar.gz", version="2.0")
    assert done(catalog.packages.file((third, 1), "a" * 64, "demo-2.0.tar.gz")) == second != same


def test_of_several_projects_every_name_comes_once(catalog: Catalog) -> None:
    """Asked for several projects, their names come once each and sorted, and those of no other project."""
    other, third = catalog.project(), catalog.project()
    for number, (project_id, name) in enumerate([(1, "b"), (other, "B"), (other, "a"), (third, "c")]):
        catalog.add(project_id, f"{number}.tar.gz", name=name)
    assert done(catalog.packages.names((other, 1))) == ("a", "b")
    assert done(catalog.packages.names((1, other, third))) == ("a", "b", "c")


def test_no_projects_hold_nothing(catalog: Catalog) -> None:
    """Asked for no project at all, there is no page, no name and no file."""
    catalog.add(1, "demo-1.0.tar.gz")
    assert catalog.page() is None
    assert done(catalog.packages.names(())) == ()
    assert done(catalog.packages.file((), "a" * 64, "demo-1.0.tar.gz")) is None


def test_thousands_of_projects_are_asked_together(catalog: Catalog) -> None:
    """However many projects a group has, one question is enough."""
    catalog.add(1, "demo-1.0.tar.gz")
    many = tuple(range(1, 30_000))
    page = catalog.page(*many)
    assert page is not None
    assert done(catalog.packages.names(many)) == ("demo",)
    assert done(catalog.packages.file(many, "a" * 64, "demo-1.0.tar.gz")) == page.files[0]


# --- with what no page tells ----------------------------------------------------------------------------------------------------------


def test_releases_are_the_page_and_more(catalog: Catalog) -> None:
    """With the page come the digests that were declared, the metadata of the version that speaks, and the serial of the last change."""
    other = catalog.project()
    catalog.add(1, "demo-1.0.tar.gz")
    file = catalog.add(other, "demo-2.0.tar.gz", version="2.0", sha256="b" * 64)
    catalog.add(1, "other-3.0.tar.gz", name="other", version="3.0", sha256="c" * 64)
    known = done(catalog.packages.releases((1, other), Name("DEMO")))
    assert known is not None
    assert known.page == catalog.page(1, other)
    assert known.digests == {one.id: {"md5": "0" * 32, "blake2b_256": "1" * 64} for one in known.page.files}
    assert known.described == file
    assert known.metadata["summary"] == "for tests"
    published = [change.serial for change in catalog.told if change.action == "file.publish"]
    assert known.serial == published[1]
    alone = done(catalog.packages.releases((1,), Name("demo")))
    assert alone is not None
    assert alone.serial == published[0]


def test_releases_of_one_version(catalog: Catalog) -> None:
    """A version is wanted in any spelling; one that is not there leaves the page undescribed, and a name that is not there is none."""
    files = [catalog.add(1, "demo-1.0.tar.gz"), catalog.add(1, "demo-2.0.tar.gz", version="2.0", sha256="b" * 64)]
    for version, described in (("1", files[0]), ("v2.0.0", files[1]), ("3", None)):
        known = done(catalog.packages.releases((1,), Name("demo"), Version(version)))
        assert known is not None
        assert known.page.files == tuple(files)
        assert known.described == described
        assert bool(known.metadata) == (described is not None)
    assert done(catalog.packages.releases((1,), Name("nothing"))) is None
    assert done(catalog.packages.releases((), Name("demo"))) is None


# --- what is told ---------------------------------------------------------------------------------------------------------------------


def test_every_publication_is_told_with_its_actor(catalog: Catalog) -> None:
    """Each file is told once, in order, with rising serials, the moment, who published it, and where."""
    catalog.clock.now += timedelta(seconds=5)
    catalog.add(1, "demo-1.0.tar.gz", name="My.Demo")
    catalog.add(1, "demo-2.0.tar.gz", name="my-demo", version="2.0", sha256="b" * 64)
    one, other = catalog.told
    assert one.serial < other.serial
    assert (one.action, one.project_id, one.name, one.actor, one.at) == ("file.publish", 1, "my-demo", ACTOR, catalog.clock.now)
    facts = {"size": 10, "requires_python": ""}
    first = {"version": "1.0", "filename": "demo-1.0.tar.gz", "sha256": "a" * 64, "file_id": 1, "display": "My.Demo"}
    second = {"version": "2.0", "filename": "demo-2.0.tar.gz", "sha256": "b" * 64, "file_id": 2, "display": other.detail["display"]}
    assert (dict(one.detail), dict(other.detail)) == (facts | first, facts | second)


def test_a_poll_with_nothing_new_tells_nothing(catalog: Catalog) -> None:
    """Without other writers a poll may repeat what was told already, and knows nothing else."""
    done(catalog.journal.poll())
    catalog.told.clear()
    catalog.add(1, "demo-1.0.tar.gz")
    (told,) = catalog.told
    done(catalog.journal.poll())
    assert set(map(repr, catalog.told)) == {repr(told)}
