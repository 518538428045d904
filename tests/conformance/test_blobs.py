"""What every IBlobs promises."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.domain.errors import BlobMissing, StorageFull, Unavailable
from registry.domain.model import Digests
from registry.interfaces import BESIDE_BYTES, IBlobs, IOpenBlob, IStagedBlob
from registry.storage.blobs.directory import INLINE_BYTES, DirectoryBlobs
from registry.storage.threads import InlineThreads
from registry.testing import FailingDisk, MemoryBlobs, done, gathered

Make = Callable[[], IBlobs]
HELLO = b"hello"
SIZES = [0, 1, INLINE_BYTES, INLINE_BYTES + 1, 1 << 20]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(params=["memory", "directory"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which implementation."""
    return str(request.param)


@pytest.fixture
def blobs(kind: str, tmp_path: Path) -> IBlobs:
    """An empty store."""
    return made(kind, tmp_path)


def made(kind: str, folder: Path, disk: FailingDisk | None = None) -> IBlobs:
    if kind == "memory":
        return MemoryBlobs()
    directory = DirectoryBlobs(folder=folder / "blobs", threads=InlineThreads(), disk=disk or FailingDisk())
    directory.prepare()
    return directory


def full(kind: str, folder: Path) -> IBlobs:
    if kind == "memory":
        return MemoryBlobs(full=True)
    return made(kind, folder, FailingDisk.full_at("write"))


def stage(blobs: IBlobs, data: bytes, pieces: int = 1) -> IStagedBlob:
    staged: IStagedBlob = blobs.stage(nothing, nothing)
    step = max(1, len(data) // pieces)
    for start in range(0, len(data), step):
        staged.write(data[start : start + step])
    return staged


def nothing() -> None:
    pass


def keep(blobs: IBlobs, data: bytes) -> IStagedBlob:
    """Staged, finished and kept; still protected."""
    staged = stage(blobs, data)
    done(staged.finish())
    done(staged.keep())
    return staged


def stored(blobs: IBlobs, data: bytes) -> str:
    """Kept, with nobody's hand on it."""
    keep(blobs, data).discard()
    return sha256(data)


def listed(blobs: IBlobs) -> list[str]:
    return sorted(name for batch in gathered(blobs.listing()) for name in batch)


def content(blobs: IBlobs, digest: str) -> bytes:
    blob: IOpenBlob = done(blobs.open(digest))
    data = bytes(blob.data) if blob.data is not None else done(blob.read(0, blob.size))
    assert blob.size == len(data)
    blob.close()
    blob.close()
    return data


async def names_none(batch: list[str]) -> set[str]:
    return set()


@pytest.mark.parametrize("size", SIZES)
def test_what_was_kept_can_be_read(blobs: IBlobs, size: int) -> None:
    """Bytes of any size come back exactly, under the digest of what they are."""
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    digest = stored(blobs, data)
    assert content(blobs, digest) == data
    assert done(blobs.digest(digest)) == digest
    assert listed(blobs) == [digest]


def test_a_part_can_be_read(blobs: IBlobs) -> None:
    """A large blob gives any part of itself, and less only at its end."""
    data = bytes(range(256)) * 1000
    blob: IOpenBlob = done(blobs.open(stored(blobs, data)))
    for offset, length in ((0, 10), (1000, 1), (255_990, 100), (256_000, 10)):
        assert done(blob.read(offset, length)) == data[offset : offset + length]
    blob.close()


def test_nothing_is_visible_before_it_is_kept(blobs: IBlobs) -> None:
    """What is only staged, or finished, can be neither opened nor listed."""
    staged = stage(blobs, HELLO)
    for step in (lambda: None, lambda: done(staged.finish())):
        step()
        assert listed(blobs) == []
        assert done(blobs.digest(sha256(HELLO))) is None
        with pytest.raises(BlobMissing):
            done(blobs.open(sha256(HELLO)))
    done(staged.keep())
    assert content(blobs, sha256(HELLO)) == HELLO
    staged.discard()


@pytest.mark.parametrize("finished", [False, True])
def test_what_is_discarded_is_forgotten(blobs: IBlobs, *, finished: bool) -> None:
    """Discarding before keeping leaves nothing; discarding twice, or writing after it, does no harm."""
    staged = stage(blobs, HELLO)
    if finished:
        done(staged.finish())
    staged.discard()
    staged.discard()
    staged.write(HELLO)
    assert listed(blobs) == []


def test_discarding_after_keeping_does_not_undo_it(blobs: IBlobs) -> None:
    """What was kept stays readable after its hand is off."""
    staged = keep(blobs, HELLO)
    staged.discard()
    staged.discard()
    assert content(blobs, sha256(HELLO)) == HELLO


def test_the_same_bytes_are_stored_once(blobs: IBlobs) -> None:
    """Two uploads of the same bytes, one after the other or at once, are one blob."""
    one, other = keep(blobs, HELLO), keep(blobs, HELLO)
    stored(blobs, HELLO)
    one.discard()
    other.discard()
    assert listed(blobs) == [sha256(HELLO)]


@pytest.mark.parametrize("size", SIZES)
def test_keeping_tells_whether_it_was_there(blobs: IBlobs, size: int) -> None:
    """Keeping is True the first time, and False as long as the very same bytes are there."""
    told = []
    for _ in range(3):
        staged = stage(blobs, b"x" * size)
        done(staged.finish())
        told.append(done(staged.keep()))
        staged.discard()
    assert told == [True, False, False]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["memory", "directory"]), data=st.binary(max_size=3000), pieces=st.integers(1, 40), early=st.booleans())
def test_digests_are_those_of_the_bytes(tmp_path: Path, kind: str, data: bytes, pieces: int, early: bool) -> None:
    """However bytes come, and whether a digest is asked for before or after, it is hashlib's (blake2b: 32 bytes, as PyPI's field)."""
    staged = stage_expecting(made(kind, tmp_path), ("md5", "blake2b") if early else (), data, pieces)
    digests: Digests = done(staged.finish(("md5", "blake2b", "sha256")))
    assert (digests.size, digests.sha256) == (len(data), sha256(data))
    assert digests.others == {"md5": hashlib.md5(data).hexdigest(), "blake2b": hashlib.blake2b(data, digest_size=32).hexdigest()}
    staged.discard()


def stage_expecting(blobs: IBlobs, algorithms: tuple[str, ...], data: bytes, pieces: int) -> IStagedBlob:
    staged: IStagedBlob = blobs.stage(nothing, nothing)
    staged.expect(algorithms)
    step = max(1, len(data) // pieces)
    for start in range(0, len(data), step):
        staged.write(data[start : start + step])
    return staged


@pytest.mark.parametrize("size", SIZES)
def test_staged_bytes_can_be_looked_at(blobs: IBlobs, size: int) -> None:
    """After `finish` a look sees the whole content from its beginning and its size, as often as it likes; its errors come through."""
    staged = stage(blobs, b"y" * size, pieces=3)
    done(staged.finish())

    def look(file: BinaryIO, length: int) -> tuple[bytes, int]:
        return file.read(), length

    def fail(file: BinaryIO, length: int) -> None:
        raise ValueError("looked")

    assert done(staged.inspect(look)) == (b"y" * size, size)
    with pytest.raises(ValueError, match="looked"):
        done(staged.inspect(fail))
    assert done(staged.inspect(look)) == (b"y" * size, size)
    done(staged.keep())
    staged.discard()
    assert content(blobs, sha256(b"y" * size)) == b"y" * size


@pytest.mark.parametrize(
    "digest", ["0" * 64, "", "..", "../" * 21 + "x", "/etc/passwd", "A" * 64, "g" * 64, "0" * 63, "0" * 65, "staging", "0" * 63 + "\n"]
)
def test_what_is_not_there_is_missing(blobs: IBlobs, digest: str) -> None:
    """A digest nothing was kept under, or text that is none, opens nothing and is no path (hardening row 2)."""
    stored(blobs, HELLO)
    with pytest.raises(BlobMissing):
        done(blobs.open(digest))
    assert done(blobs.digest(digest)) is None


def test_a_full_store_says_so_and_keeps_nothing(kind: str, tmp_path: Path) -> None:
    """Without room `finish` or `keep` raises StorageFull, and nothing is there (hardening row 46)."""
    blobs = full(kind, tmp_path)
    for size in SIZES:
        staged = stage(blobs, b"x" * size)
        with pytest.raises(StorageFull):
            finish_and_keep(staged)
        staged.discard()
    assert listed(blobs) == []


def finish_and_keep(staged: IStagedBlob) -> None:
    done(staged.finish())
    done(staged.keep())


# --- admitting ------------------------------------------------------------------------------------------------------------------------


def length(_: BinaryIO, size: int) -> int:
    return size


def admit(blobs: IBlobs, data: bytes, beside: bytes | None = b"beside") -> IStagedBlob:
    """Staged, finished and admitted with something beside it; still protected."""
    staged = stage(blobs, data)
    done(staged.finish())
    assert done(staged.admit(length, lambda _: beside)) == len(data)
    return staged


@pytest.mark.parametrize("size", SIZES)
def test_what_is_admitted_is_kept_with_what_is_beside_it(blobs: IBlobs, size: int) -> None:
    """Both are blobs under their own digests, and what goes beside is made of what the look returned."""
    data = b"z" * size
    staged = stage(blobs, data, pieces=3)
    done(staged.finish())
    assert done(staged.admit(lambda file, _: file.read(), lambda found: b"of " + found[:10])) == data
    staged.discard()
    beside = b"of " + data[:10]
    assert listed(blobs) == sorted({sha256(data), sha256(beside)})
    assert (content(blobs, sha256(data)), content(blobs, sha256(beside))) == (data, beside)


@pytest.mark.parametrize("size", [0, INLINE_BYTES, BESIDE_BYTES])
def test_what_is_beside_may_have_any_size_up_to_its_limit(blobs: IBlobs, size: int) -> None:
    """From nothing to the limit, what is beside comes back exactly."""
    admit(blobs, HELLO, b"b" * size).discard()
    assert content(blobs, sha256(b"b" * size)) == b"b" * size


def test_nothing_beside_is_nothing(blobs: IBlobs) -> None:
    """Without anything to put beside it, only the blob itself is kept."""
    admit(blobs, HELLO, None).discard()
    staged = stage(blobs, b"other")
    done(staged.finish())
    done(staged.admit(length))
    staged.discard()
    assert listed(blobs) == sorted([sha256(HELLO), sha256(b"other")])


@pytest.mark.parametrize("size", [5, 1 << 20])
@pytest.mark.parametrize("where", ["look", "beside", "limit"])
def test_if_anything_raises_neither_is_kept(blobs: IBlobs, where: str, size: int) -> None:
    """An error of the look, of what makes the bytes beside, or too many of those, keeps neither; keeping it without them still can be."""

    def look(_: BinaryIO, found: int) -> int:
        if where == "look":
            raise ValueError("look")
        return found

    def beside(_: int) -> bytes:
        if where == "beside":
            raise ValueError("beside")
        return b"b" * (BESIDE_BYTES + 1)

    staged = stage(blobs, b"x" * size)
    done(staged.finish())
    with pytest.raises(ValueError, match="too many" if where == "limit" else where):
        done(staged.admit(look, beside))
    assert listed(blobs) == []
    done(staged.keep())
    staged.discard()
    assert listed(blobs) == [sha256(b"x" * size)]


def test_a_full_store_keeps_nothing_beside_either(kind: str, tmp_path: Path) -> None:
    """Without room neither the blob nor what is beside it is there (hardening row 46)."""
    blobs = full(kind, tmp_path)
    staged = stage(blobs, HELLO)
    with pytest.raises(StorageFull):
        finish_and_admit(staged)
    staged.discard()
    assert listed(blobs) == []


def finish_and_admit(staged: IStagedBlob) -> None:
    done(staged.finish())
    done(staged.admit(length, lambda _: b"beside"))


def test_the_same_bytes_beside_two_are_stored_once(blobs: IBlobs) -> None:
    """What is beside several blobs, or is a blob itself, is one blob, protected until the last hand is off."""
    one, other, same = admit(blobs, b"one"), admit(blobs, b"other"), keep(blobs, b"beside")
    itself = admit(blobs, HELLO, HELLO)
    everything = sorted(sha256(data) for data in (b"one", b"other", b"beside", HELLO))
    assert listed(blobs) == everything
    for staged, gone in ((one, b"one"), (same, None), (itself, HELLO), (other, b"other")):
        staged.discard()
        everything = [name for name in everything if gone is None or name != sha256(gone)]
        done(blobs.sweep(names_none))
        assert listed(blobs) == (everything if staged is not other else [])


def test_a_sweep_leaves_what_is_beside_alone(blobs: IBlobs) -> None:
    """Between `admit` and `discard` sweep and release remove neither; after it both are orphans until a row names them (row 45)."""
    staged = admit(blobs, HELLO)
    both = sorted([sha256(HELLO), sha256(b"beside")])
    assert (done(blobs.sweep(names_none)), done(blobs.release(both, names_none)), listed(blobs)) == (0, 0, both)
    staged.discard()
    assert (done(blobs.release(both, names_none)), listed(blobs)) == (2, [])


def test_a_sweep_never_removes_what_is_put_beside_while_it_runs(blobs: IBlobs) -> None:
    """An orphan that is put beside a new file while the sweep waits for the catalog is not removed (hardening row 45)."""
    stored(blobs, b"beside")

    async def named(batch: list[str]) -> set[str]:
        admit(blobs, HELLO).discard()
        return set()

    assert done(blobs.sweep(named)) == 0
    assert listed(blobs) == sorted([sha256(HELLO), sha256(b"beside")])


# --- sweeping -------------------------------------------------------------------------------------------------------------------------


def test_a_sweep_removes_what_nobody_names(blobs: IBlobs) -> None:
    """Blobs that no row names go, those that are named stay, and the number is told (hardening row 45)."""
    orphans, held = {stored(blobs, b"a"), stored(blobs, b"b")}, stored(blobs, b"c")
    asked: list[str] = []

    async def named(batch: list[str]) -> set[str]:
        asked.extend(batch)
        return {held} & set(batch)

    assert done(blobs.sweep(named)) == 2
    assert set(asked) == orphans | {held}
    assert listed(blobs) == [held]
    assert done(blobs.sweep(named)) == 0


def test_a_sweep_leaves_alone_what_is_being_published(blobs: IBlobs) -> None:
    """Between `keep` and `discard` a blob that no row names yet survives every sweep; after it, an orphan goes (hardening row 45)."""
    one, other = keep(blobs, HELLO), keep(blobs, HELLO)
    assert done(blobs.sweep(names_none)) == 0
    one.discard()
    assert done(blobs.sweep(names_none)) == 0
    assert content(blobs, sha256(HELLO)) == HELLO
    other.discard()
    assert done(blobs.sweep(names_none)) == 1
    assert listed(blobs) == []


def test_a_sweep_never_removes_what_is_published_while_it_runs(blobs: IBlobs) -> None:
    """A blob whose row is written right after the sweep asked the catalog is not removed (hardening row 45)."""
    staged = keep(blobs, HELLO)

    async def named(batch: list[str]) -> set[str]:
        # The catalog has answered; now the row is written and the publisher lets go, before the sweep removes anything.
        staged.discard()
        return set()

    assert done(blobs.sweep(named)) == 0
    assert content(blobs, sha256(HELLO)) == HELLO


def test_a_sweep_never_removes_what_is_kept_while_it_runs(blobs: IBlobs) -> None:
    """An orphan that is uploaded again, kept and published while the sweep waits for the catalog, is not removed (hardening row 45)."""
    stored(blobs, HELLO)

    async def named(batch: list[str]) -> set[str]:
        keep(blobs, HELLO).discard()
        return set()

    assert done(blobs.sweep(named)) == 0
    assert content(blobs, sha256(HELLO)) == HELLO


def test_an_empty_store_is_swept(blobs: IBlobs) -> None:
    """There is nothing to ask about where there is nothing."""
    assert done(blobs.sweep(names_none)) == 0


# --- being there ----------------------------------------------------------------------------------------------------------------------


def test_a_store_that_is_there_can_be_used(blobs: IBlobs) -> None:
    """A check of a working store leaves nothing behind."""
    done(blobs.check())
    assert listed(blobs) == []


def test_a_store_that_is_gone_says_so(kind: str, tmp_path: Path) -> None:
    """A check fails with Unavailable while blobs cannot be stored (hardening row 57)."""
    blobs = (
        MemoryBlobs(gone=True)
        if kind == "memory"
        else made(kind, tmp_path, FailingDisk.broken_at("create", OSError(30, "Read-only file system")))
    )
    with pytest.raises(Unavailable, match="blob store"):
        done(blobs.check())
