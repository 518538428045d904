"""The project JSON that bots read: what PyPI answers at `pypi/<name>/json`, from the same model as the pages."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from attrs import frozen

from registry.domain.model import File, Page
from registry.domain.simple import Links
from registry.domain.versions import Version

# PyPI's keys for what core metadata says in one text each. One that is silent is an empty text: Renovate drops an answer that holds null.
_TEXTS = (
    "author",
    "author_email",
    "description",
    "description_content_type",
    "download_url",
    "home_page",
    "keywords",
    "license",
    "license_expression",
    "maintainer",
    "maintainer_email",
    "platform",
    "requires_python",
    "summary",
)
# And in lists, by the names they are kept under; null where there is none (PyPI).
_LISTS = {"dynamic": "dynamic", "license_files": "license_files", "provides_extra": "provides_extras", "requires_dist": "requires_dist"}
# PyPI's names of digests, where hashlib has others.
_DIGESTS = {"blake2b": "blake2b_256"}
_WHEEL = ".whl"
# For bots that must read a time: of a file of which no index tells one.
_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)


@frozen(kw_only=True)
class Releases:
    """A page with what no page tells: further digests, and the core metadata of one version.

    `digests` maps the number of a file to those digests that its publisher declared, by PyPI's names. `described` is the file that
    `metadata` was taken from, None where no version is offered, or not the one that was wanted. `serial` is that of the last change.
    """

    page: Page
    digests: Mapping[int, Mapping[str, str]]
    described: File | None
    metadata: Mapping[str, object]
    serial: int


def described(page: Page, wanted: Version | None) -> File | None:
    """The file whose metadata speaks for the project: the first published one of the version `wanted`, if that is offered.

    Without one it is PyPI's choice: a version that is not yanked before one that is, a final one before a pre-release, then the newest. A
    version is yanked when all its files are.
    """
    by_version = _by_version(page)
    if wanted is None:
        wanted = max(by_version, key=lambda one: (_yank(by_version[one]) is None, not one.order.is_prerelease, one.order), default=None)
    return by_version[wanted][0] if wanted in by_version else None


def render_project(releases: Releases, links: Links) -> bytes:
    """All versions from the lowest to the highest, each with its files; none of a quarantined name (PEP 792)."""
    by_version = _by_version(releases.page)
    ordered = sorted(by_version, key=lambda version: version.order)
    return _rendered(releases, links, {"releases": {one.display: _files(by_version[one], releases, links) for one in ordered}})


def render_release(releases: Releases, links: Links) -> bytes:
    """One version: as the whole project, without the others."""
    return _rendered(releases, links, {})


def _rendered(releases: Releases, links: Links, more: Mapping[str, object]) -> bytes:
    file = releases.described
    files = () if file is None else _by_version(releases.page)[Version(file.version)]
    answer = {
        "info": _info(releases, files, links),
        "last_serial": releases.serial,
        **more,
        "urls": _files(files, releases, links),
        "vulnerabilities": [],
    }
    return json.dumps(answer, separators=(",", ":")).encode()


def _by_version(page: Page) -> dict[Version, list[File]]:
    """The files that are offered, in the order they were published; of equal versions the first spelling is the key."""
    texts: dict[str, Version] = {}
    found: dict[Version, list[File]] = {}
    for file in page.files if page.status.offers_files else ():
        version = texts.get(file.version) or texts.setdefault(file.version, Version(file.version))
        found.setdefault(version, []).append(file)
    return found


def _yank(files: Iterable[File]) -> str | None:
    """Why a version is yanked, empty where no reason was given; None while a file of it is not."""
    reasons = [file.yanked for file in files]
    return None if not reasons or None in reasons else next(filter(None, reasons), "")


def _info(releases: Releases, files: Iterable[File], links: Links) -> dict[str, object]:
    page, file, metadata = releases.page, releases.described, releases.metadata
    version, yanked = "" if file is None else file.version, _yank(files)
    info: dict[str, object] = {"name": page.display, "version": version}
    info |= {key: _text(metadata.get(key)) for key in _TEXTS}
    info |= {key: _list(metadata.get(kept)) or None for key, kept in _LISTS.items()}
    # PyPI's lead to pages for people; ours, to what there is of the same things.
    top, name = f"{links.base}/api/v4/{links.scope}/packages/pypi", page.name.normalized
    package_url = f"{top}/simple/{name}/"
    return info | {
        "bugtrack_url": None,
        "classifiers": _list(metadata.get("classifiers")),
        "docs_url": None,
        "downloads": {"last_day": -1, "last_month": -1, "last_week": -1},
        "package_url": package_url,
        "project_url": package_url,
        "project_urls": _urls(metadata),
        "release_url": f"{top}/pypi/{name}/{quote(version)}/json" if version else package_url,
        "yanked": yanked is not None,
        "yanked_reason": yanked or None,
    }


def _urls(metadata: Mapping[str, object]) -> dict[str, str]:
    """Core metadata: "Project-URL: Label, address". Older metadata says two of them in fields of their own."""
    found: dict[str, str] = {}
    for entry in _list(metadata.get("project_urls")):
        label, comma, address = entry.partition(",")
        if comma:
            found.setdefault(label.strip(), address.strip())
    for label, key in (("Homepage", "home_page"), ("Download", "download_url")):
        address = _text(metadata.get(key))
        if address and address not in found.values():
            found.setdefault(label, address)
    return found


def _files(files: Iterable[File], releases: Releases, links: Links) -> list[dict[str, object]]:
    return [_file(file, releases.digests.get(file.id, {}), links) for file in files]


def _file(file: File, digests: Mapping[str, str], links: Links) -> dict[str, object]:
    wheel = file.filename.endswith(_WHEEL)
    told: dict[str, object] = {
        "comment_text": "",
        "core-metadata": {"sha256": file.metadata_sha256} if file.metadata_sha256 else False,
        "digests": {**_further(file), **digests, **({"sha256": file.sha256} if file.sha256 else {})},
        "downloads": -1,
        "filename": file.filename,
        "has_sig": bool(file.gpg_sig),
        "packagetype": "bdist_wheel" if wheel else "sdist",
        # PEP 427: the first of the three tags at the end. Warehouse: "source" of what is built first.
        "python_version": file.filename.removesuffix(_WHEEL).rsplit("-", 3)[1] if wheel else "source",
        "requires_python": file.requires_python or None,
        "size": file.size,
        "url": links.file(file),
        "yanked": file.yanked is not None,
        "yanked_reason": file.yanked or None,
    }
    # A time that nobody knows is left out: Renovate takes none, but no null.
    return told if file.uploaded_at is None else {**told, **_times(file.uploaded_at)}


def _further(file: File) -> dict[str, str]:
    """What an upstream tells beside the SHA-256, by PyPI's names."""
    return {_DIGESTS.get(algorithm, algorithm): digest for algorithm, digest in file.digests}


def _times(at: datetime) -> dict[str, str]:
    """A moment in PyPI's two forms, both UTC, of which only the second says so."""
    utc = at.astimezone(UTC).replace(tzinfo=None)
    return {"upload_time": utc.isoformat(timespec="seconds"), "upload_time_iso_8601": f"{utc.isoformat(timespec='microseconds')}Z"}


def _list(value: object) -> list[str]:
    return [_text(one) for one in value] if isinstance(value, list | tuple) else []


def _text(value: object) -> str:
    # Half a surrogate pair is JSON to Python and to nobody else.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
