"""Bundles written and taken in, on disks that fail and by processes that are killed."""

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from attrs import evolve

from registry.composition import Store
from registry.domain.bundles.contents import InvalidBundle
from registry.domain.errors import StorageFull
from registry.domain.model import File, Page
from registry.domain.names import Name
from registry.domain.upstream import KeptFile, Said
from registry.storage.blobs.disk import Disk
from registry.storage.threads import InlineThreads
from registry.testing import NOON, OPERATOR, FailingDisk, done, gathered
from registry.upstream.pages import read_page
from registry.workflows.bundle import Bundles

Opener = Callable[..., Store]
LARGE = bytes(range(256)) * 4096  # more than is kept in memory


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Opens stores by name, with a disk if need be; closed after the test."""
    made: list[Store] = []

    def make(name: str, disk: Disk | None = None) -> Store:
        threads = InlineThreads()
        store = Store.of(tmp_path / name, readers=threads, writer=threads, files=threads, disk=disk, clock=lambda: NOON)
        store.data_dir.create()
        store.blobs.prepare()
        store.database.open()
        made.append(store)
        return store

    yield make
    for store in made:
        store.database.close()


def bundles(store: Store) -> Bundles:
    """The bundles of a store."""
    return Bundles(catalog=store.upstream, keeping=store.keeping, blobs=store.blobs, reader=read_page)


def blob(store: Store, data: bytes) -> str:
    """Put bytes on the shelf; their sha256."""
    staged = store.blobs.stage(lambda: None, lambda: None)
    staged.write(data)
    sha256 = done(staged.finish()).sha256
    done(staged.keep())
    staged.discard()
    return sha256


def keep(store: Store, name: str, data: bytes, metadata: bytes = b"", told: Mapping[str, str] = MappingProxyType({})) -> None:
    """Keep a page and its file, of which the index told these digests."""
    filename = f"{name}-1.0-py3-none-any.whl"
    sha256 = blob(store, data)
    beside = (blob(store, metadata), len(metadata)) if metadata else None
    file = File(
        id=0,
        filename=filename,
        version="1.0",
        sha256=sha256,
        size=len(data),
        requires_python="",
        uploaded_at=NOON,
        source="upstream",
        url=f"https://files.example/{filename}",
    )
    page = Page(name=Name(name), display=name, files=(file,))
    done(store.upstream.keep_page(Said(source="upstream", name=Name(name), page=page, etag='"1"', fetched_at=NOON)))
    kept = KeptFile(source="upstream", name=name, filename=filename, sha256=sha256, size=len(data), metadata=beside, licence="MIT")
    done(store.upstream.keep_file(evolve(kept, told=tuple(told.items()))))


def written(store: Store, *names: str) -> bytes:
    """A bundle."""
    out = io.BytesIO()
    done(bundles(store).write(out, io.BytesIO(), [Name(name) for name in names] or None))
    return out.getvalue()


def rows(store: Store) -> list[tuple[str, str, int, object, object]]:
    """What is kept."""
    return [(one.name, one.sha256, one.size, one.metadata, one.licence) for one in done(store.upstream.files(limit=99, offset=0))]


def is_whole(store: Store) -> bool:
    """Whether no row lacks its bytes."""
    there = {name for batch in gathered(store.blobs.listing()) for name in batch}
    wanted = {
        digest for one in done(store.upstream.files(limit=99, offset=0)) for digest in (one.sha256, (one.metadata or ("",))[0]) if digest
    }
    return wanted <= there


@pytest.fixture
def origin(opened: Opener) -> Store:
    """A store that keeps two names."""
    store = opened("origin")
    keep(store, "alpha", LARGE, b"metadata")
    keep(store, "beta", b"small")
    return store


def test_what_is_written_is_taken_in(origin: Store, opened: Opener) -> None:
    """Pages, files, metadata and licences are the same in the other store, and a second time nothing changes."""
    data = written(origin)
    other = opened("other")
    assert done(bundles(other).verify(io.BytesIO(data))).pages
    assert rows(other) == []
    assert done(bundles(other).take_in(io.BytesIO(data), OPERATOR)) == 2
    assert rows(other) == rows(origin)
    for name in (Name("alpha"), Name("beta")):
        assert done(other.upstream.said("upstream", name)) == done(origin.upstream.said("upstream", name))
    assert is_whole(other)
    assert done(bundles(other).take_in(io.BytesIO(data), OPERATOR)) == 0
    assert written(other) == data


def test_the_digests_that_an_index_told_travel(opened: Opener) -> None:
    """They are compared and kept, also where the file is kept already; a bundle of a release that told of none is read as ever."""
    origin, other = opened("origin"), opened("other")
    keep(origin, "beta", b"small")
    before = written(origin)
    assert b'"told"' not in before
    done(bundles(other).take_in(io.BytesIO(before), OPERATOR))
    md5, blake2b = hashlib.md5(b"small", usedforsecurity=False).hexdigest(), hashlib.blake2b(b"small", digest_size=32).hexdigest()
    keep(origin, "beta", b"small", told={"md5": md5, "blake2b": blake2b})
    keep(origin, "alpha", LARGE, told={"sha512": hashlib.sha512(LARGE).hexdigest()})
    data = written(origin)
    assert done(bundles(other).verify(io.BytesIO(data))).files
    done(bundles(other).take_in(io.BytesIO(data), OPERATOR))
    told = {file.name: dict(file.told) for file in done(other.upstream.files(limit=9, offset=0))}
    assert told == {"beta": {"md5": md5, "blake2b": blake2b}, "alpha": {"sha512": hashlib.sha512(LARGE).hexdigest()}}
    assert written(other) == data


@pytest.mark.parametrize("digests", [{"md5": "0" * 32}, {"sha512": "0" * 128}])
def test_digests_that_are_not_those_of_the_bytes_are_refused(opened: Opener, digests: dict[str, str]) -> None:
    """A list that tells another digest than the bytes have is no bundle, to who looks and to who takes it in (hardening row 12)."""
    origin, other = opened("origin"), opened("other")
    keep(origin, "beta", b"small", told=digests)
    data = written(origin)
    for read in (lambda: bundles(other).verify(io.BytesIO(data)), lambda: bundles(other).take_in(io.BytesIO(data), OPERATOR)):
        with pytest.raises(InvalidBundle, match=f"another {next(iter(digests))} of"):
            done(read())
    assert rows(other) == []


def test_only_what_was_named_is_written(origin: Store, opened: Opener) -> None:
    """A bundle of one name holds nothing of another; one of a name that is not kept holds nothing."""
    contents = done(bundles(origin).look(io.BytesIO(written(origin, "Beta"))))
    assert ([page.name.normalized for page in contents.pages], [file.name for file in contents.files]) == (["beta"], ["beta"])
    assert done(bundles(origin).look(io.BytesIO(written(origin, "gamma")))).members == ()


def test_a_newer_page_stays(origin: Store, opened: Opener) -> None:
    """What is known since the bundle was written is not overwritten."""
    data = written(origin, "beta")
    other = opened("other")
    done(other.upstream.keep_page(Said(source="upstream", name=Name("beta"), page=None, etag="", fetched_at=NOON)))
    assert done(bundles(other).take_in(io.BytesIO(data), OPERATOR)) == 0
    said = done(other.upstream.said("upstream", Name("beta")))
    assert said is not None
    assert said.page is None


def test_every_byte_counts(origin: Store, opened: Opener) -> None:
    """A bundle in which one byte is another, anywhere, or which ends early, is refused, and who looks at it keeps nothing of it."""
    data = written(origin, "beta")
    other = opened("other")
    end = len(data.rstrip(b"\0"))
    for place in range(0, end, 7):
        broken = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(InvalidBundle):
            done(bundles(other).verify(io.BytesIO(broken)))
    for place in range(0, end, 97):
        with pytest.raises(InvalidBundle):
            done(bundles(other).verify(io.BytesIO(data[:place])))
    assert rows(other) == []
    assert list(gathered(other.blobs.listing())) == []


@pytest.mark.parametrize("step", ["create", "write", "flush", "replace"])
def test_a_full_disk_leaves_no_row_without_bytes(origin: Store, opened: Opener, step: str) -> None:
    """Where the disk is full nothing half-kept is named, nothing half-written stays, and later the same bundle is taken in."""
    data = written(origin)
    other = opened("other", FailingDisk.full_at(step))
    with pytest.raises(StorageFull):
        done(bundles(other).take_in(io.BytesIO(data), OPERATOR))
    assert rows(other) == []
    assert list((other.data_dir.blobs / "staging").iterdir()) == []
    again = opened("other")
    done(bundles(again).take_in(io.BytesIO(data), OPERATOR))
    assert rows(again) == rows(origin)
    assert is_whole(again)


@pytest.mark.parametrize("nth", range(1, 12))
def test_killed_in_between_it_is_taken_in_again(origin: Store, opened: Opener, nth: int) -> None:
    """Ended at any step of the disk, the store names nothing that is not there; taking the bundle in again completes it."""
    steps = 0

    def killed(_: str) -> None:
        nonlocal steps
        steps += 1
        if steps == nth:
            raise SystemExit

    data = written(origin)
    other = opened("other", FailingDisk(after=killed))
    with pytest.raises(SystemExit):
        done(bundles(other).take_in(io.BytesIO(data), OPERATOR))
    assert is_whole(other)
    again = opened("other")
    done(bundles(again).take_in(io.BytesIO(data), OPERATOR))
    assert rows(again) == rows(origin)


def test_bytes_that_are_gone_are_not_written(origin: Store) -> None:
    """A file whose bytes the store has lost is left out of a bundle, the rest is there."""
    lost = rows(origin)[0][1]
    done(origin.blobs.release([lost], _none))
    contents = done(bundles(origin).look(io.BytesIO(written(origin))))
    assert [file.name for file in contents.files] == ["beta"]


def test_bytes_that_have_changed_on_disk_are_not_written(origin: Store) -> None:
    """What the disk has spoilt is noticed before it is carried away."""
    sha256 = rows(origin)[1][1]
    (origin.data_dir.blobs / sha256[:2] / sha256).write_bytes(b"wrong")
    with pytest.raises(InvalidBundle, match="changed on disk"):
        written(origin)


async def _none(_: list[str]) -> set[str]:
    return set()
