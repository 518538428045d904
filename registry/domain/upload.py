"""One upload as its form declares it: fields checked, cut and named, before anything is believed."""

import re
from collections.abc import Mapping

from attrs import frozen

from registry.domain.errors import InvalidField, MissingFields
from registry.domain.filenames import FileName, file_name
from registry.domain.names import Name
from registry.domain.versions import Version

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")

# GitLab: the longest value kept of each metadata field; a longer one is cut, its last three characters "...".
LIMITS = {
    "requires_python": 255,
    "metadata_version": 16,
    "author_email": 2048,
    "description": 4000,
    "description_content_type": 128,
    "summary": 255,
    "keywords": 1024,
}
# The form's names for digests, and hashlib's.
DIGEST_FIELDS = {"sha256_digest": "sha256", "md5_digest": "md5", "blake2_256_digest": "blake2b"}


@frozen(kw_only=True)
class Upload:
    """What a client says it uploads. `digests` maps hashlib names to lower-case hex, only those that were sent."""

    name: Name
    version: Version
    file: FileName
    digests: Mapping[str, str]
    metadata: Mapping[str, str]


def declared_digests(fields: Mapping[str, str]) -> dict[str, str]:
    """The digests among `fields`, by hashlib name. Raises `InvalidField` for a sha256 that cannot be one (GitLab)."""
    found = {algorithm: fields[name].lower() for name, algorithm in DIGEST_FIELDS.items() if fields.get(name)}
    if "sha256" in found and not _SHA256.fullmatch(found["sha256"]):
        raise InvalidField(name="sha256_digest")
    return found


def read_upload(fields: Mapping[str, str], filename: str | None) -> Upload:
    """Make sense of a complete form.

    Raises `MissingFields`, `InvalidField`, `InvalidName`, `InvalidVersion` or `InvalidFileName`, in this order, which is GitLab's.
    """
    required = {"content": filename, "name": fields.get("name"), "version": fields.get("version")}
    if missing := tuple(key for key, value in required.items() if not value):
        raise MissingFields(names=missing)
    digests = declared_digests(fields)
    name, version = Name(fields["name"]), Version(fields["version"])
    return Upload(
        name=name,
        version=version,
        file=file_name(filename or "", name, version),
        digests=digests,
        metadata={key: cut(fields[key], limit) for key, limit in LIMITS.items() if fields.get(key)},
    )


def cut(text: str, limit: int) -> str:
    """Shorten `text` to `limit` characters, "..." in place of what is missing (GitLab)."""
    return text if len(text) <= limit else text[: limit - 3] + "..."
