"""The simple repository API: pages and indexes rendered to bytes, from the model and nowhere else."""

import json
import re
from datetime import UTC
from html import escape
from urllib.parse import quote

from attrs import frozen

from registry.domain.model import File, Index, Page
from registry.domain.negotiation import Representation
from registry.domain.versions import in_order

# PEP 700 (sizes, times, versions) is 1.1; PEP 833 freezes HTML at 1.4.
API_VERSION = "1.4"
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
        """Where `file` is downloaded. GitLab: always by the numeric id, the digest in the path and as fragment."""
        # Nearly every name is plain, and quoting would take half as long as all the rest of a page.
        name = file.filename if _PLAIN.fullmatch(file.filename) else quote(file.filename)
        return f"{self.base}/api/v4/{self.scope}/packages/pypi/files/{file.sha256}/{name}#sha256={file.sha256}"


def render_page(page: Page, links: Links, representation: Representation) -> bytes:
    """One name's files, in the order they were published."""
    if representation.is_json:
        head: dict[str, object] = {"meta": {"api-version": API_VERSION}, "name": page.name.normalized, "versions": _versions(page)}
        # A page may have thousands of files: as text each, not as objects, whose number alone would wake the garbage collector.
        return _json(head)[:-1] + b',"files":[' + ",".join([_file(file, links) for file in page.files]).encode() + b"]}"
    anchors = "".join(
        # GitLab: href, then data-requires-python, which is there even when empty; every value escaped.
        f'<a href="{escape(links.file(file))}" data-requires-python="{escape(file.requires_python)}">{escape(file.filename)}</a><br>\n'
        for file in page.files
    )
    return _html(page.display, anchors)


def render_index(index: Index, representation: Representation, *, prefix: str = "") -> bytes:
    """Every name once, sorted. `prefix` goes before the relative links: empty when the request ended in a slash."""
    if representation.is_json:
        return _json({"meta": {"api-version": API_VERSION}, "projects": [{"name": name} for name in index.names]})
    anchors = "".join(f'<a href="{escape(prefix + quote(name))}/">{escape(name)}</a><br>\n' for name in index.names)
    return _html(index.title, anchors)


def _file(file: File, links: Links) -> str:
    # PEP 700: "yyyy-mm-ddThh:mm:ss.ffffffZ", UTC. uv drops the whole page for a time in any other form.
    at = file.uploaded_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    python = f',"requires-python":{_quoted(file.requires_python)}' if file.requires_python else ""
    return (
        f'{{"filename":{_quoted(file.filename)},"url":{_quoted(links.file(file))},"hashes":{{"sha256":{_quoted(file.sha256)}}},'
        f'"size":{file.size},"upload-time":"{at}"{python}}}'
    )


def _versions(page: Page) -> list[str]:
    # PEP 700: "MUST contain all of the version strings ... must be unique".
    return in_order(file.version for file in page.files)


_quoted = json.JSONEncoder().encode


def _json(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _html(title: str, anchors: str) -> bytes:
    head = f"Links for {escape(title)}"
    return (
        "<!DOCTYPE html>\n<html>\n  <head>\n"
        f'    <meta name="pypi:repository-version" content="{API_VERSION}">\n'
        f"    <title>{head}</title>\n  </head>\n  <body>\n    <h1>{head}</h1>\n{anchors}  </body>\n</html>\n"
    ).encode()
