"""Core metadata: what METADATA or PKG-INFO says, and whether that is what was uploaded."""

import hashlib
import warnings
from collections.abc import Mapping
from typing import Self

from attrs import frozen
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pkginfo.distribution import Distribution, NewMetadataVersion, UnknownMetadataVersion

from registry.domain.archives.refusals import refusal
from registry.domain.errors import InvalidName, InvalidVersion, shown
from registry.domain.filenames import Kind
from registry.domain.names import Name
from registry.domain.upload import LIMITS, cut
from registry.domain.versions import Version

# A Metadata-Version newer than pkginfo knows is not our uploader's fault; the known headers are read all the same. Once, for the process:
# switching warnings off for each call is not safe in threads.
for _newer in (NewMetadataVersion, UnknownMetadataVersion):
    warnings.simplefilter("ignore", _newer)

# What is kept of a distribution's own metadata: GitLab's columns, and what pages and users ask for.
_KEPT = (
    "metadata_version",
    "name",
    "version",
    "summary",
    "description",
    "description_content_type",
    "keywords",
    "author",
    "author_email",
    "maintainer",
    "maintainer_email",
    "license",
    "license_expression",
    "home_page",
    "requires_python",
)
_KEPT_LISTS = ("classifiers", "requires_dist", "project_urls", "provides_extras", "dynamic")
# PEP 643: from 2.2 on, what an sdist does not call Dynamic is true of every wheel built from it.
_SDISTS_TELL = (2, 2)
# Each comma in a specifier costs a parse.
_LONGEST_SPECIFIER = 2048


@frozen(kw_only=True)
class CoreMetadata:
    """What a distribution says of itself.

    `raw` is METADATA or PKG-INFO to the byte, `sha256` its digest in hex; `fields` holds the headers that were present. `sidecar` tells
    whether an index may serve `raw` beside the file (PEP 658, PEP 714): of a wheel always, of an sdist only if nothing in it may change
    when it is built.
    """

    raw: bytes
    fields: Mapping[str, str | tuple[str, ...]]
    sha256: str
    sidecar: bool

    @classmethod
    def of(cls, raw: bytes, kind: Kind) -> Self:
        """Parse the metadata of a distribution of this kind. Raises `InvalidArchive` if it is not plain text."""
        fields = _parse(raw)
        return cls(
            raw=raw,
            fields=fields,
            sha256=hashlib.sha256(raw).hexdigest(),
            sidecar=kind is Kind.WHEEL or (_number(fields.get("metadata_version")) >= _SDISTS_TELL and not fields.get("dynamic")),
        )

    @property
    def requires_python(self) -> str:
        """The `Requires-Python` header, empty if absent."""
        return str(self.fields.get("requires_python", ""))


def valid_requires_python(text: str) -> str:
    """`text` if it is a version specifier that installers can read, else the empty string: uv drops a file whose specifier is broken."""
    return text if _specifiers(text) is not None else ""


def demand_same_project(metadata: CoreMetadata, name: Name, version: Version) -> None:
    """Refuse metadata of another name or version (PEP 503 and PEP 440 decide what is another)."""
    found_name, found_version = str(metadata.fields.get("name", "")), str(metadata.fields.get("version", ""))
    if not found_name or not found_version or "metadata_version" not in metadata.fields:
        raise refusal("has metadata without Metadata-Version, Name or Version: build it with `python -m build`")
    try:
        if Name(found_name) != name:
            raise refusal(
                f"says in its metadata that its name is {shown(found_name, 64)}, not {shown(name.display, 64)}: upload it as that"
            )
        if Version(found_version) != version:
            raise refusal(
                f"says in its metadata that its version is {shown(found_version, 64)}, not {shown(version.display, 64)}: build it again"
            )
    except (InvalidName, InvalidVersion) as error:
        what = "Name" if isinstance(error, InvalidName) else "Version"
        raise refusal(
            f"has metadata that cannot be right: {what} is invalid: {shown(error.text, 64)}; correct it and build again"
        ) from None


def demand_same_requires_python(metadata: CoreMetadata, declared: Mapping[str, str]) -> None:
    """Refuse a form whose `requires_python`, if sent, means something else than the file's own. Raises `InvalidArchive`."""
    form, own = declared.get("requires_python", "").strip(), metadata.requires_python.strip()
    # The form's may have been cut already, as long fields are.
    if not form or form in {own, cut(own, LIMITS["requires_python"])}:
        return
    said = _specifiers(form)
    if said is None or said != _specifiers(own):
        raise refusal(
            f"has the Requires-Python {shown(own, 60)} in its metadata, but the form says {shown(form, 60)}: upload it with "
            "`twine upload`, which reads the file"
        )


def _specifiers(text: str) -> SpecifierSet | None:
    if len(text) > _LONGEST_SPECIFIER:
        return None
    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        return None


def _number(text: object) -> tuple[int, ...]:
    parts = str(text).split(".")
    return (
        tuple(int(part) for part in parts)
        if all(part.isascii() and part.isdigit() and len(part) < len(str(1 << 32)) for part in parts)
        else ()
    )


def _parse(raw: bytes) -> dict[str, str | tuple[str, ...]]:
    parsed = Distribution()
    # The email parser below takes a Content-Type header at its word, and looks for parts within parts.
    try:
        parsed.parse(raw)
        plain = isinstance(parsed.description, str | None)
    except RecursionError:
        plain = False
    if not plain:
        raise refusal("has metadata that is not plain text: remove its Content-Type header")
    fields: dict[str, str | tuple[str, ...]] = {key: str(value) for key in _KEPT if (value := getattr(parsed, key))}
    fields.update({key: tuple(map(str, value)) for key in _KEPT_LISTS if (value := getattr(parsed, key))})
    return fields
