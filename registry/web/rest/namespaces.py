"""GitLab's namespaces API: where projects may lie."""

from collections.abc import Callable, Sequence

from attrs import frozen

from registry.domain.access import Permission, Role
from registry.domain.places import Listing
from registry.interfaces import INamespaces
from registry.web.credentials import Door
from registry.web.rest import shapes
from registry.web.rest.answers import number, reply, reply_page
from registry.web.rest.listings import base_of
from registry.web.rest.paging import Paging
from registry.web.routes import Call, Route

_ALL = "/api/v4/namespaces"


@frozen(kw_only=True)
class Namespaces:
    """`external_url` gives the base of absolute links, empty while there is none."""

    namespaces: INamespaces
    external_url: Callable[[], str]

    def routes(self) -> Sequence[Route]:
        """Lists and single ones."""
        one = f"{_ALL}/<segment:namespace_id>"
        return (
            Route(method="GET", rule=_ALL, permission=Permission.SIGNED_IN, handler=self.list_all, door=Door.REST),
            Route(method="GET", rule=one, permission=Permission.SIGNED_IN, handler=self.one, door=Door.REST),
        )

    async def list_all(self, call: Call) -> bytes:
        """The caller's own namespace and the groups where he has a role; all of them to administrators."""
        params = call.params()
        paging = Paging.of(params)
        least = Role.OWNER if params.flag("owned_only") else None
        wanted = Listing(search=params.text("search", "").strip(), top_level_only=params.flag("top_level_only"), least=least)
        found, total = await self.namespaces.namespaces(wanted, call.identity, paging.per_page, paging.offset)
        base = base_of(call, self.external_url)
        return reply_page(call, [shapes.namespace(each, base) for each in found], total, paging, self.external_url())

    async def one(self, call: Call, namespace_id: str) -> bytes:
        """One namespace, by number or full path."""
        ref = number("id", namespace_id) if namespace_id.isascii() and namespace_id.isdigit() else namespace_id
        found = await self.namespaces.namespace(ref, call.identity)
        return reply(call, shapes.namespace(found, base_of(call, self.external_url)))
