"""Which blobs the rows of files name: their own, and those of their core metadata."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, delete, select

from registry.storage.catalog.tables import blobs, files, upstream_files

_BATCH = 1000
_NAMING = (files.c.sha256, files.c.metadata_sha256)
_KEPT = (upstream_files.c.sha256, upstream_files.c.metadata_sha256)  # copies of what an upstream has


def digests_of(connection: Connection, which: ColumnElement[bool]) -> set[str]:
    """The sha256 of all blobs that these files name."""
    return {digest for row in connection.execute(select(*_NAMING).distinct().where(which)) for digest in row if digest}


def named_among(connection: Connection, digests: Iterable[str]) -> set[str]:
    """Those of `digests` that some file names, of ours or of an upstream's that is kept."""
    wanted, found = sorted(digests), set[str]()
    for start in range(0, len(wanted), _BATCH):
        batch = wanted[start : start + _BATCH]
        for column in (*_NAMING, *_KEPT):
            found.update(connection.execute(select(column).distinct().where(column.in_(batch))).scalars())
    return found


def drop_blobs(connection: Connection, digests: Iterable[str]) -> list[str]:
    """Forget those of `digests` that no file names any more, and return them. Part of whatever deletes files, after it."""
    wanted = set(digests)
    gone = sorted(wanted - named_among(connection, wanted))
    for start in range(0, len(gone), _BATCH):
        connection.execute(delete(blobs).where(blobs.c.sha256.in_(gone[start : start + _BATCH])))
    return gone
