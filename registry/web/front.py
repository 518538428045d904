"""The front page: what this is and how to use it, for somebody who opened the address in a browser."""

from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files
from string import Template

from attrs import field, frozen

from registry.domain.access import Permission
from registry.web.errors import secure
from registry.web.routes import Call, Route


@frozen(kw_only=True)
class Front:
    """`external_url` gives the address to show; empty when it is not known."""

    external_url: Callable[[], str]
    _page: Template = field(init=False, factory=lambda: Template(files(__package__).joinpath("templates", "front.html").read_text("utf-8")))

    def routes(self) -> Sequence[Route]:
        """The page at the root."""
        return (Route(method="GET", rule="/", permission=Permission.OPEN, handler=self.page),)

    async def page(self, call: Call) -> bytes:
        """Open to everybody, and so tells nothing about what is held here."""
        request = call.request
        secure(request)
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        request.setHeader(b"cache-control", b"no-cache")
        request.setHeader(b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'")
        url = self.external_url() or "https://REGISTRY"
        with_token = url.replace("://", "://__token__:TOKEN@", 1)
        return self._page.substitute(url=escape(url), with_token=escape(with_token)).encode()
