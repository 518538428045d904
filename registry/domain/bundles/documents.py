"""Pages as they travel: the JSON of the simple API, with the addresses that the upstream has, so that they are read like an upstream's."""

import json
from collections.abc import Mapping
from typing import Any

from registry.domain.model import File, Page, ProjectStatus

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
# Addresses on pages are absolute; this is what a relative one would lead to.
NOWHERE = "https://bundle.invalid/"


def page_document(page: Page) -> bytes:
    """A page of an upstream as PEP 691 says it. What was found out here beside what its index told is left out."""
    value: dict[str, Any] = {"meta": {"api-version": "1.4"}, "name": page.display, "files": [_entry(file) for file in page.files]}
    if page.status is not ProjectStatus.ACTIVE or page.status_reason:
        value["project-status"] = {"status": page.status.value, "reason": page.status_reason}
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _entry(file: File) -> Mapping[str, object]:
    entry: dict[str, object] = {"filename": file.filename, "url": file.url}
    entry["hashes"] = dict(file.digests) | ({"sha256": file.sha256} if file.sha256 else {})
    if file.size is not None and "size" not in file.filled:
        entry["size"] = file.size
    if file.uploaded_at is not None and "upload-time" not in file.filled:
        entry["upload-time"] = file.uploaded_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if file.requires_python:
        entry["requires-python"] = file.requires_python
    if file.yanked is not None:
        entry["yanked"] = file.yanked or True
    if file.metadata_sha256 and "core-metadata" not in file.filled:
        entry["core-metadata"] = {"sha256": file.metadata_sha256}
    if file.gpg_sig is not None:
        entry["gpg-sig"] = file.gpg_sig
    if file.provenance_url:
        entry["provenance"] = file.provenance_url
    return entry
