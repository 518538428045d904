"""Which representation of an index page a client gets (PEP 691, PEP 833)."""

from enum import Enum
from functools import lru_cache

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header


class Representation(Enum):
    """The three content types of the simple API; nothing else is ever sent for a page."""

    HTML = "text/html"
    V1_HTML = "application/vnd.pypi.simple.v1+html"
    V1_JSON = "application/vnd.pypi.simple.v1+json"

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON."""
        return self is Representation.V1_JSON

    @property
    def content_type(self) -> str:
        """The `Content-Type` to send. GitLab: both carry the charset; pip, uv and poetry accept it."""
        return f"{self.value}; charset=utf-8"


# PEP 691: "latest" is a request-only alias; the response names the real version.
_ALIASES = {
    Representation.HTML: ("text/html",),
    Representation.V1_HTML: ("application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.latest+html"),
    Representation.V1_JSON: ("application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.latest+json"),
}
_BY_FORMAT = {alias: representation for representation, aliases in _ALIASES.items() for alias in aliases}


@lru_cache(maxsize=256)
def negotiate(accept: str | None, requested: str | None = None) -> Representation:
    """Choose a representation from the `Accept` header and the `?format=` parameter, which wins (PEP 691).

    Without either, with `*/*`, with a tie, or when nothing offered is acceptable, the answer is `text/html`: PyPI does the same, and a 406
    would stop poetry and uv. What is named in the header counts before any wildcard (RFC 9110, 12.5.1): a type that is refused there is
    sent only where all are.
    """
    # In a query a plain "+" reads as a blank, and PEP 691 itself writes the parameter with a plain one.
    if requested is not None and (found := _BY_FORMAT.get(requested.replace(" ", "+"))):
        return found
    if not accept:
        return Representation.HTML
    wanted = parse_accept_header(accept, MIMEAccept)
    # Sorted from the best to the least: of a type that is named twice, its higher weight counts.
    named = {kind.lower(): float(weight) for kind, weight in reversed(wanted)}
    best, best_quality = Representation.HTML, 0.0
    for representation, aliases in _ALIASES.items():
        # Asked for its alias alone, `quality` would let a wildcard speak for a type that is refused by its real name.
        quality = max([named[alias] for alias in aliases if alias in named] or [float(wanted.quality(representation.value))])
        if quality > best_quality:
            best, best_quality = representation, quality
    return best
