"""Offset pagination as GitLab's: `page` and `per_page` in, `X-...` headers and `Link` out."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from attrs import frozen

from registry.web.rest.params import Params

DEFAULT, MOST = 20, 100
# GitLab: beyond this many rows nobody counts them; totals and the last page are left out.
COUNTED = 10_000
_FARTHEST = 10**9


@frozen(kw_only=True)
class Paging:
    """Which rows of a list are wanted: `per_page` from row `offset`."""

    page: int
    per_page: int

    @classmethod
    def of(cls, params: Params) -> "Paging":
        """Read `page` and `per_page`; what is out of bounds is brought within, as GitLab does."""
        page = params.integer("page", 1)
        per_page = params.integer("per_page", DEFAULT)
        return cls(page=min(max(1, page), _FARTHEST), per_page=min(max(1, per_page), MOST))

    @property
    def offset(self) -> int:
        """How many rows come before the page."""
        return (self.page - 1) * self.per_page


def page_headers(request: Any, paging: Paging, total: int, base: str) -> None:
    """Describe the page in the answer's headers. `base` is the address of the list, without its query."""
    pages = max(1, -(-total // paging.per_page))
    following = paging.page + 1 if paging.page < pages else None
    before = paging.page - 1 if paging.page > 1 else None
    counted = total <= COUNTED
    figures: dict[str, int | None] = {"X-Page": paging.page, "X-Per-Page": paging.per_page, "X-Next-Page": following, "X-Prev-Page": before}
    if counted:
        figures |= {"X-Total": total, "X-Total-Pages": pages}
    for name, value in figures.items():
        request.setHeader(name, "" if value is None else str(value))
    link = _linker(request.uri, base, paging)
    links = {"prev": before, "next": following, "first": 1, "last": pages if counted else None}
    request.setHeader("Link", ", ".join(f'<{link(page)}>; rel="{rel}"' for rel, page in links.items() if page is not None))


def _linker(uri: bytes, base: str, paging: Paging) -> Callable[[int], str]:
    _, _, query = uri.partition(b"?")
    kept = [(k, v) for k, v in parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True) if k not in {"page", "per_page"}]
    return lambda page: f"{base}?{urlencode([*kept, ('page', page), ('per_page', paging.per_page)])}"
