"""Which files of a page a list asks for."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen
from packaging.version import InvalidVersion, Version

from registry.domain.filenames import SDIST_ENDINGS
from registry.domain.locks import Need


@frozen(kw_only=True)
class Wish:
    """One file to be fetched. `sha256` is what it must have (empty: nobody knows)."""

    filename: str
    path: str  # behind the project's index
    sha256: str
    size: int
    metadata: bool


def chosen(need: Need, page: Sequence[Mapping[str, Any]], problems: list[str]) -> list[Wish]:
    """The files of a page (entries of PEP 691) that `need` is about; what it asks for and the page has not becomes problems."""
    listed = {str(file.get("filename", "")): file for file in page}
    if need.files:
        found = []
        for filename, sha256 in need.files:
            file = listed.get(filename)
            if file is None:
                problems.append(f"{filename} is not offered: upstream does not list it, or the policy keeps it back")
            elif sha256 and _sha256(file) and _sha256(file) != sha256:
                problems.append(f"{filename} has sha256 {_sha256(file)} upstream, but the list says {sha256}: it was not fetched")
            else:
                found.append(_wish(file, sha256))
        return found
    if need.digests:
        by_digest = {_sha256(file): file for file in page}
        problems += [f"{need.name.normalized}: no file offered has sha256 {one}" for one in sorted(need.digests - by_digest.keys())]
        return [_wish(by_digest[sha256], sha256) for sha256 in sorted(need.digests & by_digest.keys())]
    versions = {version for file in page if (version := _version(file)) is not None and (need.exact or file.get("yanked", False) is False)}
    best = max(need.versions.filter(versions), default=None)
    if best is None:
        problems.append(f"{need.name.normalized}{need.versions}: no version offered fits")
    return [_wish(file, "") for file in page if best is not None and _version(file) == best]


def _wish(file: Mapping[str, Any], sha256: str) -> Wish:
    size, url = file.get("size"), str(file.get("url", ""))
    # Wherever its links lead from outside, the registry is asked where it is asked for all else.
    path = urlsplit(url).path.rpartition("/packages/pypi/")[2]
    return Wish(
        filename=str(file["filename"]),
        path=path,
        sha256=sha256 or _sha256(file),
        size=size if isinstance(size, int) else 0,
        metadata=isinstance(file.get("core-metadata"), dict),
    )


def _sha256(file: Mapping[str, Any]) -> str:
    hashes = file.get("hashes")
    return str(hashes.get("sha256", "")) if isinstance(hashes, dict) else ""


def _version(file: Mapping[str, Any]) -> Version | None:
    """The version in a file name, which the registry has checked: what precedes it is one of its project's spellings."""
    filename = str(file.get("filename", ""))
    if filename.endswith(".whl"):
        text = filename.split("-")[1] if "-" in filename else ""
    else:
        ending = next((ending for ending in SDIST_ENDINGS if filename.endswith(ending)), "")
        text = filename.removesuffix(ending).rpartition("-")[2] if ending else ""
    try:
        return Version(text)
    except InvalidVersion:
        return None
