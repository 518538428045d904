"""Rows of upstreams' files that are kept, as the values they stand for."""

from typing import Any

from registry.domain.upstream import KeptFile


def kept_file(row: Any) -> KeptFile:
    """The file that a row of `upstream_files` tells of."""
    return KeptFile(
        id=row.id,
        source=row.source,
        name=row.name,
        filename=row.filename,
        sha256=row.sha256,
        size=row.size,
        metadata=(row.metadata_sha256, row.metadata_size) if row.metadata_sha256 else None,
        licence=row.licence,
        kept_at=row.kept_at,
        used_at=row.used_at,
    )
