"""What the catalog keeps about upstreams: whose a name is, what was said of it, and which files are kept."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from registry.domain.access import Place, Project, Visibility
from registry.domain.errors import InvalidSetting, UnknownProject
from registry.domain.forwarding import Switch, Turn
from registry.domain.model import Change, File, Page, ProjectStatus
from registry.domain.names import Name
from registry.domain.paths import ProjectPath
from registry.domain.upstream import Claim, Dossier, KeptFile, Said
from registry.interfaces import IKeeping, IPackages, IUpstreamCatalog
from registry.storage.catalog.database import Database
from registry.storage.catalog.forwarding import SqlForwarding
from registry.storage.catalog.inventory import SqlInventory
from registry.storage.catalog.keeping import SqlKeeping
from registry.storage.catalog.packages import SqlPackages
from registry.storage.catalog.places import SqlPlaces
from registry.storage.catalog.upstream import SqlUpstream
from registry.storage.catalog.users import SqlUsers
from registry.storage.threads import InlineThreads
from registry.testing import NOON, OPERATOR, done, gathered
from tests.conformance.clock import Clock
from tests.conformance.test_packages import new_file

ADMIN = 60
PROJECT = Project(id=1, path="ann/one", name="one", visibility=Visibility.PRIVATE)
DEMO, OTHER = Name("Demo"), Name("other")


@define
class Catalog:
    """Projects 1 and 2, which hold nothing yet."""

    upstream: IUpstreamCatalog
    packages: IPackages
    inventory: SqlInventory
    keeping: IKeeping
    switches: SqlForwarding
    clock: Clock
    told: list[Change] = field(factory=list)

    def publish(self, filename: str, **changes: Any) -> File:
        """A new file in project 1, of demo 1.0 unless said otherwise."""
        return done(self.packages.add_file(1, new_file(filename, **changes), OPERATOR))

    def claim(self, name: str, *projects: int) -> Claim:
        """Whose a name is."""
        return done(self.upstream.claim(Name(name), projects or (1,)))

    def dossier(self, *sources: str, place: Place | None = PROJECT, at_hand: Said | None = None) -> Dossier:
        """What is on file about demo in project 1; `at_hand`: what the caller has of the first source."""
        have = {} if at_hand is None else {sources[0]: at_hand}
        return done(self.upstream.dossier(DEMO, (1,), place, sources, have))

    def share(self, name: str, project: int = 1, *, shared: bool = True) -> None:
        """Share, or not."""
        done(self.upstream.share(project, Name(name), OPERATOR, shared=shared))

    def said(self, source: str = "main", name: Name = DEMO) -> Said | None:
        """What an upstream said."""
        return done(self.upstream.said(source, name))

    def keep_page(self, page: Page | None, source: str = "main", name: Name = DEMO, etag: str = '"1"', *, confirmed: bool = False) -> Said:
        """Keep what an upstream says now."""
        said = Said(source=source, name=name, page=page, etag=etag, fetched_at=self.clock.now)
        done(self.upstream.keep_page(said, confirmed=confirmed))
        return said

    def keep(self, filename: str, **changes: Any) -> KeptFile:
        """Keep a file of demo; as it is found then."""
        facts: dict[str, Any] = {"source": "main", "name": "demo", "sha256": "a" * 64, "size": 10, **changes}
        wanted = KeptFile(filename=filename, **facts)
        done(self.upstream.keep_file(wanted))
        mine = (wanted.source, wanted.filename, wanted.sha256)
        return next(one for one in self.kept(wanted.name) if (one.source, one.filename, one.sha256) == mine)

    def kept(self, name: str = "demo") -> list[KeptFile]:
        """The kept files of a name."""
        return done(self.upstream.kept(Name(name)))


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    clock, threads = Clock(), InlineThreads()
    database = Database(path=tmp_path / "catalog.sqlite", readers=threads, writer=threads, now=clock)
    database.open()
    done(SqlUsers(database).create_user("ann", "ann@example.com", OPERATOR))
    for path in ("ann/one", "ann/two"):
        done(SqlPlaces(database).create_project(ProjectPath.parse(path), Visibility.PRIVATE, OPERATOR))
    made = Catalog(
        upstream=SqlUpstream(database),
        packages=SqlPackages(database),
        inventory=SqlInventory(database),
        keeping=SqlKeeping(database),
        switches=SqlForwarding(database),
        clock=clock,
    )
    database.subscribe(made.told.extend)
    yield made
    database.close()


def page(*files: File, name: Name = DEMO, **facts: Any) -> Page:
    return Page(name=name, display=name.display, files=files, **facts)


def foreign(filename: str, **facts: Any) -> File:
    bare: dict[str, Any] = {"sha256": "", "size": None, "requires_python": "", "uploaded_at": None, "source": "main"}
    return File(**{"id": 0, "filename": filename, "version": "1.0", "url": f"https://files.example.com/{filename}", **bare, **facts})


# --- whose a name is ------------------------------------------------------------------------------------------------------------------


def test_a_name_is_ours_from_its_first_file_on_and_for_good(catalog: Catalog) -> None:
    """A name that was ever published, in any spelling and any project, is ours, though nothing of it is left (hardening row 24)."""
    assert catalog.claim("demo") == Claim(own=False, shared=False)
    catalog.publish("demo-1.0.tar.gz", name="My.Demo")
    for spelling in ("my-demo", "MY_DEMO", "my.demo"):
        for projects in ((1,), (2,), (1, 2), ()):
            assert catalog.claim(spelling, *projects) == Claim(own=True, shared=False)
    done(catalog.inventory.delete_package(1, 1, OPERATOR, level=ADMIN))
    assert done(catalog.packages.page((1,), Name("my-demo"))) is None
    assert catalog.claim("my-demo").own is True
    assert catalog.claim("demo").own is False


def test_a_name_is_shared_in_one_project(catalog: Catalog) -> None:
    """Sharing holds in that project, for that name in any spelling, until it is taken back; it does not make the name anybody's."""
    catalog.share("My.Demo")
    assert catalog.claim("my_demo", 1) == Claim(own=False, shared=True)
    assert catalog.claim("my-demo", 2) == Claim(own=False, shared=False)
    assert catalog.claim("my-demo", 2, 1).shared is True
    assert catalog.claim("my-demos", 1).shared is False
    assert catalog.claim("my-demo", 3, 4).shared is False
    catalog.share("MY-DEMO", shared=False)
    assert catalog.claim("my-demo", 1).shared is False


def test_leave_for_one_project_is_not_that_of_others(catalog: Catalog) -> None:
    """Several projects together share a name only if each that holds something under it does (hardening row 24)."""
    catalog.publish("demo-1.0.tar.gz")
    catalog.share("demo", 2)
    assert catalog.claim("demo", 2).shared is True
    assert catalog.claim("demo", 1).shared is False
    assert catalog.claim("demo", 1, 2).shared is False
    catalog.share("demo", 1)
    assert catalog.claim("demo", 1, 2).shared is True
    catalog.share("demo", 2, shared=False)
    assert catalog.claim("demo", 1, 2).shared is True


def test_shared_names_are_listed_by_project(catalog: Catalog) -> None:
    """The list of a project is its own, normalised and sorted."""
    for name, project in (("Zeta", 1), ("alpha", 1), ("other", 2)):
        catalog.share(name, project)
    assert done(catalog.upstream.shared(1)) == ("alpha", "zeta")
    assert done(catalog.upstream.shared(2)) == ("other",)
    assert done(catalog.upstream.shared(3)) == ()


def test_sharing_is_told_once(catalog: Catalog) -> None:
    """Each change is a journal row of the project and name, by whoever made it; doing it again leaves none."""
    for shared in (False, True, True, False, False):
        catalog.share("My.Demo", shared=shared)
    rows = [(change.action, change.project_id, change.name, change.actor) for change in catalog.told]
    assert rows == [("upstream.share", 1, "my-demo", OPERATOR), ("upstream.unshare", 1, "my-demo", OPERATOR)]


def test_what_cannot_be_shared_is_refused(catalog: Catalog) -> None:
    """A name that no file could have and a project that is not there are refused, and nothing is told; the longest name is shared."""
    with pytest.raises(InvalidSetting, match="no file name has room"):
        catalog.share("x" * 300)
    with pytest.raises(UnknownProject):
        catalog.share("demo", 3)
    catalog.share("demo", 3, shared=False)
    assert catalog.told == []
    catalog.share("x" * 100)
    assert done(catalog.upstream.shared(1)) == ("x" * 100,)


# --- all that is on file --------------------------------------------------------------------------------------------------------------


def test_all_that_is_on_file_is_told_at_once(catalog: Catalog) -> None:
    """A dossier tells what the single questions do: the claim, the switch, what each of these upstreams said, and what is kept."""
    said = [catalog.keep_page(page(foreign("demo-1.0.tar.gz"))), catalog.keep_page(None, "second")]
    catalog.keep_page(page(), "third")
    kept = catalog.keep("demo-1.0.tar.gz")
    catalog.keep("other-1.0.tar.gz", name="other")
    found = catalog.dossier("main", "second", "fourth")
    assert found == Dossier(claim=Claim(own=False, shared=False), enabled=True, said={"main": said[0], "second": said[1]}, kept=(kept,))


def test_of_a_name_of_ours_nothing_is_told(catalog: Catalog) -> None:
    """Whatever an upstream said before, of a name that is ours a dossier tells only that; shared, it tells all (hardening row 24)."""
    catalog.keep_page(page(foreign("demo-1.0.tar.gz")))
    catalog.publish("demo-1.0.tar.gz")
    assert catalog.dossier("main") == Dossier(claim=Claim(own=True, shared=False), enabled=False, said={}, kept=())
    catalog.share("demo")
    found = catalog.dossier("main")
    assert (found.claim.shared, found.enabled, set(found.said)) == (True, True, {"main"})


def test_where_nobody_may_be_asked_nothing_is_told(catalog: Catalog) -> None:
    """A switch that is off hides what is on file; so it is where there is no place whose switch could be on."""
    catalog.keep_page(page(foreign("demo-1.0.tar.gz")))
    assert catalog.dossier("main", place=None) == Dossier(claim=Claim(own=False, shared=False), enabled=False, said={}, kept=())
    done(catalog.switches.switch("project", 1, Turn(switch=Switch.OFF), OPERATOR))
    assert catalog.dossier("main") == Dossier(claim=Claim(own=False, shared=False), enabled=False, said={}, kept=())


def test_what_is_at_hand_is_not_read_again(catalog: Catalog) -> None:
    """What the caller has is given back as it is while it is still what was said, and not a moment longer."""
    said = catalog.keep_page(page(foreign("demo-1.0.tar.gz")))
    at_hand = evolve(said)
    assert catalog.dossier("main", at_hand=at_hand).said["main"] is at_hand
    catalog.clock.now += timedelta(seconds=1)
    newer = catalog.keep_page(page(foreign("demo-2.0.tar.gz")))
    assert catalog.dossier("main", at_hand=at_hand).said["main"] == newer
    done(catalog.keeping.purge([DEMO], OPERATOR))
    assert catalog.dossier("main", at_hand=newer).said == {}


# --- what was said --------------------------------------------------------------------------------------------------------------------


def test_a_page_comes_back_as_it_was_said(catalog: Catalog) -> None:
    """Every fact of a page and of its files is kept, known or not, and so are the validator and the moment."""
    assert catalog.said() is None
    full = foreign(
        "demo-1.0-py3-none-any.whl",
        sha256="b" * 64,
        size=5 << 30,
        requires_python=">=3.8,<4",
        uploaded_at=NOON - timedelta(microseconds=1),
        yanked="it's <broken> — ü",
        metadata_sha256="c" * 64,
        provenance=True,
        provenance_url="https://files.example.com/provenance",
        digests=(("md5", "0" * 32), ("blake2b", "1" * 64)),
        filled=("size",),
        gpg_sig=True,
    )
    bare = foreign("demo-0.1.tar.gz", version="", yanked="", gpg_sig=False)
    said = catalog.keep_page(page(full, bare, foreign("demo-0.2.zip"), status=ProjectStatus.ARCHIVED, status_reason="moved"))
    assert catalog.said() == said
    assert catalog.said("second") is None
    assert catalog.said(name=OTHER) is None


def test_what_is_said_last_counts(catalog: Catalog) -> None:
    """A newer answer takes the place of the one before it, whether or not the upstream has the name, for each upstream by itself."""
    catalog.keep_page(None, etag="")
    answer = catalog.said()
    assert answer is not None
    assert (answer.page, answer.etag, answer.fetched_at) == (None, "", NOON)
    other = catalog.keep_page(page(), source="second")
    catalog.clock.now += timedelta(minutes=5)
    newer = catalog.keep_page(page(foreign("demo-2.0.tar.gz")), etag='"2"')
    assert catalog.said() == newer
    gone = catalog.keep_page(None)
    assert catalog.said() == gone
    assert catalog.said("second") == other


def test_an_answer_is_confirmed(catalog: Catalog) -> None:
    """An answer that the upstream stands by is as new as its confirmation, with its validator of then, and the page stays."""
    first = catalog.keep_page(page(foreign("demo-1.0.tar.gz")))
    catalog.clock.now += timedelta(hours=1)
    catalog.keep_page(None, etag='"weaker"', confirmed=True)
    assert catalog.said() == evolve(first, etag='"weaker"', fetched_at=catalog.clock.now)


def test_what_was_forgotten_meanwhile_is_not_confirmed(catalog: Catalog) -> None:
    """A confirmation of an answer that is not kept any more leaves nothing behind: there is no page to confirm."""
    first = catalog.keep_page(page())
    assert done(catalog.keeping.purge(None, OPERATOR)).pages == 1
    done(catalog.upstream.keep_page(first, confirmed=True))
    assert catalog.said() is None


def test_pages_are_listed_and_forgotten(catalog: Catalog) -> None:
    """What was said is listed by name, part by part, and forgotten for one name at all upstreams, or altogether; how much, is told."""
    for source, name in (("main", OTHER), ("second", DEMO), ("main", DEMO)):
        catalog.keep_page(None, source=source, name=name)
    rows = [("main", "demo", NOON), ("second", "demo", NOON), ("main", "other", NOON)]
    assert done(catalog.upstream.pages(limit=10, offset=0)) == rows
    assert done(catalog.upstream.pages(limit=1, offset=1)) == rows[1:2]
    assert done(catalog.keeping.purge([Name("DEMO")], OPERATOR)).pages == 2
    assert done(catalog.keeping.purge([Name("nothing")], OPERATOR)).pages == 0
    assert done(catalog.upstream.pages(limit=10, offset=0)) == rows[2:]
    assert done(catalog.keeping.purge(None, OPERATOR)).pages == 1
    assert catalog.said(name=OTHER) is None


# --- what is kept ---------------------------------------------------------------------------------------------------------------------


def test_a_kept_file_is_found_by_its_name(catalog: Catalog) -> None:
    """What is known of a file is found again, with the moments when it was kept and used; files of one name are in the order of keeping."""
    one = catalog.keep("demo-1.0.tar.gz", size=5 << 30)
    two = catalog.keep("demo-1.0.whl", sha256="b" * 64, metadata=("c" * 64, 7))
    catalog.keep("other-1.0.whl", name="other")
    assert catalog.kept() == [one, two]
    assert (one.size, one.metadata, one.kept_at, one.used_at) == (5 << 30, None, NOON, NOON)
    assert two.metadata == ("c" * 64, 7)
    assert one.id != two.id
    assert catalog.kept("nothing") == []


def test_keeping_again_adds_what_is_new(catalog: Catalog) -> None:
    """The same file of the same upstream is kept once: metadata that come later are added, and not lost when the file comes again."""
    first = catalog.keep("demo-1.0.whl")
    catalog.clock.now += timedelta(hours=1)
    described = catalog.keep("demo-1.0.whl", metadata=("c" * 64, 7))
    assert described == evolve(first, metadata=("c" * 64, 7), used_at=catalog.clock.now)
    assert catalog.keep("demo-1.0.whl") == described
    assert len(catalog.kept()) == 1


def test_what_indexes_told_of_a_file_adds_up(catalog: Catalog) -> None:
    """The digests that an index told when a file came are kept, and those that it told another time beside them."""
    assert catalog.keep("demo-1.0.whl").told == ()
    assert catalog.keep("demo-1.0.whl", told=(("md5", "1"),)).told == (("md5", "1"),)
    assert catalog.keep("demo-1.0.whl").told == (("md5", "1"),)
    assert dict(catalog.keep("demo-1.0.whl", told=(("sha512", "2"),)).told) == {"md5": "1", "sha512": "2"}
    assert catalog.keep("demo-2.0.whl", sha256="b" * 64, told=(("md5", "3"),)).told == (("md5", "3"),)
    found = [file for file in done(catalog.upstream.files(limit=9, offset=0)) if file.filename == "demo-2.0.whl"]
    assert [file.told for file in found] == [(("md5", "3"),)]


def test_other_bytes_are_another_file(catalog: Catalog) -> None:
    """A file name may stand for different bytes at different upstreams, or at different times; each is kept."""
    numbers = {catalog.keep("demo-1.0.whl", **other).id for other in ({}, {"sha256": "b" * 64}, {"source": "second"})}
    assert {one.id for one in catalog.kept()} == numbers
    assert len(numbers) == 3


def test_the_size_counts_files_and_metadata(catalog: Catalog) -> None:
    """The size is that of all kept files with their metadata, in bytes, whatever they share, and 0 where nothing is kept."""
    assert done(catalog.upstream.size()) == 0
    catalog.keep("demo-1.0.whl", size=5 << 40, metadata=("c" * 64, 7))
    catalog.keep("other-1.0.whl", name="other", size=1, sha256="b" * 64, metadata=("c" * 64, 7))
    assert done(catalog.upstream.size()) == (5 << 40) + 15


def test_the_least_recently_used_come_first(catalog: Catalog) -> None:
    """Files are told in the order of their last use, oldest first and those of one moment as they were kept, as many as are asked for."""
    numbers = [catalog.keep(f"demo-{number}.whl").id for number in range(4)]
    done(catalog.upstream.used({}))
    done(catalog.upstream.used({numbers[0]: NOON + timedelta(hours=2), numbers[2]: NOON + timedelta(hours=1), 999: NOON}))
    assert [one.id for one in done(catalog.upstream.least_used(10))] == [numbers[1], numbers[3], numbers[2], numbers[0]]
    assert [one.id for one in done(catalog.upstream.least_used(2))] == [numbers[1], numbers[3]]
    assert done(catalog.upstream.least_used(1))[0].used_at == NOON
    assert catalog.kept()[0].used_at == NOON + timedelta(hours=2)


def test_files_are_listed_by_name(catalog: Catalog) -> None:
    """The list is in the order of names and file names, part by part."""
    wanted = [catalog.keep("b.whl"), catalog.keep("a.whl"), catalog.keep("c.whl", name="alpha")]
    ordered = [wanted[2], wanted[1], wanted[0]]
    assert done(catalog.upstream.files(limit=10, offset=0)) == ordered
    assert done(catalog.upstream.files(limit=1, offset=1)) == ordered[1:2]


def test_files_are_forgotten_by_number(catalog: Catalog) -> None:
    """Forgotten files are gone, and the digests of their blobs are told, each once; unknown numbers are passed over."""
    one = catalog.keep("demo-1.0.whl", metadata=("c" * 64, 7))
    two = catalog.keep("demo-2.0.whl", sha256="b" * 64, metadata=("c" * 64, 7))
    stays = catalog.keep("demo-3.0.whl", sha256="d" * 64)
    assert done(catalog.keeping.evict([one.id, two.id, 999], OPERATOR)).digests == {"a" * 64, "b" * 64, "c" * 64}
    assert catalog.kept() == [stays]
    assert done(catalog.keeping.evict([], OPERATOR)).files == 0


def test_any_number_of_files_is_forgotten(catalog: Catalog) -> None:
    """More files than fit into one statement are forgotten in one go."""
    numbers = [catalog.keep(f"demo-{number}.whl", sha256=f"{number:064d}").id for number in range(1001)]
    assert done(catalog.keeping.evict(numbers[1:], OPERATOR)).files == 1000
    assert [one.id for one in catalog.kept()] == numbers[:1]


def test_numbers_are_never_given_again(catalog: Catalog) -> None:
    """A file that is kept after another was forgotten has a number of its own, so that what is noted late about the old one is lost."""
    old = catalog.keep("demo-1.0.whl")
    done(catalog.keeping.evict([old.id], OPERATOR))
    assert catalog.keep("demo-1.0.whl").id != old.id


# --- bytes that are ours and theirs ---------------------------------------------------------------------------------------------------


def test_blobs_of_kept_files_are_named(catalog: Catalog) -> None:
    """A sweep is told of kept files and their metadata as long as they are kept."""
    one = catalog.keep("demo-1.0.whl", metadata=("c" * 64, 7))
    asked = ["a" * 64, "b" * 64, "c" * 64]
    assert done(catalog.packages.named(asked)) == {"a" * 64, "c" * 64}
    done(catalog.keeping.evict([one.id], OPERATOR))
    assert done(catalog.packages.named(asked)) == set()


def test_what_is_published_and_kept_goes_with_the_last_of_both(catalog: Catalog) -> None:
    """Bytes that a package of ours shares with a kept file stay named while either is there, and are then no file's of ours any more.

    The list of blobs is that of what is published: it must not name bytes that only the cache had, and has given up.
    """
    catalog.publish("demo-1.0.tar.gz")
    kept = catalog.keep("demo-1.0.tar.gz")
    done(catalog.inventory.delete_package(1, 1, OPERATOR, level=ADMIN))
    assert done(catalog.packages.named(["a" * 64])) == {"a" * 64}
    assert gathered(catalog.packages.blobs()) == []
    done(catalog.keeping.evict([kept.id], OPERATOR))
    assert done(catalog.packages.named(["a" * 64])) == set()


def test_forgetting_a_kept_file_leaves_what_is_published(catalog: Catalog) -> None:
    """Bytes that a published file names stay named though the cache gives them up (the cache never takes a package's bytes)."""
    catalog.publish("demo-1.0.tar.gz")
    kept = catalog.keep("demo-1.0.tar.gz")
    done(catalog.keeping.evict([kept.id], OPERATOR))
    assert done(catalog.packages.named(["a" * 64])) == {"a" * 64}
    assert gathered(catalog.packages.blobs()) == [[("a" * 64, 10, "demo-1.0.tar.gz")]]
