"""Bytes on their way in, step by step: back-pressure, digests, and leaving at any moment."""

import errno
import hashlib
import os
from collections import Counter
from pathlib import Path

import pytest
from attrs import Factory, define
from twisted.internet.defer import Deferred

from registry.domain.errors import StorageFull
from registry.domain.model import Digests
from registry.storage.blobs.directory import DirectoryBlobs
from registry.storage.blobs.disk import Disk
from registry.storage.blobs.staging import _BATCH, _FLUSH_EVERY, _HIGH, _LOW, SMALL_BYTES, StagedBlob
from registry.storage.threads import InlineThreads
from registry.testing import FailingDisk, HeldThreads, done, gathered


@define(eq=False)
class Bench:
    """A blob folder whose disk works when told, and one staged blob whose signals are counted."""

    blobs: DirectoryBlobs
    threads: HeldThreads
    staged: StagedBlob
    signals: list[str]

    def folder(self) -> list[str]:
        """What lies in the staging folder."""
        return sorted(path.name for path in (self.blobs.folder / "staging").iterdir())

    def kept(self) -> list[str]:
        """All blobs, found without the held threads."""
        return sorted(path.name for path in self.blobs.folder.glob("??/*"))


def bench(folder: Path, disk: Disk | None = None) -> Bench:
    threads, signals = HeldThreads(), list[str]()
    blobs = DirectoryBlobs(folder=folder / "blobs", threads=threads, disk=disk or Disk())
    blobs.prepare()
    staged = blobs.stage(lambda: signals.append("full"), lambda: signals.append("space"))
    return Bench(blobs=blobs, threads=threads, staged=staged, signals=signals)


@define
class Outcome:
    """How an awaitable ended, once it has."""

    results: list[object] = Factory(list)
    errors: list[BaseException] = Factory(list)


def watched(deferred: "Deferred[object]") -> Outcome:
    outcome = Outcome()
    deferred.addCallbacks(outcome.results.append, lambda failure: outcome.errors.append(failure.value))
    return outcome


def open_files(folder: Path) -> list[str]:
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except OSError:
            continue  # the descriptor that listed the folder
    return [path for path in found if path.startswith(str(folder))]


# --- back-pressure --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("more", "signals"), [(0, []), (1, ["full"])])
def test_the_sender_is_paused_above_the_mark(tmp_path: Path, more: int, signals: list[str]) -> None:
    """Exactly as much as may wait does not pause the sender; one byte more does, once."""
    one = bench(tmp_path)
    one.staged.write(b"x" * _BATCH)
    one.staged.write(b"x" * _HIGH)
    one.staged.write(b"x" * more)
    assert one.signals == signals
    one.staged.write(b"x" * more)
    assert one.signals == signals


@pytest.mark.parametrize(("waiting", "resumed"), [(_LOW - 1, True), (_LOW, False)])
def test_the_sender_goes_on_below_the_low_mark(tmp_path: Path, waiting: int, *, resumed: bool) -> None:
    """A paused sender goes on as soon as less than the low mark waits, not before, and is told once."""
    one = bench(tmp_path)
    one.staged.write(b"x" * _BATCH)
    one.staged.write(b"x" * (_HIGH + 1))
    one.threads.let()
    assert one.signals == ["full"]
    one.staged.write(b"y" * waiting)
    one.threads.let()
    assert one.signals == (["full", "space"] if resumed else ["full"])
    one.threads.let_all()
    assert one.signals == ["full", "space"]


def test_a_fast_disk_never_pauses(tmp_path: Path) -> None:
    """A disk that keeps up takes any amount without a signal."""
    one = bench(tmp_path)
    for _ in range(40):
        one.staged.write(b"x" * _BATCH)
        one.threads.let_all()
    assert one.signals == []


def test_small_pieces_travel_together(tmp_path: Path) -> None:
    """Pieces smaller than a batch wait for it, or for the end: such a file is one hop to a thread."""
    one = bench(tmp_path)
    for _ in range(100):
        one.staged.write(b"x" * 1000)
    assert one.threads.waiting == 0
    finishing = watched(Deferred.fromCoroutine(one.staged.finish()))
    assert one.threads.waiting == 1
    one.threads.let()
    assert len(finishing.results) == 1


def test_what_a_failed_disk_is_sent_is_dropped(tmp_path: Path) -> None:
    """After a failure a paused sender is let go on, what it sends is dropped, and the failure is told at the end (hardening row 46)."""
    one = bench(tmp_path, FailingDisk.full_at("write"))
    one.staged.write(b"x" * _BATCH)
    one.staged.write(b"x" * (_HIGH + 1))
    one.threads.let()
    assert one.signals == ["full", "space"]
    one.staged.write(b"x" * (2 * _HIGH))
    assert one.threads.waiting == 0
    with pytest.raises(StorageFull):
        done(one.staged.finish())
    one.staged.discard()
    one.threads.let_all()
    assert (one.folder(), one.kept()) == ([], [])


# --- large files ----------------------------------------------------------------------------------------------------------------------


def test_a_large_file_is_flushed_as_it_comes(tmp_path: Path) -> None:
    """Every so many bytes the disk is asked to write back, so that the last flush finds little left to do."""
    disk = FailingDisk()
    blobs = DirectoryBlobs(folder=tmp_path / "blobs", threads=InlineThreads(), disk=disk)
    blobs.prepare()
    staged = blobs.stage(lambda: None, lambda: None)
    block = b"x" * (8 << 20)
    for _ in range(2 * _FLUSH_EVERY // len(block)):
        staged.write(block)
    assert Counter(disk.steps)["flush_behind"] == 2
    digests = done(staged.finish())
    done(staged.keep())
    staged.discard()
    assert (digests.size, digests.sha256) == (2 * _FLUSH_EVERY, hashlib.sha256(b"x" * 2 * _FLUSH_EVERY).hexdigest())


def test_a_failed_write_back_is_not_forgotten(tmp_path: Path) -> None:
    """The kernel tells of a failed write-back once; whoever keeps the file later is told all the same, and nothing is kept."""
    blobs = DirectoryBlobs(
        folder=tmp_path / "blobs",
        threads=InlineThreads(),
        disk=FailingDisk.broken_at("flush_behind", OSError(errno.EIO, "Input/output error")),
    )
    blobs.prepare()
    staged = blobs.stage(lambda: None, lambda: None)
    staged.write(b"x" * _FLUSH_EVERY)
    with pytest.raises(OSError, match="Input/output"):
        done(staged.finish())
    staged.discard()
    assert [path for path in blobs.folder.rglob("*") if path.is_file()] == []


# --- leaving at any moment ------------------------------------------------------------------------------------------------------------


def life(one: Bench) -> "Deferred[object]":
    """Everything a staged blob goes through, up to `keep`."""

    async def run() -> object:
        digests: Digests = await one.staged.finish(("md5",))
        await one.staged.inspect(lambda file, size: file.read(1))
        await one.staged.keep()
        return digests

    for _ in range(3):
        one.staged.write(b"x" * _BATCH)
    return Deferred.fromCoroutine(run())


def steps_of(folder: Path) -> int:
    one, count = bench(folder), 0
    life(one)
    while one.threads.waiting:
        one.threads.let()
        count += 1
    one.staged.discard()
    one.threads.let_all()
    return count


def test_a_life_has_its_steps(tmp_path: Path) -> None:
    """The test below walks through all of them: batches, a late digest, a look, and the keeping."""
    assert steps_of(tmp_path) == 5


@pytest.mark.parametrize("step", range(6))
def test_discarding_at_every_step_leaves_no_file(tmp_path: Path, step: int) -> None:
    """Whenever it is discarded, between or during steps, no staged file and no open descriptor stays; only what was kept."""
    one = bench(tmp_path)
    outcome = watched(life(one))
    one.threads.let(step)
    one.staged.discard()
    one.threads.let_all()
    assert one.folder() == []
    assert open_files(tmp_path) == []
    assert len(one.kept()) in ({1} if outcome.results else {0, 1})
    assert (one.blobs._pins, one.staged._waiting) == (Counter(), [])


def test_discarding_before_the_first_byte_touches_no_disk(tmp_path: Path) -> None:
    """An upload refused before its file makes no file."""
    disk = FailingDisk()
    one = bench(tmp_path, disk)
    one.staged.discard()
    one.staged.discard()
    one.threads.let_all()
    assert disk.steps == []


def test_discarding_waits_for_the_thread_that_writes(tmp_path: Path) -> None:
    """A file is not closed under the thread that writes it; it is removed right after."""
    one = bench(tmp_path)
    one.staged.write(b"x" * _BATCH)
    one.threads.let()
    one.staged.write(b"x" * _BATCH)
    one.staged.discard()
    assert len(one.folder()) == 1
    one.threads.let()
    assert (one.threads.waiting, len(one.folder())) == (1, 1)
    one.threads.let_all()
    assert one.folder() == []


def test_discarding_waits_for_the_thread_that_flushes(tmp_path: Path) -> None:
    """A file that is being written back is not closed under that thread; it is removed right after, and nothing stays open."""
    disk = FailingDisk()
    one = bench(tmp_path, disk)
    one.staged.write(b"x" * _FLUSH_EVERY)
    one.threads.let()
    assert one.threads.waiting == 1
    one.staged.discard()
    assert one.threads.waiting == 1
    one.threads.let_all()
    assert disk.steps == ["create", "write", "flush_behind", "remove"]
    assert (one.folder(), open_files(tmp_path)) == ([], [])


# --- small files ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "visits"), [(0, 0), (1, 0), (SMALL_BYTES, 0), (SMALL_BYTES + 1, 1)])
def test_a_small_file_is_hashed_without_a_thread(tmp_path: Path, size: int, visits: int) -> None:
    """A file up to the small size is complete, with every digest asked for early or late, before any thread or disk has seen it."""
    disk = FailingDisk()
    one = bench(tmp_path, disk)
    one.staged.expect(["md5"])
    one.staged.write(b"x" * size)
    finishing = watched(Deferred.fromCoroutine(one.staged.finish(["md5", "sha1"])))
    assert (one.threads.waiting, disk.steps) == (visits, [])
    one.threads.let_all()
    data = b"x" * size
    others = {"md5": hashlib.md5(data).hexdigest(), "sha1": hashlib.sha1(data).hexdigest()}
    assert finishing.results == [Digests(size=size, sha256=hashlib.sha256(data).hexdigest(), others=others)]
    one.staged.discard()
    one.threads.let_all()
    assert (one.folder(), open_files(tmp_path)) == ([], [])


def test_a_small_file_is_kept_in_one_visit(tmp_path: Path) -> None:
    """Looking at a small file and keeping it, with something beside it, is one visit to a thread; discarding it afterwards is none."""
    one = bench(tmp_path)
    one.staged.write(b"hello")
    done(one.staged.finish())
    admitted = watched(Deferred.fromCoroutine(one.staged.admit(lambda file, _: file.read(), lambda _: b"beside")))
    assert one.threads.waiting == 1
    one.threads.let()
    one.staged.discard()
    assert (admitted.results, one.threads.waiting) == ([b"hello"], 0)
    assert one.kept() == sorted(hashlib.sha256(data).hexdigest() for data in (b"hello", b"beside"))
    assert (one.folder(), open_files(tmp_path), one.blobs._pins) == ([], [], Counter())


# --- beside it ------------------------------------------------------------------------------------------------------------------------


def admitting(one: Bench, size: int, beside: bytes = b"beside") -> "Deferred[object]":
    """A staged blob of this size, up to `admit` with something beside it."""

    async def run() -> object:
        await one.staged.finish()
        return await one.staged.admit(lambda _, length: length, lambda _: beside)

    one.staged.write(b"x" * size)
    return Deferred.fromCoroutine(run())


@pytest.mark.parametrize("size", [5, _BATCH])
def test_both_are_durable_in_order(tmp_path: Path, size: int) -> None:
    """No name is given before the bytes of both are flushed, and every folder is flushed after the names (hardening row 45)."""
    disk = FailingDisk()
    one = bench(tmp_path, disk)
    admitted = watched(admitting(one, size))
    one.threads.let_all()
    assert admitted.results == [size]
    named = disk.steps.index("replace")
    assert Counter(disk.steps[:named]) == {"create": 2, "write": 2, "flush": 2, "make_folder": 2}
    assert disk.steps[named:] == ["replace", "replace", "flush_folder", "flush_folder", "flush_folder"]
    one.staged.discard()
    one.threads.let_all()
    assert (one.folder(), open_files(tmp_path)) == ([], [])


@pytest.mark.parametrize("size", [5, _BATCH])
@pytest.mark.parametrize(
    ("step", "nth"),
    [(step, nth) for step in ("create", "write", "flush", "make_folder", "replace", "flush_folder") for nth in (1, 2)]
    + [("flush_folder", 3)],
)
def test_a_disk_that_fails_for_one_of_two_leaves_nothing_half(tmp_path: Path, step: str, nth: int, size: int) -> None:
    """Whichever step fails for either of them, the caller hears of it, nothing half-written has a name, and all is swept (row 46)."""
    one = bench(tmp_path, FailingDisk.full_at(step, nth))
    admitted = watched(admitting(one, size))
    one.threads.let_all()
    assert [type(error) for error in admitted.errors] == [StorageFull]
    for path in one.blobs.folder.glob("??/*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    one.staged.discard()
    one.threads.let_all()
    assert (one.folder(), open_files(tmp_path), one.blobs._pins) == ([], [], Counter())

    async def none(batch: list[str]) -> set[str]:
        return set()

    sweep = watched(Deferred.fromCoroutine(one.blobs.sweep(none)))
    one.threads.let_all()
    assert (len(sweep.results), one.kept()) == (1, [])


@pytest.mark.parametrize("size", [5, _BATCH])
def test_a_look_that_fails_touches_no_disk_for_what_is_beside(tmp_path: Path, size: int) -> None:
    """A refused file is given no name, and nothing beside it is written."""

    def refuse(_: object) -> bytes:
        raise ValueError("refused")

    async def run() -> object:
        await one.staged.finish()
        return await one.staged.admit(lambda _, length: length, refuse)

    disk = FailingDisk()
    one = bench(tmp_path, disk)
    one.staged.write(b"x" * size)
    admitted = watched(Deferred.fromCoroutine(run()))
    one.threads.let_all()
    assert [str(error) for error in admitted.errors] == ["refused"]
    assert disk.steps == ([] if size <= SMALL_BYTES else ["create", "write"])
    one.staged.discard()
    one.threads.let_all()
    assert (one.folder(), one.kept(), open_files(tmp_path)) == ([], [], [])


@pytest.mark.parametrize("size", [5, _BATCH])
def test_discarding_while_a_thread_keeps_it_waits(tmp_path: Path, size: int) -> None:
    """A blob discarded while a thread keeps it stays pinned until that has ended, though nobody waits any more; then nothing is left."""
    one = bench(tmp_path)
    admitted = admitting(one, size)
    while one.threads.waiting and not one.blobs._pins:
        one.threads.let()
    outcome = watched(admitted)
    admitted.cancel()
    one.staged.discard()
    assert one.blobs._pins == Counter({hashlib.sha256(b"x" * size).hexdigest(): 1})
    one.threads.let_all()
    assert len(outcome.errors) == 1
    assert (one.folder(), open_files(tmp_path), one.blobs._pins) == ([], [], Counter())


def test_what_is_beside_is_stored_once(tmp_path: Path) -> None:
    """The same bytes beside a second file are not written again, but their folder is flushed again (hardening row 45)."""
    disk = FailingDisk()
    blobs = DirectoryBlobs(folder=tmp_path / "blobs", threads=InlineThreads(), disk=disk)
    blobs.prepare()
    for data in (b"one", b"two"):
        disk.steps.clear()
        staged = blobs.stage(lambda: None, lambda: None)
        staged.write(data)
        done(staged.finish())
        done(staged.admit(lambda _, size: size, lambda _: b"beside"))
        staged.discard()
    assert Counter(disk.steps)["write"] == 1
    assert disk.steps[-2:] == ["flush_folder", "flush_folder"]


# --- errors of the disk ---------------------------------------------------------------------------------------------------------------

STEPS = ["create", "write", "flush", "make_folder", "replace", "flush_folder"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("number", "full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False), (errno.EROFS, False)])
def test_an_error_at_every_step_leaves_nothing_staged(tmp_path: Path, step: str, number: int, *, full: bool) -> None:
    """A full disk or quota is StorageFull, any other error itself; no staged file stays, and an orphan is swept (hardening row 46)."""
    blobs = DirectoryBlobs(
        folder=tmp_path / "blobs", threads=InlineThreads(), disk=FailingDisk.broken_at(step, OSError(number, os.strerror(number)))
    )
    blobs.prepare()
    staged = blobs.stage(lambda: None, lambda: None)
    staged.write(b"hello")
    with pytest.raises(StorageFull if full else OSError, match=None if full else os.strerror(number)):
        finish_and_keep(staged)
    staged.discard()
    assert list((blobs.folder / "staging").iterdir()) == []
    assert open_files(tmp_path) == []

    async def none(batch: list[str]) -> set[str]:
        return set()

    done(blobs.sweep(none))
    assert gathered(blobs.listing()) == []


def finish_and_keep(staged: StagedBlob) -> None:
    done(staged.finish())
    done(staged.keep())


def test_every_step_is_durable_in_order(tmp_path: Path) -> None:
    """Bytes are flushed before they get their name, and the name before anybody is told (hardening row 45)."""
    disk = FailingDisk()
    blobs = DirectoryBlobs(folder=tmp_path / "blobs", threads=InlineThreads(), disk=disk)
    blobs.prepare()
    staged = blobs.stage(lambda: None, lambda: None)
    staged.write(b"hello")
    finish_and_keep(staged)
    assert disk.steps == ["create", "write", "flush", "make_folder", "replace", "flush_folder", "flush_folder"]


@pytest.mark.parametrize("small", [True, False])
def test_what_is_there_is_flushed_again(tmp_path: Path, *, small: bool) -> None:
    """The same bytes again move nothing, but wait for the folder: the first uploader's flush may still be under way (hardening row 45).

    They are compared, and neither written where they are few, nor flushed where they are many.
    """
    disk = FailingDisk()
    blobs = DirectoryBlobs(folder=tmp_path / "blobs", threads=InlineThreads(), disk=disk)
    blobs.prepare()
    for _ in range(2):
        disk.steps.clear()
        staged = blobs.stage(lambda: None, lambda: None)
        staged.write(b"x" * (SMALL_BYTES if small else SMALL_BYTES + 1))
        finish_and_keep(staged)
        staged.discard()
    assert disk.steps == (["flush_folder"] if small else ["create", "write", "remove", "flush_folder"])
    assert list((blobs.folder / "staging").iterdir()) == []


def spoilt(path: Path, how: str) -> None:
    """Change a file as a failing disk might."""
    data = path.read_bytes()
    path.write_bytes({"flipped": data[:-1] + bytes([data[-1] ^ 1]), "shorter": data[:-1], "longer": data + b"x", "empty": b""}[how])


@pytest.mark.parametrize("how", ["flipped", "shorter", "longer", "empty"])
@pytest.mark.parametrize("size", [1, SMALL_BYTES, SMALL_BYTES + 1, 3 << 20])
def test_bytes_that_the_disk_has_spoilt_are_replaced(tmp_path: Path, size: int, how: str) -> None:
    """The same bytes again put right what is there, durably, and tell so; who has the spoilt ones open reads on (hardening row 45)."""
    disk = FailingDisk()
    blobs = DirectoryBlobs(folder=tmp_path / "blobs", threads=InlineThreads(), disk=disk)
    blobs.prepare()

    def kept() -> bool:
        staged = blobs.stage(lambda: None, lambda: None)
        staged.write(b"x" * size)
        sha256 = done(staged.finish()).sha256
        told: bool = done(staged.keep())
        staged.discard()
        assert done(blobs.digest(sha256)) == sha256
        return told

    assert [kept(), kept()] == [True, False]
    (path,) = blobs.folder.glob("??/*")
    spoilt(path, how)
    spoilt_bytes = path.read_bytes()
    with path.open("rb") as reader:
        disk.steps.clear()
        assert [kept(), kept()] == [True, False]
        assert reader.read() == spoilt_bytes
    assert [step for step in disk.steps if step in {"flush", "replace", "flush_folder"}] == [
        "flush",
        "replace",
        "flush_folder",
        "flush_folder",
    ]
    assert path.stat().st_size == size


def test_bytes_that_cannot_be_read_are_replaced(tmp_path: Path) -> None:
    """A file in whose place there is nothing that can be read gives way to the bytes that it should have."""
    blobs = DirectoryBlobs(folder=tmp_path / "blobs", threads=InlineThreads())
    blobs.prepare()
    path = blobs.folder / hashlib.sha256(b"hello").hexdigest()[:2] / hashlib.sha256(b"hello").hexdigest()
    path.parent.mkdir()
    path.symlink_to(path)
    staged = blobs.stage(lambda: None, lambda: None)
    staged.write(b"hello")
    finish_and_keep(staged)
    staged.discard()
    assert (path.is_symlink(), path.read_bytes()) == (False, b"hello")


def test_what_is_beside_is_put_right_too(tmp_path: Path) -> None:
    """Spoilt bytes beside a file are replaced when the same come again."""
    one = bench(tmp_path)
    for _ in range(2):
        staged = one.blobs.stage(lambda: None, lambda: None)
        staged.write(b"hello")
        done(staged.finish())
        admitted = watched(Deferred.fromCoroutine(staged.admit(lambda _, size: size, lambda _: b"beside")))
        one.threads.let_all()
        assert admitted.results == [5]
        staged.discard()
        path = next(one.blobs.folder.glob(f"??/{hashlib.sha256(b'beside').hexdigest()}"))
        assert path.read_bytes() == b"beside"
        spoilt(path, "flipped")


@pytest.mark.parametrize("how", ["flipped", "shorter"])
def test_a_file_that_was_flushed_as_it_came_replaces_what_is_there(tmp_path: Path, how: str) -> None:
    """It is not read back to be compared: the name changes hands, whatever was there, and is right afterwards."""
    blobs = DirectoryBlobs(folder=tmp_path / "blobs", threads=InlineThreads())
    blobs.prepare()
    block = b"x" * (8 << 20)
    for _ in range(2):
        staged = blobs.stage(lambda: None, lambda: None)
        for _ in range(_FLUSH_EVERY // len(block)):
            staged.write(block)
        sha256 = done(staged.finish()).sha256
        assert done(staged.keep()) is True
        staged.discard()
        assert done(blobs.digest(sha256)) == sha256
        spoilt(next(blobs.folder.glob(f"??/{sha256}")), how)


@pytest.mark.parametrize("size", [5, SMALL_BYTES + 1])
@pytest.mark.parametrize("step", ["create", "write", "flush", "replace"])
def test_a_disk_that_fails_to_put_bytes_right_leaves_them(tmp_path: Path, step: str, size: int) -> None:
    """Where the disk is full the spoilt bytes stay what they were, nothing half-written takes their place, and nothing else is left."""
    folder, data = tmp_path / "blobs", b"x" * size
    path = folder / hashlib.sha256(data).hexdigest()[:2] / hashlib.sha256(data).hexdigest()
    blobs = DirectoryBlobs(folder=folder, threads=InlineThreads(), disk=FailingDisk.full_at(step))
    blobs.prepare()
    path.parent.mkdir()
    path.write_bytes(b"spoilt")
    staged = blobs.stage(lambda: None, lambda: None)
    staged.write(data)
    with pytest.raises(StorageFull):
        finish_and_keep(staged)
    staged.discard()
    assert path.read_bytes() == b"spoilt"
    assert list((folder / "staging").iterdir()) == []


def test_a_sweep_while_bytes_are_put_right_leaves_them(tmp_path: Path) -> None:
    """A release of a name whose bytes are being replaced, and that has no row yet, removes neither the old nor the new (row 45)."""
    one = bench(tmp_path)
    sha256 = hashlib.sha256(b"hello").hexdigest()
    path = one.blobs.folder / sha256[:2] / sha256
    path.parent.mkdir()
    path.write_bytes(b"spoilt")

    async def none(_: list[str]) -> set[str]:
        return set()

    one.staged.write(b"hello")
    done(one.staged.finish())
    keeping = watched(Deferred.fromCoroutine(one.staged.keep()))
    releasing = watched(Deferred.fromCoroutine(one.blobs.release([sha256], none)))
    one.threads.let_all()
    assert (keeping.results, releasing.results, path.read_bytes()) == ([True], [0], b"hello")
    one.staged.discard()


def test_folders_of_a_killed_process_are_flushed_at_the_start(tmp_path: Path) -> None:
    """A folder that was made and perhaps never flushed is flushed before anything in it is relied on, and then no more (row 45)."""
    disk = FailingDisk()
    folder = tmp_path / "blobs"
    DirectoryBlobs(folder=folder, threads=InlineThreads()).prepare()
    sha256 = hashlib.sha256(b"hello").hexdigest()
    (folder / sha256[:2]).mkdir()
    blobs = DirectoryBlobs(folder=folder, threads=InlineThreads(), disk=disk)
    blobs.prepare()
    assert disk.steps == ["flush_folder"]
    staged = blobs.stage(lambda: None, lambda: None)
    staged.write(b"hello")
    finish_and_keep(staged)
    assert disk.steps[1:] == ["create", "write", "flush", "replace", "flush_folder"]


# --- the folder -----------------------------------------------------------------------------------------------------------------------


def test_a_start_removes_what_a_crash_left(tmp_path: Path) -> None:
    """Half-written files of a killed process go when the store is prepared; blobs stay (hardening row 45)."""
    one = bench(tmp_path)
    life(one)
    one.threads.let_all()
    (one.blobs.folder / "staging" / "0123456789abcdef").write_bytes(b"half")
    again = DirectoryBlobs(folder=one.blobs.folder, threads=InlineThreads())
    again.prepare()
    assert list((again.folder / "staging").iterdir()) == []
    assert len(one.kept()) == 1


def test_blobs_are_ours_alone(tmp_path: Path) -> None:
    """Folders and files are readable by nobody else on the machine."""
    one = bench(tmp_path)
    life(one)
    one.threads.let_all()
    modes = {path.stat().st_mode & 0o077 for path in (one.blobs.folder, *one.blobs.folder.rglob("*"))}
    assert modes == {0}


def test_a_strangers_file_is_left_alone(tmp_path: Path) -> None:
    """A file in a blob folder that is no blob is not ours to remove."""
    blobs = DirectoryBlobs(folder=tmp_path / "blobs", threads=InlineThreads())
    blobs.prepare()
    (blobs.folder / "ab").mkdir()
    (blobs.folder / "ab" / "notes.txt").write_text("mine")

    async def none(batch: list[str]) -> set[str]:
        return set()

    assert done(blobs.sweep(none)) == 0
    assert (blobs.folder / "ab" / "notes.txt").exists()


def test_many_pieces_are_written_in_order(tmp_path: Path) -> None:
    """More pieces than one system call takes are written all, in order."""
    one = bench(tmp_path)
    pieces = [bytes([number % 256]) * (1 + number % 30) for number in range(5000)]
    for piece in pieces:
        one.staged.write(piece)
    finishing = watched(Deferred.fromCoroutine(one.staged.finish()))
    one.threads.let_all()
    (path,) = (one.blobs.folder / "staging").iterdir()
    assert path.read_bytes() == b"".join(pieces)
    assert len(finishing.results) == 1


def test_a_short_write_is_continued(tmp_path: Path) -> None:
    """A system call that takes only some of the bytes is followed by another for the rest."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, True)
    pieces = [b"a" * 1000, b"b", b"", b"c" * 3000]
    try:
        Disk().write(write, pieces)
        assert os.read(read, 10_000) == b"".join(pieces)
    finally:
        os.close(read)
        os.close(write)
