"""The simple repository API: pages and indexes rendered to bytes, from the model and nowhere else."""

import json
import re
from datetime import UTC, datetime
from html import escape
from urllib.parse import quote

from attrs import frozen

from registry.domain.model import File, Index, Page, ProjectStatus
from registry.domain.negotiation import Representation
from registry.domain.versions import in_order

# PEP 700 (sizes, times, versions) is 1.1; PEP 833 freezes HTML at 1.4.
API_VERSION = "1.4"
# Stands in an address for a digest that nobody knows; no digest looks like it.
BY_NAME = "by-name"
# RFC 3986: what stands for itself in a path.
_PLAIN = re.compile(r"[A-Za-z0-9._~-]+")


@frozen(kw_only=True)
class Links:
    """Addresses as clients see them.

    `base` has no trailing slash: the configured external URL, or the path the registry is mounted at. `scope` is what the page belongs to,
    as in its address: `projects/1`, `groups/2/-`.
    """

    base: str
    scope: str

    def file(self, file: File) -> str:
        """Where `file` is downloaded. GitLab: always by the numeric id, the digest in the path and as fragment.

        A file whose SHA-256 no index tells is addressed by its name alone, for ever: lock files keep the address.
        """
        # Nearly every name is plain, and quoting would take half as long as all the rest of a page.
        name = file.filename if _PLAIN.fullmatch(file.filename) else quote(file.filename)
        fragment = f"#sha256={file.sha256}" if file.sha256 else "".join(f"#{algorithm}={digest}" for algorithm, digest in file.digests[:1])
        return f"{self.base}/api/v4/{self.scope}/packages/pypi/files/{BY_NAME if file.by_name else file.sha256}/{name}{fragment}"

    def provenance(self, file: File, name: str) -> str:
        """Where the provenance object of `file` of this (normalised) name is: below the index, as PyPI's integrity API."""
        return f"{self.base}/api/v4/{self.scope}/packages/pypi/integrity/{name}/{quote(file.version)}/{quote(file.filename)}/provenance"


def render_page(page: Page, links: Links, representation: Representation) -> bytes:
    """One name's files, in the order they were published; none of a quarantined name (PEP 792)."""
    files = page.files if page.status.offers_files else ()
    if representation.is_json:
        head: dict[str, object] = {"meta": {"api-version": API_VERSION}, "name": page.name.normalized}
        # PEP 792: left out, a project is active.
        if page.status is not ProjectStatus.ACTIVE:
            head["project-status"] = {"status": page.status.value, **({"reason": page.status_reason} if page.status_reason else {})}
        head["versions"] = in_order(file.version for file in files)  # PEP 700: "must be unique"
        # A page may have thousands of files: as text each, not as objects, whose number alone would wake the garbage collector.
        return _json(head)[:-1] + b',"files":[' + ",".join([_file(file, page, links) for file in files]).encode() + b"]}"
    return _html(page.display, "".join([_anchor(file, page, links) for file in files]), _status_tags(page))


def render_index(index: Index, representation: Representation, *, prefix: str = "") -> bytes:
    """Every name once, sorted. `prefix` goes before the relative links: empty when the request ended in a slash."""
    if representation.is_json:
        return _json({"meta": {"api-version": API_VERSION}, "projects": [{"name": name} for name in index.names]})
    anchors = "".join(f'<a href="{escape(prefix + quote(name))}/">{escape(name)}</a><br>\n' for name in index.names)
    return _html(index.title, anchors)


def _file(file: File, page: Page, links: Links) -> str:
    """One file's JSON. A key that has nothing to say is left out: uv drops a whole page for one null (PEP 691, PEP 700)."""
    more = f',"requires-python":{_quoted(file.requires_python)}' if file.requires_python else ""
    if file.metadata_sha256:
        # PEP 714: under both names, the newer one first.
        digest = f'{{"sha256":"{file.metadata_sha256}"}}'
        more += f',"core-metadata":{digest},"dist-info-metadata":{digest}'
    if file.yanked is not None:
        # PEP 592: "either a boolean or ... a non-empty string".
        more += f',"yanked":{_quoted(file.yanked) if file.yanked else "true"}'
    if file.provenance and "://" in links.base:
        # PEP 740: "a fully qualified URL"; parsers refuse the whole page for a path.
        more += f',"provenance":{_quoted(links.provenance(file, page.name.normalized))}'
    if file.gpg_sig is not None:
        more += f',"gpg-sig":{"true" if file.gpg_sig else "false"}'
    if file.source:
        # PEP 691: keys with an underscore are the server's own.
        more += f',"_source":{_SOURCE.encode({"upstream": file.source, **({"filled": list(file.filled)} if file.filled else {})})}'
    size = "" if file.size is None else f',"size":{file.size}'
    at = "" if file.uploaded_at is None else f',"upload-time":"{_moment(file.uploaded_at)}"'
    hashes = f'"sha256":"{file.sha256}"' if file.sha256 and not file.digests else _hashes(file)
    return f'{{"filename":{_quoted(file.filename)},"url":{_quoted(links.file(file))},"hashes":{{{hashes}}}{size}{at}{more}}}'


def _hashes(file: File) -> str:
    digests = {**({"sha256": file.sha256} if file.sha256 else {}), **dict(file.digests)}
    return ",".join(f"{_quoted(algorithm)}:{_quoted(digest)}" for algorithm, digest in digests.items())


def _anchor(file: File, page: Page, links: Links) -> str:
    """One file's HTML. GitLab: href, then data-requires-python, which is there even when empty; every value escaped."""
    more = ""
    if file.metadata_sha256:
        more += f' data-core-metadata="sha256={file.metadata_sha256}" data-dist-info-metadata="sha256={file.metadata_sha256}"'
    if file.yanked is not None:
        more += f' data-yanked="{escape(file.yanked)}"'
    if file.provenance and links.base.startswith("https://"):
        # PEP 740: "MUST be a fully qualified URL", and a secure one.
        more += f' data-provenance="{escape(links.provenance(file, page.name.normalized))}"'
    if file.gpg_sig is not None:
        more += f' data-gpg-sig="{"true" if file.gpg_sig else "false"}"'
    # PEP 833 froze what HTML must say; uv reads these two all the same.
    if file.size is not None:
        more += f' data-size="{file.size}"'
    if file.uploaded_at is not None:
        more += f' data-upload-time="{_moment(file.uploaded_at)}"'
    python = escape(file.requires_python)
    return f'<a href="{escape(links.file(file))}" data-requires-python="{python}"{more}>{escape(file.filename)}</a><br>\n'


def _moment(at: datetime) -> str:
    # PEP 700: "yyyy-mm-ddThh:mm:ss.ffffffZ", UTC. uv drops the whole page for a time in any other form.
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _status_tags(page: Page) -> str:
    # PEP 792: "pypi:project-status" and "pypi:project-status-reason".
    if page.status is ProjectStatus.ACTIVE:
        return ""
    tags = f'    <meta name="pypi:project-status" content="{page.status.value}">\n'
    return tags + (f'    <meta name="pypi:project-status-reason" content="{escape(page.status_reason)}">\n' if page.status_reason else "")


_quoted = json.JSONEncoder().encode
_SOURCE = json.JSONEncoder(separators=(",", ":"))


def _json(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _html(title: str, anchors: str, tags: str = "") -> bytes:
    head = f"Links for {escape(title)}"
    return (
        "<!DOCTYPE html>\n<html>\n  <head>\n"
        f'    <meta name="pypi:repository-version" content="{API_VERSION}">\n'
        f"{tags}    <title>{head}</title>\n  </head>\n  <body>\n    <h1>{head}</h1>\n{anchors}  </body>\n</html>\n"
    ).encode()
