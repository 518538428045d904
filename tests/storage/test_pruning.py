"""What upstreams said is forgotten by its age and number: exactly what was asked for, and found without reading the rest."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from sqlalchemy import event
from twisted.internet.defer import Deferred

from registry.domain.model import Change, Page
from registry.domain.names import Name
from registry.domain.upstream import KeptFile, Said
from registry.interfaces import IKeeping, IThreads, IUpstreamCatalog
from registry.storage.catalog.database import Database
from registry.storage.catalog.keeping import SqlKeeping
from registry.storage.catalog.upstream import SqlUpstream
from registry.storage.threads import InlineThreads
from registry.testing import NOON, OPERATOR, HeldThreads, done, gathered
from tests.conformance.clock import Clock

SECOND = timedelta(seconds=1)


@define(kw_only=True)
class Catalog:
    """What was said and is kept, and nothing yet."""

    database: Database
    keeping: IKeeping
    upstream: IUpstreamCatalog
    clock: Clock
    told: list[Change] = field(factory=list)

    def said(self, name: str, at: datetime = NOON, *, source: str = "main", found: bool = False, imported: datetime | None = None) -> None:
        """An upstream said at a moment that it has no such name, or that it has; or a bundle tells that it said so."""
        page = Page(name=Name(name), display=name, files=()) if found else None
        said = Said(source=source, name=Name(name), page=page, etag="", fetched_at=at)
        if imported is not None:
            self.clock.now = imported
            done(self.keeping.take_in([said], [], OPERATOR))
        else:
            done(self.upstream.keep_page(said))

    def keep(
        self, name: str, filename: str = "", *, source: str = "main", sha256: str = "a" * 64, size: int = 1, metadata: int = 0
    ) -> None:
        """Keep a file of a name."""
        beside = ("c" * 64, metadata) if metadata else None
        file = KeptFile(source=source, name=name, filename=filename or f"{name}-1.0.tar.gz", sha256=sha256, size=size, metadata=beside)
        done(self.upstream.keep_file(file))

    def known(self) -> list[str]:
        """Of which names anything is known, with its upstream unless that is main."""
        rows = done(self.upstream.pages(limit=10_000, offset=0))
        return [name if source == "main" else f"{name}@{source}" for source, name, _ in rows]

    def absent(self, before: datetime = NOON, *spare: str, limit: int = 100) -> int:
        """Forget which names there are not."""
        return done(self.keeping.forget_absent(before, spare, limit))

    def unused(self, *, main: datetime = NOON, otherwise: datetime = NOON, spare: tuple[str, ...] = (), limit: int = 100) -> int:
        """Forget pages nobody uses; main is the upstream that is configured."""
        return done(self.keeping.forget_unused({"main": main}, otherwise, spare, limit))


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    clock, threads = Clock(), InlineThreads()
    database = Database(path=tmp_path / "catalog.sqlite", readers=threads, writer=threads, now=clock)
    database.open()
    made = Catalog(database=database, keeping=SqlKeeping(database), upstream=SqlUpstream(database), clock=clock)
    database.subscribe(made.told.extend)
    yield made
    database.close()


# --- that there is no such name -------------------------------------------------------------------------------------------------------


def test_only_what_was_said_before_the_moment_is_forgotten(catalog: Catalog) -> None:
    """Of names that upstreams have not, those that were asked before the moment go, at all upstreams but the spared; pages stay."""
    for source in ("main", "other", "spared"):
        catalog.said("old", NOON - SECOND, source=source)
    catalog.said("new", NOON)
    catalog.said("page", NOON - SECOND, found=True)
    assert catalog.absent(NOON, "spared") == 2
    assert catalog.known() == ["new", "old@spared", "page"]
    assert catalog.absent(NOON, "spared") == 0
    assert catalog.absent(NOON + SECOND) == 2
    assert catalog.known() == ["page"]


def test_the_oldest_go_first_and_no_more_than_are_asked_for(catalog: Catalog) -> None:
    """At most as many as the limit are forgotten at a time, in the order in which they were said."""
    for number in (3, 1, 2):
        catalog.said(f"n{number}", NOON - timedelta(hours=9 - number))
    assert catalog.absent(limit=1) == 1
    assert catalog.known() == ["n2", "n3"]
    assert catalog.absent(limit=2) == 2
    assert catalog.absent(limit=2) == 0


def test_what_is_said_again_meanwhile_stays(catalog: Catalog, tmp_path: Path) -> None:
    """An answer that is given anew between finding the old one and forgetting it is not forgotten."""
    catalog.said("demo", NOON - SECOND)
    catalog.said("gone", NOON - SECOND)
    held = HeldThreads()
    threads: IThreads = held
    other = Database(path=tmp_path / "catalog.sqlite", readers=InlineThreads(), writer=threads, now=catalog.clock)
    other.open()
    forgetting = Deferred.fromCoroutine(SqlKeeping(other).forget_absent(NOON, (), 100))
    catalog.said("demo", NOON, found=True)
    held.let_all()
    assert done(forgetting) == 1
    assert catalog.known() == ["demo"]
    other.close()


def test_forgetting_what_nobody_wants_is_not_told(catalog: Catalog) -> None:
    """However many strangers ask for names that there are not, the journal does not grow by forgetting them."""
    for number in range(20):
        catalog.said(f"n{number}", NOON - SECOND, found=number % 2 == 0)
    assert catalog.absent() + catalog.unused() == 20
    assert catalog.told == []


# --- pages ----------------------------------------------------------------------------------------------------------------------------


def test_each_upstreams_pages_have_their_own_age(catalog: Catalog) -> None:
    """Pages go that were confirmed before their upstream's moment, those of unknown upstreams by theirs, those of spared ones never."""
    for source in ("main", "unknown", "spared"):
        catalog.said("older", NOON - 3 * SECOND, source=source, found=True)
        catalog.said("old", NOON - 2 * SECOND, source=source, found=True)
        catalog.said("absent", NOON - 3 * SECOND, source=source)
    assert catalog.unused(main=NOON - SECOND, otherwise=NOON - 2 * SECOND, spare=("spared",)) == 3
    assert catalog.known() == ["absent", "absent@spared", "absent@unknown", "old@spared", "old@unknown", "older@spared"]
    assert catalog.unused(main=NOON - SECOND, otherwise=NOON - 2 * SECOND, spare=("spared",)) == 0


def test_a_page_of_which_files_are_kept_stays(catalog: Catalog) -> None:
    """As long as a file of a name is kept from the same upstream its page is kept, however old; of an unknown upstream it goes."""
    for source in ("main", "unknown"):
        catalog.said("kept", NOON - SECOND, source=source, found=True)
        catalog.keep("kept", source=source)
    catalog.said("bare", NOON - SECOND, found=True)
    catalog.keep("bare", source="unknown", sha256="b" * 64)
    assert catalog.unused() == 2
    assert catalog.known() == ["kept"]
    done(catalog.keeping.evict([file.id for file in done(catalog.upstream.kept(Name("kept")))], OPERATOR))
    assert catalog.unused() == 1
    assert catalog.known() == []


def test_what_a_bundle_brought_is_as_young_as_the_import(catalog: Catalog) -> None:
    """A page that was imported is kept for its time from the import on, though its upstream sent it long before."""
    catalog.said("demo", NOON - timedelta(days=300), found=True, imported=NOON)
    assert catalog.unused(main=NOON) == 0
    assert catalog.unused(main=NOON + SECOND) == 1


def test_no_more_pages_go_than_are_asked_for(catalog: Catalog) -> None:
    """The limit is one for all upstreams together."""
    for number in range(3):
        catalog.said(f"n{number}", NOON - SECOND, found=True)
        catalog.said(f"n{number}", NOON - SECOND, source="unknown", found=True)
    assert catalog.unused(limit=4) == 4
    assert catalog.unused(limit=4) == 2


# --- too many -------------------------------------------------------------------------------------------------------------------------


def test_what_is_over_the_limit_goes_absent_names_first(catalog: Catalog) -> None:
    """Over the limit names that there are not go first, then pages, each the oldest first; what fits stays, and the spared do not count."""
    for number in range(2):
        catalog.said(f"page{number}", NOON - timedelta(hours=9 - number), found=True)
        catalog.said(f"absent{number}", NOON - timedelta(hours=5 - number))
        catalog.said(f"spared{number}", NOON - timedelta(hours=20), source="spared")

    def surplus(most: int, limit: int = 100) -> int:
        return done(catalog.keeping.forget_surplus(most, ["spared"], limit))

    spared = ["spared0@spared", "spared1@spared"]
    assert surplus(4) == 0
    assert surplus(3) == 1
    assert catalog.known() == ["absent1", "page0", "page1", *spared]
    assert surplus(1, limit=1) == 1
    assert catalog.known() == ["page0", "page1", *spared]
    assert surplus(1) == 1
    assert catalog.known() == ["page1", *spared]
    assert surplus(0) == 1
    assert catalog.known() == spared


# --- what it costs --------------------------------------------------------------------------------------------------------------------


def test_what_is_to_be_forgotten_is_found_by_an_index(catalog: Catalog) -> None:
    """No round reads the pages, which may be many gigabytes: each query walks the index of their age, and sorts nothing."""
    catalog.said("absent", NOON - SECOND)
    catalog.said("page", NOON - SECOND, found=True)
    engine, asked = catalog.database._engine, list[tuple[str, Any]]()
    assert engine is not None
    event.listen(engine, "before_cursor_execute", lambda *facts: asked.append((facts[2], facts[3])))
    assert catalog.absent(NOON, "spared") + catalog.unused(spare=("spared",)) == 2
    catalog.said("more")
    assert done(catalog.keeping.forget_surplus(0, ["spared"], 10)) == 1
    gathered(catalog.keeping.files_by_digest())
    statements = [(statement, values) for statement, values in asked if statement.startswith(("SELECT", "DELETE"))]
    assert len(statements) >= 8
    with engine.connect() as connection:
        for statement, values in statements:
            facts = values[0] if isinstance(values, list) else values
            plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", facts)]
            assert all("INDEX" in line for line in plan if line.startswith(("SCAN", "SEARCH"))), (statement, plan)
            if statement.startswith("SELECT"):
                # Any other would find all of an upstream's pages, and read each to learn its age.
                assert all("found_fetched_at" in line for line in plan if "upstream_pages" in line), (statement, plan)
            assert not [line for line in plan if "TEMP B-TREE" in line], (statement, plan)


def test_a_quiet_round_does_not_wait_for_writers(catalog: Catalog, tmp_path: Path) -> None:
    """Where there is nothing to forget nobody asks for the writing thread, which may be busy."""
    catalog.said("new")
    held = HeldThreads()
    other = Database(path=tmp_path / "catalog.sqlite", readers=InlineThreads(), writer=held, now=catalog.clock)
    other.open()
    keeping = SqlKeeping(other)
    assert done(keeping.forget_absent(NOON, (), 10)) == 0
    assert done(keeping.forget_unused({}, NOON, (), 10)) == 0
    assert done(keeping.forget_surplus(1, (), 10)) == 0
    other.close()


# --- files ----------------------------------------------------------------------------------------------------------------------------


def test_files_larger_than_a_size_are_found(catalog: Catalog) -> None:
    """A file counts with its metadata; one that has exactly the size is not larger."""
    catalog.keep("fits", size=90, metadata=10)
    catalog.keep("large", size=91, metadata=10, sha256="b" * 64)
    catalog.keep("huge", size=5 << 30, sha256="d" * 64)
    numbers = {file.name: file.id for file in done(catalog.upstream.files(limit=9, offset=0))}
    assert sorted(done(catalog.keeping.larger_than(100))) == sorted([numbers["large"], numbers["huge"]])
    assert done(catalog.keeping.larger_than(5 << 30)) == []


def test_all_files_come_in_the_order_of_their_digests(catalog: Catalog) -> None:
    """Every kept file comes once, by digest, however many there are and though many have the same bytes."""
    assert gathered(catalog.keeping.files_by_digest()) == []
    wanted = []
    for number in range(1005):
        sha256 = f"{number % 3:064d}"
        catalog.keep("demo", f"demo-{number}.tar.gz", sha256=sha256)
        wanted.append((sha256, f"demo-{number}.tar.gz"))
    found = [(file.sha256, file.filename) for files in gathered(catalog.keeping.files_by_digest()) for file in files]
    assert [sha256 for sha256, _ in found] == sorted(sha256 for sha256, _ in wanted)
    assert sorted(found) == sorted(wanted)
