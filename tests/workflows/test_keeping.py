"""What is kept of upstreams stays within its budget, and nothing else goes with it."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from zope.interface import implementer

from registry.composition import Store
from registry.domain.errors import BlobMissing, StorageFull
from registry.domain.model import Change, Digests, NewFile, Page
from registry.domain.names import Name
from registry.domain.retention import Retention
from registry.domain.upstream import KeptFile, Mode, Said, Upstream
from registry.domain.versions import Version
from registry.interfaces import IThreads
from registry.storage.threads import InlineThreads
from registry.testing import NOON, OPERATOR, FailingDisk, HeldThreads, done, gathered
from registry.workflows.founding import found
from registry.workflows.keeping import Keeping
from registry.workflows.upkeep import Trouble, verify

T = TypeVar("T")


@implementer(IThreads)
@define(eq=False)
class Switch:
    """Threads that can be exchanged."""

    threads: IThreads = field(factory=InlineThreads)

    def run(self, work: Callable[..., T], *args: object) -> "Deferred[T]":
        """IThreads."""
        running: Deferred[T] = self.threads.run(work, *args)
        return running


@define(kw_only=True, eq=False)
class Place:
    """A store, its keeper, and a clock."""

    store: Store
    keeping: Keeping
    readers: "Switch"
    writer: "Switch"
    moment: datetime = NOON
    changes: list[Change] = field(factory=list)

    @classmethod
    def at(cls, path: Path, budget: int, *, disk: FailingDisk | None = None) -> "Place":
        """A founded store whose keeper has `budget` bytes."""
        readers, writer = Switch(), Switch()
        made: list[Place] = []

        def now() -> datetime:
            return made[0].moment if made else NOON

        store = Store.of(path, readers=readers, writer=writer, files=InlineThreads(), disk=disk, clock=now)
        store.data_dir.create()
        store.blobs.prepare()
        store.database.open()
        done(found(store.founding, _nobody))
        keeping = Keeping(
            catalog=store.upstream,
            keeping=store.keeping,
            packages=store.packages,
            blobs=store.blobs,
            budget=budget,
            now=now,
        )
        made.append(cls(store=store, keeping=keeping, readers=readers, writer=writer))
        store.database.subscribe(made[0].changes.extend)
        store.database.subscribe(keeping.hear)
        return made[0]

    def blob(self, data: bytes) -> str:
        """Put bytes on the shelf."""
        staged = self.store.blobs.stage(lambda: None, lambda: None)
        staged.write(data)
        digests = done(staged.finish())
        done(staged.keep())
        staged.discard()
        return digests.sha256

    def keep(self, name: str, data: bytes, *, version: str = "1.0", metadata: bytes | None = None) -> str:
        """Keep a file, a minute after the last one; its sha256."""
        self.moment += timedelta(minutes=1)
        sha256 = self.blob(data)
        beside = None if metadata is None else (self.blob(metadata), len(metadata))
        filename = f"{name}-{version}-py3-none-any.whl"
        kept = KeptFile(source="pypi", name=name, filename=filename, sha256=sha256, size=len(data), metadata=beside)
        done(self.store.upstream.keep_file(kept))
        return sha256

    def publish(self, data: bytes) -> None:
        """Publish a file with these bytes."""
        digests = Digests(size=len(data), sha256=self.blob(data), others={})
        new = NewFile(name=Name("ours"), version=Version("1"), filename="ours-1.tar.gz", digests=digests, requires_python="", metadata={})
        done(self.store.packages.add_file(1, new, OPERATOR))

    def use(self, name: str) -> None:
        """Use the files of a name, a minute after what happened last."""
        self.moment += timedelta(minutes=1)
        for file in done(self.store.upstream.kept(Name(name))):
            self.keeping.note(file.id)

    def names(self) -> list[str]:
        """The names of the kept files."""
        return [file.name for file in done(self.store.upstream.files(limit=100, offset=0))]

    def has(self, data: bytes) -> bool:
        """Whether these bytes are on the shelf."""
        try:
            done(self.store.blobs.open(hashlib.sha256(data).hexdigest())).close()
        except BlobMissing:
            return False
        return True

    def told(self) -> list[str]:
        """What the journal has told of upstreams."""
        return [change.action for change in self.changes if change.action.startswith("upstream.")]


async def _nobody(_: object) -> None:
    pass


@pytest.fixture
def places(tmp_path: Path) -> Iterator[list[Place]]:
    """Places to be closed after the test; the first is made by the test."""
    made: list[Place] = []
    yield made
    for place in made:
        place.store.database.close()


@pytest.fixture
def place(tmp_path: Path, places: list[Place]) -> Place:
    """A place that may keep 1,000 bytes."""
    places.append(Place.at(tmp_path / "data", 1000))
    return places[0]


def test_what_fits_stays(place: Place) -> None:
    """Files that take exactly the budget, metadata included, are all kept, and no journal row tells of anything."""
    place.keep("a", b"a" * 400, metadata=b"m" * 100)
    place.keep("b", b"b" * 500)
    assert done(place.keeping.tidy()) == 0
    assert place.names() == ["a", "b"]
    assert place.told() == []


def test_the_least_recently_used_goes_first(place: Place) -> None:
    """One byte too many, and the file that nobody has used for the longest goes with its metadata, rows and bytes; the others stay."""
    place.keep("a", b"a" * 400)
    place.keep("b", b"b" * 400, metadata=b"m")
    place.keep("c", b"c" * 200)
    place.use("a")
    assert done(place.keeping.tidy()) == 401
    assert place.names() == ["a", "c"]
    assert (place.has(b"a" * 400), place.has(b"b" * 400), place.has(b"m"), place.has(b"c" * 200)) == (True, False, False, True)
    assert place.told() == ["upstream.evict"]
    assert place.changes[-1].detail == {"files": 1, "bytes": 401}


def test_a_blob_that_anything_else_names_stays(place: Place) -> None:
    """The bytes of a forgotten file stay where a published file, or a kept one of another name, has the same."""
    place.publish(b"p" * 600)
    place.keep("published", b"p" * 600)
    place.keep("twin", b"t" * 300)
    place.keep("other", b"t" * 300)
    place.use("other")
    done(place.keeping.tidy())
    assert place.names() == ["other", "twin"]
    assert place.has(b"p" * 600)
    place.keep("third", b"3" * 600)
    done(place.keeping.tidy())
    assert place.names() == ["other", "third"]
    assert place.has(b"t" * 300)


def test_room_is_made_as_files_are_kept(place: Place) -> None:
    """Whoever says that a file was kept waits for nothing, and there is room again."""
    for number in range(8):
        place.keep(f"n{number}", bytes([number]) * 300)
        place.keeping.kept()
    done(place.keeping.settled())
    assert place.names() == ["n5", "n6", "n7"]


def test_a_budget_of_nothing_keeps_nothing(place: Place) -> None:
    """With a budget of 0 bytes no file stays, and looking for more ends."""
    place.keeping.budget = 0
    place.keep("a", b"a")
    assert done(place.keeping.tidy()) == 1
    assert done(place.keeping.tidy()) == 0
    assert place.names() == []


def test_a_file_larger_than_the_room_goes_alone(place: Place) -> None:
    """A file that takes a byte more than the whole room, its metadata included, is forgotten however new it is, and the others stay."""
    place.keep("a", b"a" * 400)
    place.keep("b", b"b" * 400)
    place.keep("large", b"l" * 900, metadata=b"m" * 101)
    assert done(place.keeping.tidy()) == 1001
    assert place.names() == ["a", "b"]
    assert (place.has(b"l" * 900), place.has(b"m" * 101)) == (False, False)
    assert place.changes[-1].detail == {"files": 1, "bytes": 1001}


def test_a_file_as_large_as_the_room_stays_alone(place: Place) -> None:
    """A file that takes exactly the room is one like any other: those that were used before it go, and it stays."""
    place.keep("a", b"a" * 400)
    place.keep("b", b"b" * 400)
    place.keep("large", b"l" * 900, metadata=b"m" * 100)
    assert done(place.keeping.tidy()) == 800
    assert place.names() == ["large"]


def test_of_what_is_left_without_the_largest_only_what_must_goes(place: Place) -> None:
    """Where the rest is too much without those that are larger than the room, too, the least recently used of it go as ever."""
    for name, size in (("a", 300), ("vast", 5000), ("b", 500), ("c", 500), ("large", 1001)):
        place.keep(name, name[:1].encode() * size)
    assert done(place.keeping.tidy()) == 300 + 5000 + 1001
    assert place.names() == ["b", "c"]


@pytest.mark.parametrize(("second", "left"), [(50, ["c"]), (51, ["b", "c"])])
def test_a_little_more_goes_than_must(place: Place, second: int, left: list[str]) -> None:
    """What is freed beyond the need is at most a twentieth of the room: a file that takes more stays."""
    place.keep("a", b"a" * 10)
    place.keep("b", b"b" * second)
    place.keep("c", b"c" * (1000 - second))
    done(place.keeping.tidy())
    assert place.names() == left


def test_two_rounds_at_once_are_one(tmp_path: Path, places: list[Place]) -> None:
    """While room is made, others who want it wait for the same round: no more is forgotten than need be."""
    threads = HeldThreads()
    place = Place.at(tmp_path / "data", 1000)
    places.append(place)
    for name in "abcd":
        place.keep(name, name.encode() * 400)
    place.readers.threads = threads
    place.keeping.kept()
    place.keeping.kept()
    waiting = Deferred.fromCoroutine(place.keeping.tidy())
    place.keeping.kept()
    threads.let_all()
    place.readers.threads = InlineThreads()
    done(waiting)
    done(place.keeping.settled())
    assert place.names() == ["c", "d"]
    assert place.told() == ["upstream.evict"]


def test_uses_are_written_together_and_survive_a_failure(place: Place) -> None:
    """What was noted is written with the next flush; if the catalog cannot take it, with the one after that, a later use first."""
    place.keep("a", b"a")
    place.keep("b", b"b")
    place.use("a")
    place.use("b")
    first = place.moment
    held = HeldThreads()
    place.writer.threads = held
    waiting = Deferred.fromCoroutine(place.keeping.flush())
    place.use("a")
    held.fail(StorageFull())
    place.writer.threads = InlineThreads()
    with pytest.raises(StorageFull):
        done(waiting)
    done(place.keeping.flush())
    used = {file.name: file.used_at for file in done(place.store.upstream.files(limit=9, offset=0))}
    assert used == {"a": first + timedelta(minutes=1), "b": first}
    done(place.keeping.flush())


def test_killed_between_row_and_bytes(tmp_path: Path, places: list[Place]) -> None:
    """Ended after the rows were forgotten and before the bytes were, a registry has no row without bytes; the next start removes them."""

    def killed(step: str) -> None:
        if step == "remove":
            raise SystemExit

    place = Place.at(tmp_path / "data", 1000, disk=FailingDisk(before=killed))
    place.keep("a", b"a" * 900)
    place.keep("b", b"b" * 900)
    with pytest.raises(SystemExit):
        done(place.keeping.tidy())
    place.store.database.close()
    again = Place.at(tmp_path / "data", 1000)
    places.append(again)
    assert again.names() == ["b"]
    assert again.has(b"a" * 900)
    done(again.store.blobs.sweep(again.store.packages.named))
    assert (again.has(b"a" * 900), again.has(b"b" * 900)) == (False, True)


def test_a_disk_that_fails_makes_no_row_without_bytes(tmp_path: Path, places: list[Place]) -> None:
    """Where bytes cannot be removed the round fails; what it leaves is bytes without a row, never the reverse."""
    place = Place.at(tmp_path / "data", 1000, disk=FailingDisk.full_at("remove"))
    places.append(place)
    place.keep("a", b"a" * 900)
    place.keep("b", b"b" * 900)
    with pytest.raises(OSError, match="No space left"):
        done(place.keeping.tidy())
    assert place.names() == ["b"]
    assert place.has(b"b" * 900)


def test_a_full_catalog_forgets_nothing(place: Place) -> None:
    """Where the catalog has no room for the change nothing is forgotten, no byte is removed, and the next round tries again."""
    place.keep("a", b"a" * 900)
    place.keep("b", b"b" * 900)
    held = HeldThreads()
    place.writer.threads = held
    waiting = Deferred.fromCoroutine(place.keeping.tidy())
    held.fail(StorageFull())
    place.writer.threads = InlineThreads()
    with pytest.raises(StorageFull):
        done(waiting)
    assert place.names() == ["a", "b"]
    assert place.has(b"a" * 900)
    assert done(place.keeping.tidy()) == 900


def test_what_another_process_has_purged_leaves_the_disk(place: Place) -> None:
    """When the journal tells of a purge the bytes go, whoever purged, and nothing but them."""
    place.publish(b"ours")
    place.keep("a", b"a")
    place.keep("b", b"b")
    gone = done(place.store.keeping.purge([Name("A")], OPERATOR))
    assert (gone.pages, gone.files, gone.bytes) == (0, 1, 1)
    done(place.keeping.settled())
    assert (place.has(b"a"), place.has(b"b"), place.has(b"ours")) == (False, True, True)
    done(place.store.keeping.purge(None, OPERATOR))
    assert (place.has(b"b"), place.has(b"ours")) == (False, True)
    assert place.told() == ["upstream.purge", "upstream.purge"]


def test_a_purge_of_nothing_is_not_told(place: Place) -> None:
    """Purging what is not kept changes nothing and leaves no journal row; a page alone is something."""
    done(place.store.keeping.purge([Name("a")], OPERATOR))
    done(place.store.keeping.purge(None, OPERATOR))
    assert place.told() == []
    page = Page(name=Name("a"), display="a", files=())
    done(place.store.upstream.keep_page(Said(source="pypi", name=Name("a"), page=page, etag="", fetched_at=NOON)))
    assert done(place.store.keeping.purge([Name("a"), Name("b")], OPERATOR)).pages == 1
    assert [(change.action, change.name) for change in place.changes if change.action == "upstream.purge"] == [("upstream.purge", "a")]


def test_holdings_are_told_by_upstream(place: Place) -> None:
    """How many pages, files and bytes are kept is told of each upstream."""
    place.keep("a", b"a" * 10, metadata=b"mm")
    done(place.store.upstream.keep_page(Said(source="other", name=Name("a"), page=None, etag="", fetched_at=NOON)))
    holdings = done(place.store.keeping.holdings())
    assert [(one.source, one.pages, one.files, one.bytes) for one in holdings] == [("other", 1, 0, 0), ("pypi", 0, 1, 12)]


# --- what was said ----------------------------------------------------------------------------------------------------------------------


def flood(place: Place, count: int) -> None:
    """Upstream has none of the names that somebody asks for."""
    said = [Said(source="pypi", name=Name(f"random-{number}"), page=None, etag="", fetched_at=place.moment) for number in range(count)]
    done(place.store.keeping.take_in(said, [], OPERATOR))


def pages(place: Place) -> list[str]:
    """Of which names anything is known, with its upstream."""
    return [f"{name}@{source}" for source, name, _ in done(place.store.upstream.pages(limit=100, offset=0))]


def page(place: Place, name: str, source: str) -> None:
    """An upstream has this name, as far as is known now."""
    found = Page(name=Name(name), display=name, files=())
    done(place.store.upstream.keep_page(Said(source=source, name=Name(name), page=found, etag="", fetched_at=place.moment)))


def test_a_flood_of_names_that_there_are_not_is_gone_with_the_next_round(place: Place) -> None:
    """However many names somebody has asked for that upstream has not, one round forgets them all, once nobody believes it any more."""
    flood(place, 10_000)
    page(place, "real", "pypi")
    rows = len(place.changes)
    place.moment += timedelta(seconds=60)
    assert done(place.keeping.prune()) == 0
    place.moment += timedelta(seconds=60, microseconds=1)
    assert done(place.keeping.prune()) == 10_000
    assert pages(place) == ["real@pypi"]
    assert done(place.keeping.prune()) == 0
    assert len(place.changes) == rows


def test_others_write_while_a_flood_goes(place: Place) -> None:
    """Forgetting many answers takes many transactions, between which others have their turn."""
    flood(place, 2500)
    place.moment += timedelta(hours=1)
    held = HeldThreads()
    place.writer.threads = held
    pruning = Deferred.fromCoroutine(place.keeping.prune())
    held.let(1)
    waiting = Deferred.fromCoroutine(place.store.upstream.used({1: NOON}))
    held.let(1)
    assert not pruning.called
    assert waiting.called
    held.let_all()
    assert done(pruning) == 2500


def test_no_more_answers_are_kept_than_the_limit(place: Place) -> None:
    """Over the limit what was said goes though it is believed, first that there are no such names; exactly the limit stays."""
    place.keeping.most_answers = 1001
    page(place, "real", "pypi")
    flood(place, 1000)
    assert done(place.keeping.prune()) == 0
    page(place, "another", "pypi")
    place.keeping.most_answers = 2
    assert done(place.keeping.prune()) == 1000
    assert pages(place) == ["another@pypi", "real@pypi"]
    place.keeping.most_answers = 1
    assert done(place.keeping.prune()) == 1


def test_pages_are_forgotten_when_nobody_is_given_them(place: Place) -> None:
    """A page goes once it may not be given any more, by the settings of its upstream; one of an upstream that asks nobody never does."""
    place.keeping.retention = Retention.of(
        [
            Upstream(name="short", url="", fresh_for=timedelta(hours=1), stale_for=timedelta(days=1)),
            Upstream(name="long", url="", fresh_for=timedelta(days=30), stale_for=timedelta(0)),
            Upstream(name="bundles", url="", mode=Mode.OFFLINE),
        ]
    )
    for source in ("short", "long", "bundles", "unknown"):
        page(place, "demo", source)
    place.moment += timedelta(days=1)
    assert done(place.keeping.retire()) == 0
    place.moment += timedelta(microseconds=1)
    assert done(place.keeping.retire()) == 1
    place.moment = NOON + timedelta(days=7)
    assert done(place.keeping.retire()) == 0
    place.moment += timedelta(microseconds=1)
    assert done(place.keeping.retire()) == 1
    assert pages(place) == ["demo@bundles", "demo@long"]
    place.moment = NOON + timedelta(days=30, microseconds=1)
    assert done(place.keeping.retire()) == 1
    place.moment += timedelta(days=3650)
    place.keeping.most_answers = 0
    assert done(place.keeping.retire()) + done(place.keeping.prune()) == 0
    assert pages(place) == ["demo@bundles"]


def test_a_stop_waits_for_the_round(place: Place) -> None:
    """Whoever waits until all is settled waits for a round that is under way."""
    flood(place, 1)
    place.moment += timedelta(hours=1)
    held = HeldThreads()
    place.writer.threads = held
    pruning = Deferred.fromCoroutine(place.keeping.prune())
    settled = Deferred.fromCoroutine(place.keeping.settled())
    assert not settled.called
    held.let_all()
    done(settled)
    assert done(pruning) == 1


# --- looking after it -------------------------------------------------------------------------------------------------------------------


def troubles(place: Place) -> list[tuple[str, str, str]]:
    """Of which files something is wrong: upstream, file name, and the beginning of what it is."""
    found = gathered(verify(place.store.packages, place.store.blobs, place.store.keeping.files_by_digest))
    return [(one.source, one.filename, one.problem.partition(";")[0].partition(" (")[0][:19]) for one in found if one is not None]


def path(place: Place, data: bytes) -> Path:
    """Where bytes lie."""
    sha256 = hashlib.sha256(data).hexdigest()
    return place.store.data_dir.blobs / sha256[:2] / sha256


def test_bytes_kept_under_several_names_are_told_under_each(place: Place) -> None:
    """Damaged bytes of several kept files, and of a published one, are told for each of them: every one has to be repaired or forgotten."""
    for name in ("a", "b"):
        place.keep(name, b"same", metadata=b"meta")
    place.publish(b"same")
    place.keep("c", b"whole")
    assert troubles(place) == []
    path(place, b"same").write_bytes(b"other")
    changed = "has changed on disk"
    assert troubles(place) == [
        ("", "ours-1.tar.gz", changed),
        ("pypi", "a-1.0-py3-none-any.whl", changed),
        ("pypi", "b-1.0-py3-none-any.whl", changed),
    ]
    path(place, b"same").write_bytes(b"same")
    path(place, b"meta").unlink()
    gone = "is in the catalog"
    assert troubles(place) == [("pypi", f"{name}-1.0-py3-none-any.whl.metadata", gone) for name in "ab"]


def test_what_is_forgotten_while_it_is_looked_at_is_no_trouble(place: Place) -> None:
    """A file that a running server gives up between finding its row and reading its bytes is not told as lost."""
    place.keep("a", b"a")
    place.keep("b", b"b")

    async def look() -> list[Trouble | None]:
        found = []
        async for one in verify(place.store.packages, place.store.blobs, place.store.keeping.files_by_digest):
            found.append(one)
            if len(found) == 1:
                await place.store.keeping.purge(None, OPERATOR)
                await place.keeping.settled()
        return found

    assert done(look()) == [None, None]
    assert (place.has(b"a"), place.has(b"b")) == (False, False)
