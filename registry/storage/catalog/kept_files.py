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
        told=tuple((row.told or {}).items()),
        kept_at=row.kept_at,
        used_at=row.used_at,
    )


def told_with(known: Any, file: KeptFile) -> dict[str, Any]:
    """What a row of this file is to tell of digests: what it tells already (`known`, None without one), and what the file does."""
    return {"told": {**((known.told if known is not None else None) or {}), **dict(file.told)}} if file.told else {}
