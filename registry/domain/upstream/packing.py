"""Pages of upstreams as bytes, for the catalog."""

import gzip
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from registry.domain.model import File, Page, ProjectStatus
from registry.domain.names import Name

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def pack(page: Page) -> bytes:
    """A page of an upstream as bytes; small, and the same for the same page."""
    value = {
        "display": page.display,
        "status": page.status.value,
        "reason": page.status_reason,
        "files": [_packed(file) for file in page.files],
    }
    return gzip.compress(json.dumps(value, separators=(",", ":")).encode(), compresslevel=4, mtime=0)


def unpack(data: bytes, name: Name, source: str) -> Page:
    """The page that `pack` made bytes of."""
    value = json.loads(gzip.decompress(data))
    return Page(
        name=name,
        display=value["display"],
        files=tuple(_unpacked(row, source) for row in value["files"]),
        status=ProjectStatus(value["status"]),
        status_reason=value["reason"],
    )


def _packed(file: File) -> list[object]:
    at = None if file.uploaded_at is None else (file.uploaded_at - _EPOCH) // _MICROSECOND
    return [
        file.filename,
        file.version,
        file.sha256,
        file.size,
        file.requires_python,
        at,
        file.yanked,
        file.metadata_sha256,
        file.url,
        file.provenance_url,
        dict(file.digests),
        list(file.filled),
        file.gpg_sig,
    ]


def _unpacked(row: Iterable[Any], source: str) -> File:
    filename, version, sha256, size, requires_python, at, yanked, metadata_sha256, url, provenance_url, digests, filled, gpg_sig = row
    return File(
        id=0,
        filename=filename,
        version=version,
        sha256=sha256,
        size=size,
        requires_python=requires_python,
        uploaded_at=None if at is None else _EPOCH + at * _MICROSECOND,
        yanked=yanked,
        metadata_sha256=metadata_sha256,
        provenance=bool(provenance_url),
        source=source,
        url=url,
        provenance_url=provenance_url,
        digests=tuple(dict(digests).items()),
        filled=tuple(filled),
        gpg_sig=gpg_sig,
    )
