"""GitLab's groups API."""

from collections.abc import Callable, Sequence

from attrs import evolve, frozen

from registry.domain.access import Permission, Role
from registry.domain.places import Listing, NamespaceInfo
from registry.interfaces import IForwarding, IGroups, INamespaces, IProjects
from registry.web.credentials import Door
from registry.web.rest import shapes
from registry.web.rest.answers import reply, reply_page
from registry.web.rest.listings import PROJECT_ORDERS, base_of, listing, place_ref, wishes
from registry.web.rest.paging import Paging
from registry.web.rest.params import Params
from registry.web.rest.switches import switches, turn
from registry.web.routes import Call, Route

_ALL = "/api/v4/groups"
_ONE = f"{_ALL}/<segment:group>"
_ORDERS = ("name", "path", "id", "similarity")


@frozen(kw_only=True)
class Groups:
    """`external_url` gives the base of absolute links, empty while there is none."""

    namespaces: INamespaces
    groups: IGroups
    projects: IProjects
    forwarding: IForwarding
    external_url: Callable[[], str]

    def routes(self) -> Sequence[Route]:
        """Groups, and what lies directly or anywhere below them."""
        read, change = Permission.READ_GROUP, Permission.ADMIN_GROUP
        return (
            Route(method="GET", rule=_ALL, permission=Permission.BROWSE, handler=self.list_all, door=Door.REST),
            Route(method="POST", rule=_ALL, permission=Permission.ACT, handler=self.create, door=Door.REST),
            Route(method="GET", rule=_ONE, permission=read, handler=self.one, door=Door.REST),
            Route(method="PUT", rule=_ONE, permission=change, handler=self.change, door=Door.REST),
            Route(method="DELETE", rule=_ONE, permission=change, handler=self.remove, door=Door.REST),
            Route(method="GET", rule=f"{_ONE}/projects", permission=read, handler=self.list_projects, door=Door.REST),
            Route(method="GET", rule=f"{_ONE}/subgroups", permission=read, handler=self.list_subgroups, door=Door.REST),
            Route(method="GET", rule=f"{_ONE}/descendant_groups", permission=read, handler=self.list_descendants, door=Door.REST),
        )

    async def list_all(self, call: Call) -> bytes:
        """The groups that the caller may see."""
        params = call.params()
        wanted = _listing(params)
        if not params.flag("all_available", default=True) and wanted.least is None:
            wanted = evolve(wanted, least=Role.GUEST)
        return await self._page(call, params, wanted)

    async def create(self, call: Call) -> bytes:
        """A new group, at the top or in one that the caller owns; he becomes its Owner."""
        params = call.params()
        params.require("name", "path")
        parent = place_ref(params, "parent_id")
        made = await self.groups.create_group(wishes(params), parent, call.actor, call.identity)
        return reply(call, self._shown(call, made), 201)

    async def one(self, call: Call) -> bytes:
        """One group; with its direct projects unless told otherwise (GitLab)."""
        found = await self.namespaces.group(call.group.id)
        shown = self._shown(call, found) | await switches(call, self.forwarding)
        if call.params().flag("with_projects", default=True):
            direct = Listing(inside=found.lineage, descending=True)
            held, _ = await self.projects.projects(direct, call.identity, _WITH_PROJECTS, 0)
            shown["projects"] = [shapes.project(each, self._base(call)) for each in held]
        return reply(call, shown)

    async def change(self, call: Call) -> bytes:
        """Another name, path, description or visibility; the forwarding switch and its lock."""
        params = call.params()
        asked = evolve(wishes(params), forwarding=turn(params, lockable=True))
        changed = await self.groups.change_group(call.group.id, asked, call.actor)
        return reply(call, self._shown(call, changed) | await switches(call, self.forwarding))

    async def remove(self, call: Call) -> bytes:
        """Remove the group with all below it. GitLab answers before it has done so; here it is done."""
        await self.groups.remove_group(call.group.id, call.actor)
        return reply(call, {"message": "202 Accepted"}, 202)

    async def list_projects(self, call: Call) -> bytes:
        """The projects of the group, or of all groups below it, that the caller may see."""
        params = call.params()
        paging, deep = Paging.of(params), params.flag("include_subgroups")
        wanted = listing(params, orders=PROJECT_ORDERS, order="created_at", descending=True, inside=call.group.lineage, deep=deep)
        found, total = await self.projects.projects(wanted, call.identity, paging.per_page, paging.offset)
        simple, base = params.flag("simple"), self._base(call)
        return reply_page(call, [shapes.project(each, base, simple=simple) for each in found], total, paging, self.external_url())

    async def list_subgroups(self, call: Call) -> bytes:
        """The groups directly in this one that the caller may see."""
        params = call.params()
        return await self._page(call, params, evolve(_listing(params), inside=call.group.lineage))

    async def list_descendants(self, call: Call) -> bytes:
        """The groups anywhere below this one that the caller may see."""
        params = call.params()
        return await self._page(call, params, evolve(_listing(params), inside=call.group.lineage, deep=True))

    async def _page(self, call: Call, params: Params, wanted: Listing) -> bytes:
        paging = Paging.of(params)
        found, total = await self.namespaces.groups(wanted, call.identity, paging.per_page, paging.offset)
        return reply_page(call, [self._shown(call, each) for each in found], total, paging, self.external_url())

    def _shown(self, call: Call, found: NamespaceInfo) -> dict[str, object]:
        return shapes.group(found, self._base(call))

    def _base(self, call: Call) -> str:
        return base_of(call, self.external_url)


# GitLab shows at most this many projects with a group.
_WITH_PROJECTS = 100


def _listing(params: Params) -> Listing:
    return listing(params, orders=_ORDERS, order="name", descending=False, top_level_only=params.flag("top_level_only"))
