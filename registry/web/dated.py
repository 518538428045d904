"""Dated views: an index, and each of its pages, as it was answered at an instant."""

from collections.abc import Callable, Sequence

from attrs import frozen

from registry.domain.errors import InvalidName, UnknownName
from registry.domain.moments import parse_moment
from registry.domain.names import Name
from registry.web.routes import Call, Route, below_indexes
from registry.web.simple import answer_page, mount, wanted_representation
from registry.workflows.history import History
from registry.workflows.library import Library


@frozen(kw_only=True)
class Dated:
    """Routes of our own, beside GitLab's. `external_url` gives the base of absolute links, empty while there is none."""

    history: History
    library: Library
    external_url: Callable[[], str]

    def routes(self) -> Sequence[Route]:
        """Index and pages, of projects and groups; files are where they always are."""
        return below_indexes(("at/<segment:at>/simple", self.index), ("at/<segment:at>/simple/<segment:name>", self.page))

    async def index(self, call: Call, at: str) -> bytes:
        """Every name that the index had at an instant, or at the end of a day (UTC)."""
        moment = parse_moment(at)
        prefix = "" if call.request.path.endswith(b"/") else "simple/"
        representation = wanted_representation(call)
        rendered = await self.history.index(call.admission, moment, representation, prefix)
        return await answer_page(call, self.library, rendered, representation.content_type)

    async def page(self, call: Call, at: str, name: str) -> bytes:
        """One name's files at an instant, or at the end of a day (UTC). 404 where there were none."""
        moment = parse_moment(at)
        representation = wanted_representation(call)
        try:
            wanted = Name(name)
        except InvalidName:
            raise UnknownName(name=name) from None
        base = self.external_url() or mount(call.request)
        rendered = await self.history.page(call.admission, wanted, moment, representation, base)
        return await answer_page(call, self.library, rendered, representation.content_type)
