"""One entry of an upstream's page, in the words of its JSON form (PEP 691), made into a `File`: what is a fact is kept, the rest is not."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from math import prod
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from attrs import define, field
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from registry.domain.digests import LENGTHS
from registry.domain.errors import InvalidFileName, InvalidVersion, UpstreamRefused, shown
from registry.domain.filenames import SDIST_ENDINGS, file_name
from registry.domain.model import File
from registry.domain.names import Name
from registry.domain.upstream import names_in
from registry.domain.versions import Version
from registry.upstream.origins import Target

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage

# How many characters a reason may have; the rest is cut off. PyPI takes a line.
LONGEST_REASON = 1000
_LONGEST_NAME = 255
_MANY_HYPHENS = 20  # each of them may come before a version
_LONGEST_SPECIFIER = 255
_MOST_BYTES = 2**63 - 1  # what a file system can hold
# A wheel's tags stand for all their combinations, and those have to be written out to be checked. Real wheels have a few dozen.
MOST_TAGS = 128
# How many different specifiers of a page are looked at; that takes longer than all the rest. Real pages have a few dozen.
MOST_SPECIFIERS = 500
_LONG_BLAKE2B = 128
# An absolute address whose path needs nothing but to be taken as it stands.
_PLAIN = re.compile(r"([Hh][Tt][Tt][Pp][Ss]?://[A-Za-z0-9._:-]{1,300})/([A-Za-z0-9/%:@!$&'()*+,=._~-]{0,4000})(?:#[A-Za-z0-9=&_.-]*)?")
_HEX = re.compile(r"[0-9a-f]+")
# PEP 714: the old spelling is read where the new one tells nothing; PyPI once wrote an even older one.
METADATA_KEYS = ("core-metadata", "dist-info-metadata", "data-dist-info-metadata")


class Malformed(Exception):
    """An entry that cannot be offered; the text is the sentence to log."""


@define(kw_only=True)
class EntryReader:
    """Reads the entries of one page: of files of `name`, whose addresses are relative to `base`.

    Remembers what versions and specifiers of the page turned out to be, since most of its files have the same.
    """

    name: Name
    source: str
    base: str
    _versions: dict[str, tuple[Version, str] | None] = field(init=False, factory=dict)
    _specifiers: dict[str, bool] = field(init=False, factory=dict)
    _origins: dict[str, str] = field(init=False, factory=dict)  # as they are written in addresses, and as they are to be written
    _start: re.Pattern[str] = field(init=False)  # of a file name of this project

    def __attrs_post_init__(self) -> None:
        """Any spelling of the name: any case (of ASCII), any separators."""
        words = self.name.normalized.split("-")
        self._start = re.compile("[-_.]+".join(map(re.escape, words)) + "-", re.ASCII | re.IGNORECASE)

    def read(self, entry: Mapping[str, Any]) -> File:
        """The file that an entry tells of. Raises `Malformed` where no file of this name can be identified or fetched by it.

        A fact that is malformed counts as not told. A malformed SHA-256, or nothing but malformed digests, is more than that: without them
        anything would pass for the file.
        """
        filename = entry.get("filename")
        if not isinstance(filename, str) or not filename:
            raise Malformed("an entry has no file name")
        version = self._version(filename)
        if not version:
            raise Malformed(f"{shown(filename)} is not the file name of a wheel, .tar.gz or .zip of {self.name.normalized}")
        url = self._address(entry.get("url"))
        if not url:
            raise Malformed(f"{shown(filename)} has no http or https address")
        digests = _digests(entry.get("hashes"))
        if digests is None:
            raise Malformed(f"{shown(filename)} has malformed digests")
        told = _told(entry)
        provenance_url = self._address(told.provenance_url)
        return File(
            id=0,
            filename=filename,
            version=version,
            sha256=digests.pop("sha256", ""),
            size=told.size,
            requires_python=self._specifier(told.requires_python),
            uploaded_at=_in_utc(told.upload_time),
            yanked=(told.yanked_reason or "") if told.is_yanked else None,
            metadata_sha256=_metadata(entry),
            provenance=bool(provenance_url),
            source=self.source,
            url=url,
            provenance_url=provenance_url,
            digests=tuple(digests.items()),
        )

    def _version(self, filename: str) -> str:
        """The version in a file name, in its normal form; empty where that is not one of a wheel or sdist of this project."""
        start = self._start.match(filename) if len(filename) <= _LONGEST_NAME else None
        text = _version_text(filename, filename[start.end() :]) if start is not None else ""
        if text not in self._versions:
            self._versions[text] = _version(text)
        found = self._versions[text]
        if found is None:
            return ""
        version, normal = found
        try:
            file_name(filename, self.name, version)
        except InvalidFileName:
            return ""
        return normal

    def concerns(self, filename: str) -> bool:
        """Whether a file name that `read` refuses is one of this project for all that, and not another's in the same directory."""
        if len(filename) > _LONGEST_NAME or not self._start.match(filename):
            return False
        others = names_in(filename) if filename.count("-") <= _MANY_HYPHENS else []
        return not others or self.name in others

    def _address(self, text: object) -> str:
        """An address, made absolute, without userinfo and fragment; empty where it is none, or of another kind than http(s)."""
        if not isinstance(text, str) or not text.strip():
            return ""
        plain = _PLAIN.fullmatch(text)
        if plain is None:
            return _target(self.base, text)
        # Nearly every address is of this form, and taking them all apart would take half of the time of the page.
        start, path = plain.groups()
        if start not in self._origins:
            self._origins[start] = _target(self.base, f"{start}/")
        return self._origins[start] and self._origins[start] + path

    def _specifier(self, text: str | None) -> str:
        if not text:
            return ""
        if text not in self._specifiers and len(self._specifiers) < MOST_SPECIFIERS:
            self._specifiers[text] = _is_specifier(text)
        return text if self._specifiers.get(text) else ""


def _target(base: str, text: str) -> str:
    try:
        return Target.read(urljoin(base, text)).url
    except (UpstreamRefused, ValueError):
        return ""


def _version_text(filename: str, rest: str) -> str:
    """What is the version in a file name, of which `rest` follows the project's name; empty if nothing can be."""
    if filename.endswith(".whl"):
        parts = rest.removesuffix(".whl").split("-")
        return parts[0] if prod(part.count(".") + 1 for part in parts[-3:]) <= MOST_TAGS else ""
    return next((rest.removesuffix(ending) for ending in SDIST_ENDINGS if rest.endswith(ending)), "")


def _version(text: str) -> tuple[Version, str] | None:
    try:
        version = Version(text)
        return version, str(version.order)
    except InvalidVersion:
        return None


def _is_specifier(text: str) -> bool:
    if len(text) > _LONGEST_SPECIFIER or not text.isascii():
        return False
    try:
        SpecifierSet(text)
    except (InvalidSpecifier, ValueError):
        return False
    return True


def _digests(told: object) -> dict[str, str] | None:
    """The digests that can be used, in lower case, the best first; None where what is told is worse than nothing."""
    if told is None:
        return {}
    if not isinstance(told, Mapping):
        return None
    usable: dict[str, str] = {}
    malformed = False
    for algorithm, length in LENGTHS.items():
        value = told.get(algorithm)
        if value is None:
            continue
        digest = value.lower() if isinstance(value, str) else ""
        if len(digest) == length and _HEX.fullmatch(digest):
            usable[algorithm] = digest
        elif algorithm == "sha256":
            return None
        elif not (algorithm == "blake2b" and len(digest) == _LONG_BLAKE2B):
            malformed = True
    return usable if usable or not malformed else None


def _metadata(entry: Mapping[str, Any]) -> str:
    """The SHA-256 of the core metadata beside a file. That there is some, without a digest to check it by, is nothing to pass on."""
    for key in METADATA_KEYS:
        told = entry.get(key)
        if told is False:
            return ""
        digest = told.get("sha256") if isinstance(told, Mapping) else None
        if isinstance(digest, str) and len(digest) == LENGTHS["sha256"] and _HEX.fullmatch(digest.lower()):
            return digest.lower()
    return ""


def _told(entry: Mapping[str, Any]) -> "DistributionPackage":
    """What pypi-simple reads of the facts that need no knowledge of ours; one that it cannot read counts as not told."""
    facts: dict[str, Any] = {key: value for key in ("requires-python", "provenance") if isinstance(value := entry.get(key), str)}
    size, at, yanked = entry.get("size"), entry.get("upload-time"), entry.get("yanked")
    if isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= _MOST_BYTES:
        facts["size"] = size
    # A number alone would be read as seconds since 1970.
    if isinstance(at, str) and at[4:5] == "-":
        facts["upload-time"] = at
    # PEP 592: an installer must know of a yank, so what is neither a reason nor a yes or no counts by whether it says anything.
    facts["yanked"] = reason(yanked) if isinstance(yanked, str) else bool(yanked)
    try:
        return _parsed(facts)
    except ValueError:
        return _parsed({key: value for key, value in facts.items() if _is_parsed(key, value)})


def _is_parsed(key: str, value: object) -> bool:
    try:
        _parsed({key: value})
    except ValueError:
        return False
    return True


def _parsed(facts: Mapping[str, Any]) -> "DistributionPackage":
    # It brings Requests, Beautiful Soup and Pydantic, which a registry that never asks an upstream does without.
    from pypi_simple import DistributionPackage  # noqa: PLC0415

    # The name stays here: its expressions for file names take a second for some, and it has been taken apart already.
    return DistributionPackage.from_json_data({**facts, "filename": "", "url": "", "hashes": {}})


def _in_utc(at: datetime | None) -> datetime | None:
    if at is None:
        return None
    try:
        # PEP 700: the time is in UTC; so is one that does not say so.
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        return None


def reason(text: str) -> str:
    """A text for people, such that UTF-8 can carry it, and no longer than `LONGEST_REASON`."""
    return text[:LONGEST_REASON].encode("utf-8", "replace").decode()
