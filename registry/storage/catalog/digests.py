"""Which blobs the rows of files name: their own, and those of their core metadata."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, delete, select

from registry.storage.catalog.tables import blobs, files, upstream_files

_BATCH = 1000
_NAMING = (files.c.sha256, files.c.metadata_sha256)
_KEPT = (upstream_files.c.sha256, upstream_files.c.metadata_sha256)  # copies of what an upstream has


def digests_of(connection: Connection, which: ColumnElement[bool]) -> set[str]:
    """The sha256 of all blobs that these files name."""
    return {digest for row in connection.execute(select(*_NAMING).distinct().where(which)) for digest in row if digest}


def named_among(connection: Connection, digests: Iterable[str]) -> set[str]:
    """Those of `digests` that some file names, of ours or of an upstream's that is kept."""
    return _named(connection, digests, (*_NAMING, *_KEPT))


def drop_blobs(connection: Connection, digests: Iterable[str]) -> list[str]:
    """Forget those of `digests` that no file of ours names any more; those whose bytes nobody names. Part of what deletes files, after it.

    `blobs` tells of what is published: bytes that are left to a kept copy alone go when the cache gives them up, with no row to tell of it.
    """
    wanted = set(digests)
    gone = sorted(wanted - _named(connection, wanted, _NAMING))
    for start in range(0, len(gone), _BATCH):
        connection.execute(delete(blobs).where(blobs.c.sha256.in_(gone[start : start + _BATCH])))
    return sorted(set(gone) - _named(connection, gone, _KEPT))


def _named(connection: Connection, digests: Iterable[str], columns: Sequence[Column[Any]]) -> set[str]:
    wanted, found = sorted(digests), set[str]()
    for start in range(0, len(wanted), _BATCH):
        batch = wanted[start : start + _BATCH]
        for column in columns:
            found.update(connection.execute(select(column).distinct().where(column.in_(batch))).scalars())
    return found
