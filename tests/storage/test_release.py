"""Releasing blobs: exactly what nothing names any more, however uploads of the same bytes come in between."""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from registry.interfaces import IBlobs, IStagedBlob
from registry.storage.blobs.directory import DirectoryBlobs
from registry.storage.threads import InlineThreads
from registry.testing import HeldThreads, MemoryBlobs, done, gathered

DATA = b"the same bytes"
SHA256 = hashlib.sha256(DATA).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


@pytest.fixture(params=["memory", "directory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> IBlobs:
    """An empty store of each kind."""
    if request.param == "memory":
        return MemoryBlobs()
    made = DirectoryBlobs(folder=tmp_path / "blobs", threads=InlineThreads())
    made.prepare()
    return made


def kept(blobs: IBlobs, data: bytes = DATA) -> IStagedBlob:
    staged: IStagedBlob = blobs.stage(nothing, nothing)
    staged.write(data)
    done(staged.finish())
    done(staged.keep())
    return staged


def nothing() -> None:
    pass


def names(*known: str) -> Callable[[list[str]], Awaitable[set[str]]]:
    async def named(digests: list[str]) -> set[str]:
        return set(digests) & set(known)

    return named


def listed(blobs: IBlobs) -> list[str]:
    return [name for batch in gathered(blobs.listing()) for name in batch]


def test_what_nothing_names_goes(blobs: IBlobs) -> None:
    """Of the digests given, those without a row are removed, and nothing else is."""
    for data in (DATA, b"other", b"third"):
        kept(blobs, data).discard()
    assert done(blobs.release([SHA256, OTHER], names(OTHER))) == 1
    assert sorted(listed(blobs)) == sorted([OTHER, hashlib.sha256(b"third").hexdigest()])


def test_what_is_gone_already_does_not_matter(blobs: IBlobs) -> None:
    """A digest without bytes, or none at all, is no error."""
    done(blobs.release([SHA256], names()))
    done(blobs.release([], names()))
    assert listed(blobs) == []


def test_what_is_being_published_stays(blobs: IBlobs) -> None:
    """Bytes that an upload has kept, and may be about to name, are left alone."""
    staged = kept(blobs)
    assert done(blobs.release([SHA256], names())) == 0
    assert listed(blobs) == [SHA256]
    staged.discard()
    assert done(blobs.release([SHA256], names())) == 1


@pytest.mark.parametrize("pinned", ["before", "during"])
def test_an_upload_that_ends_between_question_and_removal_keeps_its_bytes(blobs: IBlobs, pinned: str) -> None:
    """An upload that writes its row after the catalog was asked, and lets go before the removal, loses nothing."""
    kept(blobs).discard()
    answer: Deferred[set[str]] = Deferred()

    async def named(_: list[str]) -> set[str]:
        return await answer

    staged = kept(blobs) if pinned == "before" else None
    releasing = Deferred.fromCoroutine(blobs.release([SHA256], named))
    staged = staged or kept(blobs)
    staged.discard()
    answer.callback(set())
    assert done(releasing) == 0
    assert listed(blobs) == [SHA256]


def test_a_release_does_not_blind_the_sweep(blobs: IBlobs) -> None:
    """A release that runs while a sweep waits for the catalog does not make the sweep forget which bytes were touched."""
    kept(blobs).discard()
    answer: Deferred[set[str]] = Deferred()

    async def named(_: list[str]) -> set[str]:
        return await answer

    sweeping = Deferred.fromCoroutine(blobs.sweep(named))
    kept(blobs).discard()
    done(blobs.release([OTHER], names()))
    answer.callback(set())
    assert done(sweeping) == 0
    assert listed(blobs) == [SHA256]


def test_bytes_that_come_back_after_the_removal_are_kept_anew(tmp_path: Path) -> None:
    """An upload that keeps the same bytes once they are removed puts them back, whatever waited in threads meanwhile."""
    threads = HeldThreads()
    blobs = DirectoryBlobs(folder=tmp_path / "blobs", threads=threads)
    blobs.prepare()
    first = blobs.stage(nothing, nothing)
    first.write(DATA)
    keeping = Deferred.fromCoroutine(_keep(first))
    threads.let_all()
    done(keeping)
    first.discard()
    threads.let_all()
    second = blobs.stage(nothing, nothing)
    second.write(DATA)
    releasing = Deferred.fromCoroutine(blobs.release([SHA256], names()))
    again = Deferred.fromCoroutine(_keep(second))
    threads.let_all()
    done(releasing)
    done(again)
    second.discard()
    threads.let_all()
    assert (tmp_path / "blobs" / SHA256[:2] / SHA256).read_bytes() == DATA


async def _keep(staged: IStagedBlob) -> None:
    await staged.finish()
    await staged.keep()
