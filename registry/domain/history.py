"""What an index once said, replayed from the journal."""

from collections.abc import Mapping

from registry.domain.model import File


def facts_for_replay(file: File) -> Mapping[str, object]:
    """All that a page says of `file`, for the journal row that tells of its publishing."""
    facts: dict[str, object] = {
        "version": file.version,
        "filename": file.filename,
        "sha256": file.sha256,
        "size": file.size,
        "requires_python": file.requires_python,
        "file_id": file.id,
    }
    if file.yanked is not None:
        facts["yanked"] = file.yanked
    if file.metadata_sha256:
        facts["metadata_sha256"] = file.metadata_sha256
    if file.provenance:
        facts["provenance"] = True
    return facts
