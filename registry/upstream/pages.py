"""Pages of upstreams, JSON or HTML, read into our model. Nothing of their text goes on: what a client sees is rendered from the model."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field, frozen
from werkzeug.http import parse_options_header

from registry.domain.errors import InvalidName, UpstreamBroken, shown
from registry.domain.model import File, Page, ProjectStatus
from registry.domain.names import Name
from registry.upstream.anchors import TooMuch, read_anchors
from registry.upstream.entries import EntryReader, Malformed, reason

# How many files, or links, a page may list; the longest of PyPI have some thousands.
MOST_LINKS = 50_000
# How many values a JSON page may have: each takes some ten times as much memory as its text.
MOST_VALUES = 2_000_000
# How many sentences are kept about what was dropped.
MOST_DROPPED = 100

_JSON = {"application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.latest+json", "application/json"}
_HTML = {"application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.latest+html", "text/html", "application/xhtml+xml"}
_LONGEST_TYPE = 500
# Where a page says so it is read in one of these; all else is UTF-8. (Some codecs of Python take minutes for a page.)
_CHARSETS = {"iso-8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "windows-1252": "cp1252", "us-ascii": "cp1252"}
_MAJOR = re.compile(r"0*([0-9]*)")
_LONGEST_VERSION, _MOST_DIGITS = 40, 19


@frozen(kw_only=True)
class Read:
    """A page, and a sentence for each entry that was dropped from it (of many the first, and their number)."""

    page: Page
    dropped: tuple[str, ...]


def read_page(body: bytes, content_type: str, url: str, name: Name, source: str) -> Read:
    """Read what the upstream `source` answered at `url` (after redirects) when it was asked for `name`. Blocks: for a thread.

    Files keep the upstream's order; of those with one name the first counts. A malformed entry is dropped, never the page. A directory that
    lists the files of many projects is read, too: then those of `name` count. Raises `UpstreamBroken` for what is neither a JSON page (PEP
    691) nor HTML (PEP 503), has a later major version (PEP 629), or lists more than `MOST_LINKS`.
    """
    kind, options = parse_options_header(content_type[:_LONGEST_TYPE])
    kind = kind.strip().lower()
    start = body[:1000].removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    try:
        # Proxies and web servers give wrong types, so the first character has a say.
        if start == b"{":
            return _read_json(body, url, name, source)
        if kind not in _JSON and (start == b"<" or (kind in _HTML and b"<" in body)):
            return _read_html(body, options.get("charset", ""), url, name, source)
    except TooMuch as error:
        raise UpstreamBroken(source=source, problem=f"its page of {name.normalized} {error}") from None
    raise UpstreamBroken(
        source=source, problem=f"its page of {name.normalized} is neither JSON nor HTML (its Content-Type is {shown(content_type)})"
    )


def _read_json(body: bytes, url: str, name: Name, source: str) -> Read:
    if sum(body.count(mark) for mark in (b"[", b"{", b",")) > MOST_VALUES:
        raise TooMuch(f"has more than {MOST_VALUES:,} values")
    try:
        document = json.loads(body.decode("utf-8-sig", "replace"), parse_int=_whole)
    except (ValueError, RecursionError):
        raise UpstreamBroken(source=source, problem=f"its page of {name.normalized} is no valid JSON") from None
    meta = _object(document.get("meta"))
    _check_version(meta.get("api-version"), name, source)
    entries = document.get("files")
    if not isinstance(entries, list):
        raise UpstreamBroken(source=source, problem=f"its page of {name.normalized} has no list of files")
    if len(entries) > MOST_LINKS:
        raise TooMuch(f"lists more than {MOST_LINKS:,} files")
    # PEP 792 has it at the top in its text, and within `meta` in its example.
    status = _object(document.get("project-status") or meta.get("project-status"))
    files = _Files(reader=EntryReader(name=name, source=source, base=url))
    files.take(map(_object, entries), strangers=False)
    return files.read(name, _spelling(document.get("name"), name), status)


def _read_html(body: bytes, charset: str, url: str, name: Name, source: str) -> Read:
    text = body.decode(_CHARSETS.get(charset.lower(), "utf-8-sig"), "replace")
    try:
        anchors = read_anchors(text, url, MOST_LINKS)
    except (ValueError, AssertionError):
        raise UpstreamBroken(source=source, problem=f"its page of {name.normalized} is no readable HTML") from None
    _check_version(anchors.metas.get("pypi:repository-version"), name, source)
    status = {"status": anchors.metas.get("pypi:project-status"), "reason": anchors.metas.get("pypi:project-status-reason")}
    files = _Files(reader=EntryReader(name=name, source=source, base=anchors.base))
    files.take(anchors.entries, strangers=True)
    return files.read(name, name.normalized, status)


@define(kw_only=True)
class _Files:
    """The files of a page as they are read."""

    reader: EntryReader
    _found: dict[str, File] = field(init=False, factory=dict)
    _dropped: list[str] = field(init=False, factory=list)
    _more: int = field(init=False, default=0)  # were dropped than there are sentences

    def take(self, entries: Iterable[Mapping[str, Any]], *, strangers: bool) -> None:
        """Read `entries`; with `strangers` there may be files of others among them, about which there is nothing to say."""
        for entry in entries:
            try:
                file = self.reader.read(entry)
            except Malformed as error:
                if strangers and not self.reader.concerns(entry["filename"]):
                    continue
                if len(self._dropped) < MOST_DROPPED:
                    self._dropped.append(str(error))
                else:
                    self._more += 1
            else:
                self._found.setdefault(file.filename, file)

    def read(self, name: Name, display: str, status: Mapping[str, Any]) -> Read:
        more = (f"{self._more:,} more entries were dropped",) if self._more else ()
        why = status.get("reason")
        page = Page(
            name=name,
            display=display,
            files=tuple(self._found.values()),
            status=_status(status.get("status")),
            status_reason=reason(why) if isinstance(why, str) else "",
        )
        return Read(page=page, dropped=(*self._dropped, *more))


def _check_version(told: object, name: Name, source: str) -> None:
    """PEP 629: without a version it is 1.0, and clients "MUST" refuse a later major one."""
    text = str(told).strip()[:_LONGEST_VERSION] if isinstance(told, str | int | float) else ""
    found = _MAJOR.match(text)
    if found is not None and found[1] not in {"", "1"}:
        raise UpstreamBroken(
            source=source, problem=f"its page of {name.normalized} has version {shown(text)} of the simple API; this registry reads 1.x"
        )


def _spelling(told: object, name: Name) -> str:
    try:
        return told if isinstance(told, str) and Name(told) == name else name.normalized
    except InvalidName:
        return name.normalized


def _status(told: object) -> ProjectStatus:
    """PEP 792. One that is not known says nothing that clients could go by."""
    try:
        return ProjectStatus(told)
    except ValueError:
        return ProjectStatus.ACTIVE


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(text: str) -> int:
    # Python refuses to read numbers of thousands of digits, and would with them refuse the page.
    return int(text) if len(text) <= _MOST_DIGITS else -1


def default_index() -> str:
    """The address of the index that is asked where none is configured: PyPI. Blocks for as long as it takes to load pypi-simple."""
    from pypi_simple import PYPI_SIMPLE_ENDPOINT  # noqa: PLC0415 - it brings an HTTP client, two parsers, and 30 MB

    return str(PYPI_SIMPLE_ENDPOINT)
