"""A file on its way: what its readers are given, and when."""

import hashlib

import pytest
from twisted.internet.defer import Deferred

from registry.domain.errors import StorageFull, UpstreamBroken
from registry.domain.model import Digests, File
from registry.testing import done
from registry.testing.blobs import MemoryBlobs
from registry.workflows.transfer import HELD_BACK, Transfer

DATA = bytes(range(256)) * (HELD_BACK // 64)


def transfer(end: "Deferred[None] | None" = None, sha256: str = "") -> Transfer:
    """One of DATA, which is kept when `end` fires."""

    async def keep(_: Transfer, __: Digests) -> None:
        if end is not None:
            await end

    file = File(
        id=0,
        filename="a-1.tar.gz",
        version="1",
        sha256=sha256 or hashlib.sha256(DATA).hexdigest(),
        size=len(DATA),
        source="theirs",
        requires_python="",
        uploaded_at=None,
    )
    staged = MemoryBlobs().stage(lambda: None, lambda: None)
    made = Transfer(file=file, size=len(DATA), staged=staged, end=keep)
    staged.follow(made.progress)
    return made


def test_a_reader_does_not_wait_until_it_is_kept() -> None:
    """The last byte is given as soon as the digest is known; another may still join; all is put away once it is kept."""
    end: Deferred[None] = Deferred()
    coming = transfer(end)
    reader = coming.reader()
    coming.received(DATA)
    coming.ended()
    assert done(reader.read(0, len(DATA))) == DATA
    reader.close()
    assert coming.joinable
    assert not coming.over.called
    end.callback(None)
    assert coming.over.called


def test_what_cannot_be_kept_is_given_all_the_same() -> None:
    """A proven file reaches its reader though the disk refuses it, and then it is over."""
    end: Deferred[None] = Deferred()
    coming = transfer(end)
    reader = coming.reader()
    coming.received(DATA)
    coming.ended()
    end.errback(StorageFull())
    assert done(reader.read(len(DATA) - 10, 10)) == DATA[-10:]
    reader.close()
    assert coming.over.called


def test_the_end_is_held_back_until_the_digest_is_known() -> None:
    """Without its proof a file is readable but for its last 64 KiB, and whoever waits for those learns that it is not what it should be."""
    coming = transfer(sha256="0" * 64)
    reader = coming.reader()
    coming.received(DATA)
    assert reader.readable == len(DATA) - HELD_BACK
    done(reader.grown(len(DATA) - HELD_BACK - 1))
    waiting = Deferred.fromCoroutine(reader.grown(len(DATA) - HELD_BACK))
    assert not waiting.called
    coming.ended()
    with pytest.raises(UpstreamBroken, match="sha256"):
        done(waiting)
    reader.close()
    assert coming.over.called
