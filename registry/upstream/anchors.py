"""HTML pages of upstreams (PEP 503, and directories of files as web servers list them): their links, in the words of the JSON form."""

from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from attrs import frozen

from registry.domain.filenames import SDIST_ENDINGS
from registry.upstream.entries import METADATA_KEYS

_ENDINGS = (".whl", *SDIST_ENDINGS)
_PIECE = 256 << 10
# How long a tag, comment or script may be. What is unfinished is looked at again with each piece, which needs a bound.
LONGEST_TAG = 1 << 20
# Each takes some microseconds.
MOST_TAGS = 1_000_000
_LONGEST_TEXT = 1000
_MOST_METAS = 100
_MOST_DIGITS = 19


class TooMuch(Exception):
    """The page has more of something than any that is honest; the text is the end of a sentence that begins with "it"."""


@frozen(kw_only=True)
class Anchors:
    """What an HTML page holds: its links to files as entries, what its addresses are relative to, and its `pypi:` tags."""

    base: str
    entries: list[dict[str, Any]]
    metas: dict[str, str]


def read_anchors(text: str, url: str, most: int) -> Anchors:
    """Read the HTML page that came from `url`, in time that grows with its length only.

    Links to anything but wheels and sdists are left out. Raises `TooMuch`, also for more than `most` links, and ValueError or
    AssertionError where the tokenizer gives up. (The HTML readers
    of pypi-simple take hours for a page of nothing but `<a href>` or `<!--`.)
    """
    if text.count("<") > MOST_TAGS:
        raise TooMuch(f"has more than {MOST_TAGS:,} tags")
    page = _Page(most)
    # Never closed: what is left unfinished at the end is no link, and looking at it again from each of its characters would take for ever.
    for start in range(0, len(text), _PIECE):
        page.feed(text[start : start + _PIECE])
        if len(page.rawdata) > LONGEST_TAG:
            raise TooMuch("has a tag or a text that does not end")
    page.end_link()
    return Anchors(base=_base(url, page.base), entries=page.entries, metas=page.metas)


class _Page(HTMLParser):
    """Keeps no tree: a link ends where the next begins, and nothing else has an end that matters."""

    def __init__(self, most: int) -> None:
        """Nothing seen yet."""
        super().__init__(convert_charrefs=True)
        self.base: str | None = None
        self.metas: dict[str, str] = {}
        self.entries: list[dict[str, Any]] = []
        self._most, self._links = most, 0
        self._open: dict[str, str] | None = None  # the attributes of the link whose text is being read
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """HTMLParser. Of attributes that are repeated the first counts, as in browsers."""
        if tag == "a":
            self.end_link()
            found = {key: value or "" for key, value in reversed(attrs)}
            if "href" in found:
                self._links += 1
                if self._links > self._most:
                    raise TooMuch(f"has more than {self._most:,} links")
                self._open = found
        elif tag == "base" and self.base is None:
            self.base = dict(reversed(attrs)).get("href")
        elif tag == "meta" and len(self.metas) < _MOST_METAS:
            found = {key: value or "" for key, value in reversed(attrs)}
            name = found.get("name", "")
            if name.startswith("pypi:") and "content" in found:
                self.metas.setdefault(name, found["content"])

    def handle_endtag(self, tag: str) -> None:
        """HTMLParser."""
        if tag == "a":
            self.end_link()

    def handle_data(self, data: str) -> None:
        """HTMLParser."""
        if self._open is not None and len(self._text) < _LONGEST_TEXT:
            self._text += data[:_LONGEST_TEXT]

    def end_link(self) -> None:
        """Note the link that is open, if one is."""
        if self._open is not None:
            entry = _entry(self._open, self._text.strip())
            if entry is not None:
                self.entries.append(entry)
        self._open, self._text = None, ""


def _base(url: str, href: str | None) -> str:
    if href is None:
        return url
    try:
        joined = urljoin(url, href.strip())
        return joined if urlsplit(joined).scheme in {"http", "https"} else url
    except ValueError:
        return url


def _entry(attributes: dict[str, str], text: str) -> dict[str, Any] | None:
    """What a link says of a file; None if it leads to none."""
    address, _, fragment = attributes["href"].strip().partition("#")
    # pip and uv go by the address; web servers cut long texts short.
    last = unquote(address.partition("?")[0].rpartition("/")[2])
    filename = next((name for name in (last, text) if name.endswith(_ENDINGS)), None)
    if filename is None:
        return None
    entry: dict[str, Any] = {"filename": filename, "url": address, "hashes": _digests(fragment)}
    if "data-yanked" in attributes:
        entry["yanked"] = attributes["data-yanked"]
    for key in METADATA_KEYS:
        # "data-dist-info-metadata" has its mark already.
        told = attributes.get(f"data-{key.removeprefix('data-')}")
        if told is not None:
            entry[key] = _metadata(told.strip())
    # The last two are no standard; uv reads them, and this registry writes them.
    for key in ("requires-python", "provenance", "upload-time"):
        if attributes.get(f"data-{key}"):
            entry[key] = attributes[f"data-{key}"]
    size = attributes.get("data-size", "")
    if size.isascii() and size.isdigit() and len(size) <= _MOST_DIGITS:
        entry["size"] = int(size)
    return entry


def _digests(fragment: str) -> dict[str, str]:
    """PEP 503: "#<hashname>=<hashvalue>"; some add others behind an ampersand."""
    pairs = (pair.partition("=") for pair in fragment.split("&", 20)[:20])
    return {algorithm: digest for algorithm, _, digest in pairs if digest}


def _metadata(told: str) -> bool | dict[str, str]:
    """PEP 658: "true", or "<hashname>=<hashvalue>"."""
    algorithm, _, digest = told.partition("=")
    return {algorithm: digest} if digest else told.lower() != "false"
